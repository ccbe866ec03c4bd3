"""What the machine says: layers of playbacks that append, interrupt, pause and end (wire-call §6)."""

from collections import deque
from dataclasses import dataclass, field

from softswitch.call import effects, events, reports
from softswitch.call.commands import CommandRejected, Interrupt, Play, Say, TtsOption
from softswitch.call.outbox import Outbox

MAIN = ""
AMBIANCE = "ambiance"
IDLE_S = 1.0
"""A streamed text that is drained and gets nothing more for this long is taken as ended."""
MAX_LAYERS = 8
MAX_ITEMS = 1000
"""Texts that may wait in one playback."""


@dataclass(slots=True)
class Playback:
    """One thing that plays on one layer."""

    track: int
    layer: str
    play_id: str | None
    option: TtsOption
    gain: float = 1.0
    pending: set[int] = field(default_factory=set)
    marks: list[str] = field(default_factory=list)
    """Marks that were neither passed nor cleared yet, in their order."""
    items: int = 0
    open_stream: bool = False
    auto_hangup: bool = False
    wait_input_ms: int | None = None
    started: bool = False
    sounding: bool = False
    finishing: bool = False
    paused: bool = False
    began: float = 0.0
    active: float = 0.0

    @property
    def track_id(self) -> str:
        """The wire's track id of this playback."""
        return "server-side-track" if self.layer == MAIN else f"server-side-track-{self.layer}"

    def next_item(self) -> int:
        """Count one more text or file that is to be fed."""
        self.items += 1
        self.pending.add(self.items)
        return self.items


@dataclass(slots=True)
class Finished:
    """What the rest of the call needs to know of a playback that is over."""

    playback: Playback
    heard: bool
    """True: to its end; False: cut short or failed."""


