"""Transfers: requested by a peer (RFC 3515, 3891, 5589), and requested of a peer by an application."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import msgspec

from softswitch.call.announce import announcement, refusal
from softswitch.call.outbox import Outbox
from softswitch.call.outcome import Outcome, Over, PartyReplaced, reason_of
from softswitch.call.parties import Parties, check_timeout, referred_option, stage_of
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import CallOption, Refer
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from softswitch.call.vocabulary.values import SECOND_PARTY, Stage

DECIDE_S = 10.0
"""Longest time for an application to decide on a peer's transfer, seconds."""
RING_S = 60.0
"""Longest ringing of the new party where the switch transfers without an application, seconds."""
OUR_REFER_S = 120.0
"""Longest time without a NOTIFY for the switch's REFER; then it counts as failed, seconds."""


@dataclass(slots=True)
class _Transfer:
    """A transfer that a peer requested."""

    asker: str
    """Leg of the peer that requested it."""
    target: str
    referred_by: str
    replaces: tuple[str, str, str] | None
    due: float
    leg: str = ""
    """Leg of the new party, once it is dialled."""
    stage: Stage = "dialling"
    """Stage of the new party."""
    gone: bool = False
    """Whether the requesting peer has hung up already; the others wait for the new party."""


class Transfers:
    """At most one transfer in each direction."""

    def __init__(self, outbox: Outbox, parties: Parties) -> None:

        self._outbox = outbox
        self._parties = parties
        self.asked: _Transfer | None = None
        self.sent_refer: tuple[Refer, float] | None = None
        self._dialled = 0

    # --- requested by a peer ----------------------------------------------------------

    def requested(self, report: reports.TransferRequested, option: CallOption) -> None:
        """Execute a peer's request, or let the application decide."""
        if self.asked is not None or not self._parties.up:
            self._outbox.do(effects.TellTransfer(report.leg, 491 if self.asked else 480, "Not now"))
            return
        if not self._parties.may_transfer(report.leg):
            self._outbox.do(effects.TellTransfer(report.leg, 603, "Decline"))
            return
        subject = self._outbox.party if report.leg == self._parties.party else SECOND_PARTY
        if event := announcement(report, subject, self._outbox):
            self._outbox.emit(event)
        self._outbox.do(effects.AcceptTransfer(report.leg))
        due = self._outbox.now + DECIDE_S
        self.asked = _Transfer(report.leg, report.refer_to, report.referred_by, report.replaces, due)
        if not self._parties.connected:
            return
        if report.replaces is not None:
            self.asked.due = self._outbox.now + RING_S
            self._outbox.do(effects.JoinDialog(report.leg, report.replaces))
        else:
            self._dial_target(self.asked, option)

    def decide(self, command: Refer, option: CallOption, codec: str) -> bool:
        """Execute a peer's request as the application decided; return False if none waits."""
        asked = self.asked
        if asked is None or asked.leg or command.method == "refer":
            return False
        check_timeout(command)
        changed = referred_option(command, option, codec)
        self._dial(asked, changed, command.callee, command.timeout_s)
        return True

    def bridged(self) -> None:
        """Report success to the peer: the application joined it with another call instead."""
        if self.asked is not None and not self.asked.leg:
            self._tell(self.asked, 200, "OK")
            self.asked = None

    def joined(self, report: reports.DialogJoined) -> Outcome:
        """Close the leg of the requesting peer; the remaining parties talk to each other."""
        asked, self.asked = self.asked, None
        if asked is not None:
            self._tell(asked, 200, "OK")
        return PartyReplaced() if self._parties.dropped(report.leg) else None

    def foreign(self, option: CallOption) -> None:
        """Dial the peer of a dialog outside the switch with ``Replaces`` (RFC 3891)."""
        if self.asked is not None:
            self._dial_target(self.asked, option)

    # --- the new party ----------------------------------------------------------------

    def concerns(self, report: reports.OfLeg) -> bool:
        """Whether a report is about the leg of the new party."""
        return self.asked is not None and report.leg == self.asked.leg

    def report(self, report: reports.OfLeg) -> Outcome:
        """Apply a report of the new party's leg; return what it means for the call."""
        asked = self.asked
        if asked is None:
            return None
        match report:
            case reports.LegRinging():
                asked.stage = stage_of(report)
                self._tell(asked, 180, "Ringing")
            case reports.LegAnswered():
                return self._replace(asked, report)
            case reports.LegRejected():
                phrase = report.reason if report.from_peer else ""
                return self._failed(asked, report.code, report.reason, phrase, report.redirect_to)
            case reports.LegFailed():
                return self._failed(asked, report.code, report.error)
            case reports.LegEnded():
                return self._failed(asked, 480, "Temporarily Unavailable")
            case _:
                pass  # Other reports have no meaning before the answer.
        return None

    def target(self, held: AbstractSet[str]) -> Stage | None:
        """Return the stage of the new party that the remaining one waits for; None where no party waits.

        Args:
            held: Legs whose peers hold the call. A peer that neither left nor holds talks to the other one.
        """
        asked, second = self.asked, self._parties.second
        if asked is None or not asked.leg or not (asked.gone or asked.asker in held):
            return None
        others = {self._parties.party, *([second.leg] if second is not None and second.up else [])}
        waits = others - held - {asked.asker}
        return asked.stage if waits else None

    def left(self, leg: str) -> bool:
        """Note that the peer of a leg hung up; return whether the call goes on without it."""
        asked = self.asked
        if asked is None or asked.asker != leg or not (asked.leg or self._parties.connected):
            return False
        asked.gone = True
        self._outbox.do(effects.CloseLeg(leg, "transferred"))
        return True

    def _dial_target(self, asked: _Transfer, option: CallOption) -> None:
        """Dial the target of the request, showing the party that stays as the caller."""
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
        """Put the new party into the place of the requesting peer."""
        self._tell(asked, 200, "OK")
        self._outbox.do(effects.CloseLeg(asked.asker, "transferred"))
        self._outbox.emit(
            events.Answer(timestamp=self._outbox.clock(), subject=SECOND_PARTY, sdp=report.sdp, refer=True)
        )
        self.asked = None
        second = self._parties.second
        if second is not None and second.leg == asked.asker:
            self._parties.join(second, asked.leg)
            return None
        self._parties.party = asked.leg
        return PartyReplaced()

    def _failed(
        self,
        asked: _Transfer,
        code: int,
        reason: str,
        phrase: str = "",
        redirect_to: tuple[str, ...] = (),
    ) -> Outcome:
        # The reason is for the client; the peer gets the phrase, or else the standard one of the code.
        self._tell(asked, code if code >= 300 else 500, phrase)
        self.asked = None
        self._outbox.emit(
            refusal(code, reason, SECOND_PARTY, self._outbox, refer=True, redirect_to=redirect_to)
        )
        return Over(reason_of(code), "callee") if asked.gone else None

    def _tell(self, asked: _Transfer, code: int, reason: str) -> None:
        if not asked.gone:
            self._outbox.do(effects.TellTransfer(asked.asker, code, reason))

    # --- requested by an application --------------------------------------------------

    def refer(self, command: Refer) -> None:
        """Send a REFER to the party; raises CommandRejected."""
        if self.sent_refer is not None:
            raise CommandRejected(Reason.TRANSFER_UNDER_WAY, 409)
        check_timeout(command)
        self.sent_refer = command, self._outbox.now + max(command.timeout_s, OUR_REFER_S)
        self._outbox.do(
            effects.ReferLeg(self._parties.party, command.callee, command.headers, command.request_id)
        )

    def referred(self, report: reports.LegReferred) -> Outcome:
        """Apply the progress of the switch's REFER; return what it means for the call."""
        if self.sent_refer is None:
            return None
        timestamp, command = self._outbox.clock(), self.sent_refer[0]
        if report.final:
            self.sent_refer = None
        if report.code >= 300:
            self._outbox.emit(refusal(report.code, report.reason, SECOND_PARTY, self._outbox, refer=True))
        elif report.code >= 200:
            self._outbox.emit(events.Answer(timestamp=timestamp, subject=SECOND_PARTY, sdp="", refer=True))
            return Over("autohangup", "system") if command.auto_hangup else None
        elif report.code > 100:
            self._outbox.emit(
                events.Ringing(timestamp=timestamp, subject=SECOND_PARTY, early_media=False, refer=True)
            )
        return None

    # --- time and the end -------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when a decision, the ringing or a NOTIFY is overdue, monotonic seconds."""
        if self.asked is None and self.sent_refer is None:
            return None
        due = [self.asked.due] if self.asked is not None else []
        if self.sent_refer is not None:
            due.append(self.sent_refer[1])
        return min(due, default=None)

    def elapse(self) -> Outcome:
        """End transfers whose time is up; return what it means for the call."""
        now, asked = self._outbox.now, self.asked
        if self.sent_refer is not None and now >= self.sent_refer[1]:
            self.referred(reports.LegReferred(self._parties.party, 408, "no word of it", final=True))
        if asked is None or now < asked.due:
            return None
        if asked.leg:
            self._outbox.do(effects.CloseLeg(asked.leg, "no_answer"))
            return self._failed(asked, 480, "no answer")
        return self._failed(asked, 603, "Decline", "Decline")

    def close(self, reason: str) -> None:
        """Close the leg of a new party with the call."""
        if self.asked is not None and self.asked.leg:
            self._outbox.do(effects.CloseLeg(self.asked.leg, reason))
        self.asked = self.sent_refer = None
