"""The others in a conversation: a second leg (callee, refer, connect) and a bridge to another call."""

from dataclasses import dataclass

import msgspec

from softswitch.call import effects, events, reports
from softswitch.call.announce import announcement
from softswitch.call.commands import (
    Bridge,
    CallOption,
    CommandRejected,
    Connect,
    Interrupt,
    Play,
    Refer,
    VadOption,
)
from softswitch.call.lifetime import CallLimits, MediaWatch
from softswitch.call.needs import SipOption
from softswitch.call.outbox import Outbox
from softswitch.call.outcome import Outcome, Over, Through, reason_of
from softswitch.call.playbacks import Playbacks

PARTY = "party"
"""Name of the first leg: the client's own, the caller's, or whom the client had called."""
SECOND = "second"
"""Name of the leg that was dialled by the switch, and the wire's track id of whoever stands in its place."""
MOH = "moh"
"""Layer of the music that waits with the caller."""


def dialled(callee: str) -> bool:
    """Whether a callee names somebody the switch dials by itself; everything else is a label."""
    return callee in ("echo", "tone") or callee.startswith("room:")


@dataclass(slots=True)
class Second:
    """The leg that the switch dialled."""

    callee: str
    auto_hangup: bool
    due: float | None
    """When ringing is given up; None once answered."""
    refer: Refer | None = None
    """The command that asked for it."""
    connects: bool = False
    """Whether the caller waits for its answer."""
    leg: str = SECOND
    up: bool = False
    media: MediaWatch | None = None
    """Whether anything comes from it; None until answered."""


