"""DNS queries on the event loop, without threads; `Names` limits who may send them."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from softswitch.errors import NotNowError

if TYPE_CHECKING:
    import dns.asyncresolver
    import dns.resolver

RESOLV_CONF = Path("/etc/resolv.conf")
LOOKUP_S = 5.0
"""Longest time for a DNS query, in seconds."""
OTHER_FAMILY_S = 0.3
"""Longest wait for one address family once the other has addresses, in seconds (RFC 8305 section 3)."""
UNKNOWN_TTL_S = 10.0
"""Seconds for which a negative response is remembered."""


class UnresolvedError(NotNowError):
    """A name cannot be resolved: it does not exist, or DNS does not respond."""


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """One SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    host: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of a name, with their remaining lifetime in seconds."""

    found: tuple[str, ...]
    ttl_s: float = UNKNOWN_TTL_S


@dataclass(frozen=True, slots=True)
class Services:
    """SRV records of a name, with their remaining lifetime in seconds."""

    found: tuple[ServiceRecord, ...]
    ttl_s: float = UNKNOWN_TTL_S


class DnsLookup:
    """DNS client with the system's configuration, which is read again after a change."""

    def __init__(
        self,
        timeout_s: float = LOOKUP_S,
        resolver: "dns.asyncresolver.Resolver | None" = None,
        *,
        configuration: Path = RESOLV_CONF,
    ) -> None:
        """Create a client.

        Args:
            timeout_s: longest time for one query, in seconds.
            resolver: resolver to use; by default one with the servers of `configuration`.
            configuration: file with name servers and search list (resolv.conf).
        """
        self._timeout_s = timeout_s
        self._given = resolver
        self._configuration = configuration
        self._read: dns.asyncresolver.Resolver | None = None
        self._read_at = -1.0

    async def addresses(self, name: str) -> Addresses:
        """Return the IPv4 addresses of a name, then the IPv6 addresses.

        Once one address family has addresses, the other one has `OTHER_FAMILY_S` to respond.

        Raises:
            UnresolvedError: DNS does not respond.
        """
        four = asyncio.ensure_future(self._ask(name, "A"))
        six = asyncio.ensure_future(self._ask(name, "AAAA"))
        both = (four, six)
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            one = next(task for task in both if task.done())
            if one.exception() is None and one.result() is not None:
                await asyncio.wait(both, timeout=OTHER_FAMILY_S)
            else:
                await asyncio.wait(both)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        succeeded = [task for task in both if not task.cancelled() and task.exception() is None]
        answers = [answer for task in succeeded if (answer := task.result()) is not None]
        rrsets = [answer.rrset for answer in answers if answer.rrset is not None]
        if rrsets:
            found = tuple(str(record.address) for rrset in rrsets for record in rrset)
            return Addresses(found, min(rrset.ttl for rrset in rrsets))
        for task in both:
            task.result()  # raises the error of a query that failed
        return Addresses(())

    async def services(self, name: str) -> Services:
        """Return the SRV records of a name; a target of "." means that the service does not exist.

        Raises:
            UnresolvedError: DNS does not respond.
        """
        answer = await self._ask(name, "SRV")
        if answer is None or answer.rrset is None:
            return Services(())
        found = tuple(
            ServiceRecord(record.priority, record.weight, record.port, record.target.to_text(True))
            for record in answer
        )
        return Services(found, answer.rrset.ttl)

    async def _ask(self, name: str, kind: str) -> "dns.resolver.Answer | None":
        # Only here: the library takes 3 MB, and a switch may never need a name.
        from dns.exception import DNSException  # noqa: PLC0415
        from dns.resolver import NXDOMAIN, NoAnswer  # noqa: PLC0415

        try:
            resolver = self._given or self._configured()
            # The search list applies to hosts, as in the system's resolver: "db" is a name in a cluster.
            search = kind != "SRV"
            return await resolver.resolve(name, kind, lifetime=self._timeout_s, search=search)
        except (NXDOMAIN, NoAnswer):
            return None
        except (DNSException, OSError, EOFError, UnicodeError) as error:
            raise UnresolvedError(f"{name}: DNS gives no answer ({type(error).__name__})") from error

    def _configured(self) -> "dns.asyncresolver.Resolver":
        from dns.asyncresolver import Resolver  # noqa: PLC0415

        changed_at = self._configuration.stat().st_mtime
        if self._read is None or changed_at != self._read_at:
            self._read = Resolver(str(self._configuration))
            self._read_at = changed_at
        return self._read
