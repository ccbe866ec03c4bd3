"""All tracks: who of them sounds, which beds are ducked, and what each mix gets of them."""

from collections.abc import Collection

import numpy as np

from softswitch.audio.pcm import Pcm
from softswitch.media import messages as m
from softswitch.media.convert import Converters
from softswitch.media.track import Track


class Playback:
    """The tracks by id and by mix."""

    def __init__(self, counters: dict[str, int]) -> None:
        """Begin without tracks; `counters` gets unknown_ids and refused_track_ms."""
        self._tracks: dict[int, Track] = {}
        self._by_mix: dict[int, list[Track]] = {}
        self._converters = Converters()
        self._counters = counters
        self._reports: list[m.Report] = []
        self.revision = 0
        """Grows when there is one more mix with tracks, or one less."""

    @property
    def mixes(self) -> Collection[int]:
        """Return the mixes that have tracks."""
        return self._by_mix.keys()

    def __len__(self) -> int:
        return len(self._tracks)

    def __contains__(self, track: int) -> bool:
        return track in self._tracks

    def add(self, order: m.AddTrack, _now: float) -> None:
        """Open a track.

        Raises:
            ValueError: there is one with this id.
        """
        if order.track in self._tracks:
            raise ValueError(f"track: {order.track} is open already")
        track = self._tracks[order.track] = Track(order, self._converters)
        if order.mix not in self._by_mix:
            self._by_mix[order.mix] = []
            self.revision += 1
        self._by_mix[order.mix].append(track)

    def feed(self, order: m.FeedTrack, _now: float) -> None:
        """Append audio to a track."""
        if track := self._find(order.track):
            self._counters["refused_track_ms"] += track.feed(order)

    def mark(self, order: m.PlaceMark, now: float) -> None:
        """Place a mark; one on a track that is gone comes back at once."""
        if track := self._find(order.track):
            track.mark(order.name, now)
        else:
            self._reports.append(m.MarkReached(order.track, now, order.name, cleared=True))

    def end(self, order: m.EndTrack, _now: float) -> None:
        """Let a track end when it is drained."""
        if track := self._find(order.track):
            track.end()

    def drop(self, order: m.DropTrack, _now: float) -> None:
        """Cut a track short."""
        if track := self._find(order.track):
            track.drop(order.fade_ms, order.at_boundary)

    def clear(self, order: m.ClearTrack, now: float) -> None:
        """Empty a track."""
        if track := self._find(order.track):
            track.clear(now)

    def set(self, order: m.SetTrack, _now: float) -> None:
        """Change a track."""
        if track := self._find(order.track):
            track.set(order)

    def play(self, now: float, unready: Collection[int]) -> dict[int, Pcm]:
        """Move all tracks on by one frame.

        Args:
            now: monotonic seconds.
            unready: mixes whose listeners cannot hear yet: their tracks wait, since nobody wants to miss a
                greeting.

        Returns:
            The frame ``(480,)`` of each mix in which a track sounds; not to be written to.
        """
        frames: dict[int, Pcm] = {}
        for mix, tracks in self._by_mix.items():
            if mix in unready:
                for track in tracks:
                    track.settle(now)
            else:
                self._play_mix(mix, tracks, now, frames)
        for track in [track for track in self._tracks.values() if track.reports]:
            self._reports += track.reports
            track.reports.clear()
            if track.finished:
                self._forget(track)
        return frames

    def take_reports(self) -> list[m.Report]:
        """Return what has happened since the last call."""
        reports, self._reports = self._reports, []
        return reports

    @staticmethod
    def _play_mix(mix: int, tracks: list[Track], now: float, frames: dict[int, Pcm]) -> None:
        if len(tracks) == 1:
            pcm = tracks[0].pull(now, ducked=False)
            if pcm is not None:
                frames[mix] = pcm
            return
        ducked = any(track.duck_to is None and track.is_sounding for track in tracks)
        sounding = [pcm for track in tracks if (pcm := track.pull(now, ducked)) is not None]
        if sounding:
            frames[mix] = sounding[0] if len(sounding) == 1 else np.sum(sounding, axis=0, dtype=np.float32)

    def _forget(self, track: Track) -> None:
        del self._tracks[track.id]
        tracks = self._by_mix[track.mix]
        tracks.remove(track)
        if not tracks:
            del self._by_mix[track.mix]
            self.revision += 1

    def _find(self, track: int) -> Track | None:
        found = self._tracks.get(track)
        if found is None:
            # It ended while the order was on its way; what became of it is told by its own report.
            self._counters["unknown_ids"] += 1
        return found
