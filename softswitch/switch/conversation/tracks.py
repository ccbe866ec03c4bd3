"""The tracks of one call, each a track of the engine and a source that feeds it."""

import asyncio
from dataclasses import dataclass

import msgspec

from softswitch.call.vocabulary import effects as fx
from softswitch.media import messages as m
from softswitch.signals import TrackReport
from softswitch.speech.provider import Meter
from softswitch.switch.conversation.naming import to_track, with_playback
from softswitch.switch.conversation.owner import Owner
from softswitch.switch.conversation.track_sources import LOW_MS, Entry, TrackSource


@dataclass(frozen=True, slots=True)
class _Track:
    """One running playback."""

    number: int
    """Number of the track in the engine."""
    source: TrackSource
    feeding: asyncio.Task[None]


class Tracks:
    """The tracks of one call by the call's own numbers."""

    def __init__(self, owner: Owner, mix: int, meter: Meter | None = None) -> None:
        """Make a set without tracks.

        Args:
            owner: The call.
            mix: That of the call.
            meter: Counts what the call uses of hosted speech.
        """
        self._owner = owner
        self._meter = meter
        self._resources = owner.resources
        self._mix = mix
        self._tracks: dict[int, _Track] = {}
        self._names: dict[int, int] = {}

    def open(self, effect: fx.OpenPlayback) -> None:
        """Open a track and start its source."""
        number = next(self._resources.ids)
        owner = self._owner
        source = TrackSource(
            effect.track, number, self._resources, owner.report, owner.asker, meter=self._meter
        )
        self._tracks[effect.track] = _Track(number, source, self._owner.spawn(source.run()))
        self._names[number] = effect.track
        self._resources.routes.reports(number, self._take)
        self._resources.engine.post(m.AddTrack(number, self._mix, effect.gain, effect.duck_to, low_ms=LOW_MS))

    def give(self, entry: Entry) -> None:
        """Queue an entry for the source of a track; nothing happens where the track has ended."""
        if track := self._tracks.get(entry.track):
            track.source.give(entry)

    def change(self, effect: fx.TrackMessage) -> None:
        """Change a track; nothing happens where the track has ended."""
        track = self._tracks.get(effect.track)
        if track is None:
            return
        if isinstance(effect, fx.DropTrack):
            track.feeding.cancel()
        self._resources.engine.post(to_track(effect, track.number))

    def release(self) -> None:
        """Drop all tracks at once."""
        for name, track in list(self._tracks.items()):
            self._resources.engine.post(m.DropTrack(track.number, fade_ms=0))
            self._forget(name)

    def _take(self, report: m.Report) -> None:
        """Pass a report of a track on to the call, under the call's number of the playback."""
        name = self._names.get(report.track) if isinstance(report, TrackReport) else None
        if name is None or not isinstance(report, TrackReport):
            return
        source = self._tracks[name].source
        match report:
            case m.TrackLow():
                source.low()
            case m.TrackDropped():
                self._forget(name)
                heard = source.heard(report.played_ms)
                self._owner.report(msgspec.structs.replace(report, track=name, subtitle=heard))
            case m.TrackEnded():
                self._forget(name)
                self._owner.report(with_playback(report, name))
            case m.TrackStarted() | m.TrackDrained() | m.MarkReached():
                self._owner.report(with_playback(report, name))
            case _:
                pass  # Other reports concern tracks of streams.

    def _forget(self, name: int) -> None:
        track = self._tracks.pop(name)
        track.feeding.cancel()
        del self._names[track.number]
        self._resources.routes.remove(track.number)
