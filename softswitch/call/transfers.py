"""Transfers: those that a far end asks for (RFC 3515, 3891, 5589), and those that we ask it for."""

from dataclasses import dataclass

import msgspec

from softswitch.call import effects, events, reports
from softswitch.call.announce import announcement
from softswitch.call.commands import CallOption, CommandRejected, Refer
from softswitch.call.outbox import Outbox
from softswitch.call.outcome import Moved, Outcome, Over, reason_of
from softswitch.call.parties import SECOND, Parties, check_timeout, referred_option

DECIDE_S = 10.0
"""How long an application may think about a transfer that a far end asks for."""
RING_S = 60.0
"""How long the new party may ring when the switch carries a transfer out by itself."""
OUR_REFER_S = 120.0
"""After that a far end that tells nothing of our REFER is taken not to have done it."""


@dataclass(slots=True)
class _Transfer:
    """One that a far end asked for."""

    asker: str
    """The leg whose far end asked."""
    target: str
    referred_by: str
    replaces: tuple[str, str, str] | None
    due: float
    leg: str = ""
    """The new party's leg, once it is dialled."""
    gone: bool = False
    """The asker hung up as soon as it had asked; the others wait for the new party."""


class Transfers:
    """At most one transfer in each direction."""

    def __init__(self, outbox: Outbox, parties: Parties) -> None:
        """Start without any."""
        self._outbox = outbox
        self._parties = parties
        self._asked: _Transfer | None = None
        self._ours: tuple[Refer, float] | None = None
        self._dialled = 0

    # --- the far end asks -------------------------------------------------------------

    def requested(self, report: reports.TransferRequested, option: CallOption) -> None:
        """Take the wish of a far end: carry it out, or let the application decide."""
        if self._asked is not None or not self._parties.up:
            self._outbox.do(effects.TellTransfer(report.leg, 491 if self._asked else 480, "Not now"))
            return
        if not self._parties.may_transfer(report.leg):
            self._outbox.do(effects.TellTransfer(report.leg, 603, "Decline"))
            return
        track_id = self._outbox.session if report.leg == self._parties.party else SECOND
        if event := announcement(report, track_id, self._outbox):
            self._outbox.emit(event)
        self._outbox.do(effects.AcceptTransfer(report.leg))
        due = self._outbox.now + DECIDE_S
        self._asked = _Transfer(report.leg, report.refer_to, report.referred_by, report.replaces, due)
        if not self._parties.connected:
            return
        if report.replaces is not None:
            self._asked.due = self._outbox.now + RING_S
            self._outbox.do(effects.JoinDialog(report.leg, report.replaces))
        else:
            self._dial_target(self._asked, option)

    def decide(self, command: Refer, option: CallOption, codec: str) -> bool:
        """Carry out what a far end asked for in the way an application says; False where nothing waits."""
        asked = self._asked
        if asked is None or asked.leg or command.method == "refer":
            return False
        check_timeout(command)
        changed = referred_option(command, option, codec)
        self._dial(asked, changed, command.callee, command.timeout_s)
        return True

    def bridged(self) -> None:
        """Tell the far end that the application joined it with another call instead."""
        if self._asked is not None and not self._asked.leg:
            self._tell(self._asked, 200, "OK")
            self._asked = None

    def joined(self, report: reports.DialogJoined) -> Outcome:
        """Let the asker go: those who remain talk to each other."""
        asked, self._asked = self._asked, None
        if asked is not None:
            self._tell(asked, 200, "OK")
        return Moved() if self._parties.dropped(report.leg) else None

    def foreign(self, option: CallOption) -> None:
        """Dial the other end of a dialog that is not ours, with the wish to replace it."""
        if self._asked is not None:
            self._dial_target(self._asked, option)

    # --- the new party ----------------------------------------------------------------

    def concerns(self, report: reports.Report) -> bool:
        """Whether a report is about the leg of a new party."""
        return self._asked is not None and getattr(report, "leg", None) == self._asked.leg

    def report(self, report: reports.Report) -> Outcome:
        """Take a report of the new party's leg."""
        asked = self._asked
        if asked is None:
            return None
        match report:
            case reports.LegRinging():
                self._tell(asked, 180, "Ringing")
            case reports.LegAnswered():
                return self._replace(asked, report)
            case reports.LegRejected():
                return self._failed(asked, report.code, report.reason)
            case reports.LegFailed():
                return self._failed(asked, report.code, report.error)
            case reports.LegEnded():
                return self._failed(asked, 480, "Temporarily Unavailable")
            case _:
                pass  # Nothing else matters before there is an answer.
        return None

    def left(self, leg: str) -> bool:
        """Note that a leg's far end hung up; True where the call goes on without it."""
        asked = self._asked
        if asked is None or asked.asker != leg or not (asked.leg or self._parties.connected):
            return False
        asked.gone = True
        self._outbox.do(effects.CloseLeg(leg, "transferred"))
        return True

    def _dial_target(self, asked: _Transfer, option: CallOption) -> None:
        """Dial what the far end named, in the name of whoever is to talk to it."""
        second = self._parties.second
        headers = {"Referred-By": asked.referred_by} if asked.referred_by else {}
        if asked.replaces is not None:
            call_id, to_tag, from_tag = asked.replaces
            headers["Replaces"] = f"{call_id};to-tag={to_tag};from-tag={from_tag}"
        stays_second = second is not None and asked.asker == self._parties.party
        caller = second.callee if stays_second and second is not None else option.caller
        changed = msgspec.structs.replace(option, caller=caller, offer="", headers=headers)
        self._dial(asked, changed, asked.target, RING_S, by_rules=True)

    def _dial(
        self, asked: _Transfer, option: CallOption, callee: str, ring_s: float, *, by_rules: bool = False
    ) -> None:
        self._dialled += 1
        asked.leg = f"transfer-{self._dialled}"
        asked.due = self._outbox.now + ring_s
        self._outbox.do(effects.OpenLeg(asked.leg, option, callee, ring_s=ring_s, by_rules=by_rules))

    def _replace(self, asked: _Transfer, report: reports.LegAnswered) -> Outcome:
        """Put the new party into the asker's place."""
        self._tell(asked, 200, "OK")
        self._outbox.do(effects.CloseLeg(asked.asker, "transferred"))
        self._outbox.emit(
            events.Answer(timestamp=self._outbox.epoch_ms(), track_id=SECOND, sdp=report.sdp, refer=True)
        )
        self._asked = None
        second = self._parties.second
        if second is not None and second.leg == asked.asker:
            self._parties.join(second, asked.leg)
            return None
        self._parties.party = asked.leg
        return Moved()

    def _failed(self, asked: _Transfer, code: int, reason: str) -> Outcome:
        self._tell(asked, code if code >= 300 else 500, reason)
        self._asked = None
        self._outbox.emit(
            events.Rejected(timestamp=self._outbox.epoch_ms(), track_id=SECOND, code=code, reason=reason)
        )
        return Over(reason_of(code), "callee") if asked.gone else None

    def _tell(self, asked: _Transfer, code: int, reason: str) -> None:
        if not asked.gone:
            self._outbox.do(effects.TellTransfer(asked.asker, code, reason))

    # --- we ask -----------------------------------------------------------------------

    def refer(self, command: Refer) -> None:
        """Ask the party's far end to call somebody by itself; raises CommandRejected."""
        if self._ours is not None:
            raise CommandRejected("refer: a transfer is under way", 409)
        check_timeout(command)
        self._ours = command, self._outbox.now + max(command.timeout_s, OUR_REFER_S)
        self._outbox.do(
            effects.ReferLeg(self._parties.party, command.callee, command.headers, command.request_id)
        )

    def referred(self, report: reports.LegReferred) -> Outcome:
        """Take what the far end tells of it."""
        if self._ours is None:
            return None
        timestamp, command = self._outbox.epoch_ms(), self._ours[0]
        if report.final:
            self._ours = None
        if report.code >= 300:
            self._outbox.emit(
                events.Rejected(timestamp=timestamp, track_id=SECOND, code=report.code, reason=report.reason)
            )
        elif report.code >= 200:
            self._outbox.emit(events.Answer(timestamp=timestamp, track_id=SECOND, sdp="", refer=True))
            return Over("autohangup", "system") if command.auto_hangup else None
        elif report.code > 100:
            self._outbox.emit(events.Ringing(timestamp=timestamp, track_id=SECOND, early_media=False))
        return None

    # --- time and the end -------------------------------------------------------------

    def deadline(self) -> float | None:
        """When somebody has thought, rung or kept silent for too long."""
        due = [self._asked.due] if self._asked is not None else []
        if self._ours is not None:
            due.append(self._ours[1])
        return min(due, default=None)

    def elapse(self) -> Outcome:
        """Give up what has taken too long."""
        now, asked = self._outbox.now, self._asked
        if self._ours is not None and now >= self._ours[1]:
            self.referred(reports.LegReferred(self._parties.party, 408, "no word of it", final=True))
        if asked is None or now < asked.due:
            return None
        if asked.leg:
            self._outbox.do(effects.CloseLeg(asked.leg, "no_answer"))
            return self._failed(asked, 480, "no answer")
        return self._failed(asked, 603, "Decline")

    def close(self, reason: str) -> None:
        """Let go of a new party with the call."""
        if self._asked is not None and self._asked.leg:
            self._outbox.do(effects.CloseLeg(self._asked.leg, reason))
        self._asked = self._ours = None
