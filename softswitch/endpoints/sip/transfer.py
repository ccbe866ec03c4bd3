"""Transfers of one leg (RFC 3515): those that we ask the far end for, and those that it asks us for."""

import weakref
from collections.abc import Mapping

from softswitch.call.reports import LegReferred, TransferRequested
from softswitch.endpoints.sip.leg_shared import LegCore
from softswitch.errors import MalformedError
from softswitch.sip.happenings import ReferProgressed, ReferReceived

BUSY_HERE = 491
"""Code for a REFER that comes while another one is still open: one at a time."""


class Transfers:
    """The one REFER that may be open in each direction."""

    def __init__(self, leg: LegCore) -> None:
        """Begin with none."""
        self._leg: LegCore = weakref.proxy(leg)
        self._asked = ""
        self._accepted = False

    def ask(self, target: str, headers: Mapping[str, str]) -> None:
        """Ask the far end to call `target`; a header `Referred-By` goes where it belongs."""
        leg = self._leg
        further = dict(headers)
        referred_by = further.pop("Referred-By", "")
        sent = False
        try:
            sent = leg.shared.driver.agent.refer(
                leg.session, target, leg.now(), referred_by=referred_by, headers=further
            )
        except (ValueError, MalformedError) as error:
            leg.tell(LegReferred(leg.request.leg, 400, f"target: {error}", True))
            return
        if not sent:
            leg.tell(LegReferred(leg.request.leg, 481, "there is no call that could be transferred", True))
        leg.shared.driver.pump()

    def take(self, happening: ReferReceived | ReferProgressed) -> None:
        """Take the far end's REFER, or how ours fares."""
        leg, agent = self._leg, self._leg.shared.driver.agent
        if isinstance(happening, ReferProgressed):
            leg.tell(LegReferred(leg.request.leg, happening.code, happening.reason, happening.final))
            return
        leg.shared.counters.transfers_asked += 1
        if self._asked or leg.over:
            agent.refuse_refer(happening.session, happening.refer, BUSY_HERE, leg.now())
            return
        self._asked, self._accepted = happening.refer, False
        replaces = happening.replaces
        leg.tell(
            TransferRequested(
                leg.request.leg,
                happening.refer_to,
                happening.referred_by,
                (replaces.call_id, replaces.to_tag, replaces.from_tag) if replaces else None,
            )
        )

    def accept(self) -> None:
        """Take the far end's REFER on."""
        if self._asked and not self._accepted:
            self._accepted = True
            self._leg.shared.driver.agent.accept_refer(self._leg.session, self._asked, self._leg.now())
            self._leg.shared.driver.pump()

    def progress(self, code: int, reason: str) -> None:
        """Tell the far end how its REFER goes; a final code without `accept` refuses it."""
        if not self._asked:
            return
        leg, agent = self._leg, self._leg.shared.driver.agent
        if not self._accepted and code >= 300:
            agent.refuse_refer(leg.session, self._asked, max(code, 400), leg.now())
            self._asked = ""
        else:
            self.accept()
            agent.refer_progress(leg.session, self._asked, code, reason, leg.now())
            if code >= 200:
                self._asked = ""
        leg.shared.driver.pump()
