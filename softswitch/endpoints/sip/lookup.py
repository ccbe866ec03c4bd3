"""Asking DNS, and the file of hosts, which knows some names at once."""

import asyncio
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import dns.asyncresolver
import dns.exception
import dns.resolver

from softswitch.errors import NotNowError

HOSTS = Path("/etc/hosts")
LOOKUP_S = 5.0
"""Longest wait for DNS, in seconds."""
UNKNOWN_TTL_S = 10.0
"""How long it is good to know that a name has no such records, in seconds."""

_NOTHING = (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer)


class UnresolvedError(NotNowError):
    """Say that a name leads nowhere: the name, or the DNS, is at fault."""


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """One SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    host: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of a name, and for how long they are good, in seconds."""

    found: tuple[str, ...]
    ttl_s: float = UNKNOWN_TTL_S


@dataclass(frozen=True, slots=True)
class Services:
    """The SRV records of a name, and for how long they are good, in seconds."""

    found: tuple[ServiceRecord, ...]
    ttl_s: float = UNKNOWN_TTL_S


class DnsLookup:
    """Asks the servers of the system's configuration, which is read at the first question."""

    def __init__(
        self, timeout_s: float = LOOKUP_S, resolver: dns.asyncresolver.Resolver | None = None
    ) -> None:
        """Ask nothing yet.

        Args:
            timeout_s: longest wait for one answer, in seconds.
            resolver: whom to ask; by default whom the system asks.
        """
        self._timeout_s = timeout_s
        self._resolver = resolver

    async def addresses(self, name: str) -> Addresses:
        """Return the IPv4 addresses of a name, then those of IPv6.

        Raises:
            UnresolvedError: DNS does not answer.
        """
        four, six = await asyncio.gather(self._ask(name, "A"), self._ask(name, "AAAA"))
        answers = [answer for answer in (four, six) if answer is not None and answer.rrset is not None]
        if not answers:
            return Addresses(())
        found = tuple(str(record.address) for answer in answers for record in answer)
        return Addresses(found, min(answer.rrset.ttl for answer in answers if answer.rrset is not None))

    async def services(self, name: str) -> Services:
        """Return the SRV records of a name; a target of "." says that there is no such service.

        Raises:
            UnresolvedError: DNS does not answer.
        """
        answer = await self._ask(name, "SRV")
        if answer is None or answer.rrset is None:
            return Services(())
        found = tuple(
            ServiceRecord(record.priority, record.weight, record.port, record.target.to_text(True))
            for record in answer
        )
        return Services(found, answer.rrset.ttl)

    async def _ask(self, name: str, kind: str) -> dns.resolver.Answer | None:
        try:
            if self._resolver is None:
                self._resolver = dns.asyncresolver.Resolver()
            return await self._resolver.resolve(name, kind, lifetime=self._timeout_s)
        except _NOTHING:
            return None
        except (dns.exception.DNSException, OSError) as error:
            raise UnresolvedError(f"{name}: DNS gives no answer ({type(error).__name__})") from error


class HostsFile:
    """The addresses that the machine's own file of hosts gives to names; read again when it has changed."""

    def __init__(self, path: Path = HOSTS) -> None:
        """Read nothing yet."""
        self._path = path
        self._read_at = -1.0
        self._names: dict[str, tuple[str, ...]] = {}

    def addresses(self, name: str) -> tuple[str, ...]:
        """Return the addresses of a name, none where the file does not have it."""
        try:
            changed_at = self._path.stat().st_mtime
            if changed_at != self._read_at:
                self._names = _read_hosts(self._path.read_text("utf-8", "replace"))
                self._read_at = changed_at
        except OSError:
            return ()
        return self._names.get(name.lower().rstrip("."), ())


def _read_hosts(text: str) -> dict[str, tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *found = line.partition("#")[0].split() or [""]
        try:
            ipaddress.ip_address(address)
        except ValueError:
            continue
        for name in found:
            names[name.lower()] = (*names.get(name.lower(), ()), address)
    # IPv4 first, as with DNS: a server that listens on one family only most often means this one.
    return {name: tuple(sorted(found, key=lambda address: ":" in address)) for name, found in names.items()}
