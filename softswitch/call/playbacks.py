"""Playbacks of a call in layers: they append, interrupt, pause and end."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, assert_never

from softswitch.call.absence import Absence, Sounding
from softswitch.call.outbox import Outbox
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import Interrupt, Play, Say, TtsOption
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from softswitch.call.vocabulary.values import Subject, machine_on

MAIN = ""
AMBIANCE = "ambiance"
IDLE_S = 1.0
"""A streamed text that has drained ends if no further text comes for this long, seconds."""
MAX_LAYERS = 8
MAX_ITEMS = 1000
"""Texts that may wait in one playback."""


@dataclass(slots=True)
class Playback:
    """One playback on one layer: a track of the engine and what was given to it."""

    track: int
    layer: str
    play_id: str | None
    option: TtsOption
    gain: float = 1.0
    pending: set[int] = field(default_factory=set)
    marks: list[str] = field(default_factory=list)
    """Marks that were neither passed nor cleared, in order."""
    items: int = 0
    open_stream: bool = False
    auto_hangup: bool = False
    wait_input_ms: int | None = None
    started: bool = False
    sounding: bool = False
    finishing: bool = False
    paused: bool = False
    suspended: bool = False
    """Whether it is paused because the party may be interrupting it."""
    leaving: Literal["", "gracefully", "at once"] = ""
    """How it was dropped. A playback that leaves gracefully still sounds: it can be paused and cut short."""
    before: "Playback | None" = None
    """What sounds on the layer until this playback has audio: a file that is not there cuts nothing."""
    played_ms: int = 0
    """Audio that was heard when the track last ran empty, milliseconds."""
    active: float = 0.0
    sound: Sounding = field(default_factory=Sounding)

    @property
    def subject(self) -> Subject:
        """The machine on the layer of this playback."""
        return machine_on(self.layer)

    def next_item(self) -> int:
        """Count one more text or file that is to be fed."""
        self.items += 1
        self.pending.add(self.items)
        return self.items


@dataclass(slots=True)
class Finished:
    """A playback that has ended."""

    playback: Playback
    heard: bool
    """True: it was heard to its end; False: it was cut short or failed."""


class Playbacks:
    """All playbacks of a call; effects and events leave through the outbox."""

    def __init__(self, outbox: Outbox, option: TtsOption) -> None:
        """Make a silent set.

        Args:
            outbox: Takes effects and events.
            option: How texts are spoken, from the invite.
        """
        self.option = option
        self._outbox = outbox
        self.layers: dict[str, Playback] = {}
        self._tracks: dict[int, Playback] = {}
        self._last_track = 0
        self._ended_ids: deque[str | None] = deque(maxlen=64)
        self._muted = False
        self._held = False
        """Whether layers are muted, but for those of `_exceptions`."""
        self.absence = Absence()
        self._exceptions: set[str] = set()
        """Layers that are muted although the others are not, or the other way round."""

    # --- asking ---------------------------------------------------------------

    @property
    def main(self) -> Playback | None:
        """The main playback, if there is one."""
        return self.layers.get(MAIN)

    @property
    def speaking(self) -> bool:
        """Whether a playback sounds that the party could interrupt; a paused one does not."""
        return not self._held and any(not playback.paused for playback in self._speech())

    @property
    def silent(self) -> bool:
        """Whether no playback could be interrupted, not even a paused one."""
        return not any(self._speech())

    def deadline(self) -> float | None:
        """Return when an idle streamed text ends, monotonic seconds."""
        if not self.layers:
            return None
        idle = [p.active + IDLE_S for p in self.layers.values() if self._idle(p)]
        return min(idle, default=None)

    # --- commands ---------------------------------------------------------------

    def say(self, command: Say) -> bool:
        """Speak a text or given audio; return whether a hang-up is due at once."""
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
        """Play a file. What plays on its layer is interrupted once the file has audio."""
        play_id = command.url if command.play_id is None else command.play_id
        sounding = self._waits_for(command.layer, play_id)
        current = None if sounding is not None else self._match(command.layer, play_id)
        playback = current or self._open(command.layer, play_id, self.option, gain=command.gain)
        if sounding is not None:
            playback.before = sounding
        self._take_over(playback, command)
        item = playback.next_item()
        self._outbox.do(effects.PlayUrl(playback.track, item, command.url, command.offset_ms, command.loop))

    def ambiance(self, path: str, duck_level: float, normal_level: float) -> None:
        """Play a looped bed of sound under the speech."""
        playback = self._open(AMBIANCE, path, self.option, gain=normal_level, duck_to=duck_level)
        self._outbox.do(effects.PlayUrl(playback.track, playback.next_item(), path, loop=True))

    def interrupt(self, command: Interrupt) -> None:
        """Stop all playbacks but the ambiance, or only the named one."""
        for playback in list(self._tracks.values()):
            if command.play_id is None:
                wanted = playback.layer != AMBIANCE
            else:
                wanted = playback.play_id == command.play_id
            graceful = command.graceful and not playback.paused and not self._held
            if wanted and not (graceful and playback.leaving):
                self._drop(playback, command.fade_ms, graceful and playback.started)

    def pause(self, paused: bool) -> None:
        """Pause or resume all playbacks but the ambiance."""
        for playback in self._tracks.values():
            if playback.layer != AMBIANCE:
                playback.suspended = False
                self._pause(playback, paused)

    def suspend(self) -> None:
        """Pause what sounds until it is decided whether the party interrupts it."""
        for playback in self._speech():
            if not playback.paused:
                playback.suspended = True
                self._pause(playback, True)

    def go_on(self) -> None:
        """Resume what was suspended; playbacks that a client has paused stay paused."""
        for playback in self._tracks.values():
            if playback.suspended:
                playback.suspended = False
                self._pause(playback, False)

    def hold(self, held: bool) -> None:
        """Let playbacks wait while the party hears nothing: it holds, or is away; the ambiance goes on.

        Playbacks that a client has paused stay paused afterwards.
        """
        if held == self._held:
            return
        self._held = held
        for playback in self._tracks.values():
            if playback.layer != AMBIANCE and not playback.paused:
                playback.active = self._outbox.now
                self._note_sound(playback)
                self._outbox.do(effects.SetTrack(playback.track, paused=held))

    def away(self, since: float) -> None:
        """Note that the client is away, and has heard nothing from `since` on (monotonic seconds)."""
        self.absence.since = since
        for playback in self._tracks.values():
            if playback.sound.since is None:
                playback.sound.revise(self.absence)

    def back(self) -> int:
        """Note that the client is back; return how much of the playbacks it did not hear, milliseconds."""
        for playback in self._tracks.values():
            playback.sound.end(self._outbox.now, self.absence)
        unheard = self.absence.total_ms()
        self.absence.since = None
        for playback in self._tracks.values():
            self._note_sound(playback)
        return unheard

    def mute(self, muted: bool, subject: Subject | None = None) -> None:
        """Mute or unmute playbacks, present and future, which go on unheard.

        Args:
            muted: Whether they are muted from now on.
            subject: The machine on one layer; None: on all layers.

        Raises:
            CommandRejected: As many single layers as can sound at once are muted already.
        """
        if subject is None:
            self._muted = muted
            self._exceptions.clear()
        elif muted == self._muted:
            self._exceptions.discard(subject.name)
        elif subject.name in self._exceptions or len(self._exceptions) < MAX_LAYERS:
            self._exceptions.add(subject.name)
        else:
            raise CommandRejected(Reason.TOO_MANY_LAYERS, 429, field="layer", limit=MAX_LAYERS)
        for playback in self._tracks.values():
            if subject in (None, playback.subject):
                self._outbox.do(effects.SetTrack(playback.track, gain=0.0 if muted else playback.gain))

    def mark(self, name: str) -> None:
        """Put a mark behind the audio given so far; without any it is passed at once."""
        main = self.main
        if main is None:
            self._mark_event(MAIN, None, name, "played")
        elif len(main.marks) >= MAX_ITEMS:
            raise CommandRejected(Reason.TOO_MANY_MARKS, 429, limit=MAX_ITEMS)
        else:
            main.marks.append(name)
            self._outbox.do(effects.PlaceMark(main.track, name))

    # --- reports ----------------------------------------------------------------

    def report(self, report: reports.OfPlayback) -> Finished | None:
        """Apply a report of a track or its source; return the playback it finished, if any."""
        match report:
            case reports.TrackStarted():
                self.started(report.track)
            case reports.SourceFed():
                self.fed(report.track)
            case reports.TrackDrained():
                return self.drained(report.track, report.played_ms)
            case reports.SourceDone():
                return self.source_done(report.track, report.item)
            case reports.SourceFailed():
                return self.source_failed(report)
            case reports.MarkReached():
                self.mark_reached(report)
            case reports.TrackEnded():
                return self.ended(report.track, report.played_ms)
            case reports.TrackDropped():
                return self.dropped(report)
            case _:
                assert_never(report)
        return None

    def started(self, track: int) -> None:
        """Emit that a playback sounds, once."""
        playback = self._tracks.get(track)
        if playback is None or playback.started:
            return
        playback.started = True
        playback.sounding = True
        self._note_sound(playback)
        self._outbox.emit(
            events.TrackStart(
                timestamp=self._outbox.clock(), subject=playback.subject, play_id=playback.play_id
            )
        )

    def fed(self, track: int) -> None:
        """Note that audio is about to be fed: the track sounds, or will at once."""
        if playback := self._tracks.get(track):
            playback.sounding = True
            playback.active = self._outbox.now
            self._note_sound(playback)
            before, playback.before = playback.before, None
            if before is not None and before.leaving != "at once":
                self._drop(before, fade_ms=10)

    def drained(self, track: int, played_ms: int) -> Finished | None:
        """Note that all audio fed so far was heard; return the playback if that was its end."""
        playback = self._tracks.get(track)
        if playback is None:
            return None
        playback.sounding, playback.played_ms = False, played_ms
        self._note_sound(playback)
        playback.active = self._outbox.now
        return self._settle(playback)

    def source_done(self, track: int, item: int) -> Finished | None:
        """Note that one text or file was fed completely; return the playback if that was its end."""
        playback = self._tracks.get(track)
        if playback is None:
            return None
        playback.pending.discard(item)
        playback.active = self._outbox.now
        return self._settle(playback)

    def source_failed(self, report: reports.SourceFailed) -> Finished | None:
        """Emit that a text or file failed; the playback continues with the next one."""
        playback = self._tracks.get(report.track)
        subject = playback.subject if playback else machine_on(MAIN)
        self._outbox.emit(
            events.Error(
                timestamp=self._outbox.clock(),
                subject=subject,
                sender=report.sender,
                error=report.error,
                code=report.code,
            )
        )
        if playback is not None and playback.before is not None and playback.pending <= {report.item}:
            return self._give_up(playback, playback.before)
        return self.source_done(report.track, report.item)

    def mark_reached(self, report: reports.MarkReached) -> None:
        """Emit that a mark was passed or cleared."""
        playback = self._tracks.get(report.track)
        if playback is not None and report.name in playback.marks:
            playback.marks.remove(report.name)
            unheard = report.cleared or self.absence.since is not None
            status = "cleared" if unheard else "played"
            self._mark_event(playback.layer, playback.play_id, report.name, status)

    def ended(self, track: int, played_ms: int) -> Finished | None:
        """Close a playback that was heard to its end."""
        playback = self._close(track)
        if playback is None:
            return None
        self._marks_over(playback, "played" if self.absence.since is None else "cleared")
        self._track_end(playback, played_ms)
        return Finished(playback, heard=True)

    def dropped(self, report: reports.TrackDropped) -> Finished | None:
        """Close a playback that was cut short."""
        playback = self._close(report.track)
        if playback is None:
            return None
        heard_ms = playback.sound.heard_ms(report.played_ms)
        self._outbox.emit(
            events.Interruption(
                timestamp=self._outbox.clock(),
                subject=playback.subject,
                position=heard_ms,
                current=heard_ms,
                play_id=playback.play_id,
                total_duration=report.total_ms,
                subtitle=report.subtitle or None,
                unheard=playback.sound.unheard_ms or None,
            )
        )
        self._marks_over(playback, "cleared")
        self._track_end(playback, report.played_ms)
        return Finished(playback, heard=False)

    def elapse(self) -> None:
        """End streamed texts that have been idle for long enough."""
        for playback in list(self.layers.values()):
            if self._idle(playback) and self._outbox.now >= playback.active + IDLE_S:
                self._complete(playback)

    def close(self) -> None:
        """End all playbacks with the call."""
        for playback in list(self._tracks.values()):
            self._close(playback.track)
            if playback.started:
                self._track_end(playback, int(playback.sound.sounded_s * 1000))

    # --- inside -----------------------------------------------------------------

    def _speech(self) -> Iterator[Playback]:
        """Yield the playbacks that a party hears or may hear again: not the ambiance, nor one that fades."""
        for playback in self._tracks.values():
            if playback.layer != AMBIANCE and playback.leaving != "at once":
                yield playback

    def _pause(self, playback: Playback, paused: bool) -> None:
        if playback.paused != paused:
            playback.paused = paused
            playback.active = self._outbox.now
            self._note_sound(playback)
            if not self._held:
                self._outbox.do(effects.SetTrack(playback.track, paused=paused))

    def _note_sound(self, playback: Playback) -> None:
        """Note since when a playback sounds, or that it does not."""
        waits = playback.paused or (self._held and playback.layer != AMBIANCE)
        if playback.sounding and not waits:
            playback.sound.begin(self._outbox.now)
        else:
            playback.sound.end(self._outbox.now, self.absence)

    def _waits_for(self, layer: str, play_id: str) -> Playback | None:
        """Return what sounds on a layer and is interrupted once another file has audio; None: nothing is.

        A file that was to take its place before, and has no audio yet, is dropped.
        """
        current = self.layers.get(layer)
        if current is None or current.play_id == play_id or current.finishing:
            return None
        if current.before is not None:
            before, current.before = current.before, None
            self._drop(current, fade_ms=0)
            return before
        return current if current.started and not current.paused else None

    def _give_up(self, playback: Playback, before: Playback) -> Finished:
        """Close a playback that has no audio; what sounds on its layer goes on."""
        playback.before = None
        self._drop(playback, fade_ms=0)
        self._close(playback.track)
        self._marks_over(playback, "cleared")
        self.layers[playback.layer] = before
        return Finished(playback, heard=False)

    def _match(self, layer: str, play_id: str | None) -> Playback | None:
        """Return the playback that a command appends to; drop another one on the same layer."""
        current = self.layers.get(layer)
        if current is None:
            return None
        if current.play_id == play_id and not current.finishing:
            if len(current.pending) >= MAX_ITEMS:
                raise CommandRejected(
                    Reason.TOO_MANY_TEXTS, 429, field="play_id", value=repr(play_id), limit=MAX_ITEMS
                )
            return current
        if current.play_id != play_id and current.finishing and not current.leaving:
            # It was heard in full and ends by itself within a tick: that is no interruption.
            del self.layers[layer]
        elif current.play_id != play_id:
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
        if len(self.layers) >= MAX_LAYERS and layer not in self.layers:
            raise CommandRejected(Reason.TOO_MANY_LAYERS, 429, field="layer", limit=MAX_LAYERS)
        self._last_track += 1
        playback = Playback(self._last_track, layer, play_id, option, gain, active=self._outbox.now)
        playback.sound.background = layer == AMBIANCE
        self.layers[layer] = self._tracks[playback.track] = playback
        muted = self._muted != (layer in self._exceptions)
        self._outbox.do(effects.OpenPlayback(playback.track, 0.0 if muted else gain, duck_to))
        if self._held and layer != AMBIANCE:
            self._outbox.do(effects.SetTrack(playback.track, paused=True))
        return playback

    def _take_over(self, playback: Playback, command: Say | Play) -> None:
        playback.active = self._outbox.now
        if command.auto_hangup:
            playback.auto_hangup = True
        if command.wait_input_ms is not None:
            playback.wait_input_ms = command.wait_input_ms

    def _terminate(self, command: Say, current: Playback | None) -> bool:
        """Handle a command without a text: it ends a stream, or does nothing."""
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
        """Speak the held-back end of a streamed text; the playback ends behind it."""
        playback.open_stream = False
        playback.active = self._outbox.now
        self._outbox.do(effects.CompleteText(playback.track, playback.next_item()))

    def _idle(self, playback: Playback) -> bool:
        waits = playback.paused or self._held
        return playback.open_stream and not playback.sounding and not waits

    def _settle(self, playback: Playback) -> Finished | None:
        """End the track once all was fed and nothing sounds; return its playback if it has ended.

        The engine passes the last mark in the tick in which the track runs empty. The end is told in the
        same tick: a client that speaks at the mark must find nothing that it could interrupt. Only the
        hang-up after a playback waits for the engine, which confirms the end one tick later.
        """
        done = not playback.pending and not playback.open_stream and not playback.sounding
        if not done or playback.finishing:
            return None
        playback.finishing = True
        self._outbox.do(effects.EndTrack(playback.track))
        if playback.auto_hangup or playback.leaving:
            return None
        return self.ended(playback.track, playback.played_ms)

    def _drop(self, playback: Playback, fade_ms: int, graceful: bool = False) -> None:
        if self.layers.get(playback.layer) is playback:
            del self.layers[playback.layer]
        before, playback.before = playback.before, None
        if before is not None and before.leaving != "at once":
            self._drop(before, fade_ms)
        playback.leaving = "gracefully" if graceful else "at once"
        self._outbox.do(effects.DropTrack(playback.track, fade_ms, graceful))

    def _close(self, track: int) -> Playback | None:
        playback = self._tracks.pop(track, None)
        if playback is not None:
            playback.sound.end(self._outbox.now, self.absence)
            self._ended_ids.append(playback.play_id)
            for other in self._tracks.values():
                if other.before is playback:
                    other.before = None
            if self.layers.get(playback.layer) is playback:
                del self.layers[playback.layer]
        return playback

    def _track_end(self, playback: Playback, duration: int) -> None:
        self._outbox.emit(
            events.TrackEnd(
                timestamp=self._outbox.clock(),
                subject=playback.subject,
                duration=playback.sound.heard_ms(duration),
                play_id=playback.play_id,
                unheard=playback.sound.unheard_ms or None,
            )
        )

    def _marks_over(self, playback: Playback, status: str) -> None:
        """Emit the marks that had not reached the engine."""
        for name in playback.marks:
            self._mark_event(playback.layer, playback.play_id, name, status)
        playback.marks.clear()

    def _mark_event(self, layer: str, play_id: str | None, name: str, status: str) -> None:
        subject = machine_on(layer)
        self._outbox.emit(
            events.Mark(
                timestamp=self._outbox.clock(),
                subject=subject,
                name=name,
                status=status,
                play_id=play_id,
            )
        )
