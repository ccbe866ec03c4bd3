"""The others in a conversation: a second leg (callee, refer) and a bridge to another call."""

from dataclasses import dataclass

import msgspec

from softswitch.call import effects, events, reports
from softswitch.call.commands import Bridge, CallOption, CommandRejected, Interrupt, Play, Refer
from softswitch.call.outbox import Outbox
from softswitch.call.playbacks import Playbacks

SECOND = "second"
"""Name of the leg that was dialled by the switch."""
MOH = "moh"
"""Layer of the music that waits with the caller."""


def dialled(callee: str) -> bool:
    """Whether a callee names somebody the switch dials by itself; everything else is a label."""
    return callee in ("echo", "tone") or callee.startswith(("room:", "stream:"))


@dataclass(slots=True)
class _Second:
    callee: str
    auto_hangup: bool
    due: float | None
    """When ringing is given up; None once answered."""
    referred: bool
    up: bool = False


class Parties:
    """At most one second leg and one bridge."""

    def __init__(self, outbox: Outbox, playbacks: Playbacks) -> None:
        """Start alone with the party."""
        self._outbox = outbox
        self._playbacks = playbacks
        self._second: _Second | None = None
        self._bridge: str | None = None
        self._request: str | None = None
        """Request id of the bridge command whose outcome is not known yet."""

    def dial_callee(self, option: CallOption) -> None:
        """Dial what the invite named, where the switch can."""
        if dialled(option.callee):
            self._dial(_Second(option.callee, auto_hangup=False, due=None, referred=False), option)

    def refer(self, command: Refer, option: CallOption) -> None:
        """Invite a second party and bridge it with the first; raises CommandRejected."""
        if self._second is not None:
            raise CommandRejected("refer: a second party is already in this call", 409)
        if command.method == "refer":
            raise CommandRejected("refer: method 'refer' needs a SIP leg", 422)
        if not 1 <= command.timeout_s <= 600:
            raise CommandRejected("refer: options.timeout must be between 1 and 600 seconds")
        if command.moh:
            self._playbacks.play(Play(url=command.moh, play_id=MOH, layer=MOH, loop=True))
        due = self._outbox.now + command.timeout_s
        second = _Second(command.callee, command.auto_hangup, due, referred=True)
        changed = msgspec.structs.replace(
            option, caller=command.caller or option.caller, callee=command.callee, headers=command.headers
        )
        self._dial(second, changed)

    def bridge(self, command: Bridge) -> None:
        """Ask to be joined with another call; raises CommandRejected."""
        if command.other == self._outbox.session:
            raise CommandRejected("targetSessionId: a call cannot be bridged with itself")
        if self._bridge is not None:
            raise CommandRejected(f"bridge: already bridged with {self._bridge}", 409)
        self._request = command.request_id
        self._outbox.do(effects.JoinCalls(command.other, command.request_id))

    def bridged(self, other: str) -> None:
        """Note that the calls were joined."""
        self._bridge = other
        if self._request is not None:
            self._outbox.emit(events.Ack(timestamp=self._outbox.epoch_ms(), request_id=self._request))
            self._request = None

    def unbridge(self) -> None:
        """Part the calls; without a bridge there is nothing to do."""
        if self._bridge is not None:
            self._outbox.do(effects.PartCalls(self._bridge))

    def unbridged(self) -> None:
        """Note that the call is on its own again."""
        self._bridge = None

    def report(self, report: reports.Report) -> tuple[str, str] | None:
        """Take a report of the second leg; return reason and initiator where it ends the call."""
        second = self._second
        if second is None:
            return None
        timestamp = self._outbox.epoch_ms()
        match report:
            case reports.LegRinging():
                self._outbox.emit(
                    events.Ringing(timestamp=timestamp, track_id=SECOND, early_media=report.early_media)
                )
            case reports.LegAnswered():
                second.up, second.due = True, None
                self._playbacks.interrupt(Interrupt(play_id=MOH))
                if second.referred:
                    self._outbox.emit(
                        events.Answer(timestamp=timestamp, track_id=SECOND, sdp=report.sdp, refer=True)
                    )
            case reports.LegRejected():
                self._refused(report.code, report.reason)
            case reports.LegFailed():
                self._refused(report.code, report.error)
            case reports.LegEnded():
                self._second = None
                if second.auto_hangup or not second.referred:
                    return "callee", "callee"
            case _:
                pass  # Speech and keys of the second party are not followed.
        return None

    def deadline(self) -> float | None:
        """When ringing is given up."""
        return self._second.due if self._second else None

    def elapse(self) -> None:
        """Give up ringing."""
        if self._second and self._second.due is not None and self._outbox.now >= self._second.due:
            self._outbox.do(effects.CloseLeg(SECOND, "no_answer"))
            self._refused(408, "no answer")

    def close(self, reason: str) -> None:
        """Let go of everybody with the call."""
        if self._second is not None:
            self._outbox.do(effects.CloseLeg(SECOND, reason))
            self._second = None
        if self._bridge is not None:
            self._outbox.do(effects.PartCalls(self._bridge))
            self._bridge = None

    def _dial(self, second: _Second, option: CallOption) -> None:
        self._second = second
        self._outbox.do(effects.OpenLeg(SECOND, option, callee=second.callee))

    def _refused(self, code: int, reason: str) -> None:
        self._second = None
        self._playbacks.interrupt(Interrupt(play_id=MOH))
        self._outbox.emit(
            events.Rejected(timestamp=self._outbox.epoch_ms(), track_id=SECOND, code=code, reason=reason)
        )
