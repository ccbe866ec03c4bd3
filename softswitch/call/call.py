"""One conversation, sans-I/O: tell it what happened, then take what it decided."""

from softswitch.call import commands, effects, events, reports
from softswitch.call.announce import announcement, told
from softswitch.call.commands import CallOption, Command, CommandRejected, StreamOption
from softswitch.call.core import Core
from softswitch.call.outcome import Moved, Over, reason_of
from softswitch.call.playbacks import Finished
from softswitch.call.setup import media_effects
from softswitch.call.state import Input, State

MAX_WAITING = 64
"""Commands that may wait for the answer."""


class Call(Core):
    """One conversation.

    The owner calls :meth:`command`, :meth:`report` and, when :meth:`deadline` has passed, :meth:`elapse`;
    after each it drains :meth:`take_events` and :meth:`take_effects`, in this order.
    """

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
        if isinstance(report, reports.LegAnswered):
            self.trunk = report.trunk or self.trunk
            self._parties.met(report)
        if self.state is not State.OVER:
            self._take(report)

    def incoming(
        self,
        caller: str,
        callee: str,
        sdp: str,
        headers: dict[str, str],
        now: float,
        *,
        accept_s: float | None = None,
    ) -> None:
        """Make this the pending call of somebody who rang; ``accept_s``: how long he waits for an answer."""
        self._outbox.now = now
        self._move(Input.INCOMING)
        self.option = CallOption(caller=caller, callee=callee, offer=sdp, headers=headers)
        self.times.accept_within(accept_s, now)
        self._arrival.announce(self.option)

    # --- commands -----------------------------------------------------------------

    def _execute(self, command: Command) -> None:
        if self.state is State.OVER:
            raise CommandRejected("the call is over", 410)
        match command:
            case commands.Invite() | commands.Accept():
                self._invite(command)
            case commands.Hangup():
                self._end(Over(command.reason, command.initiator, headers=command.headers))
            case commands.AddCandidates():
                self._outbox.do(effects.AddLegCandidates(self._parties.party, command.candidates))
            case commands.Offer():
                self._outbox.do(effects.OfferLeg(self._parties.party, command.sdp))
            case _ if self.state is State.PENDING:
                self._execute_pending(command)
            case commands.Ring() | commands.Reject():
                raise CommandRejected(f"{type(command).__name__.lower()}: no pending call", 486)
            case _:
                if self.state is not State.UP:
                    raise CommandRejected("the call is not answered", 409)
                self._execute_up(command)

    def _execute_pending(self, command: Command) -> None:
        match command:
            case commands.Ring():
                self._arrival.ring(command)
            case commands.Reject():
                reason = reason_of(command.code)
                self._end(Over(reason, "user", command.code, command.reason))
            case commands.Connect():
                self.times.accept_within(None, self._outbox.now)
                self._parties.connect(command, self.option)
            case commands.Say() | commands.Play() | commands.Interrupt() if self._arrival.early:
                self._execute_up(command)
            case _:
                raise CommandRejected("the call is not answered", 409)

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
                self._outbox.do(effects.SendLegDigits(self._parties.party, command.digits))
            case commands.SendMessage():
                self._send(command)
            case commands.Collect():
                self._digits.start(command)
            case commands.Mute():
                self._mute(command)
            case commands.Refer():
                self._refer(command)
            case commands.Bridge():
                self._parties.bridge(command)
            case commands.Unbridge():
                self._parties.unbridge()
            case commands.StartStream() | commands.StopStream():
                self.streams.command(command, self._parties.party)
            case commands.AddHistory() | commands.Custom():
                self._outbox.emit(told(command, self._outbox))
            case _:
                raise CommandRejected(f"{type(command).__name__} is not for this kind of call")

    def _invite(self, command: commands.Invite | commands.Accept) -> None:
        if self.state not in (State.NEW, State.PENDING):
            raise CommandRejected("the call is already up", 409)
        if self.state is State.NEW and self.kind == "sip" and isinstance(command, commands.Accept):
            self._refuse_accept()
            return
        option = command.option
        if self.state is State.PENDING:
            option = self._arrival.accepted(option, self.option)
        self._set_up(option)
        self._outbox.do(effects.OpenLeg(self._parties.party, option, ring_s=option.handshake_s))

    def _refuse_accept(self) -> None:
        """Answer somebody who wants to accept a call that is not there (any more)."""
        timestamp = self._outbox.epoch_ms()
        refused = events.Rejected(timestamp=timestamp, track_id=self.id, code=486, reason="no pending call")
        self._outbox.emit(refused)
        self._end(Over("rejected", "system"))

    def _refer(self, command: commands.Refer) -> None:
        if command.method == "refer":
            self._transfers.refer(command)
        elif not self._transfers.decide(command, self.option, self.codec):
            self._parties.refer(command, self.option, self.codec)

    def _send(self, command: commands.SendMessage) -> None:
        party = self._parties.party
        self._outbox.do(effects.SendLegMessage(party, command.body, command.content_type, command.request_id))

    def _mute(self, command: commands.Mute) -> None:
        party = command.track_id in (None, self.id)
        machine = command.track_id is None or command.track_id.startswith("server-side-track")
        if not party and not machine:
            raise CommandRejected(f"trackId: no track {command.track_id!r} in this call", 404)
        if party:
            self._outbox.do(effects.MuteLeg(self._parties.party, command.muted))
        if machine:
            self._playbacks.mute(command.muted, command.track_id)
        track_id = command.track_id or self.id
        self._outbox.emit(
            events.Muted(timestamp=self._outbox.epoch_ms(), track_id=track_id, muted=command.muted)
        )

    # --- reports ------------------------------------------------------------------

    def _take(self, report: reports.Report) -> None:
        match report:
            case _ if hasattr(report, "track"):
                self._playback_over(self._playbacks.report(report))
            case reports.SpeechWarned():
                self._warn(report)
            case reports.Bridged():
                self._parties.bridged(report.other, report.alone)
                self._transfers.bridged()
            case reports.Unbridged():
                self._conclude(self._parties.unbridged())
            case reports.DigitsPassed():
                self._parties.passed(report.digits)
            case reports.StreamOpened() | reports.StreamEnded():
                self._conclude(self.streams.report(report))
            case _ if isinstance(report, _TRANSFERS):
                self._transfer(report)
            case reports.LegEnded() if self._transfers.left(report.leg):
                pass  # The others wait for the new party.
            case _ if getattr(report, "leg", self._parties.party) == self._parties.party:
                self._take_party(report)
            case _ if self._transfers.concerns(report):
                self._conclude(self._transfers.report(report))
            case _:
                self._conclude(self._parties.report(report))

    def _transfer(self, report: reports.Report) -> None:
        match report:
            case reports.TransferRequested():
                self._transfers.requested(report, self.option)
            case reports.DialogJoined():
                self._conclude(self._transfers.joined(report))
            case reports.DialogForeign():
                self._transfers.foreign(self.option)
            case reports.LegReplaced():
                self._conclude(Moved() if self._parties.dropped(report.leg) else None)
            case reports.LegReferred():
                self._conclude(self._transfers.referred(report))
            case _:
                raise TypeError(f"{type(report).__name__} has nothing to do with a transfer")

    def _take_party(self, report: reports.Report) -> None:
        now = self._outbox.now
        if event := announcement(report, self.id, self._outbox):
            self._outbox.emit(event)
        match report:
            case reports.LegRinging():
                self._move(Input.RINGING)
                self._arrival.rings(report.early_media)
            case reports.LegAnswered():
                self._answered(report)
            case reports.LegRejected():
                self._end(Over(reason_of(report.code), "callee", report.code))
            case reports.LegFailed():
                self._error(report.sender, report.error, report.code)
                self._end(Over("error", "system", report.code, report.error))
            case reports.LegEnded():
                self._arrival.waits = False
                self._end(Over(report.reason, report.initiator, headers=report.headers))
            case reports.LegHeld():
                self.times.media.hold(report.held)
            case reports.MediaSilent():
                self.times.media.silent(report.seconds, now)
            case reports.MediaResumed():
                self.times.media.resumed()
            case reports.SpeechStarted():
                self.times.active = now
                self._turns.speech_started(report)
            case reports.SpeechStopped():
                self.times.active = now
                self._turns.speech_stopped(report, self._parties.party)
            case reports.Transcribed():
                self.times.active = now
                self._turns.transcribed(report)
            case reports.DigitReceived():
                self._pressed(report)
            case reports.TextReceived():
                self._parties.text(report)
            case _:
                pass  # Nothing but its announcement.

    def _pressed(self, report: reports.DigitReceived) -> None:
        self.times.active = self._outbox.now
        self._turns.pressed()
        if self._digits.press(report.digit):
            self._playbacks.interrupt(commands.Interrupt())
        self._parties.cross(report)
        self.streams.pressed(report.digit)

    def _answered(self, report: reports.LegAnswered) -> None:
        if not self._move(Input.ANSWERED):
            return
        self.times.answered = self.times.active = self._outbox.now
        self.times.media.begin(self._outbox.now)
        self.codec = report.codec
        self._parties.up = True
        self.option = self._arrival.answered(self.option)
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
        tones_only = self.kind == "websocket" or report.tones_only
        for effect in media_effects(self.option, self._parties.party, tones_only=tones_only):
            self._outbox.do(effect)
        if bed := self.option.ambiance:
            self._playbacks.ambiance(bed.path, bed.duck_level, bed.normal_level)
        if self.kind != "sip":
            self._reach(self.option)
        warnings, self._warnings = self._warnings, []
        for warning in warnings:
            self._warn(warning)
        self._catch_up()

    def _reach(self, option: commands.CallOption) -> None:
        """Bring in whom the invite named, where that is somebody of ours or a service."""
        kind, _, url = option.callee.partition(":")
        if kind != "stream":
            self._parties.dial_callee(option)
        elif url.startswith(("ws://", "wss://")):
            stream = StreamOption(url, two_way=True, hangup_on_close=True)
            self.streams.command(
                commands.StartStream(stream=f"{self.id}-callee", option=stream), self._parties.party
            )
        else:
            self._error("command", f"callee: {option.callee!r} names no ws:// or wss:// service", 400)

    def _catch_up(self) -> None:
        """Carry out what was asked for before the answer."""
        waiting, self._waiting = self._waiting, []
        for command in waiting:
            try:
                self.command(command, self._outbox.now)
            except CommandRejected as rejected:
                self._error(rejected.sender, rejected.error, rejected.code, command.request_id)

    def _playback_over(self, finished: Finished | None) -> None:
        if finished is None:
            return
        self.times.active = self._outbox.now
        self._turns.playback_over(finished.playback.wait_input_ms)
        self._digits.prompt_ended()
        if finished.heard and finished.playback.auto_hangup:
            self._hang_up_soon()


_BEFORE_ANSWER = commands.Hangup | commands.AddCandidates | commands.Offer
_TRANSFERS = (
    reports.TransferRequested
    | reports.DialogJoined
    | reports.DialogForeign
    | reports.LegReplaced
    | reports.LegReferred
)
