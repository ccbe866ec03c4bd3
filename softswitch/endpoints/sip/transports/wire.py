"""What every transport shares: whom it tells, its bounds, and the name of an address."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from softswitch.sip.flow import Flow


@dataclass(frozen=True, slots=True)
class WireLimits:
    """The bounds of all transports."""

    connections: int = 2000
    """Connections at once, those we opened among them."""
    per_address: int = 200
    """Connections at once from one address outside the trusted networks."""
    send_bytes: int = 262_144
    """Octets that may wait in one connection; one that takes no more is closed."""
    first_s: float = 15.0
    """Longest wait for the first message of a connection, in seconds."""
    idle_s: float = 3700.0
    """Longest silence of a connection, in seconds: a phone must outlive the registration it renews."""
    connect_s: float = 5.0
    """Longest time to open a connection, TLS handshake included, in seconds."""
    ping_s: float = 30.0
    """Seconds of silence after which a connection that we opened is kept alive (RFC 5626 section 4.4.1)."""


class Receiver(Protocol):
    """Whom transports tell; all calls come from the event loop."""

    def message_received(self, data: bytes, flow: Flow) -> None:
        """Take one message that came by a flow."""

    def flow_lost(self, flow: Flow) -> None:
        """Note that a connection is gone; `flow.connection` names it."""


LocalAddress = Callable[[str, str], tuple[str, int]]
"""Return host and port that a far end is told to reach us by, given the transport and its address."""

Trusted = Callable[[str], bool]
"""Tell whether an address lies in a network without limits."""


def plain_address(host: str) -> str:
    """Return an address as it is written everywhere else: IPv4 without its IPv6 clothes, no zone."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    return str(address.ipv4_mapped or address)
