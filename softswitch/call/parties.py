"""Participants of a call beside the first party: a second leg (callee, refer, connect) and a bridge."""

from dataclasses import dataclass
from typing import assert_never

import msgspec

from softswitch.call.announce import announcement, refusal
from softswitch.call.forking import ELSEWHERE, Fork, refused_by_all
from softswitch.call.lifetime import CallLimits, MediaWatch
from softswitch.call.outbox import Outbox
from softswitch.call.outcome import CalleeAnswered, Outcome, Over, reason_of
from softswitch.call.playbacks import Playbacks
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import (
    Bridge,
    CallOption,
    Connect,
    Hangup,
    Interrupt,
    Play,
    Refer,
    VadOption,
)
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from softswitch.call.vocabulary.values import SECOND_PARTY, SipOption, Stage
from softswitch.callees import reached_by_leg

PARTY = "party"
"""Name of the first leg: that of the client, the caller or the called party."""
SECOND = "second"
"""Name of the leg that the switch dialled."""
MOH = "moh"
"""Layer of the music on hold."""


@dataclass(slots=True)
class Second:
    """The second leg, which the switch dialled."""

    callee: str
    auto_hangup: bool
    due: float | None
    """When ringing ends, monotonic seconds; None once answered."""
    refer: Refer | None = None
    """The command that asked for it."""
    connects: bool = False
    """Whether the caller waits for its answer."""
    leg: str = SECOND
    stage: Stage = "dialling"
    up: bool = False
    answered: float = 0.0
    """When it was answered, monotonic seconds."""
    media: MediaWatch | None = None
    """Deadline of its media; None until answered."""