class Parties:
    """Who is in the call: the party, at most one second leg and one bridge."""

    def __init__(self, outbox: Outbox, playbacks: Playbacks, limits: CallLimits) -> None:
        """Start alone with the party."""
        self._limits = limits
        self._strangers: set[str] = set()
        """Legs whose far ends may not have us call anybody."""
        self.party = PARTY
        """The leg that is the call's party now."""
        self.up = False
        """Whether the party was answered."""
        self.second: Second | None = None
        self.connected = False
        """Whether a rule of the settings connected the call: nobody is told, the switch acts by itself."""
        self._outbox = outbox
        self._playbacks = playbacks
        self._bridge: str | None = None
        self._alone = False
        """Whether only the bridge keeps the party from talking to nobody."""
        self._request: str | None = None
        """Request id of the bridge command whose outcome is not known yet."""

    # --- dialling ---------------------------------------------------------------------

    def dial_callee(self, option: CallOption) -> None:
        """Dial what the invite named, where the switch can."""
        if dialled(option.callee):
            self._dial(Second(option.callee, auto_hangup=True, due=None), option)

    def connect(self, command: Connect, option: CallOption) -> None:
        """Dial somebody for a caller who waits."""
        self.connected = True
        if not command.may_transfer:
            self._strangers.add(self.party)
        changed = msgspec.structs.replace(
            option, caller=command.caller or option.caller, headers=command.headers, offer="", codec=""
        )
        due = self._outbox.now + command.timeout_s
        self._dial(Second(command.callee, auto_hangup=True, due=due, connects=True), changed, command.trunk)

    def refer(self, command: Refer, option: CallOption, codec: str) -> None:
        """Invite a second party and bridge it with the first; raises CommandRejected."""
        if self.second is not None:
            raise CommandRejected("refer: a second party is already in this call", 409)
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
        """Note who answered: behind a trunk there are strangers."""
        if report.trunk:
            self._strangers.add(report.leg)

    def may_transfer(self, leg: str) -> bool:
        """Whether the far end of a leg may have us call somebody without an application to decide it."""
        return not (self.connected and leg in self._strangers)

    # --- the bridge -------------------------------------------------------------------

    def bridge(self, command: Bridge) -> None:
        """Ask to be joined with another call; raises CommandRejected."""
        if command.other == self._outbox.session:
            raise CommandRejected("targetSessionId: a call cannot be bridged with itself")
        if self._bridge is not None:
            raise CommandRejected(f"bridge: already bridged with {self._bridge}", 409)
        self._request = command.request_id
        self._outbox.do(effects.JoinCalls(command.other, command.request_id))

    def bridged(self, other: str, alone: bool) -> None:
        """Note that the calls were joined; ``alone``: without the other one there is nobody to talk to."""
        self._bridge, self._alone = other, alone
        if self._request is not None:
            self._outbox.emit(events.Ack(timestamp=self._outbox.epoch_ms(), request_id=self._request))
            self._request = None

    def unbridge(self) -> None:
        """Part the calls; without a bridge there is nothing to do."""
        if self._bridge is not None:
            self._outbox.do(effects.PartCalls(self._bridge))

    def unbridged(self) -> Outcome:
        """Note that the call is on its own again."""
        self._bridge = None
        return Over("callee", "callee") if self._alone else None

    # --- what the second party does ---------------------------------------------------

    def report(self, report: reports.Report) -> Outcome:
        """Take a report of the second leg."""
        second = self.second
        if second is None or getattr(report, "leg", "") != second.leg:
            return None
        match report:
            case reports.LegRinging():
                self._announce(report)
                if second.connects and not self.up:
                    self._outbox.do(effects.RingLeg(self.party, report.early_media))
            case reports.LegAnswered():
                return self._answered(second, report)
            case reports.LegRejected():
                return self._refused(report.code, report.reason)
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
            case reports.Transcribed() | reports.LegWarned():
                self._announce(report)
            case _:
                pass  # When the second party speaks is not followed.
        return None

    def cross(self, report: reports.DigitReceived) -> None:
        """Give a key that one party pressed to the others, unless it has gone with the audio."""
        if report.crossed:
            return
        second = self.second
        if report.leg != self.party and self.up:
            self._outbox.do(effects.SendLegDigits(self.party, report.digit))
        if second and second.up and report.leg != second.leg:
            self._outbox.do(effects.SendLegDigits(second.leg, report.digit))
        if self._bridge is not None:
            self._outbox.do(effects.PassDigits(self._bridge, report.digit))

    def passed(self, digits: str) -> None:
        """Give everybody here the keys that somebody pressed on the other side of the bridge."""
        if self.up:
            self._outbox.do(effects.SendLegDigits(self.party, digits))
        if self.second and self.second.up:
            self._outbox.do(effects.SendLegDigits(self.second.leg, digits))

    def text(self, report: reports.TextReceived) -> None:
        """Give a text of the party to the second, where nobody else would."""
        if self.second and self.second.connects and self.second.up:
            self._outbox.do(effects.SendLegMessage(self.second.leg, report.body, report.content_type))

    def dropped(self, leg: str) -> bool:
        """Let a leg go whose place another call takes; return whether the party has changed."""
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
        """When ringing, or a second party that says nothing, is given up."""
        second = self.second
        if second is None:
            return None
        return second.media.due if second.media else second.due

    def elapse(self) -> Outcome:
        """Give up what is due."""
        second, now = self.second, self._outbox.now
        if second and second.media and second.media.due is not None and now >= second.media.due:
            lost = self._ended(second, reports.LegEnded(second.leg, "media_timeout", "system"))
            return Over("media_timeout", "system") if lost else None
        if second and second.due is not None and now >= second.due:
            self._outbox.do(effects.CloseLeg(second.leg, "no_answer"))
            return self._refused(480 if second.connects else 408, "no answer")
        return None

    def close(self, reason: str, headers: dict[str, str] | None = None) -> None:
        """Let go of everybody with the call."""
        if self.second is not None:
            passed = headers if self.connected and headers else {}
            self._outbox.do(effects.CloseLeg(self.second.leg, reason, passed))
            self.second = None
        if self._bridge is not None:
            self._outbox.do(effects.PartCalls(self._bridge))
            self._bridge = None

    # --- inside -----------------------------------------------------------------------

    def join(self, second: Second, leg: str) -> None:
        """Let a leg that was answered be the second party's."""
        second.leg, second.up, second.due = leg, True, None
        second.media = MediaWatch(self._limits)
        second.media.begin(self._outbox.now)

    def _watch(
        self, second: Second, report: reports.LegHeld | reports.MediaSilent | reports.MediaResumed
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

    def _answered(self, second: Second, report: reports.LegAnswered) -> Outcome:
        self.join(second, second.leg)
        self._playbacks.interrupt(Interrupt(play_id=MOH))
        if second.refer is not None:
            timestamp = self._outbox.epoch_ms()
            self._outbox.emit(events.Answer(timestamp=timestamp, track_id=SECOND, sdp=report.sdp, refer=True))
            for effect in _listening(second.refer, second.leg):
                self._outbox.do(effect)
        return Through(report.codec) if second.connects and not self.up else None

    def _ended(self, second: Second, report: reports.LegEnded) -> Outcome:
        self.second = None
        self._outbox.do(effects.CloseLeg(second.leg, report.reason))
        if second.auto_hangup or second.connects:
            return Over("callee", "callee", headers=report.headers)
        return None

    def _refused(self, code: int, reason: str) -> Outcome:
        second, self.second = self.second, None
        self._playbacks.interrupt(Interrupt(play_id=MOH))
        self._outbox.emit(
            events.Rejected(timestamp=self._outbox.epoch_ms(), track_id=SECOND, code=code, reason=reason)
        )
        if second and second.connects:
            return Over(reason_of(code), "callee", code, reason)
        return None

    def _announce(self, report: reports.Report) -> None:
        if event := announcement(report, SECOND, self._outbox):
            self._outbox.emit(event)


def check_timeout(command: Refer) -> None:
    """Refuse a time to ring that makes no sense; raises CommandRejected."""
    if not 1 <= command.timeout_s <= 600:
        raise CommandRejected("refer: options.timeout must be between 1 and 600 seconds")


def referred_option(command: Refer, option: CallOption, codec: str) -> CallOption:
    """Return the option of the leg that a command dials; ``codec`` is what the party speaks."""
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
    """Return what a command wants to be started on the leg it dialled."""
    started: list[effects.Effect] = []
    if refer.denoise:
        started.append(effects.Denoise(leg))
    if refer.asr is not None:
        started += (effects.DetectSpeech(leg, VadOption()), effects.Transcribe(leg, refer.asr))
    return started
