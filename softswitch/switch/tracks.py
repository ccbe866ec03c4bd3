"""The tracks of one call: each a place in the engine and a source that feeds it."""

import asyncio
from dataclasses import dataclass

from softswitch.call import effects as fx
from softswitch.call import reports as r
from softswitch.media import messages as m
from softswitch.switch.owner import Owner
from softswitch.switch.sources import LOW_MS, Entry, TrackSource


@dataclass(frozen=True, slots=True)
class _Track:
    """One playback under way."""

    number: int
    """The engine's name for it."""
    source: TrackSource
    feeding: asyncio.Task[None]


class Tracks:
    """Opens, feeds and ends what the machine says."""

    def __init__(self, owner: Owner, mix: int) -> None:
        """Hold nothing yet; ``mix`` is that of the call."""
        self._owner = owner
        self._resources = owner.resources
        self._mix = mix
        self._tracks: dict[int, _Track] = {}
        self._names: dict[int, int] = {}

    def open(self, effect: fx.OpenPlayback) -> None:
        """Open a track and let its source wait for work."""
        number = next(self._resources.ids)
        source = TrackSource(effect.track, number, self._resources, self._owner.report)
        self._tracks[effect.track] = _Track(number, source, self._owner.spawn(source.run()))
        self._names[number] = effect.track
        self._resources.routes.reports(number, self._take)
        self._resources.engine.post(m.AddTrack(number, self._mix, effect.gain, effect.duck_to, low_ms=LOW_MS))

    def give(self, entry: Entry) -> None:
        """Give a track's source something; a track that is gone takes nothing."""
        if track := self._tracks.get(entry.track):
            track.source.give(entry)

    def change(
        self, effect: fx.EndPlayback | fx.DropPlayback | fx.PausePlayback | fx.SetPlaybackGain
    ) -> None:
        """Change a track; one that is gone is left alone."""
        track = self._tracks.get(effect.track)
        if track is None:
            return
        match effect:
            case fx.EndPlayback():
                message: m.Message = m.EndTrack(track.number)
            case fx.DropPlayback():
                track.feeding.cancel()
                message = m.DropTrack(track.number, effect.fade_ms, effect.graceful)
            case fx.PausePlayback():
                message = m.SetTrack(track.number, paused=effect.paused)
            case fx.SetPlaybackGain():
                message = m.SetTrack(track.number, gain=effect.gain)
        self._resources.engine.post(message)

    def release(self) -> None:
        """End everything at once."""
        for name, track in list(self._tracks.items()):
            self._resources.engine.post(m.DropTrack(track.number, fade_ms=0))
            self._forget(name)

    def _take(self, report: m.Report) -> None:
        name = self._names.get(getattr(report, "track", 0))
        if name is None:
            return
        source = self._tracks[name].source
        match report:
            case m.TrackStarted():
                self._owner.report(r.PlaybackStarted(name))
            case m.TrackLow():
                source.low()
            case m.TrackDrained():
                self._owner.report(r.PlaybackDrained(name))
            case m.MarkReached():
                self._owner.report(r.MarkReached(name, report.name, report.cleared))
            case m.TrackEnded():
                self._forget(name)
                self._owner.report(r.PlaybackEnded(name, report.played_ms))
            case m.TrackDropped():
                self._forget(name)
                heard = source.heard(report.played_ms)
                self._owner.report(r.PlaybackDropped(name, report.played_ms, report.total_ms, heard))
            case _:
                pass  # The engine tells nothing else of a track.

    def _forget(self, name: int) -> None:
        track = self._tracks.pop(name)
        track.feeding.cancel()
        del self._names[track.number]
        self._resources.routes.remove(track.number)
