"""One conversation, sans-I/O: tell it what happened, then take what it decided."""

from typing import assert_never

import msgspec

from softswitch.call import commands, effects, events, reports
from softswitch.call.announce import announcement, error
from softswitch.call.collect import DigitCollector
from softswitch.call.commands import CallOption, Command, CommandRejected
from softswitch.call.effects import Effect
from softswitch.call.events import Event
from softswitch.call.lifetime import CallLimits, Lifetime
from softswitch.call.outbox import Outbox
from softswitch.call.parties import Parties
from softswitch.call.playbacks import Finished, Playbacks
from softswitch.call.setup import media_effects
from softswitch.call.state import Input, State, after
from softswitch.call.turns import Turns

PARTY = "party"
"""Name of the first leg: the client's own, or the caller's."""
MAX_WAITING = 64
"""Commands that may wait for the answer."""
LINGER_S = 0.25
"""After the last audio for an autoHangup was sent: what RTP needs to reach the far end's ear."""


class Call:
    """One conversation.

    The owner calls :meth:`command`, :meth:`report` and, when :meth:`deadline` has passed, :meth:`elapse`;
    after each it drains :meth:`take_events` and :meth:`take_effects`, in this order.
    """

    def __init__(
        self,
        call_id: str,
        kind: str,
        now: float,
        *,
        epoch_offset: float,
        limits: CallLimits | None = None,
        resume_token: str | None = None,
    ) -> None:
        """Make a call that waits for its first command.

        Args:
            call_id: Session id; also the wire's track id of the party.
            kind: ``websocket``, ``webrtc`` or ``sip``.
            now: Monotonic seconds.
            epoch_offset: Epoch seconds minus monotonic seconds at the start.
            limits: Times; the defaults where absent.
            resume_token: Handed to the client in ``answer``, where it asked for one.
        """
        self.id = call_id
        self.kind = kind
        self.state = State.NEW
        self.option = CallOption()
        self.times = Lifetime(limits or CallLimits(), now)
        self.reason = ""
        self.initiator = ""
        self.codec = ""
        self.resume_token = resume_token
        self._outbox = Outbox(call_id, epoch_offset)
        self._outbox.now = now
        self._playbacks = Playbacks(self._outbox, self.option.tts)
        self._turns = Turns(self._outbox, self._playbacks)
        self._digits = DigitCollector(self._outbox)
        self._parties = Parties(self._outbox, self._playbacks)
        self._waiting: list[Command] = []
        self._warnings: list[reports.SpeechWarned] = []

    # --- from above and below -----------------------------------------------------

    def command(self, command: Command, now: float) -> None:
        """Carry out a command; raises CommandRejected where it cannot be (the call lives on)."""
        self._outbox.now = self.times.active = now
        if self.state in (State.SETUP, State.RINGING) and not isinstance(command, _BEFORE_ANSWER):
            if isinstance(command, commands.Invite | commands.Accept):
                raise CommandRejected("the call is already being set up", 409)
            if len(self._waiting) >= MAX_WAITING:
                raise CommandRejected(f"more than {MAX_WAITING} commands wait for the answer", 429)
            self._waiting.append(command)
            return
        self._execute(command)
        if command.request_id is not None and not isinstance(command, commands.Bridge):
            # Whether a bridge comes about is known only when the other call was asked.
            self._outbox.emit(events.Ack(timestamp=self._outbox.epoch_ms(), request_id=command.request_id))

    def report(self, report: reports.Report, now: float) -> None:
        """Take note of what happened below; never raises."""
        self._outbox.now = now
        if self.state is not State.OVER:
            self._take(report)

    def incoming(self, caller: str, callee: str, sdp: str, headers: dict[str, str], now: float) -> None:
        """Make this the pending call of somebody who rang."""
        self._outbox.now = now
        self._move(Input.INCOMING)
        self.option = CallOption(caller=caller, callee=callee, offer=sdp, headers=headers)
        self._outbox.emit(
            events.Incoming(
                timestamp=self._outbox.epoch_ms(),
                track_id=self.id,
                caller=caller,
                callee=callee,
                sdp=sdp,
                headers=headers or None,
            )
        )

    def end(self, reason: str, initiator: str, now: float) -> None:
        """End the call from outside: killed, shut down, its socket gone."""
        self._outbox.now = now
        self._end(reason, initiator)

    def elapse(self, now: float) -> None:
        """Do what has become due by ``now``."""
        self._outbox.now = now
        if self.state is State.OVER:
            return
        for due, reason in self.times.ends(self.state, self._playbacks.speaking):
            if now >= due:
                self._end(reason, "system")
                return
        self._playbacks.elapse()
        self._turns.elapse()
        self._digits.elapse(self._playbacks.speaking)
        self._parties.elapse()

    def deadline(self) -> float | None:
        """When :meth:`elapse` wants to be called, in monotonic seconds."""
        if self.state is State.OVER:
            return None
        due = [time for time, _ in self.times.ends(self.state, self._playbacks.speaking)]
        parts = (self._playbacks, self._turns, self._digits, self._parties)
        due += [time for part in parts if (time := part.deadline()) is not None]
        return min(due, default=None)

    def take_events(self) -> list[Event]:
        """Return what clients are to be told since the last time."""
        return self._outbox.take_events()

    def take_effects(self) -> list[Effect]:
        """Return what is to be done since the last time."""
        return self._outbox.take_effects()

    def epoch_ms(self, monotonic: float) -> int:
        """Return epoch milliseconds of a monotonic time by this call's own clock."""
        return self._outbox.epoch_ms(monotonic)

    # --- commands -----------------------------------------------------------------

    def _execute(self, command: Command) -> None:
        if self.state is State.OVER:
            raise CommandRejected("the call is over", 410)
        match command:
            case commands.Invite() | commands.Accept():
                self._invite(command.option)
            case commands.Hangup():
                self._end(command.reason, command.initiator, command.headers)
            case commands.AddCandidates():
                self._outbox.do(effects.AddLegCandidates(PARTY, command.candidates))
            case commands.Offer():
                self._outbox.do(effects.OfferLeg(PARTY, command.sdp))
            case commands.Ring():
                self._pending_only("ringing")
                self._outbox.do(effects.RingLeg(PARTY, command.early_media))
            case commands.Reject():
                self._pending_only("reject")
                self._outbox.do(effects.RejectLeg(PARTY, command.code, command.reason))
                self._end("rejected", "user")
            case _:
                if self.state is not State.UP:
                    raise CommandRejected("the call is not answered", 409)
                self._execute_up(command)

    def _execute_up(self, command: Command) -> None:
        match command:
            case commands.Say():
                self._turns.pressed()
                if self._playbacks.say(command):
                    self._hang_up_soon()
            case commands.Play():
                self._playbacks.play(command)
            case commands.Interrupt():
                self._playbacks.interrupt(command)
            case commands.Pause() | commands.Resume():
                self._playbacks.pause(isinstance(command, commands.Pause))
            case commands.PlaceMark():
                self._playbacks.mark(command.name)
            case commands.SendDtmf():
                self._outbox.do(effects.SendLegDigits(PARTY, command.digits))
            case commands.SendMessage():
                self._outbox.do(effects.SendLegMessage(PARTY, command.body, command.content_type))
            case commands.Collect():
                self._digits.start(command)
            case commands.Mute():
                self._mute(command)
            case commands.Refer():
                self._parties.refer(command, self.option)
            case commands.Bridge():
                self._parties.bridge(command)
            case commands.Unbridge():
                self._parties.unbridge()
            case commands.AddHistory() | commands.Custom():
                self._tell(command)
            case _:
                raise CommandRejected(f"{type(command).__name__} is not for this kind of call")

    def _pending_only(self, name: str) -> None:
        if self.state is not State.PENDING:
            raise CommandRejected(f"{name}: no pending call", 486)

    def _invite(self, option: CallOption) -> None:
        if self.state not in (State.NEW, State.PENDING):
            raise CommandRejected("the call is already up", 409)
        if self.state is State.PENDING:
            pending = self.option
            option = msgspec.structs.replace(
                option, caller=pending.caller, callee=pending.callee, offer=option.offer or pending.offer
            )
        self._move(Input.INVITE)
        self.option = option
        self.times.setup_s, self.times.inactivity_s = option.handshake_s, option.inactivity_s
        self._playbacks.option = option.tts
        self._turns.configure(option)
        self._outbox.do(effects.OpenLeg(PARTY, option))

    def _mute(self, command: commands.Mute) -> None:
        party = command.track_id in (None, self.id)
        machine = command.track_id is None or command.track_id.startswith("server-side-track")
        if not party and not machine:
            raise CommandRejected(f"trackId: no track {command.track_id!r} in this call", 404)
        if party:
            self._outbox.do(effects.MuteLeg(PARTY, command.muted))
        if machine:
            self._playbacks.mute(command.muted, command.track_id)
        track_id = command.track_id or self.id
        self._outbox.emit(
            events.Muted(timestamp=self._outbox.epoch_ms(), track_id=track_id, muted=command.muted)
        )

    def _tell(self, command: commands.AddHistory | commands.Custom) -> None:
        timestamp = self._outbox.epoch_ms()
        match command:
            case commands.AddHistory():
                event: Event = events.HistoryAdded(
                    timestamp=timestamp,
                    track_id=self.id,
                    sender="system",
                    speaker=command.speaker,
                    text=command.text,
                )
            case commands.Custom():
                event = events.CustomEvent(
                    timestamp=timestamp, track_id=self.id, sender=command.sender, data=command.data
                )
            case _:
                assert_never(command)
        self._outbox.emit(event)

    # --- reports ------------------------------------------------------------------

    def _take(self, report: reports.Report) -> None:
        match report:
            case reports.PlaybackStarted():
                self._playbacks.started(report.track)
            case reports.SourceFed():
                self._playbacks.fed(report.track)
            case reports.PlaybackDrained():
                self._playbacks.drained(report.track)
            case reports.SourceDone():
                self._playbacks.source_done(report.track, report.item)
            case reports.SourceFailed():
                self._playbacks.source_failed(report)
            case reports.MarkReached():
                self._playbacks.mark_reached(report)
            case reports.PlaybackEnded():
                self._playback_over(self._playbacks.ended(report.track, report.played_ms))
            case reports.PlaybackDropped():
                self._playback_over(self._playbacks.dropped(report))
            case reports.SpeechWarned():
                self._warn(report)
            case reports.Bridged():
                self._parties.bridged(report.other)
            case reports.Unbridged():
                self._parties.unbridged()
            case _ if getattr(report, "leg", PARTY) == PARTY:
                self._take_party(report)
            case _:
                if over := self._parties.report(report):
                    self._end(*over)

    def _take_party(self, report: reports.Report) -> None:
        now = self._outbox.now
        if event := announcement(report, self.id, self._outbox.epoch_ms()):
            self._outbox.emit(event)
        match report:
            case reports.LegRinging():
                self._move(Input.RINGING)
            case reports.LegAnswered():
                self._answered(report)
            case reports.LegRejected():
                self._end("busy" if report.code in (486, 600) else "rejected", "callee")
            case reports.LegFailed():
                self._error(report.sender, report.error, report.code)
                self._end("error", "system")
            case reports.LegEnded():
                self._end(report.reason, report.initiator)
            case reports.MediaSilent():
                self.times.media_silent(report.seconds, now)
            case reports.MediaResumed():
                self.times.media_resumed()
            case reports.SpeechStarted():
                self.times.active = now
                self._turns.speech_started(report)
            case reports.SpeechStopped():
                self.times.active = now
                self._turns.speech_stopped(report, PARTY)
            case reports.Transcribed():
                self._transcribed(report)
            case reports.DigitReceived():
                self.times.active = now
                self._turns.pressed()
                if self._digits.press(report.digit):
                    self._playbacks.interrupt(commands.Interrupt())
            case _:
                pass  # Nothing but its announcement.

    def _answered(self, report: reports.LegAnswered) -> None:
        if not self._move(Input.ANSWERED):
            return
        self.times.answered = self.times.active = self._outbox.now
        self.codec = report.codec
        audio = events.Audio(report.codec, report.sample_rate, report.ptime_ms)
        timestamp = self._outbox.epoch_ms()
        self._outbox.emit(
            events.Answer(
                timestamp=timestamp,
                track_id=self.id,
                sdp=report.sdp,
                audio=audio if self.kind == "websocket" else None,
                resume=self.resume_token,
            )
        )
        self._outbox.emit(events.TrackStart(timestamp=timestamp, track_id=self.id))
        for effect in media_effects(self.option, PARTY, tones_only=self.kind == "websocket"):
            self._outbox.do(effect)
        if bed := self.option.ambiance:
            self._playbacks.ambiance(bed.path, bed.duck_level, bed.normal_level)
        self._parties.dial_callee(self.option)
        warnings, self._warnings = self._warnings, []
        for warning in warnings:
            self._warn(warning)
        self._catch_up()

    def _catch_up(self) -> None:
        """Carry out what was asked for before the answer."""
        waiting, self._waiting = self._waiting, []
        for command in waiting:
            try:
                self.command(command, self._outbox.now)
            except CommandRejected as rejected:
                self._error(rejected.sender, rejected.error, rejected.code, command.request_id)

    def _transcribed(self, report: reports.Transcribed) -> None:
        self.times.active = self._outbox.now
        kind = events.AsrFinal if report.final else events.AsrDelta
        self._outbox.emit(
            kind(
                timestamp=self._outbox.epoch_ms(),
                track_id=self.id,
                index=report.index,
                start_time=self._outbox.epoch_ms(report.began),
                end_time=self._outbox.epoch_ms(report.ended),
                text=report.text,
                confidence=report.confidence,
            )
        )
        self._turns.transcribed(report)

    def _playback_over(self, finished: Finished | None) -> None:
        if finished is None:
            return
        self.times.active = self._outbox.now
        self._turns.playback_over(finished.playback.wait_input_ms)
        self._digits.prompt_ended()
        if finished.heard and finished.playback.auto_hangup:
            self._hang_up_soon()

    def _warn(self, report: reports.SpeechWarned) -> None:
        """Tell of a degraded provider; never before the answer."""
        if self.state is State.UP:
            self._error(report.sender, report.error, report.code)
        else:
            self._warnings.append(report)

    # --- ending -------------------------------------------------------------------

    def _hang_up_soon(self) -> None:
        """Hang up for autoHangup; audio in the client's own socket arrives before the close by itself."""
        if self.kind == "websocket":
            self._end("autohangup", "system")
        else:
            self.times.hang_up_in(LINGER_S, self._outbox.now)

    def _end(self, reason: str, initiator: str, headers: dict[str, str] | None = None) -> None:
        if not self._move(Input.END):
            return
        now, times = self._outbox.now, self.times
        times.ended = now
        self.reason, self.initiator = reason, initiator
        self._digits.stop("interrupted")
        self._playbacks.close()
        self._parties.close(reason)
        timestamp = self._outbox.epoch_ms()
        if times.answered is not None:
            duration = round((now - times.answered) * 1000)
            self._outbox.emit(events.TrackEnd(timestamp=timestamp, track_id=self.id, duration=duration))
        self._outbox.emit(
            events.HungUp(
                timestamp=timestamp,
                track_id=self.id,
                reason=reason,
                initiator=initiator,
                start_time=self._outbox.epoch_ms(times.created),
                answer_time=self._outbox.epoch_ms(times.answered) if times.answered is not None else None,
                hangup_time=timestamp,
                caller=self.option.caller,
                callee=self.option.callee,
            )
        )
        self._outbox.do(effects.CloseLeg(PARTY, reason, headers or {}))
        self._outbox.do(effects.CloseCall(reason))

    def _move(self, moved: Input) -> bool:
        state = after(self.state, moved)
        if state is None:
            return False
        self.state = state
        return True

    def _error(self, sender: str, text: str, code: int, request_id: str | None = None) -> None:
        self._outbox.emit(error(sender, text, code, self.id, self._outbox.epoch_ms(), request_id))


_BEFORE_ANSWER = commands.Hangup | commands.AddCandidates | commands.Offer
