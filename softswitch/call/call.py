"""State machine of one call, without I/O: commands and reports go in, events and effects come out."""

from typing import Protocol, assert_never

import msgspec

from softswitch.call.announce import announcement, call_announcement, error, passed_on
from softswitch.call.arrival import Arrival
from softswitch.call.collect import DigitCollector
from softswitch.call.hearing import Hearing
from softswitch.call.kind import LegKind
from softswitch.call.lifetime import CallLimits, Lifetime
from softswitch.call.media_options import media_effects
from softswitch.call.outbox import Outbox
from softswitch.call.outcome import CalleeAnswered, Outcome, Over, PartyReplaced, code_of, reason_of
from softswitch.call.parties import Parties, Second
from softswitch.call.playbacks import Finished, Playbacks
from softswitch.call.recording import Recording
from softswitch.call.state import Input, State, after
from softswitch.call.streams import Streams
from softswitch.call.supervision import Supervision
from softswitch.call.transfers import Transfers
from softswitch.call.turns import Turns
from softswitch.call.vocabulary import commands, effects, events, reports
from softswitch.call.vocabulary.commands import CallOption, Command
from softswitch.call.vocabulary.effects import Effect
from softswitch.call.vocabulary.events import Event
from softswitch.call.vocabulary.rejection import CommandRejected, Reason, Rejection
from softswitch.call.waiting import WaitingSounds
from softswitch.callees import known

MAX_WAITING = 64
"""Commands that may wait for the answer."""
LINGER_S = 0.25
"""Time from the last audio of an autoHangup until the hang-up, seconds: RTP needs it to reach the peer."""


class _Timed(Protocol):
    """A part of a call with a deadline."""

    def deadline(self) -> float | None:
        """Return when it is due, monotonic seconds; None: nothing is."""


