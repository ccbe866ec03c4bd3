"""Finding SIP servers: SRV, then addresses (RFC 3263 without NAPTR), remembered as long as DNS allows."""

import ipaddress
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Literal, Protocol, TypeVar

from softswitch.endpoints.sip.lookup import (
    Addresses,
    DnsLookup,
    HostsFile,
    ServiceRecord,
    Services,
    UnresolvedError,
)
from softswitch.settings.telephones import Server

__all__ = ["Lookup", "Resolver", "Target", "UnresolvedError", "is_address"]

MIN_TTL_S = 5.0
MAX_TTL_S = 3600.0
MAX_NAMES = 1024
"""Names remembered; the oldest is forgotten for a new one."""
MAX_TARGETS = 16
"""Addresses tried for one name."""

WireName = Literal["udp", "tcp", "tls"]
_SERVICES: dict[WireName, str] = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
_PORTS: dict[WireName, int] = {"udp": 5060, "tcp": 5060, "tls": 5061}

Answer = TypeVar("Answer", Addresses, Services)


@dataclass(frozen=True, slots=True)
class Target:
    """One address of a server."""

    transport: WireName
    host: str
    """IP address without brackets."""
    port: int
    name: str
    """The name it was found by: the certificate of a TLS server must have it."""


class Lookup(Protocol):
    """Asks DNS; a name without such records gives none."""

    async def addresses(self, name: str) -> Addresses:
        """Return the addresses of a name."""

    async def services(self, name: str) -> Services:
        """Return the SRV records of a name."""


class Resolver:
    """Turns the servers that settings and URIs name into addresses, in the order to try them."""

    def __init__(
        self,
        lookup: Lookup | None = None,
        hosts: HostsFile | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
    ) -> None:
        """Remember nothing yet.

        Args:
            lookup: asks DNS.
            hosts: names that need no DNS.
            clock: monotonic seconds.
            random: for the weights of SRV records.
        """
        self._lookup = lookup or DnsLookup()
        self._hosts = hosts or HostsFile()
        self._clock = clock
        self._random = random or SystemRandom()
        self._addresses: dict[str, tuple[float, Addresses]] = {}
        self._services: dict[str, tuple[float, Services]] = {}

    async def resolve(self, server: Server) -> tuple[Target, ...]:
        """Return the addresses of a server, the first to try first.

        Raises:
            UnresolvedError: the name leads nowhere, or DNS does not answer.
        """
        transport: WireName = server.transport or "udp"
        if is_address(server.host):
            return (Target(transport, server.host, server.port or _PORTS[transport], server.host),)
        if not server.port and not self._hosts.addresses(server.host):
            for wire in (transport,) if server.transport else ("udp", "tcp"):
                if targets := await self._by_service(server.host, wire):
                    return targets[:MAX_TARGETS]
        found = await self._by_address(server.host)
        if not found:
            raise UnresolvedError(f"{server.host}: DNS knows no address of this name")
        port = server.port or _PORTS[transport]
        return tuple(Target(transport, host, port, server.host) for host in found[:MAX_TARGETS])

    async def resolve_all(self, servers: Sequence[Server]) -> tuple[Target, ...]:
        """Return the addresses of several servers; those that lead nowhere are left out.

        Raises:
            UnresolvedError: none of them leads anywhere.
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

    async def _by_service(self, name: str, wire: WireName) -> tuple[Target, ...]:
        services = await self._remembered(self._services, f"{_SERVICES[wire]}.{name}", self._lookup.services)
        targets = []
        for record in _in_order(services.found, self._random):
            if record.host not in ("", "."):
                targets += [
                    Target(wire, host, record.port, name) for host in await self._by_address(record.host)
                ]
        return tuple(targets)

    async def _by_address(self, name: str) -> tuple[str, ...]:
        if is_address(name):
            return (name,)
        if known := self._hosts.addresses(name):
            return known
        return (await self._remembered(self._addresses, name, self._lookup.addresses)).found

    async def _remembered(
        self, cache: dict[str, tuple[float, Answer]], name: str, ask: Callable[[str], Awaitable[Answer]]
    ) -> Answer:
        kept = cache.get(name)
        if kept is not None and kept[0] > self._clock():
            return kept[1]
        answer = await ask(name)
        cache.pop(name, None)
        if len(cache) >= MAX_NAMES:
            del cache[next(iter(cache))]
        ttl_s = min(max(answer.ttl_s, MIN_TTL_S), MAX_TTL_S)
        cache[name] = self._clock() + ttl_s, answer
        return answer


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _in_order(records: Sequence[ServiceRecord], random: Random) -> list[ServiceRecord]:
    """Return SRV records as RFC 2782 wants them tried: by priority, within one by chance of their weights."""
    ordered: list[ServiceRecord] = []
    for priority in sorted({record.priority for record in records}):
        left = [record for record in records if record.priority == priority]
        while left:
            (chosen,) = random.choices(left, [record.weight or 0.01 for record in left])
            left.remove(chosen)
            ordered.append(chosen)
    return ordered
