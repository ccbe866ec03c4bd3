"""Resolution of SIP servers: SRV, then addresses (RFC 3263 without NAPTR), cached for the TTL of DNS."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Literal, Protocol, TypeVar

from softswitch.egress.hosts import HostsFile
from softswitch.egress.lookup import Addresses, ServiceRecord, Services, UnresolvedError
from softswitch.egress.names import SWITCH, Asker, Names, is_address
from softswitch.settings.telephones import Server

__all__ = ["PEERS", "Lookup", "Resolver", "Target", "UnresolvedError", "is_address"]

PEERS = Asker(account="SIP peers")
"""Account of look-ups that peers cause: its limits keep them from delaying those of trunks."""
MIN_TTL_S = 5.0
MAX_TTL_S = 3600.0
MAX_NAMES = 1024
"""Names that are cached; the oldest is dropped for a new one."""
MAX_TARGETS = 16
"""Addresses that are tried for one name."""

TransportName = Literal["udp", "tcp", "tls"]
_SERVICES: dict[TransportName, str] = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
_PORTS: dict[TransportName, int] = {"udp": 5060, "tcp": 5060, "tls": 5061}

Answer = TypeVar("Answer", Addresses, Services)


@dataclass(frozen=True, slots=True)
class Target:
    """One address of a server."""

    transport: TransportName
    host: str
    """IP address without brackets."""
    port: int
    name: str
    """Name that was resolved; the certificate of a TLS server must match it."""


class Lookup(Protocol):
    """Interface of DNS look-ups; a name without such records gives an empty result."""

    async def addresses(self, name: str, asker: Asker) -> Addresses:
        """Return the addresses of a name."""

    async def services(self, name: str, asker: Asker) -> Services:
        """Return the SRV records of a name."""


class Resolver:
    """Resolver of the servers that settings and URIs name, in the order to try them."""

    def __init__(
        self,
        lookup: Lookup | None = None,
        hosts: HostsFile | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
    ) -> None:
        """Prepare with an empty cache.

        Args:
            lookup: asks DNS.
            hosts: names of the hosts file, which need no DNS.
            clock: monotonic seconds.
            random: chooses among SRV records by weight.
        """
        self._lookup = lookup or Names(hosts=hosts, clock=clock)
        self._hosts = hosts or HostsFile()
        self._clock = clock
        self._random = random or SystemRandom()
        self._addresses: dict[str, tuple[float, Addresses]] = {}
        self._services: dict[str, tuple[float, Services]] = {}

    async def resolve(self, server: Server, asker: Asker = SWITCH) -> tuple[Target, ...]:
        """Return the addresses of a server, in the order to try them.

        Args:
            server: name or address; port and transport are optional.
            asker: account and call that the look-up is charged to.

        Raises:
            UnresolvedError: the name has no address, or DNS does not answer.
        """
        transport: TransportName = server.transport or "udp"
        if is_address(server.host):
            return (Target(transport, server.host, server.port or _PORTS[transport], server.host),)
        if not server.port and not self._hosts.addresses(server.host):
            for wire in (transport,) if server.transport else ("udp", "tcp"):
                if targets := await self._by_service(server.host, wire, asker):
                    return targets[:MAX_TARGETS]
        found = await self._by_address(server.host, asker)
        if not found:
            raise UnresolvedError(f"{server.host}: DNS has no address for this name")
        port = server.port or _PORTS[transport]
        return tuple(Target(transport, host, port, server.host) for host in found[:MAX_TARGETS])

    async def resolve_all(self, servers: Sequence[Server]) -> tuple[Target, ...]:
        """Return the addresses of several servers; those without an address are left out.

        Raises:
            UnresolvedError: none of them has an address.
        """
        targets: list[Target] = []
        failures: list[str] = []
        for server in servers:
            try:
                targets += await self.resolve(server)
            except UnresolvedError as error:
                failures.append(str(error))
        if not targets:
            raise UnresolvedError("; ".join(failures))
        return tuple(targets)

    async def _by_service(self, name: str, wire: TransportName, asker: Asker) -> tuple[Target, ...]:
        services = await self._remembered(
            self._services, f"{_SERVICES[wire]}.{name}", self._lookup.services, asker
        )
        targets = []
        for record in _in_order(services.found, self._random):
            if record.host not in ("", "."):
                targets += [
                    Target(wire, host, record.port, name)
                    for host in await self._by_address(record.host, asker)
                ]
        return tuple(targets)

    async def _by_address(self, name: str, asker: Asker) -> tuple[str, ...]:
        if is_address(name):
            return (name,)
        if known := self._hosts.addresses(name):
            return known
        return (await self._remembered(self._addresses, name, self._lookup.addresses, asker)).found

    async def _remembered(
        self,
        cache: dict[str, tuple[float, Answer]],
        name: str,
        ask: Callable[[str, Asker], Awaitable[Answer]],
        asker: Asker,
    ) -> Answer:
        kept = cache.get(name)
        if kept is not None and kept[0] > self._clock():
            return kept[1]
        answer = await ask(name, asker)
        cache.pop(name, None)
        if len(cache) >= MAX_NAMES:
            del cache[next(iter(cache))]
        ttl_s = min(max(answer.ttl_s, MIN_TTL_S), MAX_TTL_S)
        cache[name] = self._clock() + ttl_s, answer
        return answer


def _in_order(records: Sequence[ServiceRecord], random: Random) -> list[ServiceRecord]:
    """Return SRV records in the order of RFC 2782: by priority, within one at random by weight."""
    ordered: list[ServiceRecord] = []
    for priority in sorted({record.priority for record in records}):
        left = [record for record in records if record.priority == priority]
        while left:
            # A weight of 0 is chosen rarely, but not never.
            (chosen,) = random.choices(left, [record.weight or 0.01 for record in left])
            left.remove(chosen)
            ordered.append(chosen)
    return ordered
