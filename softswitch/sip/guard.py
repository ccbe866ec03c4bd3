"""Who may speak: how many requests a second a stranger sends, and who is banned after failed logins.

A UDP source can be forged. So a request without proof only ever costs its source some rate, and a ban needs
failed logins, which `challenge.Challenger` finds with nonces alone that were sent to that very address.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeVar

V = TypeVar("V")
Network = IPv4Network | IPv6Network


@dataclass(slots=True)
class GuardCounters:
    """What was kept out, since the start."""

    limited: int = 0
    """Requests of sources that sent too many."""
    banned: int = 0
    """Requests of sources under a ban."""
    bans: int = 0
    """Bans pronounced."""
    failures: int = 0
    """Failed logins."""
    silenced: int = 0
    """Requests of strangers that got no answer."""


class Rate:
    """Let `per_second` through on average, and as many at once (a bucket of tokens).

    Args:
        per_second: 0 or less: no limit.
        burst: Most at once; 0: as many as one second lets through, at least one.
    """

    __slots__ = ("_at", "_burst", "_left", "_per_second")

    def __init__(self, per_second: float, burst: float = 0) -> None:
        self._per_second = per_second
        self._burst = burst or max(1.0, per_second)
        self._left = self._burst
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Take one token; False where none is left."""
        if self._per_second <= 0:
            return True
        if self._at is not None:
            self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._per_second)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Guard:
    """Keep count of strangers, bounded.

    Args:
        allow: Networks that no limit holds for, in CIDR notation.
        requests_per_second: Unauthenticated requests of one source; 0: no limit.
        login_failures: Failed logins of one source within `ban_s` that ban it; 0: none do.
        ban_s: How long.
        most_sources: Sources remembered in each table; the one longest silent is forgotten first.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        requests_per_second: float = 20,
        login_failures: int = 5,
        ban_s: float = 300.0,
        most_sources: int = 10_000,
    ) -> None:
        self.counters = GuardCounters()
        self._allow = [ip_network(network, strict=False) for network in allow]
        self._requests_per_second = requests_per_second
        self._login_failures = login_failures
        self._ban_s = ban_s
        self._most = most_sources
        self._rates: dict[str, Rate] = {}
        self._failures: dict[str, list[float]] = {}
        self._banned_until: dict[str, float] = {}

    def trusts(self, host: str) -> bool:
        """Tell whether `host` lies in the networks that no limit holds for."""
        return is_within(host, self._allow)

    def admits(self, host: str, now: float) -> bool:
        """Take one unauthenticated request of `host` to account; False: drop it without an answer."""
        if self.trusts(host):
            return True
        source = source_of(host)
        if self.is_banned(host, now):
            self.counters.banned += 1
            return False
        rate = self._rates.pop(source, None) or Rate(self._requests_per_second)
        _make_room(self._rates, self._most)
        self._rates[source] = rate
        if rate.take(now):
            return True
        self.counters.limited += 1
        return False

    def is_banned(self, host: str, now: float) -> bool:
        """Tell whether `host` is under a ban, without counting anything."""
        until = self._banned_until.get(source_of(host))
        return until is not None and now < until

    def failed(self, host: str, now: float) -> bool:
        """Count a failed login of `host`; True where it is now banned."""
        self.counters.failures += 1
        if self._login_failures <= 0 or self.trusts(host):
            return False
        source = source_of(host)
        recent = [at for at in self._failures.pop(source, []) if now - at < self._ban_s]
        recent.append(now)
        if len(recent) < self._login_failures:
            _make_room(self._failures, self._most)
            self._failures[source] = recent
            return False
        self._banned_until.pop(source, None)
        _make_room(self._banned_until, self._most)
        self._banned_until[source] = now + self._ban_s
        self.counters.bans += 1
        return True

    def silence(self) -> None:
        """Count a request that gets no answer because nobody here knows its sender."""
        self.counters.silenced += 1

    def bans(self, now: float) -> dict[str, float]:
        """Give the sources under a ban and the seconds that it still lasts."""
        return {source: until - now for source, until in self._banned_until.items() if now < until}


def is_within(host: str, networks: Iterable[Network]) -> bool:
    """Tell whether an IP address lies in one of `networks`; what is no address lies in none."""
    address = _address(host)
    return address is not None and any(address in network for network in networks)


def source_of(host: str) -> str:
    """Give what one peer can hardly have many of: its IPv4 address, or the /64 of its IPv6 address."""
    address = _address(host)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return host if address is None else str(address)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _make_room(table: dict[str, V], most: int) -> None:
    while len(table) >= most:
        del table[next(iter(table))]