class Playbacks:
    """All playbacks of a call. Texts go in, effects and events come out through the outbox."""

    def __init__(self, outbox: Outbox, option: TtsOption) -> None:
        """Start silent; ``option`` is what the invite said about speaking."""
        self.option = option
        self._outbox = outbox
        self._current: dict[str, Playback] = {}
        self._tracks: dict[int, Playback] = {}
        self._last_track = 0
        self._ended_ids: deque[str | None] = deque(maxlen=64)
        self._muted = False

    # --- asking ---------------------------------------------------------------

    @property
    def main(self) -> Playback | None:
        """The main playback, if there is one."""
        return self._current.get(MAIN)

    @property
    def speaking(self) -> bool:
        """Whether the machine says something a party could interrupt (what a client paused is not)."""
        return any(p.layer != AMBIANCE and not p.paused for p in self._current.values())

    def deadline(self) -> float | None:
        """When a streamed text is taken as ended."""
        idle = [p.active + IDLE_S for p in self._current.values() if self._idle(p)]
        return min(idle, default=None)

    # --- commands ---------------------------------------------------------------

    def say(self, command: Say) -> bool:
        """Speak a text or given audio; return whether it asks for a hang-up that is already due."""
        current = self._match(command.layer, command.play_id)
        if not command.text and not command.pcm:
            return self._terminate(command, current)
        option = command.option or (current.option if current else self.option)
        playback = current or self._open(command.layer, command.play_id, option)
        self._take_over(playback, command)
        item = playback.next_item()
        complete = command.end_of_stream or not command.streaming
        playback.open_stream = not complete
        if command.pcm:
            self._outbox.do(effects.SpeakAudio(playback.track, item, command.pcm, option.sample_rate))
        if command.text:
            self._outbox.do(
                effects.SpeakText(playback.track, item, command.text, option, complete, command.cache_key)
            )
        return False

    def play(self, command: Play) -> None:
        """Play a file."""
        play_id = command.url if command.play_id is None else command.play_id
        current = self._match(command.layer, play_id)
        playback = current or self._open(command.layer, play_id, self.option, gain=command.gain)
        self._take_over(playback, command)
        item = playback.next_item()
        self._outbox.do(effects.PlayUrl(playback.track, item, command.url, command.offset_ms, command.loop))

    def ambiance(self, path: str, duck_level: float, normal_level: float) -> None:
        """Lay a looped bed of sound under everything."""
        playback = self._open(AMBIANCE, path, self.option, gain=normal_level, duck_to=duck_level)
        self._outbox.do(effects.PlayUrl(playback.track, playback.next_item(), path, loop=True))

    def interrupt(self, command: Interrupt) -> None:
        """Stop everything but the ambiance, or only the named playback; nothing playing is no error."""
        for playback in list(self._current.values()):
            if command.play_id is None:
                wanted = playback.layer != AMBIANCE
            else:
                wanted = playback.play_id == command.play_id
            if wanted:
                self._drop(playback, command.fade_ms, graceful=command.graceful and playback.started)

    def pause(self, paused: bool) -> None:
        """Hold everything but the ambiance, or let it go on."""
        for playback in self._current.values():
            if playback.layer != AMBIANCE and playback.paused != paused:
                playback.paused = paused
                playback.active = self._outbox.now
                self._outbox.do(effects.PausePlayback(playback.track, paused))

    def mute(self, muted: bool, track_id: str | None = None) -> None:
        """Silence what the machine says (it goes on unheard); ``track_id`` names one layer."""
        if track_id is None:
            self._muted = muted
        for playback in self._current.values():
            if track_id in (None, playback.track_id):
                self._outbox.do(effects.SetPlaybackGain(playback.track, 0.0 if muted else playback.gain))

    def mark(self, name: str) -> None:
        """Put a mark behind everything said so far; with nothing said it is passed at once."""
        main = self.main
        if main is None:
            self._mark_event(MAIN, None, name, "played")
        elif len(main.marks) >= MAX_ITEMS:
            raise CommandRejected(f"more than {MAX_ITEMS} marks wait to be passed", 429)
        else:
            main.marks.append(name)
            self._outbox.do(effects.MarkPlayback(main.track, name))

    # --- reports ----------------------------------------------------------------

    def report(self, report: reports.Report) -> Finished | None:
        """Take a report of a track or its source; return the playback that is over with it."""
        match report:
            case reports.PlaybackStarted():
                self.started(report.track)
            case reports.SourceFed():
                self.fed(report.track)
            case reports.PlaybackDrained():
                self.drained(report.track)
            case reports.SourceDone():
                self.source_done(report.track, report.item)
            case reports.SourceFailed():
                self.source_failed(report)
            case reports.MarkReached():
                self.mark_reached(report)
            case reports.PlaybackEnded():
                return self.ended(report.track, report.played_ms)
            case reports.PlaybackDropped():
                return self.dropped(report)
            case _:
                raise TypeError(f"{type(report).__name__} is not of a track")
        return None

    def started(self, track: int) -> None:
        """Tell the client that a playback sounds."""
        playback = self._tracks.get(track)
        if playback is None or playback.started:
            return
        playback.started = True
        playback.sounding = True
        playback.began = self._outbox.now
        self._outbox.emit(
            events.TrackStart(
                timestamp=self._outbox.epoch_ms(), track_id=playback.track_id, play_id=playback.play_id
            )
        )

    def fed(self, track: int) -> None:
        """Note that audio is on its way: the track sounds (again)."""
        if playback := self._tracks.get(track):
            playback.sounding = True
            playback.active = self._outbox.now

    def drained(self, track: int) -> None:
        """Note that all audio so far was heard."""
        if playback := self._tracks.get(track):
            playback.sounding = False
            playback.active = self._outbox.now
            self._settle(playback)

    def source_done(self, track: int, item: int) -> None:
        """Note that one text or file was fed completely."""
        if playback := self._tracks.get(track):
            playback.pending.discard(item)
            playback.active = self._outbox.now
            self._settle(playback)

    def source_failed(self, report: reports.SourceFailed) -> None:
        """Tell the client that a text or file cannot be heard; the playback goes on with its others."""
        playback = self._tracks.get(report.track)
        track_id = playback.track_id if playback else "server-side-track"
        self._outbox.emit(
            events.Error(
                timestamp=self._outbox.epoch_ms(),
                track_id=track_id,
                sender=report.sender,
                error=report.error,
                code=report.code,
            )
        )
        self.source_done(report.track, report.item)

    def mark_reached(self, report: reports.MarkReached) -> None:
        """Tell the client that a mark was passed or cleared; when a playback is over its marks are told."""
        playback = self._tracks.get(report.track)
        if playback is not None and report.name in playback.marks:
            playback.marks.remove(report.name)
            status = "cleared" if report.cleared else "played"
            self._mark_event(playback.layer, playback.play_id, report.name, status)

    def ended(self, track: int, played_ms: int) -> Finished | None:
        """Close a playback that was heard to its end."""
        playback = self._close(track)
        if playback is None:
            return None
        self._marks_over(playback, "played")
        self._track_end(playback, played_ms)
        return Finished(playback, heard=True)

    def dropped(self, report: reports.PlaybackDropped) -> Finished | None:
        """Close a playback that was cut short."""
        playback = self._close(report.track)
        if playback is None:
            return None
        self._outbox.emit(
            events.Interruption(
                timestamp=self._outbox.epoch_ms(),
                track_id=playback.track_id,
                position=report.played_ms,
                play_id=playback.play_id,
                total_duration=report.total_ms,
                subtitle=report.subtitle or None,
            )
        )
        self._marks_over(playback, "cleared")
        self._track_end(playback, report.played_ms)
        return Finished(playback, heard=False)

    def elapse(self) -> None:
        """End streamed texts that have been idle for long enough."""
        for playback in list(self._current.values()):
            if self._idle(playback) and self._outbox.now >= playback.active + IDLE_S:
                self._complete(playback)

    def close(self) -> None:
        """End all playbacks with the call."""
        for playback in list(self._tracks.values()):
            played = self._outbox.now - playback.began if playback.started else 0.0
            self._close(playback.track)
            if playback.started:
                self._track_end(playback, int(played * 1000))

    # --- inside -----------------------------------------------------------------

    def _match(self, layer: str, play_id: str | None) -> Playback | None:
        """Return the playback that a command appends to; interrupt the one that stands in its way."""
        current = self._current.get(layer)
        if current is None:
            return None
        if current.play_id == play_id and not current.finishing:
            if len(current.pending) >= MAX_ITEMS:
                raise CommandRejected(f"more than {MAX_ITEMS} texts wait for playId {play_id!r}", 429)
            return current
        if current.play_id != play_id:
            self._drop(current, fade_ms=10)
        return None

    def _open(
        self,
        layer: str,
        play_id: str | None,
        option: TtsOption,
        gain: float = 1.0,
        duck_to: float | None = None,
    ) -> Playback:
        if len(self._current) >= MAX_LAYERS and layer not in self._current:
            raise CommandRejected(f"layer: at most {MAX_LAYERS} sound at once", 429)
        self._last_track += 1
        playback = Playback(self._last_track, layer, play_id, option, gain, active=self._outbox.now)
        self._current[layer] = self._tracks[playback.track] = playback
        self._outbox.do(effects.OpenPlayback(playback.track, 0.0 if self._muted else gain, duck_to))
        return playback

    def _take_over(self, playback: Playback, command: Say | Play) -> None:
        playback.active = self._outbox.now
        if command.auto_hangup:
            playback.auto_hangup = True
        if command.wait_input_ms is not None:
            playback.wait_input_ms = command.wait_input_ms

    def _terminate(self, command: Say, current: Playback | None) -> bool:
        """Take a text-less command: the end of a stream, or nothing at all."""
        if not command.end_of_stream:
            return False
        if current is not None:
            self._take_over(current, command)
            if current.open_stream:
                self._complete(current)
            return False
        if command.play_id not in self._ended_ids:
            self._ended_ids.append(command.play_id)
            self._track_end(Playback(0, command.layer, command.play_id, self.option), 0)
        return command.auto_hangup

    def _complete(self, playback: Playback) -> None:
        """Have the held-back end of a streamed text spoken; the playback ends behind it."""
        playback.open_stream = False
        playback.active = self._outbox.now
        self._outbox.do(effects.CompleteText(playback.track, playback.next_item()))

    def _idle(self, playback: Playback) -> bool:
        return playback.open_stream and not playback.sounding and not playback.paused

    def _settle(self, playback: Playback) -> None:
        """End the track once nothing is to come and nothing sounds."""
        done = not playback.pending and not playback.open_stream and not playback.sounding
        if done and not playback.finishing:
            playback.finishing = True
            self._outbox.do(effects.EndPlayback(playback.track))

    def _drop(self, playback: Playback, fade_ms: int, graceful: bool = False) -> None:
        if self._current.get(playback.layer) is playback:
            del self._current[playback.layer]
        self._outbox.do(effects.DropPlayback(playback.track, fade_ms, graceful))

    def _close(self, track: int) -> Playback | None:
        playback = self._tracks.pop(track, None)
        if playback is not None:
            self._ended_ids.append(playback.play_id)
            if self._current.get(playback.layer) is playback:
                del self._current[playback.layer]
        return playback

    def _track_end(self, playback: Playback, duration: int) -> None:
        self._outbox.emit(
            events.TrackEnd(
                timestamp=self._outbox.epoch_ms(),
                track_id=playback.track_id,
                duration=duration,
                play_id=playback.play_id,
            )
        )

    def _marks_over(self, playback: Playback, status: str) -> None:
        """Tell of the marks that had not got as far as the engine."""
        for name in playback.marks:
            self._mark_event(playback.layer, playback.play_id, name, status)
        playback.marks.clear()

    def _mark_event(self, layer: str, play_id: str | None, name: str, status: str) -> None:
        track_id = "server-side-track" if layer == MAIN else f"server-side-track-{layer}"
        self._outbox.emit(
            events.Mark(
                timestamp=self._outbox.epoch_ms(),
                track_id=track_id,
                name=name,
                status=status,
                play_id=play_id,
            )
        )
