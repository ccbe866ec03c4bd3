"""Limits for unauthenticated sources: requests per second, and bans after failed logins.

A UDP source address can be forged. An unauthenticated request therefore only uses up the rate of its source.
A ban needs failed logins, which `challenge.Challenger` counts only for nonces that were sent to that address.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeVar

V = TypeVar("V")
Network = IPv4Network | IPv6Network


@dataclass(slots=True)
class GuardCounters:
    """Counts of requests that were dropped, since the start."""

    limited: int = 0
    """Requests above the rate of their source."""
    banned: int = 0
    """Requests of banned sources."""
    bans: int = 0
    """Bans imposed."""
    failures: int = 0
    """Failed logins."""
    silenced: int = 0
    """Requests of unknown senders that got no response."""


class Rate:
    """Token bucket.

    Args:
        per_second: Tokens per second on average; 0 or less means no limit.
        burst: Most tokens at once; 0 means those of one second, at least one.
    """

    __slots__ = ("_at", "_burst", "_left", "_per_second")

    def __init__(self, per_second: float, burst: float = 0) -> None:
        self._per_second = per_second
        self._burst = burst or max(1.0, per_second)
        self._left = self._burst
        self._at: float | None = None

    def take(self, now: float, share: float = 1.0) -> bool:
        """Take one token; return False if the bucket is empty.

        Args:
            now: Monotonic seconds.
            share: Share of this process in the rate, where several keep it together; more than 0, at most 1.
        """
        if self._per_second <= 0:
            return True
        burst = max(1.0, self._burst * share)
        self._left = min(self._left, burst)
        if self._at is not None:
            self._left = min(burst, self._left + max(0.0, now - self._at) * self._per_second * share)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Guard:
    """Rates, failed logins and bans of unauthenticated sources, in bounded number.

    Args:
        allow: Networks without limits, in CIDR notation.
        requests_per_second: Unauthenticated requests of one source; 0 means no limit.
        login_failures: Failed logins of one source within `ban_s` that cause a ban; 0 means no bans.
        ban_s: Duration of a ban in seconds.
        most_sources: Sources remembered in each table; the one heard longest ago is dropped first.
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
        self.share: Callable[[], float] = lambda: 1.0
        """Returns the share of this process in the rates, where several keep them together."""
        self.on_failed: Callable[[str], None] = lambda host: None
        """Called with the address of each failed login here."""

    def trusts(self, host: str) -> bool:
        """Return whether `host` is in the networks without limits."""
        return is_within(host, self._allow)

    def admits(self, host: str, now: float) -> bool:
        """Count an unauthenticated request of `host`; return False if it has to be dropped silently."""
        if self.trusts(host):
            return True
        source = source_of(host)
        if self.is_banned(host, now):
            self.counters.banned += 1
            return False
        rate = self._rates.pop(source, None) or Rate(self._requests_per_second)
        _make_room(self._rates, self._most)
        self._rates[source] = rate
        if rate.take(now, self.share()):
            return True
        self.counters.limited += 1
        return False

    def is_banned(self, host: str, now: float) -> bool:
        """Return whether `host` is banned; nothing is counted."""
        until = self._banned_until.get(source_of(host))
        return until is not None and now < until

    def failed(self, host: str, now: float, *, told: bool = False) -> bool:
        """Count a failed login of `host`; return True if it is banned now.

        Args:
            host: Source address.
            now: Monotonic seconds.
            told: Whether it was at another process of the switch.
        """
        if not told:
            self.counters.failures += 1
            self.on_failed(host)
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
        """Count a request that gets no response because its sender is unknown."""
        self.counters.silenced += 1

    def bans(self, now: float) -> dict[str, float]:
        """Return the banned sources and the remaining seconds of their bans."""
        return {source: until - now for source, until in self._banned_until.items() if now < until}


def is_within(host: str, networks: Iterable[Network]) -> bool:
    """Return whether an IP address is in one of `networks`; False for text that is not an address."""
    address = _address(host)
    return address is not None and any(address in network for network in networks)


def source_of(host: str) -> str:
    """Return the key of a source: its IPv4 address, or the /64 network of its IPv6 address.

    One IPv6 peer usually controls all addresses of its /64.
    """
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
