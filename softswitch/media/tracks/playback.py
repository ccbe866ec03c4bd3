"""All tracks of the engine by id and by mix: playing, ducking and summing them for each mix."""

from collections.abc import Collection

import numpy as np

from softswitch.audio.pcm import Pcm
from softswitch.media import messages as m
from softswitch.media.discards import DiscardCounter
from softswitch.media.feeds.stream_queue import StreamTable
from softswitch.media.tracks.convert import Converters
from softswitch.media.tracks.live_tracks import LiveTracks
from softswitch.media.tracks.steady_tracks import SteadyTracks, steady_tracks
from softswitch.media.tracks.track import Track


class Playback:
    """The open tracks, and handlers of the messages about them."""

    def __init__(
        self, counters: dict[str, int], discards: DiscardCounter, streams: StreamTable | None = None
    ) -> None:
        """Begin without tracks.

        Args:
            counters: gets unknown_ids and refused_track_ms.
            discards: counts discarded audio of late live tracks.
            streams: the queues of tracks whose audio the tick reads itself.
        """
        self.streams = streams if streams is not None else StreamTable()
        """Queues of streams, by their track."""
        self._live = LiveTracks(discards)
        self._tracks: dict[int, Track] = {}
        self._by_mix: dict[int, list[Track]] = {}
        self._unseated: dict[int, list[Track]] = {}
        """Those of `_by_mix` whose tracks are played here; :attr:`steady` plays the others."""
        self.steady = steady_tracks()
        """Mixes whose tracks have nothing to decide, in compiled code; None without it."""
        self._unready: Collection[int] = ()
        self._converters = Converters()
        self._counters = counters
        self._reports: list[m.Report] = []
        self.revision = 0
        """Grows whenever the set of mixes with tracks changes."""

    @property
    def mixes(self) -> Collection[int]:
        """Mixes that have tracks."""
        return self._by_mix.keys()

    def __len__(self) -> int:
        return len(self._tracks)

    def __contains__(self, track: int) -> bool:
        return track in self._tracks

    def add(self, message: m.AddTrack, _now: float) -> None:
        """Open a track.

        Raises:
            ValueError: the id is in use.
        """
        if message.track in self._tracks:
            raise ValueError(f"track: {message.track} is open already")
        track = self._tracks[message.track] = Track(
            message, self._converters, self._live, self.streams.use(message.track)
        )
        if message.mix not in self._by_mix:
            self._by_mix[message.mix] = self._unseated[message.mix] = []
            self.revision += 1
        self._unseat(message.mix)
        self._by_mix[message.mix].append(track)

    def feed(self, message: m.FeedTrack, now: float) -> None:
        """Append audio to a track."""
        track = self._tracks.get(message.track)
        if track is None or track.queue is None:
            track = self._find(message.track)
        if track is not None:
            self._counters["refused_track_ms"] += track.feed(message, now)
            # Audio that comes to a queue of compiled code ends no seat, but what has to be told does.
            if track.queue is not None and track.reports:
                self._unseat(track.mix)

    def mark(self, message: m.PlaceMark, now: float) -> None:
        """Place a mark; a mark for a track that has ended is reported as cleared at once."""
        if track := self._find(message.track):
            track.mark(message.name, now)
        else:
            self._reports.append(m.MarkReached(message.track, now, message.name, cleared=True))

    def end(self, message: m.EndTrack, _now: float) -> None:
        """Let a track end once its queue is played."""
        if track := self._find(message.track):
            track.end()

    def drop(self, message: m.DropTrack, _now: float) -> None:
        """Cut a track short."""
        if track := self._find(message.track):
            track.drop(message.fade_ms, message.at_boundary)

    def clear(self, message: m.ClearTrack, now: float) -> None:
        """Empty a track."""
        if track := self._find(message.track):
            track.clear(now)

    def read(self, message: m.ReadStream, _now: float) -> None:
        """Read the socket of a stream from now on."""
        queue = self.streams.get(message.track)
        if queue is not None:
            queue.begin_reading(message.asked)

    def set(self, message: m.SetTrack, _now: float) -> None:
        """Change a track."""
        if track := self._find(message.track):
            track.set(message)

    def play(self, now: float, unready: Collection[int]) -> dict[int, Pcm]:
        """Move all tracks on by one frame.

        Args:
            now: monotonic seconds.
            unready: mixes whose listeners are not connected yet; their tracks wait, so that no greeting loses
                its beginning.

        Returns:
            The frame ``(480,)`` of each mix in which a track sounds, without those of :attr:`steady`, which
            the caller has to add; callers must not write to it.
        """
        if len(self.streams):
            self.streams.read(early=False)
        if self.steady is not None:
            self._give_seats(self.steady, unready)
        frames: dict[int, Pcm] = {}
        for mix, tracks in self._unseated.items():
            if mix in unready:
                for track in tracks:
                    track.settle(now)
            else:
                self._play_mix(mix, tracks, now, frames)
        self._collect_reports()
        return frames

    @property
    def is_due(self) -> bool:
        """Whether there are tracks to play, or reports such as marks of tracks that have ended."""
        return bool(self._tracks or self._reports)

    def take_reports(self) -> list[m.Report]:
        """Return the reports since the last call."""
        reports, self._reports = self._reports, []
        return reports

    def _collect_reports(self) -> None:
        """Gather the reports of tracks in the order in which these were opened; remove tracks that ended."""
        told = [track for tracks in self._unseated.values() for track in tracks if track.reports]
        if len(told) > 1:
            told = [track for track in self._tracks.values() if track.reports]
        for track in told:
            self._reports += track.reports
            track.reports.clear()
            if track.finished:
                self._forget(track)

    def _give_seats(self, steady: SteadyTracks, unready: Collection[int]) -> None:
        """Let compiled code play the tracks of all mixes that are steady now."""
        if unready is not self._unready:
            self._unready = unready
            for mix in unready:
                self._unseat(mix)
        decide = steady.unsteady()
        for mix in decide:
            self._unseat(mix)
        for mix in [mix for mix in self._unseated if mix not in unready and mix not in decide]:
            if steady.seat(mix, self._unseated[mix]):
                del self._unseated[mix]
        # Those that have just played their last frame have something to decide, and no seat in this tick.
        for mix in steady.take_ended():
            self._unseat(mix)

    def _unseat(self, mix: int) -> None:
        """Have the tracks of a mix played here again, from where they are."""
        if self.steady is not None and self.steady.end(mix):
            self._unseated[mix] = self._by_mix[mix]

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
        self.streams.release(track.id)
        tracks = self._by_mix[track.mix]
        tracks.remove(track)
        if not tracks:
            del self._by_mix[track.mix], self._unseated[track.mix]
            self.revision += 1
            if self.steady is not None:
                self.steady.forget(track.mix)

    def _find(self, track: int) -> Track | None:
        found = self._tracks.get(track)
        if found is None:
            # The track ended while the message was queued; its own report says so.
            self._counters["unknown_ids"] += 1
        else:
            self._unseat(found.mix)
        return found
