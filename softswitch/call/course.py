"""The course of one call: it is set up, answered, perhaps passed on, and ends.

:class:`softswitch.call.call.Call` adds what commands and reports do.
"""

import msgspec

from softswitch.call.announce import error, refusal
from softswitch.call.arrival import Arrival
from softswitch.call.collect import DigitCollector
from softswitch.call.hearing import Hearing
from softswitch.call.kind import LegKind
from softswitch.call.lifetime import CallLimits, Lifetime
from softswitch.call.media_options import media_effects
from softswitch.call.outbox import Outbox
from softswitch.call.outcome import CalleeAnswered, Outcome, Over, PartyReplaced, code_of
from softswitch.call.parties import Parties, Second
from softswitch.call.playbacks import Playbacks
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

LINGER_S = 0.25
"""Time from the last audio of an autoHangup until the hang-up, seconds: RTP needs it to reach the peer."""


class Course:
    """State, options and times of a call, the parts that it consists of, and what moves it on."""

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
        self._outbox = Outbox(call_id, epoch_offset)
        self._outbox.now = now
        self._playbacks = Playbacks(self._outbox, self.option.tts)
        self._turns = Turns(self._outbox, self._playbacks)
        self._digits = DigitCollector(self._outbox)
        self._parties = Parties(self._outbox, self._playbacks, self.times.limits)
        self._transfers = Transfers(self._outbox, self._parties)
        self._arrival = Arrival(self._outbox, self._playbacks)
        self._sounds = WaitingSounds(
            self._outbox,
            self._parties,
            self._transfers,
            self._playbacks,
            music=self.times.limits.hold_music,
        )
        self.streams = Streams(self._outbox)
        self._recording = Recording(self._outbox)
        self._supervision = Supervision(self._outbox)
        self._hearing = Hearing(
            self._outbox,
            self.times,
            playbacks=self._playbacks,
            turns=self._turns,
            digits=self._digits,
            parties=self._parties,
            streams=self.streams,
        )
        self._waiting: list[Command] = []
        """Commands that wait for the answer."""
        self._warnings: list[reports.SpeechWarned] = []
        """Troubles of speech that are told after the answer."""

    # --- state and output -------------------------------------------------------------

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
        return self._outbox.take_events()

    def take_effects(self) -> list[Effect]:
        """Return the new effects, in order."""
        found = self._outbox.take_effects()
        for effect in found:
            self._recording.noted(effect)
        return found

    def clock(self, monotonic: float) -> float:
        """Return epoch seconds of a monotonic time, by the clock of the call."""
        return self._outbox.clock(monotonic)

    # --- set-up ---------------------------------------------------------------------

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
        self._outbox.now = now
        self._move(Input.INCOMING)
        self.option = CallOption(caller=caller, callee=callee, offer=sdp, headers=headers)
        self.times.accept_within(accept_s, now)
        self._arrival.announce(self.option)

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
        self._outbox.do(effects.OpenLeg(self._parties.party, option, ring_s=option.handshake_s))

    def _refuse_accept(self) -> None:
        """Reject an ``accept`` for an incoming call that does not exist, or ended before."""
        self._outbox.emit(refusal(486, "no pending call", self._outbox.party, self._outbox))
        self._end(Over("rejected", "system"))

    def _set_up(self, option: CallOption) -> None:
        self._move(Input.INVITE)
        self.option = option
        self._sounds.waits = option.waits
        self.times.set_up(option.handshake_s, option.inactivity_s, self._outbox.now)
        self.times.last_at_most(option.max_duration_s)
        self._playbacks.option = option.tts
        self._turns.configure(option)

    def _answered(self, report: reports.LegAnswered) -> bool:
        """Begin what the options ask for; return False if the call was up or over already."""
        if not self._move(Input.ANSWERED):
            return False
        if self.option.tones:
            self._outbox.do(effects.DetectTones(report.leg, on=False))
        self.times.answered = self.times.active = self._outbox.now
        self.times.media.begin(self._outbox.now)
        self.codec = report.codec
        self._parties.up = True
        self.option = self._arrival.answered(self.option)
        audio = events.Audio(report.codec, report.sample_rate, report.ptime_ms)
        timestamp = self._outbox.clock()
        self._outbox.emit(
            events.Answer(
                timestamp=timestamp,
                subject=self._outbox.party,
                sdp=report.sdp,
                audio=audio if self.kind.audio_in_socket else None,
                resume=self.resume_token,
            )
        )
        self._outbox.emit(events.TrackStart(timestamp=timestamp, subject=self._outbox.party))
        if self.kind.audio_in_socket:
            self._outbox.emit(events.MediaReady(timestamp=timestamp, subject=self._outbox.party))
        tones_only = self.kind.tones_only or report.tones_only
        for effect in media_effects(self.option, self._parties.party, tones_only=tones_only):
            self._outbox.do(effect)
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
        return True

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

    # --- conclusions ----------------------------------------------------------------

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
                self._outbox.do(effects.OpenLeg(self._parties.party, option))
            case PartyReplaced():
                self.times.media.begin(self._outbox.now)
                option = msgspec.structs.replace(self.option, recorder=None, media_pass=None, subscribe=False)
                for effect in media_effects(option, self._parties.party, tones_only=False):
                    self._outbox.do(effect)

    def _warn(self, report: reports.SpeechWarned) -> None:
        """Emit the error of a degraded provider, but not before the answer."""
        if self.state is State.UP:
            self._error(report.sender, report.error, report.code)
        else:
            self._warnings.append(report)

    def _emit(self, event: Event | None) -> None:
        if event is not None:
            self._outbox.emit(event)

    # --- ending -------------------------------------------------------------------

    def end(self, reason: str, initiator: str, now: float, *, code: int = 0) -> None:
        """End the call from outside: killed, shut down, or its socket was lost.

        Args:
            reason: Reason of the end.
            initiator: ``user``, ``caller``, ``callee`` or ``system``.
            now: Monotonic seconds.
            code: SIP code for a caller that was not answered; 0: the code of the reason.
        """
        self._outbox.now = now
        self._end(Over(reason, initiator, code))

    def _hang_up_soon(self) -> None:
        """Hang up for autoHangup; audio that shares a socket with the close arrives before it."""
        if self.kind.audio_in_socket:
            self._end(Over("autohangup", "system"))
        else:
            self.times.hang_up_in(LINGER_S, self._outbox.now)

    def _end(self, over: Over) -> None:
        if not self._move(Input.END):
            return
        now, times = self._outbox.now, self.times
        times.ended = now
        self.reason, self.initiator = over.reason, over.initiator
        self.code = over.code if times.answered is None else 0
        self._digits.stop("interrupted")
        self._playbacks.close()
        self._transfers.close(over.reason)
        self.streams.close()
        self._parties.close(over.reason, over.headers)
        timestamp = self._outbox.clock()
        if times.answered is not None:
            duration = round((now - times.answered) * 1000)
            self._outbox.emit(
                events.TrackEnd(timestamp=timestamp, subject=self._outbox.party, duration=duration)
            )
        self._outbox.emit(
            events.HungUp(
                timestamp=timestamp,
                subject=self._outbox.party,
                reason=over.reason,
                initiator=over.initiator,
                start_time=self._outbox.clock(times.created),
                answer_time=self._outbox.clock(times.answered) if times.answered is not None else None,
                hangup_time=timestamp,
                caller=self.option.caller,
                callee=self.option.callee,
                headers=over.headers or None,
            )
        )
        if self._arrival.waits:
            self._outbox.do(effects.RejectLeg(self._parties.party, code_of(over), over.text))
        self._outbox.do(effects.CloseLeg(self._parties.party, over.reason, over.headers))
        self._outbox.do(effects.CloseCall(over.reason))

    def _move(self, moved: Input) -> bool:
        state = after(self.state, moved)
        if state is None:
            return False
        self.state = state
        return True

    def _error(self, sender: str, text: str | Rejection, code: int, request_id: str | None = None) -> None:
        self._outbox.emit(error(sender, text, code, self._outbox.party, self._outbox, request_id))
