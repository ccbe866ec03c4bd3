"""All trunks of the built-in SIP stack: resolved, registered, kept alive, and looked up by address."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from softswitch.legs.sip.accounts.trunk import Trunk
from softswitch.legs.sip.accounts.views import TrunkView
from softswitch.legs.sip.driver import AgentDriver
from softswitch.legs.sip.transports.interface import SipTransports
from softswitch.sip.events import RequestAnswered
from softswitch.sip.syntax.hosts import canonical
from softswitch.sip.transaction.flow import Flow

logger = logging.getLogger(__name__)

ROUND_S = 20.0
"""Period of name resolution (answers are cached for their TTL) and of NAT keep-alives, in seconds."""
UNREGISTER_S = 2.0
"""Longest wait for the registrars' responses at shutdown, in seconds."""


class Trunks:
    """The trunks of the built-in SIP stack, in the order of the settings."""

    def __init__(self, trunks: Sequence[Trunk], default: str = "") -> None:
        """Index the trunks; `default` names the one for calls that name no trunk."""
        self._trunks = {trunk.name: trunk for trunk in trunks}
        self._default = default
        self._leaving: list[Trunk] = []
        """Trunks that were removed or replaced, until their registrars have answered."""
        self._changed = asyncio.Event()
        self.on_new: Callable[[Trunk], None] = lambda trunk: None
        """Takes each trunk that comes while the switch runs, before it registers."""

    def use(self, trunks: Sequence[Trunk], default: str = "") -> list[Trunk]:
        """Take other trunks; return those that leave now.

        Trunks that stay are the same objects. One with the name of a former one takes its place.
        """
        before = self._trunks
        self._trunks = {trunk.name: trunk for trunk in trunks}
        self._default = default
        left = [trunk for name, trunk in before.items() if self._trunks.get(name) is not trunk]
        for trunk in left:
            if (successor := self._trunks.get(trunk.name)) is not None:
                successor.succeed(trunk)
            else:
                trunk.unregister()
        for name, trunk in self._trunks.items():
            if name not in before:
                self.on_new(trunk)
        self._leaving += left
        self._changed.set()
        return left

    def forget_gone(self, driver: AgentDriver) -> None:
        """Forget the trunks that have left and whose registrars have answered; they need no timers then."""
        gone = [trunk for trunk in self._leaving if not trunk.registered]
        self._leaving = [trunk for trunk in self._leaving if trunk.registered]
        for trunk in gone:
            driver.remove(trunk)
        if gone:
            self._changed.set()

    def __iter__(self) -> Iterator[Trunk]:
        """Yield the trunks in the order of the settings."""
        return iter(self._trunks.values())

    def __len__(self) -> int:
        """Return the number of trunks."""
        return len(self._trunks)

    def get(self, name: str) -> Trunk | None:
        """Return a trunk by name; None where there is no such trunk."""
        return self._trunks.get(name)

    def default(self) -> Trunk | None:
        """Return the trunk for calls that name no trunk; None without a default."""
        return self._trunks.get(self._default)

    def of_source(self, host: str, called: str = "") -> Trunk | None:
        """Return the trunk that a request from an address belongs to; None without one.

        Args:
            host: source address of the request.
            called: user part of the Request-URI; it tells several accounts at one provider apart.
        """
        found = [trunk for trunk in self if trunk.owns(host)]
        return next((trunk for trunk in found if called and trunk.settings.username == called), None) or (
            found[0] if found else None
        )

    def of_server(self, host: str, port: int | None) -> Trunk | None:
        """Return the trunk that has a server of this name or address, in any notation."""
        host = canonical(host)
        for trunk in self:
            for server in trunk.settings.addresses():
                usual = 5061 if server.transport == "tls" else 5060
                if canonical(server.host) == host and (port or 0) in (0, server.port or usual):
                    return trunk
            if any((canonical(target.host), target.port) == (host, port or 5060) for target in trunk.targets):
                return trunk
        return None

    def has_target(self, host: str, port: int) -> bool:
        """Tell whether an address and port is that of a trunk's server."""
        wanted = canonical(host)
        return any(
            (canonical(target.host), target.port) == (wanted, port)
            for trunk in self
            for target in trunk.targets
        )

    def answered(self, answered: RequestAnswered) -> None:
        """Hand the outcome of a REGISTER to its trunk."""
        any(trunk.on_answered(answered) for trunk in (*self, *self._leaving))

    def on_flow_lost(self, flow: Flow) -> None:
        """Handle a closed connection."""
        for trunk in self:
            trunk.on_flow_lost(flow)

    async def run(self, transports: SipTransports) -> None:
        """Resolve servers, register and keep NAT bindings open, until cancelled."""
        while True:
            outcomes = await asyncio.gather(*(trunk.refresh() for trunk in self), return_exceptions=True)
            for error in outcomes:
                if error is not None:
                    logger.error("the servers of a trunk could not be resolved", exc_info=error)
            for trunk in self:
                for target in trunk.targets:
                    transports.set_server_name(target.host, target.name)
                if flow := trunk.keep_alive():
                    transports.ping(flow.host, flow.port)
            with suppress(TimeoutError):
                async with asyncio.timeout(ROUND_S):
                    await self._changed.wait()
            self._changed.clear()

    async def unregister(self, driver: AgentDriver) -> None:
        """Unregister all trunks, in bounded time."""
        for trunk in self:
            trunk.unregister()
        await driver.until(lambda: not any(trunk.registered for trunk in self), UNREGISTER_S)

    def views(self) -> list[TrunkView]:
        """Return the state of each trunk."""
        return [trunk.view() for trunk in self]
