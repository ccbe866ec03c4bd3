"""One conversation, sans-I/O: tell it what happened, then take what it decided."""

from typing import assert_never

import msgspec

from softswitch.call import commands, effects, events, reports
from softswitch.call.collect import DigitCollector
from softswitch.call.commands import CallOption, Command, CommandRejected
from softswitch.call.effects import Effect
from softswitch.call.events import Event
from softswitch.call.outbox import Outbox
from softswitch.call.parties import Parties
from softswitch.call.playbacks import Finished, Playbacks
from softswitch.call.state import Input, State, after
from softswitch.call.turns import Turns

PARTY = "party"
"""Name of the first leg: the client's own, or the caller's."""
MAX_WAITING = 64
"""Commands that may wait for the answer."""


class CallLimits(msgspec.Struct, frozen=True):
    """Times after which a call is not kept alive."""

    setup_s: float = 30.0
    max_duration_s: float = 14400.0
    media_start_s: float = 30.0
    """Without any media from the start."""
    media_s: float = 15.0
    """Without media later on."""


class Call:
    """One conversation.

    The owner calls :meth:`command`, :meth:`report` and, when :meth:`deadline` has passed, :meth:`elapse`; after each
    it drains :meth:`take_events` and :meth:`take_effects`, in this order.
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
        self.limits = limits or CallLimits()
        self.state = State.NEW
        self.option = CallOption()
        self.created = now
        self.answered: float | None = None
        self.ended: float | None = None
        self.reason = ""
        self.initiator = ""
        self.codec = ""
        self.resume_token = resume_token
        self._outbox = Outbox(call_id, epoch_offset)
        self._outbox.now = now
        self.playbacks = Playbacks(self._outbox, self.option.tts)
        self._turns = Turns(self._outbox, self.playbacks)
        self._digits = DigitCollector(self._outbox)
        self._parties = Parties(self._outbox, self.playbacks)
        self._waiting: list[Command] = []
        self._warnings: list[reports.SpeechWarned] = []
        self._active = now
        self._hangup_at: float | None = None
        self._media_due: float | None = None

    # --- from above and below -----------------------------------------------------

    def command(self, command: Command, now: float) -> None:
        """Carry out a command; raises CommandRejected where it cannot be (the call lives on)."""
        self._outbox.now = now
        self._active = now
        if self.state in (State.SETUP, State.RINGING) and not isinstance(command, _BEFORE_ANSWER):
            if isinstance(command, commands.Invite | commands.Accept):
                raise CommandRejected("the call is already being set up", 409)
            if len(self._waiting) >= MAX_WAITING:
                raise CommandRejected(f"more than {MAX_WAITING} commands wait for the answer", 429)
            self._waiting.append(command)
            return
        self._execute(command)
        if command.request_id is not None:
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
        if overdue := self._overdue():
            self._end(*overdue)
            return
        self.playbacks.elapse()
        self._turns.elapse()
        self._digits.elapse(self.playbacks.speaking)
        self._parties.elapse()

    def deadline(self) -> float | None:
        """When :meth:`elapse` wants to be called, in monotonic seconds."""
        if self.state is State.OVER:
            return None
        due = [
            self.playbacks.deadline(),
            self._turns.deadline(),
            self._digits.deadline(),
            self._parties.deadline(),
            self._hangup_at,
            self._media_due,
            self._setup_due(),
            self._inactive_due(),
            self.answered and self.answered + self.limits.max_duration_s,
        ]
        return min((time for time in due if time is not None), default=None)

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
                if self.playbacks.say(command):
                    self._hang_up_soon()
            case commands.Play():
                self.playbacks.play(command)
            case commands.Interrupt():
                self.playbacks.interrupt(command)
            case commands.Pause():
                self.playbacks.pause(True)
            case commands.Resume():
                self.playbacks.pause(False)
            case commands.PlaceMark():
                self.playbacks.mark(command.name)
            case commands.SendDtmf():
                self._outbox.do(effects.SendLegDigits(PARTY, command.digits))
            case commands.Collect():
                self._digits.start(command)
            case commands.Mute():
                self._mute(command)
            case commands.AddHistory():
                self._outbox.emit(
                    events.HistoryAdded(
                        timestamp=self._outbox.epoch_ms(),
                        track_id=self.id,
                        sender="system",
                        speaker=command.speaker,
                        text=command.text,
                    )
                )
            case commands.Custom():
                self._outbox.emit(
                    events.CustomEvent(
                        timestamp=self._outbox.epoch_ms(),
                        track_id=self.id,
                        sender=command.sender,
                        data=command.data,
                    )
                )
            case commands.SendMessage():
                self._outbox.do(effects.SendLegMessage(PARTY, command.body, command.content_type))
            case commands.Refer():
                self._parties.refer(command, self.option)
            case commands.Bridge():
                if command.other == self.id:
                    raise CommandRejected("targetSessionId: a call cannot be bridged with itself")
                self._parties.bridge(command)
            case commands.Unbridge():
                self._parties.unbridge()
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
        self.playbacks.option = option.tts
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
            self.playbacks.mute(command.muted, command.track_id)
        self._outbox.emit(
            events.Muted(
                timestamp=self._outbox.epoch_ms(), track_id=command.track_id or self.id, muted=command.muted
            )
        )

    # --- reports ------------------------------------------------------------------

    def _take(self, report: reports.Report) -> None:
        match report:
            case reports.PlaybackStarted():
                self.playbacks.started(report.track)
            case reports.SourceFed():
                self.playbacks.fed(report.track)
            case reports.PlaybackDrained():
                self.playbacks.drained(report.track)
            case reports.SourceDone():
                self.playbacks.source_done(report.track, report.item)
            case reports.SourceFailed():
                self.playbacks.source_failed(report)
            case reports.MarkReached():
                self.playbacks.mark_reached(report)
            case reports.PlaybackEnded():
                self._playback_over(self.playbacks.ended(report.track, report.played_ms))
            case reports.PlaybackDropped():
                self._playback_over(self.playbacks.dropped(report))
            case reports.SpeechStarted() | reports.SpeechStopped() | reports.Transcribed():
                self._heard(report)
            case reports.DigitReceived():
                self._digit(report)
            case reports.SpeechWarned():
                self._warn(report)
            case reports.Measured():
                self._outbox.emit(
                    events.Metrics(
                        timestamp=self._outbox.epoch_ms(),
                        key=report.key,
                        duration=report.duration_ms,
                        data=report.data,
                    )
                )
            case reports.RecordingClosed():
                if report.error:
                    self._error("recorder", report.error, 507)
            case reports.Refused():
                self._error(report.sender, report.error, report.code, report.request_id)
            case reports.Bridged():
                self._parties.bridged(report.other)
            case reports.Unbridged():
                self._parties.unbridged()
            case _:
                self._take_leg(report)

    def _take_leg(self, report: reports.Report) -> None:
        if getattr(report, "leg", PARTY) != PARTY:
            if over := self._parties.report(report):
                self._end(*over)
            return
        match report:
            case reports.LegRinging():
                self._move(Input.RINGING)
                self._outbox.emit(
                    events.Ringing(
                        timestamp=self._outbox.epoch_ms(), track_id=self.id, early_media=report.early_media
                    )
                )
            case reports.LegAnswered():
                self._answered(report)
            case reports.LegUpdated():
                self._outbox.emit(
                    events.Answer(timestamp=self._outbox.epoch_ms(), track_id=self.id, sdp=report.sdp)
                )
            case reports.LegHeld():
                self._outbox.emit(
                    events.Hold(timestamp=self._outbox.epoch_ms(), track_id=self.id, on_hold=report.held)
                )
            case reports.LegRejected():
                self._outbox.emit(
                    events.Rejected(
                        timestamp=self._outbox.epoch_ms(),
                        track_id=self.id,
                        code=report.code,
                        reason=report.reason,
                    )
                )
                self._end("busy" if report.code in (486, 600) else "rejected", "callee")
            case reports.LegFailed():
                self._error(report.sender, report.error, report.code)
                self._end("error", "system")
            case reports.LegWarned():
                self._error(report.sender, report.error, report.code)
            case reports.LegEnded():
                self._end(report.reason, report.initiator)
            case reports.MediaSilent():
                self._media("none", report.seconds)
                self._media_due = self._outbox.now + max(0.0, self._media_patience() - report.seconds)
            case reports.MediaResumed():
                self._media_due = None
                if report.seconds:
                    self._media("resumed", report.seconds)
            case _:
                pass  # A report for a part of the house that this call does not use.

    def _answered(self, report: reports.LegAnswered) -> None:
        if not self._move(Input.ANSWERED):
            return
        self.answered = self._active = self._outbox.now
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
        self._start_media()
        self._parties.dial_callee(self.option)
        warnings, self._warnings = self._warnings, []
        for warning in warnings:
            self._warn(warning)
        waiting, self._waiting = self._waiting, []
        for command in waiting:
            try:
                self.command(command, self._outbox.now)
            except CommandRejected as rejected:
                self._error(rejected.sender, rejected.error, rejected.code, command.request_id)

    def _start_media(self) -> None:
        option, do = self.option, self._outbox.do
        if not option.vad.off:
            do(effects.DetectSpeech(PARTY, option.vad))
        tones = option.inband_dtmf if option.inband_dtmf is not None else self.kind == "websocket"
        if tones:
            do(effects.DetectTones(PARTY))
        if option.denoise:
            do(effects.Denoise(PARTY))
        if option.asr is not None:
            do(effects.Transcribe(PARTY, option.asr))
        if option.recorder is not None:
            do(effects.Record(PARTY, option.recorder))
        if option.media_pass is not None:
            do(effects.PassMedia(PARTY, option.media_pass))
        if option.subscribe:
            do(effects.ShareAudio(PARTY))
        if option.ambiance is not None:
            bed = option.ambiance
            self.playbacks.ambiance(bed.path, bed.duck_level, bed.normal_level)

    def _heard(self, report: reports.SpeechStarted | reports.SpeechStopped | reports.Transcribed) -> None:
        if report.leg != PARTY:
            return
        self._active = self._outbox.now
        match report:
            case reports.SpeechStarted():
                self._turns.speech_started(report)
            case reports.SpeechStopped():
                self._turns.speech_stopped(report, PARTY)
            case reports.Transcribed():
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
            case _:
                assert_never(report)

    def _digit(self, report: reports.DigitReceived) -> None:
        if report.leg != PARTY:
            return
        self._active = self._outbox.now
        self._turns.pressed()
        self._outbox.emit(
            events.Dtmf(
                timestamp=self._outbox.epoch_ms(),
                track_id=self.id,
                digit=report.digit,
                duration_ms=report.duration_ms,
                method=report.method,
            )
        )
        if self._digits.press(report.digit):
            self.playbacks.interrupt(commands.Interrupt())

    def _playback_over(self, finished: Finished | None) -> None:
        if finished is None:
            return
        self._active = self._outbox.now
        self._turns.playback_over(finished.playback.wait_input_ms)
        self._digits.prompt_ended()
        if finished.heard and finished.playback.auto_hangup:
            self._hang_up_soon()

    # --- ending -------------------------------------------------------------------

    def _hang_up_soon(self) -> None:
        """Hang up for autoHangup; what was sent last still has to reach the far end's ear."""
        linger = 0.0 if self.kind == "websocket" else 0.25
        self._hangup_at = self._outbox.now + linger
        if not linger:
            self._end("autohangup", "system")

    def _overdue(self) -> tuple[str, str] | None:
        now = self._outbox.now
        if self._hangup_at is not None and now >= self._hangup_at:
            return "autohangup", "system"
        setup, inactive = self._setup_due(), self._inactive_due()
        if setup is not None and now >= setup:
            return "no_answer", "system"
        if self._media_due is not None and now >= self._media_due:
            return "media_timeout", "system"
        if self.answered is not None and now >= self.answered + self.limits.max_duration_s:
            return "max_duration", "system"
        if inactive is not None and now >= inactive:
            return "inactivity", "system"
        return None

    def _setup_due(self) -> float | None:
        if self.state in (State.SETUP, State.RINGING):
            return self._active_since_setup + (self.option.handshake_s or self.limits.setup_s)
        return None

    @property
    def _active_since_setup(self) -> float:
        return self.created

    def _inactive_due(self) -> float | None:
        if self.state is not State.UP or self.option.inactivity_s is None or self.playbacks.speaking:
            return None
        return self._active + self.option.inactivity_s

    def _media_patience(self) -> float:
        since_start = self._outbox.now - (self.answered or self._outbox.now)
        early = since_start < self.limits.media_start_s
        return self.limits.media_start_s if early else self.limits.media_s

    def _end(self, reason: str, initiator: str, headers: dict[str, str] | None = None) -> None:
        was_up = self.state is State.UP
        if not self._move(Input.END):
            return
        self.ended = self._outbox.now
        self.reason, self.initiator = reason, initiator
        self._digits.stop("interrupted")
        self.playbacks.close()
        self._parties.close(reason)
        if was_up and self.answered is not None:
            duration = round((self.ended - self.answered) * 1000)
            self._outbox.emit(
                events.TrackEnd(timestamp=self._outbox.epoch_ms(), track_id=self.id, duration=duration)
            )
        self._outbox.emit(
            events.HungUp(
                timestamp=self._outbox.epoch_ms(),
                track_id=self.id,
                reason=reason,
                initiator=initiator,
                start_time=self._outbox.epoch_ms(self.created),
                answer_time=self._outbox.epoch_ms(self.answered) if self.answered is not None else None,
                hangup_time=self._outbox.epoch_ms(),
                caller=self.option.caller,
                callee=self.option.callee,
            )
        )
        self._outbox.do(effects.CloseLeg(PARTY, reason, headers or {}))
        self._outbox.do(effects.CloseCall(reason))

    # --- small ones ---------------------------------------------------------------

    def _move(self, moved: Input) -> bool:
        state = after(self.state, moved)
        if state is None:
            return False
        self.state = state
        return True

    def _warn(self, report: reports.SpeechWarned) -> None:
        """Tell of a degraded provider; never before the answer."""
        if self.state is State.UP:
            self._error(report.sender, report.error, report.code)
        else:
            self._warnings.append(report)

    def _media(self, state: str, seconds: float) -> None:
        self._outbox.emit(
            events.Media(timestamp=self._outbox.epoch_ms(), track_id=self.id, state=state, seconds=seconds)
        )

    def _error(self, sender: str, error: str, code: int, request_id: str | None = None) -> None:
        self._outbox.emit(
            events.Error(
                timestamp=self._outbox.epoch_ms(),
                track_id=self.id,
                sender=sender,
                error=error,
                code=code,
                request_id=request_id,
            )
        )


_BEFORE_ANSWER = commands.Hangup | commands.AddCandidates | commands.Offer