class Parties:
    """Participants of a call: the first party, at most one second leg and one bridge."""

    def __init__(self, outbox: Outbox, playbacks: Playbacks, limits: CallLimits) -> None:

        self._limits = limits
        self._strangers: set[str] = set()
        """Legs whose peers must not make the switch dial."""
        self.party = PARTY
        """Name of the leg that is the first party now; a transfer changes it."""
        self.up = False
        """Whether the party was answered."""
        self.second: Second | None = None
        self._further: tuple[tuple[Connect, ...], CallOption] = (), CallOption()
        """Callees that a waiting caller is connected to next if the present one fails, and the option."""
        self.fork: Fork[Second] | None = None
        """Callees that ring together for a waiting caller; None once one has answered, and without any."""
        self.connected = False
        """Whether a rule of the settings connected the call: the switch decides without an application."""
        self._outbox = outbox
        self._playbacks = playbacks
        self.other: str | None = None
        """Id of the bridged call, None without a bridge."""
        self._alone = False
        """Whether the party has no other participant to talk to than the bridged call."""
        self._request: str | None = None
        """Request id of the bridge command that awaits its outcome."""

    # --- dialling ---------------------------------------------------------------------

    @property
    def alone(self) -> bool:
        """Whether the first party is the only one that hears the playbacks of the call."""
        return self.second is None and self.other is None

    def dial_callee(self, option: CallOption) -> None:
        """Dial the callee of an invite if an endpoint of the switch carries it."""
        if reached_by_leg(option.callee):
            self._dial(Second(option.callee, auto_hangup=True, due=None), option)

    def connect(self, command: Connect, option: CallOption) -> None:
        """Dial the callee for a waiting caller."""
        self.connected = True
        if not command.may_transfer:
            self._strangers.add(self.party)
        due = self._outbox.now + command.timeout_s
        if command.strategy == "parallel" and command.further:
            self._dial_together((command, *command.further), option, due)
            return
        self._further = (command.further, option)
        second = Second(command.callee, auto_hangup=True, due=due, connects=True)
        self._dial(second, _connected_option(command, option), command.trunk)

    def _dial_together(self, targets: tuple[Connect, ...], option: CallOption, due: float) -> None:
        self.fork = Fork(due)
        ring_s = due - self._outbox.now
        for number, one in enumerate(targets, 1):
            leg = SECOND if number == 1 else f"{SECOND}-{number}"
            self.fork.branches[leg] = Second(one.callee, auto_hangup=True, due=due, connects=True, leg=leg)
            # Early media of one callee would be heard over those of another.
            opened = effects.OpenLeg(
                leg, _connected_option(one, option), one.callee, one.trunk, ring_s, early_media=False
            )
            self._outbox.do(opened)

    def refer(self, command: Refer, option: CallOption, codec: str) -> None:
        """Invite a second party and bridge it with the first; raises CommandRejected."""
        if self.second is not None:
            raise CommandRejected(Reason.SECOND_PARTY_PRESENT, 409)
        check_timeout(command)
        if command.moh:
            self._playbacks.play(Play(url=command.moh, play_id=MOH, layer=MOH, loop=True))
        due = self._outbox.now + command.timeout_s
        second = Second(command.callee, command.auto_hangup, due, refer=command)
        self._dial(second, referred_option(command, option, codec))

    def _dial(self, second: Second, option: CallOption, trunk: str = "") -> None:
        self.second = second
        ring_s = second.due - self._outbox.now if second.due is not None else None
        self._outbox.do(effects.OpenLeg(second.leg, option, second.callee, trunk, ring_s))

    def met(self, report: reports.LegAnswered) -> None:
        """Note a leg that was answered over a trunk: its peer must not make the switch dial."""
        if report.trunk:
            self._strangers.add(report.leg)

    def over_trunk(self, leg: str) -> bool:
        """Whether a leg was dialled over a trunk."""
        return leg in self._strangers

    def may_transfer(self, leg: str) -> bool:
        """Whether the peer of a leg may have the switch dial without an application's decision."""
        return not (self.connected and leg in self._strangers)

    # --- the bridge -------------------------------------------------------------------

    def bridge(self, command: Bridge) -> None:
        """Request a bridge with another call; raises CommandRejected."""
        if command.other == self._outbox.session:
            raise CommandRejected(Reason.BRIDGE_WITH_ITSELF, field="other")
        if self.other is not None:
            raise CommandRejected(Reason.ALREADY_BRIDGED, 409, value=self.other)
        self._request = command.request_id
        self._outbox.do(effects.JoinCalls(command.other, command.request_id))

    def bridged(self, other: str, alone: bool) -> None:
        """Emit that the calls were joined.

        Args:
            other: Id of the other call.
            alone: Whether the party has no other participant to talk to.
        """
        self.other, self._alone = other, alone
        if self._request is not None:
            self._outbox.emit(events.Ack(timestamp=self._outbox.clock(), request_id=self._request))
            self._request = None
        self._outbox.emit(
            events.Bridged(timestamp=self._outbox.clock(), subject=self._outbox.party, other=other)
        )

    def unbridge(self) -> None:
        """Part the calls; does nothing without a bridge."""
        if self.other is not None:
            self._outbox.do(effects.PartCalls(self.other))

    def unbridged(self, *, goes_on: bool = False) -> Outcome:
        """Emit that the bridge has ended; return what it means for the call.

        Args:
            goes_on: Whether the call goes on although its party was left alone.
        """
        other, self.other = self.other, None
        if other is not None:
            self._outbox.emit(
                events.Unbridged(timestamp=self._outbox.clock(), subject=self._outbox.party, other=other)
            )
        return Over("callee", "callee") if self._alone and not goes_on else None

    # --- reports of the second leg ----------------------------------------------------

    def report(self, report: reports.OfLeg) -> Outcome:
        """Apply a report of the second leg; return what it means for the whole call."""
        if self.fork is not None and report.leg in self.fork.branches:
            return self._report_forked(self.fork, report)
        second = self.second
        if second is None or report.leg != second.leg:
            return None
        match report:
            case reports.LegRinging():
                second.stage = stage_of(report)
                self._announce(report)
                if second.connects and not self.up:
                    self._outbox.do(effects.RingLeg(self.party, report.early_media))
            case reports.LegAnswered():
                return self._answered(second, report)
            case reports.LegRejected():
                return self._refused(
                    report.code, report.reason, from_peer=report.from_peer, redirect_to=report.redirect_to
                )
            case reports.LegFailed():
                return self._refused(report.code, report.error)
            case reports.LegEnded():
                return self._ended(second, report)
            case reports.DigitReceived():
                self.cross(report)
            case reports.TextReceived() if second.connects:
                self._outbox.do(effects.SendLegMessage(self.party, report.body, report.content_type))
            case reports.SpeechStopped() if second.refer and second.refer.asr:
                self._outbox.do(effects.FinalizeUtterance(second.leg))
            case reports.LegHeld() | reports.MediaSilent() | reports.MediaResumed():
                self._announce(report)
                self._watch(second, report)
            case (
                reports.Transcribed() | reports.AnsweredBy() | reports.ToneHeard() | reports.LegWarned()
            ):  # fmt: skip
                self._announce(report)
            case (
                reports.SpeechStarted() | reports.SpeechStopped() | reports.TextReceived()
                | reports.LegUpdated() | reports.LegTrickled() | reports.TurnJudged()
            ):  # fmt: skip
                pass  # The turns of the second party are not followed.
            case _:
                assert_never(report)
        return None

    def _report_forked(self, fork: Fork[Second], report: reports.OfLeg) -> Outcome:
        """Apply a report of one of several callees that ring; return what it means for the call."""
        match report:
            case reports.LegRinging():
                if not fork.rings:
                    fork.rings = True
                    self._announce(report)
                    self._outbox.do(effects.RingLeg(self.party, early_media=False))
            case reports.LegAnswered():
                self.second, self.fork = fork.branches.pop(report.leg), None
                self._cancel(fork, "answered_elsewhere", ELSEWHERE)
                return self._answered(self.second, report)
            case reports.LegRejected():
                return self._refused_one(
                    fork, report.leg, report.code, report.reason, from_peer=report.from_peer
                )
            case reports.LegFailed():
                return self._refused_one(fork, report.leg, report.code, report.error)
            case reports.LegEnded():
                return self._refused_one(fork, report.leg, 480, "")
            case _:
                self._announce(report)
        return None

    def _refused_one(
        self, fork: Fork[Second], leg: str, code: int, reason: str, *, from_peer: bool = False
    ) -> Outcome:
        self._outbox.do(effects.CloseLeg(leg, reason_of(code)))
        if not fork.refused(leg, code, reason, from_peer=from_peer):
            self._tell_refusal(code, reason)
            return None
        self._cancel(fork, "rejected", refused_by_all(code))
        return self._refused_all(fork)

    def _refused_all(self, fork: Fork[Second]) -> Outcome:
        """End the ringing of several callees with the best refusal."""
        self.fork = None
        code, reason, from_peer = fork.refusal
        self._tell_refusal(code, reason)
        return _turned_away(code, reason, from_peer=from_peer)

    def _cancel(self, fork: Fork[Second], reason: str, headers: dict[str, str]) -> None:
        """Close the legs of the callees that still ring."""
        for leg in fork.branches:
            self._outbox.do(effects.CloseLeg(leg, reason, headers))
        fork.branches.clear()

    def hang_up_second(self, command: Hangup) -> None:
        """End the leg of the second party; the call goes on. Raises CommandRejected without one."""
        second = self.second
        if second is None:
            raise CommandRejected(Reason.NO_SECOND_PARTY, 404)
        self._outbox.do(effects.CloseLeg(second.leg, command.reason, command.headers))
        if second.up:
            self._left(second)
        else:
            self._refused(487, command.reason)

    def cross(self, report: reports.DigitReceived[str]) -> None:
        """Send a digit of one party to the others, unless they have heard it already."""
        if report.crossed:
            return
        second = self.second
        if report.leg != self.party and self.up:
            self._outbox.do(effects.SendLegDigits(self.party, report.digit))
        if second and second.up and report.leg != second.leg:
            self._outbox.do(effects.SendLegDigits(second.leg, report.digit))
        if self.other is not None:
            self._outbox.do(effects.PassDigits(self.other, report.digit))

    def passed(self, digits: str) -> None:
        """Send the digits from the bridged call to the parties of this one."""
        if self.up:
            self._outbox.do(effects.SendLegDigits(self.party, digits))
        if self.second and self.second.up:
            self._outbox.do(effects.SendLegDigits(self.second.leg, digits))

    def text(self, report: reports.TextReceived) -> None:
        """Send a text of the first party to the second, where a rule connected them."""
        if self.second and self.second.connects and self.second.up:
            self._outbox.do(effects.SendLegMessage(self.second.leg, report.body, report.content_type))

    def dropped(self, leg: str) -> bool:
        """Close a leg that another call replaces; return whether the first party has changed."""
        if leg != self.party and (self.second is None or leg != self.second.leg):
            return False
        second, self.second = self.second, None
        self._outbox.do(effects.CloseLeg(leg, "transferred"))
        if leg != self.party or second is None:
            return False
        self.party = second.leg
        return True

    # --- time and the end -------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when the ringing or silence of the second leg ends it, monotonic seconds."""
        if self.fork is not None:
            return self.fork.due
        second = self.second
        if second is None:
            return None
        return second.media.due if second.media else second.due

    def elapse(self) -> Outcome:
        """End the second leg if its time is up; return what it means for the call."""
        second, now, fork = self.second, self._outbox.now, self.fork
        if fork is not None and now >= fork.due:
            fork.timed_out()
            self._cancel(fork, "no_answer", {})
            return self._refused_all(fork)
        if second and second.media and second.media.due is not None and now >= second.media.due:
            lost = self._ended(second, reports.LegEnded(second.leg, "media_timeout", "system"))
            return Over("media_timeout", "system") if lost else None
        if second and second.due is not None and now >= second.due:
            self._outbox.do(effects.CloseLeg(second.leg, "no_answer"))
            return self._refused(480 if second.connects else 408, "no answer")
        return None

    def close(self, reason: str, headers: dict[str, str] | None = None) -> None:
        """Close the second leg, the callees that ring, and the bridge with the call."""
        if self.fork is not None:
            self._cancel(self.fork, reason, headers or {})
            self.fork = None
        if self.second is not None:
            passed = headers if self.connected and headers else {}
            self._outbox.do(effects.CloseLeg(self.second.leg, reason, passed))
            self.second = None
        if self.other is not None:
            self._outbox.do(effects.PartCalls(self.other))
            self.other = None

    # --- inside -----------------------------------------------------------------------

    def join(self, second: Second, leg: str) -> None:
        """Make an answered leg the leg of the second party."""
        second.leg, second.up, second.due, second.answered = leg, True, None, self._outbox.now
        second.media = MediaWatch(self._limits)
        second.media.begin(self._outbox.now)

    def _watch(
        self, second: Second, report: reports.LegHeld | reports.MediaSilent[str] | reports.MediaResumed[str]
    ) -> None:
        if second.media is None:
            return
        match report:
            case reports.LegHeld():
                second.media.hold(report.held)
            case reports.MediaSilent():
                second.media.silent(report.seconds, self._outbox.now)
            case reports.MediaResumed():
                second.media.resumed()
            case _:
                assert_never(report)

    def _answered(self, second: Second, report: reports.LegAnswered) -> Outcome:
        self.join(second, second.leg)
        self._playbacks.interrupt(Interrupt(play_id=MOH))
        if second.refer is not None:
            timestamp = self._outbox.clock()
            self._outbox.emit(
                events.Answer(timestamp=timestamp, subject=SECOND_PARTY, sdp=report.sdp, refer=True)
            )
            for effect in _listening(second.refer, second.leg):
                self._outbox.do(effect)
            if second.refer.recorder is not None:
                self._outbox.do(effects.Record(self.party, second.refer.recorder))
        return CalleeAnswered(report.codec) if second.connects and not self.up else None

    def _ended(self, second: Second, report: reports.LegEnded) -> Outcome:
        self.second = None
        self._outbox.do(effects.CloseLeg(second.leg, report.reason))
        if second.auto_hangup or second.connects:
            return Over("callee", "callee", headers=report.headers)
        self._left(second)
        return None

    def _left(self, second: Second) -> None:
        """Emit the end of the second party's track; the call goes on without it."""
        self.second = None
        self._outbox.emit(
            events.TrackEnd(
                timestamp=self._outbox.clock(),
                subject=SECOND_PARTY,
                duration=round((self._outbox.now - second.answered) * 1000),
            )
        )

    def _refused(
        self, code: int, reason: str, *, from_peer: bool = False, redirect_to: tuple[str, ...] = ()
    ) -> Outcome:
        second, self.second = self.second, None
        self._playbacks.interrupt(Interrupt(play_id=MOH))
        self._tell_refusal(code, reason, refer=_referred(second), redirect_to=redirect_to)
        further, option = self._further
        if second and second.connects and further:
            self.connect(msgspec.structs.replace(further[0], further=further[1:]), option)
            return None
        return _turned_away(code, reason, from_peer=from_peer) if second and second.connects else None

    def _tell_refusal(
        self, code: int, reason: str, *, refer: bool | None = None, redirect_to: tuple[str, ...] = ()
    ) -> None:
        self._outbox.emit(
            refusal(code, reason, SECOND_PARTY, self._outbox, refer=refer, redirect_to=redirect_to)
        )

    def _announce(self, report: reports.OfLeg) -> None:
        event = announcement(report, SECOND_PARTY, self._outbox, refer=_referred(self.second))
        if event is not None:
            self._outbox.emit(event)


