"""All trunks: found, registered, kept alive; who calls over which."""

import asyncio
import logging
from collections.abc import Iterator, Sequence

from softswitch.endpoints.sip.driver import AgentDriver
from softswitch.endpoints.sip.transports import Transports
from softswitch.endpoints.sip.trunk import Trunk
from softswitch.endpoints.sip.views import TrunkView
from softswitch.sip.flow import Flow
from softswitch.sip.happenings import RequestAnswered

logger = logging.getLogger(__name__)

ROUND_S = 20.0
"""How often servers are looked up again (DNS says how long its answers are good) and NATs are kept open."""
UNREGISTER_S = 2.0
"""Longest wait for registrars to take bindings back, in seconds."""


class Trunks:
    """The trunks that our own stack carries."""

    def __init__(self, trunks: Sequence[Trunk], default: str = "") -> None:
        """Hold them; `default` names the one for numbers that name none."""
        self._trunks = {trunk.name: trunk for trunk in trunks}
        self._default = default

    def __iter__(self) -> Iterator[Trunk]:
        """Yield them in the order of the settings."""
        return iter(self._trunks.values())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._trunks)

    def get(self, name: str) -> Trunk | None:
        """Return a trunk by name."""
        return self._trunks.get(name)

    def default(self) -> Trunk | None:
        """Return the trunk for numbers that name none."""
        return self._trunks.get(self._default)

    def of_source(self, host: str, called: str = "") -> Trunk | None:
        """Return the trunk that calls from an address.

        Args:
            host: the address.
            called: user part that it calls; of several accounts at one provider, its own is meant.
        """
        found = [trunk for trunk in self if trunk.owns(host)]
        return next((trunk for trunk in found if called and trunk.settings.username == called), None) or (
            found[0] if found else None
        )

    def of_server(self, host: str, port: int | None) -> Trunk | None:
        """Return the trunk that has a server of this name or address."""
        for trunk in self:
            for server in trunk.settings.addresses():
                usual = 5061 if server.transport == "tls" else 5060
                if server.host.lower() == host.lower() and (port or 0) in (0, server.port or usual):
                    return trunk
            if any((target.host, target.port) == (host, port or 5060) for target in trunk.targets):
                return trunk
        return None

    def answered(self, answered: RequestAnswered) -> None:
        """Take the outcome of a request that nobody else expects: a registration's."""
        any(trunk.take(answered) for trunk in self)

    def broken(self, flow: Flow) -> None:
        """Note that a connection is gone."""
        for trunk in self:
            trunk.broken(flow)

    async def run(self, transports: Transports) -> None:
        """Find servers, register and keep ways open, for ever."""
        while True:
            outcomes = await asyncio.gather(*(trunk.refresh() for trunk in self), return_exceptions=True)
            for error in outcomes:
                if error is not None:
                    logger.error("a trunk could not be looked after", exc_info=error)
            for trunk in self:
                for target in trunk.targets:
                    transports.name(target.host, target.name)
                if flow := trunk.keep_alive():
                    transports.ping(flow.host, flow.port)
            await asyncio.sleep(ROUND_S)

    async def unregister(self, driver: AgentDriver) -> None:
        """Take all bindings back, in bounded time."""
        for trunk in self:
            trunk.unregister()
        await driver.until(lambda: not any(trunk.registered for trunk in self), UNREGISTER_S)

    def views(self) -> list[TrunkView]:
        """Return the state of each."""
        return [trunk.view() for trunk in self]
