"""Addresses of the servers of all trunks: calls to them follow the trunk's rules in any notation."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from softswitch.legs.sip.addressing.resolve import Resolver, Target, UnresolvedError
from softswitch.settings import Trunk
from softswitch.sip.syntax.hosts import canonical

logger = logging.getLogger(__name__)

WAIT_S = 2.0
"""Longest wait for the resolution of servers before a call to an address, in seconds."""
_USUAL = frozenset({5060, 5061})
"""Ports of one server: 5060 for UDP and TCP, 5061 for TLS."""


class TrunkServers:
    """The addresses of the servers of all trunks, of both SIP engines."""

    def __init__(
        self, trunks: Sequence[Trunk], resolver: Resolver, is_this_machine: Callable[[str], bool]
    ) -> None:
        """Prepare without addresses; `refresh` comes next.

        Args:
            trunks: all trunks of the settings.
            resolver: resolves their servers, and caches the results for the TTL of DNS.
            is_this_machine: tells whether an address belongs to this machine.
        """
        self._resolver = resolver
        self._is_this_machine = is_this_machine
        self._known: dict[str, tuple[Target, ...]] = {}
        self.use(trunks)

    def use(self, trunks: Sequence[Trunk]) -> None:
        """Take other trunks; the next `refresh` resolves the servers of those that are new."""
        self._trunks = tuple(trunks)
        self._names = {trunk.name: {canonical(one.host) for one in trunk.addresses()} for trunk in trunks}
        self._known = {name: known for name, known in self._known.items() if name in self._names}

    async def refresh(self) -> None:
        """Resolve the servers again, for at most `WAIT_S`; those that fail keep their last addresses."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                await asyncio.gather(*(self._find(trunk) for trunk in self._trunks))

    def at(self, host: str, port: int, name: str = "") -> Trunk | None:
        """Return the trunk that has a server at an address; None where there is no such trunk.

        Every port of a server's address counts as the server. On this machine, which may run other programs,
        only the server's own port does; 5060 and 5061 count as one.

        Args:
            host: IP address.
            port: its port.
            name: name that was resolved to the address, if any.
        """
        here, wanted = self._is_this_machine(host), canonical(host)
        for trunk in self._trunks:
            if not here and canonical(name) in self._names[trunk.name]:
                return trunk
            for target in self._known.get(trunk.name, ()):
                there = canonical(target.host)
                if here and self._is_this_machine(there):
                    if port == target.port or {port, target.port} <= _USUAL:
                        return trunk
                elif there == wanted:
                    return trunk
        return None

    def is_server(self, host: str, port: int) -> bool:
        """Tell whether an address and port is that of a trunk's server."""
        wanted = canonical(host)
        return any(
            (canonical(target.host), target.port) == (wanted, port)
            for targets in self._known.values()
            for target in targets
        )

    async def _find(self, trunk: Trunk) -> None:
        try:
            self._known[trunk.name] = await self._resolver.resolve_all(trunk.addresses())
        except UnresolvedError as error:
            logger.debug(
                "the servers of a trunk cannot be resolved", extra={"trunk": trunk.name, "error": str(error)}
            )