class Call:
    """One call.

    The owner calls :meth:`command`, :meth:`report` and, when :meth:`deadline` has passed, :meth:`elapse`;
    after each it drains :meth:`take_events` and :meth:`take_effects`, in this order.
    """

    def __init__(
        self,
        call_id: str,
        kind: LegKind,
        now: float,
        *,
        epoch_offset: float,
        limits: CallLimits | None = None,
        resume_token: str | None = None,
    ) -> None:
        """Make a call that waits for its first command.

        Args:
            call_id: Id of the call.
            kind: Kind of the leg that the call begins with.
            now: Monotonic seconds.
            epoch_offset: Epoch seconds minus monotonic seconds at the start.
            limits: Times; the defaults where absent.
            resume_token: Token for a client that may come back; sent with ``answer``.
        """
        self.id = call_id
        self.kind = kind
        self.state = State.NEW
        self.option = CallOption()
        self.times = Lifetime(limits or CallLimits(), now)
        self.reason = ""
        self.initiator = ""
        self.code = 0
        """SIP code of the refusal, where the call was never answered; 0: there was none."""
        self.codec = ""
        self.trunk = ""
        """Name of the trunk over which a leg was dialled last."""
        self.resume_token = resume_token
        self.outbox = Outbox(call_id, epoch_offset)
        """What was decided and not taken yet; the owner looks here whether there is anything to take."""
        self.outbox.now = now
        self._playbacks = Playbacks(self.outbox, self.option.tts)
        self._turns = Turns(self.outbox, self._playbacks)
        self._digits = DigitCollector(self.outbox)
        self._parties = Parties(self.outbox, self._playbacks, self.times.limits)
        self._transfers = Transfers(self.outbox, self._parties)
        self._arrival = Arrival(self.outbox, self._playbacks)
        self._has_sounds = not kind.in_room
        self._sounds = WaitingSounds(
            self.outbox,
            self._parties,
            self._transfers,
            self._playbacks,
            music=self.times.limits.hold_music,
        )
        self.streams = Streams(self.outbox)
        self._recording = Recording(self.outbox)
        self._supervision = Supervision(self.outbox)
        self._hearing = Hearing(
            self.outbox,
            self.times,
            playbacks=self._playbacks,
            turns=self._turns,
            digits=self._digits,
            parties=self._parties,
            streams=self.streams,
        )
        self._waiting: list[Command] = []
        self._warnings: list[reports.SpeechWarned] = []

    # --- input ------------------------------------------------------------------

    def command(self, command: Command, now: float) -> None:
        """Execute a command, or queue it until the answer.

        Raises:
            CommandRejected: The command is not possible; the call lives on.
        """
        self.outbox.now = self.times.active = now
        if self.state in (State.SETUP, State.RINGING) and not isinstance(command, _BEFORE_ANSWER):
            if isinstance(command, commands.Invite | commands.Accept):
                raise CommandRejected(Reason.BEING_SET_UP, 409)
            if len(self._waiting) >= MAX_WAITING:
                raise CommandRejected(Reason.TOO_MANY_WAIT, 429, limit=MAX_WAITING)
            self._waiting.append(command)
            return
        self._execute(command)
        self._review_sounds()
        if command.request_id is not None and not isinstance(command, commands.Bridge | commands.Supervise):
            # A bridge and a supervision are acknowledged once the other call is known to allow them.
            self.outbox.emit(events.Ack(timestamp=self.outbox.clock(), request_id=command.request_id))

    def report(self, report: reports.Report, now: float) -> None:
        """Apply a report of a leg, the engine, a source or a stream; never raises."""
        self.outbox.now = now
        if isinstance(report, reports.LegAnswered):
            self.trunk = report.trunk or self.trunk
            self._parties.met(report)
        elif isinstance(report, reports.LegHeld):
            self._sounds.held(report)
        if self.state is not State.OVER:
            self._take(report)
            self._review_sounds()

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
        """Make this a pending incoming call.

        Args:
            caller: Number or user that calls.
            callee: Number or user that was dialled.
            sdp: Offer of the caller.
            headers: Headers of the INVITE.
            now: Monotonic seconds.
            accept_s: Longest time until an application accepts; None: no bound.
        """
        self.outbox.now = now
        self._move(Input.INCOMING)
        self.option = CallOption(caller=caller, callee=callee, offer=sdp, headers=headers)
        self.times.accept_within(accept_s, now)
        self._arrival.announce(self.option)

    # --- time and output ------------------------------------------------------------

    def end(self, reason: str, initiator: str, now: float, *, code: int = 0) -> None:
        """End the call from outside: killed, shut down, or its socket was lost.

        Args:
            reason: Reason of the end.
            initiator: ``user``, ``caller``, ``callee`` or ``system``.
            now: Monotonic seconds.
            code: SIP code for a caller that was not answered; 0: the code of the reason.
        """
        self.outbox.now = now
        self._end(Over(reason, initiator, code))

    def client_stalled(self, stalled: bool, now: float) -> None:
        """Let playbacks wait while audio does not arrive at a client whose socket seems to live."""
        self.outbox.now = now
        if self.kind.audio_in_socket and self.option.away == "pause":
            self._hearing.let_wait("stalled", stalled)

    def client_away(self, since: float, now: float) -> None:
        """Note that the client has lost its socket and may come back; it has heard nothing from `since` on.

        Only where the socket carries the audio: over WebRTC and by telephone the party still hears.
        """
        self.outbox.now = now
        if not self.kind.audio_in_socket or self.state is State.OVER:
            return
        self._playbacks.away(since)
        if self.option.away == "pause":
            self._hearing.let_wait("away", True)

    def client_back(self, now: float) -> int:
        """Note that the client is back; return how much of the playbacks it did not hear, milliseconds."""
        self.outbox.now = now
        unheard = self._playbacks.back()
        for reason in ("away", "stalled"):
            self._hearing.let_wait(reason, False)
        return unheard

    def elapse(self, now: float) -> None:
        """Do what has become due by ``now``."""
        self.outbox.now = now
        if self.state is State.OVER:
            return
        for due, reason in self.times.ends(self.state, self._playbacks.speaking):
            if now >= due:
                if reason == "inactivity":
                    self.outbox.emit(
                        events.Inactivity(timestamp=self.outbox.clock(), subject=self.outbox.party)
                    )
                self._end(Over(reason, "system"))
                return
        self._playbacks.elapse()
        self._turns.elapse()
        self._digits.elapse(self._playbacks.speaking)
        self._conclude(self._parties.elapse())
        self._conclude(self._transfers.elapse())
        self._review_sounds()

    def deadline(self) -> float | None:
        """Return when :meth:`elapse` is due, monotonic seconds; None: nothing is."""
        if self.state is State.OVER:
            return None
        times, playbacks = self.times, self._playbacks
        due = times.due(self.state, times.inactivity_s is not None and playbacks.speaking)
        for part in self._timed():
            if (time := part.deadline()) is not None and (due is None or time < due):
                due = time
        return due

    def _timed(self) -> list[_Timed]:
        """Return the parts that may have a deadline: what is not in use is not asked after each report."""
        timed: list[_Timed] = [self._turns]
        if self._playbacks.layers:
            timed.append(self._playbacks)
        if self._digits.gathering is not None:
            timed.append(self._digits)
        if self._parties.second is not None or self._parties.fork is not None:
            timed.append(self._parties)
        if self._transfers.asked is not None or self._transfers.sent_refer is not None:
            timed.append(self._transfers)
        return timed

    @property
    def party(self) -> str:
        """Name of the leg of the first party; a transfer changes it."""
        return self._parties.party

    @property
    def second(self) -> Second | None:
        """The second party, answered or not."""
        return self._parties.second

    @property
    def recording(self) -> str:
        """State of the recording: off, on, paused or stopping."""
        return self._recording.state

    @property
    def supervises(self) -> bool:
        """Whether the party supervises another call, or is about to."""
        return self._supervision.active

    def over_trunk(self, leg: str) -> bool:
        """Whether a leg was dialled over a trunk."""
        return self._parties.over_trunk(leg)

    @property
    def connected(self) -> bool:
        """Whether a rule of the settings connected the call, so that no application follows it."""
        return self._parties.connected

    def take_events(self) -> list[Event]:
        """Return the new events, in order."""
        return self.outbox.take_events()

    def take_effects(self) -> list[Effect]:
        """Return the new effects, in order."""
        found = self.outbox.take_effects()
        for effect in found:
            if type(effect) is effects.Record:
                self._recording.noted(effect)
        return found

    def clock(self, monotonic: float) -> float:
        """Return epoch seconds of a monotonic time, by the clock of the call."""
        return self.outbox.clock(monotonic)

    # --- commands -----------------------------------------------------------------

    def _execute(self, command: Command) -> None:
        if self.state is State.OVER:
            raise CommandRejected(Reason.CALL_OVER, 410)
        match command:
            case commands.Invite() | commands.Accept():
                self._invite(command)
            case commands.Hangup(refer=True):
                self._parties.hang_up_second(command)
            case commands.Hangup():
                self._end(Over(command.reason, command.initiator, headers=command.headers))
            case commands.AddCandidates():
                self.outbox.do(effects.AddLegCandidates(self._parties.party, command.candidates))
            case commands.Offer():
                self.outbox.do(effects.OfferLeg(self._parties.party, command.sdp))
            case commands.Ring() | commands.Reject() | commands.Connect():
                self._execute_pending(command)
            case commands.Say() | commands.Play() | commands.Interrupt() if self._arrival.hears:
                self._execute_up(command)
            case _:
                if self.state is not State.UP:
                    raise CommandRejected(Reason.NOT_ANSWERED, 409)
                self._execute_up(command)

    def _execute_pending(self, command: commands.Ring | commands.Reject | commands.Connect) -> None:
        """Execute a command for a waiting caller."""
        if self.state is not State.PENDING:
            if isinstance(command, commands.Connect):
                if self.state is not State.UP:
                    raise CommandRejected(Reason.NOT_ANSWERED, 409)
                raise CommandRejected(Reason.WRONG_STATE, value="Connect")
            raise CommandRejected(Reason.NO_PENDING_CALL, 486, value=type(command).__name__.lower())
        match command:
            case commands.Ring():
                self._arrival.ring(command)
            case commands.Reject():
                self._end(Over(reason_of(command.code), "user", command.code, command.reason))
            case commands.Connect():
                self.times.accept_within(None, self.outbox.now)
                self.option = msgspec.structs.replace(
                    self.option, recorder=command.recorder or self.option.recorder
                )
                self._parties.connect(command, self.option)
            case _:
                assert_never(command)

    def _execute_up(self, command: commands.WhileUp) -> None:
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
                self.outbox.do(effects.SendLegDigits(self._parties.party, command.digits))
            case commands.SendMessage():
                self._send(command)
            case commands.Collect():
                self._digits.start(command)
            case commands.Mute():
                self._mute(command)
            case commands.Record():
                self._recording.command(command, self._parties.party)
            case commands.Supervise():
                self._supervision.command(command, alone=self._parties.alone)
            case commands.Refer():
                self._supervision.refuse("refer")
                self._refer(command)
            case commands.Bridge():
                self._supervision.refuse("bridge")
                self._parties.bridge(command)
            case commands.Unbridge():
                self._parties.unbridge()
            case commands.StartStream() | commands.StopStream() | commands.AnswerTool():
                self.streams.command(command, self._parties.party)
            case commands.AddHistory() | commands.Custom():
                self.outbox.emit(passed_on(command, self.outbox))
            case _:
                assert_never(command)

    def _invite(self, command: commands.Invite | commands.Accept) -> None:
        if self.state not in (State.NEW, State.PENDING):
            raise CommandRejected(Reason.ALREADY_UP, 409)
        if self.state is State.NEW and self.kind.by_number and isinstance(command, commands.Accept):
            self._refuse_accept()
            return
        option = command.option
        if self.state is State.PENDING:
            option = self._arrival.accepted(option, self.option)
        self._set_up(option)
        self.outbox.do(effects.OpenLeg(self._parties.party, option, ring_s=option.handshake_s))

    def _refuse_accept(self) -> None:
        """Reject an ``accept`` for an incoming call that does not exist, or ended before."""
        timestamp = self.outbox.clock()
        refused = events.Rejected(
            timestamp=timestamp, subject=self.outbox.party, code=486, reason="no pending call"
        )
        self.outbox.emit(refused)
        self._end(Over("rejected", "system"))

    def _refer(self, command: commands.Refer) -> None:
        if command.method == "refer":
            self._transfers.refer(command)
        elif not self._transfers.decide(command, self.option, self.codec):
            self._parties.refer(command, self.option, self.codec)

    def _send(self, command: commands.SendMessage) -> None:
        party = self._parties.party
        self.outbox.do(effects.SendLegMessage(party, command.body, command.content_type, command.request_id))

    def _mute(self, command: commands.Mute) -> None:
        subject, party = command.subject, self.outbox.party
        if subject is not None and subject.kind != "machine" and subject != party:
            raise CommandRejected(Reason.UNKNOWN_SUBJECT, 404, field="subject", value=subject.name)
        if subject is None or subject == party:
            self.outbox.do(effects.SetMuted(self._parties.party, command.muted))
        if subject is None or subject.kind == "machine":
            self._playbacks.mute(command.muted, subject)
        self.outbox.emit(
            events.Muted(timestamp=self.outbox.clock(), subject=subject or party, muted=command.muted)
        )

    # --- reports ------------------------------------------------------------------

    def _take(self, report: reports.Report) -> None:
        match report:
            # What comes often is first, as each class that does not fit costs a look.
            case reports.PortReport():
                self._take_leg(report)
            case reports.TransferRequested():
                self._transfers.requested(report, self.option)
            case reports.DialogJoined():
                self._conclude(self._transfers.joined(report))
            case reports.DialogForeign():
                self._transfers.foreign(self.option)
            case reports.LegReplaced():
                self._conclude(PartyReplaced() if self._parties.dropped(report.leg) else None)
            case reports.LegReferred():
                self._conclude(self._transfers.referred(report))
            case reports.LegReport():
                self._take_leg(report)
            case (
                reports.SourceFed() | reports.SourceDone() | reports.SourceFailed()
                | reports.TrackStarted() | reports.TrackDrained() | reports.MarkReached()
                | reports.TrackEnded() | reports.TrackDropped()
            ):  # fmt: skip
                if not self._sounds.owns(report.track):
                    self._playback_over(self._playbacks.report(report))
            case reports.SpeechWarned():
                self._warn(report)
            case (
                reports.Measured() | reports.Refused() | reports.RecordingClosed() | reports.Supervises()
                | reports.SupervisionOver()
            ):  # fmt: skip
                self._take_whole(report)
            case reports.Bridged():
                self._parties.bridged(report.other, report.alone)
                self._transfers.bridged()
            case reports.Unbridged():
                self._conclude(self._parties.unbridged(goes_on=report.goes_on))
            case reports.PeerHeld():
                self._sounds.peer_held(report.held)
            case reports.DigitsPassed():
                self._parties.passed(report.digits)
            case (
                reports.StreamOpened() | reports.StreamEnded() | reports.StreamWarned() | reports.StreamTold()
            ):
                self._take_stream(report)
            case _:
                assert_never(report)

    def _take_whole(
        self,
        report: reports.Measured
        | reports.Refused
        | reports.RecordingClosed
        | reports.Supervises
        | reports.SupervisionOver,
    ) -> None:
        """Apply a report about the whole call."""
        if isinstance(report, reports.Supervises | reports.SupervisionOver):
            self._conclude(self._supervision.report(report))
            return
        if not isinstance(report, reports.Measured):
            self._recording.report(report)
        self._emit(call_announcement(report, self.outbox.party, self.outbox))
        if isinstance(report, reports.Refused):
            self._conclude(self._supervision.refused(report))

    def _take_stream(self, report: reports.StreamReport) -> None:
        if isinstance(report, reports.StreamTold):
            self.times.active = self.outbox.now
        self._conclude(self.streams.report(report))
        if isinstance(report, reports.StreamOpened) and report.follows_speech and self.option.vad.off:
            # The service leaves it to the switch to detect speech, and the invite has asked for none.
            self.outbox.do(effects.DetectSpeech(self._parties.party, commands.VadOption()))

    def _take_leg(self, report: reports.OfLeg) -> None:
        """Pass a report about a leg to the part of the call that the leg belongs to."""
        if isinstance(report, reports.LegEnded) and self._transfers.left(report.leg):
            return  # The others wait for the new party.
        if report.leg == self._parties.party:
            self._take_party(report)
        elif self._transfers.concerns(report):
            self._conclude(self._transfers.report(report))
        else:
            self._conclude(self._parties.report(report))

    def _emit(self, event: Event | None) -> None:
        if event is not None:
            self.outbox.emit(event)

    def _take_party(self, report: reports.OfLeg) -> None:
        event = announcement(report, self.outbox.party, self.outbox)
        if isinstance(event, events.AsrFinal) and self._turns.is_filler(event.text):
            event = msgspec.structs.replace(event, is_filler=True)
        self._emit(event)
        match report:
            case (
                reports.SpeechStarted() | reports.SpeechStopped() | reports.Transcribed()
                | reports.TurnJudged() | reports.DigitReceived() | reports.TextReceived()
                | reports.LegHeld() | reports.MediaSilent() | reports.MediaResumed()
            ):  # fmt: skip
                self._hearing.report(report)
                if isinstance(report, reports.DigitReceived):
                    self._supervision.pressed(report.digit)
            case reports.LegRinging():
                self._move(Input.RINGING)
                self._arrival.rings(report.early_media)
                if report.early_media and self.option.tones and not self._arrival.waits:
                    self.outbox.do(effects.DetectTones(report.leg, on=True))
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
            case (
                reports.LegUpdated() | reports.LegTrickled() | reports.LegWarned() | reports.AnsweredBy()
                | reports.ToneHeard()
            ):  # fmt: skip
                pass  # Only announced.
            case _:
                assert_never(report)

    def _answered(self, report: reports.LegAnswered) -> None:
        if not self._move(Input.ANSWERED):
            return
        if self.option.tones:
            self.outbox.do(effects.DetectTones(report.leg, on=False))
        self.times.answered = self.times.active = self.outbox.now
        self.times.media.begin(self.outbox.now)
        self.codec = report.codec
        self._parties.up = True
        self.option = self._arrival.answered(self.option)
        audio = events.Audio(report.codec, report.sample_rate, report.ptime_ms)
        timestamp = self.outbox.clock()
        self.outbox.emit(
            events.Answer(
                timestamp=timestamp,
                subject=self.outbox.party,
                sdp=report.sdp,
                audio=audio if self.kind.audio_in_socket else None,
                resume=self.resume_token,
            )
        )
        self.outbox.emit(events.TrackStart(timestamp=timestamp, subject=self.outbox.party))
        if self.kind.audio_in_socket:
            self.outbox.emit(events.MediaReady(timestamp=timestamp, subject=self.outbox.party))
        tones_only = self.kind.tones_only or report.tones_only
        for effect in media_effects(self.option, self._parties.party, tones_only=tones_only):
            self.outbox.do(effect)
        if self.option.media_pass is not None and self.option.media_pass.protocol != "raw":
            self.streams.pass_media(self.option.media_pass, self._parties.party)
        if bed := self.option.ambiance:
            self._playbacks.ambiance(bed.path, bed.duck_level, bed.normal_level)
        if not self.kind.by_number:
            self._reach(self.option)
        if self.option.faults:
            self._error("invite", "; ".join(self.option.faults), 400)
        warnings, self._warnings = self._warnings, []
        for warning in warnings:
            self._warn(warning)
        self._catch_up()

    def _reach(self, option: commands.CallOption) -> None:
        """Dial the callee of an invite if the switch knows it; any other callee is only a label."""
        callee = known(option.callee)
        if callee is None or callee.reach not in ("stream", "call"):
            self._parties.dial_callee(option)
            return
        try:
            if callee.reach == "call":
                other = option.callee.partition(":")[2]
                self._supervision.command(commands.Supervise(other=other, auto_hangup=True), alone=True)
            else:
                self.streams.dial(option.callee, self._parties.party)
        except CommandRejected as rejected:
            self._error(rejected.sender, rejected.rejection, rejected.code)

    def _catch_up(self) -> None:
        """Execute the commands that waited for the answer."""
        waiting, self._waiting = self._waiting, []
        for command in waiting:
            try:
                self.command(command, self.outbox.now)
            except CommandRejected as rejected:
                self._error(rejected.sender, rejected.rejection, rejected.code, command.request_id)

    def _playback_over(self, finished: Finished | None) -> None:
        if finished is None:
            return
        self.times.active = self.outbox.now
        self._turns.playback_over(finished.playback.wait_input_ms)
        self._digits.prompt_ended()
        if finished.heard and finished.playback.auto_hangup:
            self._hang_up_soon()

    def _review_sounds(self) -> None:
        """Begin or end what a waiting party hears; rooms have no sound for those that wait."""
        if self.state is State.UP and self._has_sounds:
            self._sounds.review()

    # --- conclusions ----------------------------------------------------------------

    def _set_up(self, option: CallOption) -> None:
        self._move(Input.INVITE)
        self.option = option
        self._sounds.waits = option.waits
        self.times.set_up(option.handshake_s, option.inactivity_s, self.outbox.now)
        self.times.last_at_most(option.max_duration_s)
        self._playbacks.option = option.tts
        self._turns.configure(option)

    def _conclude(self, outcome: Outcome) -> None:
        """Apply the conclusion of a part to the whole call."""
        match outcome:
            case Over():
                self._end(outcome)
            case CalleeAnswered():
                codec = "" if outcome.codec == "pcm" else outcome.codec
                option = msgspec.structs.replace(
                    self.option, codec=codec, vad=commands.VadOption(off=True), inband_dtmf=False
                )
                self._set_up(option)
                self.outbox.do(effects.OpenLeg(self._parties.party, option))
            case PartyReplaced():
                self.times.media.begin(self.outbox.now)
                option = msgspec.structs.replace(self.option, recorder=None, media_pass=None, subscribe=False)
                for effect in media_effects(option, self._parties.party, tones_only=False):
                    self.outbox.do(effect)

    def _warn(self, report: reports.SpeechWarned) -> None:
        """Emit the error of a degraded provider, but not before the answer."""
        if self.state is State.UP:
            self._error(report.sender, report.error, report.code)
        else:
            self._warnings.append(report)

    # --- ending -------------------------------------------------------------------

    def _hang_up_soon(self) -> None:
        """Hang up for autoHangup; audio that shares a socket with the close arrives before it."""
        if self.kind.audio_in_socket:
            self._end(Over("autohangup", "system"))
        else:
            self.times.hang_up_in(LINGER_S, self.outbox.now)

    def _end(self, over: Over) -> None:
        if not self._move(Input.END):
            return
        now, times = self.outbox.now, self.times
        times.ended = now
        self.reason, self.initiator = over.reason, over.initiator
        self.code = over.code if times.answered is None else 0
        self._digits.stop("interrupted")
        self._playbacks.close()
        self._transfers.close(over.reason)
        self.streams.close()
        self._parties.close(over.reason, over.headers)
        timestamp = self.outbox.clock()
        if times.answered is not None:
            duration = round((now - times.answered) * 1000)
            self.outbox.emit(
                events.TrackEnd(timestamp=timestamp, subject=self.outbox.party, duration=duration)
            )
        self.outbox.emit(
            events.HungUp(
                timestamp=timestamp,
                subject=self.outbox.party,
                reason=over.reason,
                initiator=over.initiator,
                start_time=self.outbox.clock(times.created),
                answer_time=self.outbox.clock(times.answered) if times.answered is not None else None,
                hangup_time=timestamp,
                caller=self.option.caller,
                callee=self.option.callee,
                headers=over.headers or None,
            )
        )
        if self._arrival.waits:
            self.outbox.do(effects.RejectLeg(self._parties.party, code_of(over), over.text))
        self.outbox.do(effects.CloseLeg(self._parties.party, over.reason, over.headers))
        self.outbox.do(effects.CloseCall(over.reason))

    def _move(self, moved: Input) -> bool:
        state = after(self.state, moved)
        if state is None:
            return False
        self.state = state
        return True

    def _error(self, sender: str, text: str | Rejection, code: int, request_id: str | None = None) -> None:
        self.outbox.emit(error(sender, text, code, self.outbox.party, self.outbox, request_id))


_BEFORE_ANSWER = commands.Hangup | commands.AddCandidates | commands.Offer
