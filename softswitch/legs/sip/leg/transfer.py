"""Transfers of one SIP leg (RFC 3515): REFER requests sent to the peer and received from it."""

import weakref
from collections.abc import Mapping

from softswitch.call.vocabulary.reports import LegReferred, TransferRequested
from softswitch.errors import MalformedError
from softswitch.legs.sip.accounts.identity import checked, referable
from softswitch.legs.sip.dial_error import DialError
from softswitch.legs.sip.leg.leg_shared import LegCore
from softswitch.sip.events import ReferProgressed, ReferReceived
from softswitch.sip.syntax.headers import long_name

REQUEST_PENDING = 491
"""Status code of a REFER that comes while another one is open."""


class Transfers:
    """The REFER of one leg that is open in each direction; at most one each."""

    def __init__(self, leg: LegCore) -> None:
        """Prepare without a REFER; `leg` is referenced weakly."""
        self._leg: LegCore = weakref.proxy(leg)
        self._refer = ""
        """Id of the peer's open REFER; empty without one."""
        self._accepted = False

    def request(self, target: str, headers: Mapping[str, str]) -> None:
        """Send a REFER that asks the peer to call `target`; `LegReferred` reports its progress.

        Args:
            target: URI for Refer-To.
            headers: further headers; `Referred-By` becomes that of the REFER.
        """
        leg = self._leg
        sent = False
        try:
            further = checked(headers, but=frozenset({"referred-by"}))
            named = next((name for name in further if long_name(name).lower() == "referred-by"), "")
            referred_by = further.pop(named, "")
            target = referable(target)
            sent = leg.shared.driver.agent.refer(
                leg.session, target, leg.now(), referred_by=referred_by, headers=further
            )
        except DialError as error:
            leg.report(LegReferred(leg.request.leg, error.code, str(error), True))
            return
        except (ValueError, MalformedError) as error:
            leg.report(LegReferred(leg.request.leg, 400, f"target: {error}", True))
            return
        if not sent:
            leg.report(
                LegReferred(leg.request.leg, 481, "refer: the call is not answered, or has ended", True)
            )
        leg.shared.driver.pump()

    def on_event(self, event: ReferReceived | ReferProgressed) -> None:
        """Report a REFER of the peer, or the progress of the leg's own."""
        leg, agent = self._leg, self._leg.shared.driver.agent
        if isinstance(event, ReferProgressed):
            leg.report(LegReferred(leg.request.leg, event.code, event.reason, event.final))
            return
        leg.shared.counters.transfers_asked += 1
        if self._refer or leg.is_over:
            agent.refuse_refer(event.session, event.refer, REQUEST_PENDING, leg.now())
            return
        self._refer, self._accepted = event.refer, False
        replaces = event.replaces
        leg.report(
            TransferRequested(
                leg.request.leg,
                event.refer_to,
                event.referred_by,
                (replaces.call_id, replaces.to_tag, replaces.from_tag) if replaces else None,
            )
        )

    def accept(self) -> None:
        """Accept the peer's REFER with 202."""
        if self._refer and not self._accepted:
            self._accepted = True
            self._leg.shared.driver.agent.accept_refer(self._leg.session, self._refer, self._leg.now())
            self._leg.shared.driver.pump()

    def progress(self, code: int, reason: str) -> None:
        """Notify the peer of the progress of its REFER; a final code before `accept` refuses it."""
        if not self._refer:
            return
        leg, agent = self._leg, self._leg.shared.driver.agent
        if not self._accepted and code >= 300:
            agent.refuse_refer(leg.session, self._refer, max(code, 400), leg.now())
            self._refer = ""
        else:
            self.accept()
            agent.refer_progress(leg.session, self._refer, code, reason, leg.now())
            if code >= 200:
                self._refer = ""
        leg.shared.driver.pump()