def _connected_option(command: Connect, option: CallOption) -> CallOption:
    """Return the option of the leg of a callee that a waiting caller is connected to."""
    return msgspec.structs.replace(
        option, caller=command.caller or option.caller, headers=command.headers, offer="", codec=""
    )


def _turned_away(code: int, reason: str, *, from_peer: bool) -> Over:
    """Return the end of the call of a waiting caller whose callees have refused."""
    if 300 <= code < 400:
        # The caller gets no target to call by itself, and so no redirection.
        return Over(reason_of(480), "callee", 480)
    # An error text of the switch is for the client; the caller gets the standard phrase of the code.
    return Over(reason_of(code), "callee", code, reason if from_peer else "")


def _referred(second: Second | None) -> bool | None:
    """Return True for a second party that a transfer dialled, else None."""
    return True if second is not None and second.refer is not None else None


def stage_of(report: reports.LegRinging) -> Stage:
    """Return the stage of a party that is alerted."""
    return "early" if report.early_media else "ringing"


def check_timeout(command: Refer) -> None:
    """Raise CommandRejected if the time to ring is not 1 to 600 seconds."""
    if not 1 <= command.timeout_s <= 600:
        raise CommandRejected(Reason.OUT_OF_RANGE, field="Refer.timeout_s")


def referred_option(command: Refer, option: CallOption, codec: str) -> CallOption:
    """Return the option of the leg that a command dials.

    Args:
        command: The command.
        option: Option of the call.
        codec: Codec of the first party, which the new leg prefers.
    """
    sip = option.sip if command.sip is None else command.sip
    return msgspec.structs.replace(
        option,
        caller=command.caller or option.caller,
        callee=command.callee,
        headers=command.headers,
        sip=msgspec.structs.replace(sip, headers=command.headers) if sip != SipOption() else sip,
        offer="",
        codec="" if codec == "pcm" else codec,
    )


def _listening(refer: Refer, leg: str) -> list[effects.Effect]:
    """Return the effects that a ``refer`` starts on its answered leg."""
    started: list[effects.Effect] = []
    if refer.denoise:
        started.append(effects.SetDenoise(leg, on=True))
    if refer.asr is not None:
        started += (effects.DetectSpeech(leg, VadOption()), effects.Transcribe(leg, refer.asr))
    if refer.amd is not None:
        started.append(effects.DetectAnswer(leg, refer.amd))
    return started
