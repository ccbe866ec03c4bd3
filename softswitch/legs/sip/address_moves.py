"""What SIP does when the addresses of this machine change: trunks register anew, running calls follow."""

import asyncio
import logging
from collections.abc import Collection, Sequence

from softswitch.errors import NotNowError
from softswitch.legs.network_changes import NetworkChanges, machine_addresses
from softswitch.legs.sip.accounts.trunks import Trunks
from softswitch.legs.sip.addressing.own_addresses import OwnAddresses
from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.driver import AgentDriver
from softswitch.legs.sip.leg.leg import SipLeg

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 16
"""Calls that look for another path at the same time: each one may wait for STUN and TURN servers."""


class AddressMoves:
    """Follows the addresses of this machine."""

    def __init__(
        self,
        own: OwnAddresses,
        driver: AgentDriver,
        trunks: Trunks,
        legs: Collection[SipLeg],
        counters: SipCounters,
    ) -> None:
        """Prepare; `legs` are those of the running calls, at any time."""
        self._own, self._driver, self._trunks, self._legs = own, driver, trunks, legs
        self._counters = counters
        self._at_once = asyncio.Semaphore(MOST_AT_ONCE)

    async def run(self) -> None:
        """Follow changes until cancelled."""
        async with NetworkChanges() as changes:
            while True:
                await changes.wait()
                changed = self._own.refresh()
                if changed:
                    self._readdress(changed)
                if self._legs:
                    await self.restart_paths(machine_addresses())

    async def restart_paths(self, present: frozenset[str]) -> None:
        """Offer phones in browsers another path where the one in use begins at an address that is gone.

        Their signalling often comes from a proxy on this machine, and notices nothing.
        """
        async with asyncio.TaskGroup() as tasks:
            for leg in list(self._legs):
                if leg.media is not None and leg.answered:
                    tasks.create_task(self._restart(leg, present))

    async def _restart(self, leg: SipLeg, present: frozenset[str]) -> None:
        media, agent = leg.media, self._driver.agent
        if media is None:
            return
        async with self._at_once:
            try:
                offer = await media.restart(present)
            except NotNowError as error:
                logger.warning("a call cannot be offered another path", extra={"reason": str(error)})
                return
        if offer and not agent.reinvite(leg.session, offer, self._driver.now()):
            await media.withdraw()
        self._driver.pump()

    def _readdress(self, changed: Sequence[tuple[str, str, str]]) -> None:
        self._counters.address_changes += len(changed)
        pairs = sorted({f"{before or 'none'} -> {now or 'none'}" for _, before, now in changed})
        logger.warning("own addresses have changed", extra={"changes": pairs, "peers": len(changed)})
        if any(now for _, _, now in changed):
            for trunk in self._trunks:
                trunk.readdress()
            for leg in list(self._legs):
                self._move(leg)

    def _move(self, leg: SipLeg) -> None:
        """Tell the peer of a running call the present local address, by a re-INVITE."""
        agent = self._driver.agent
        flow = agent.peer_of(leg.session)
        if flow is None or not leg.answered:
            return
        host, _ = self._own.signalling(flow.transport, flow.host)
        offer = leg.media.moved() if leg.media is not None else ""
        if host == flow.local_host and not offer:
            return
        agent.move(leg.session, host)
        if offer:
            agent.reinvite(leg.session, offer, self._driver.now())
        self._driver.pump()
