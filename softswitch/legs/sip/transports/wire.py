"""What all SIP transports share: their receiver, their limits and the notation of addresses."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from softswitch.sip.transaction.flow import Flow


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Limits of all transports."""

    connections: int = 2000
    """Connections at once, including those that the switch opened."""
    per_address: int = 200
    """Connections at once from one address outside the trusted networks."""
    send_bytes: int = 262_144
    """Octets that may wait in one connection; one that would exceed it is closed."""
    first_s: float = 15.0
    """Longest wait for the first message of a connection, in seconds."""
    proof_s: float = 30.0
    """Longest life of a WebSocket over which no phone has authenticated, in seconds."""
    unproved: int = 20
    """Such WebSockets at once from one address, a trusted one included."""
    idle_s: float = 3700.0
    """Longest silence of a connection, in seconds: longer than a registration lasts."""
    connect_s: float = 5.0
    """Longest time to open a connection, TLS handshake included, in seconds."""
    ping_s: float = 30.0
    """Silence after which a connection that the switch opened sends a keep-alive (RFC 5626 section 4.4.1), in
    seconds."""


class Receiver(Protocol):
    """Receiver of messages; all calls come from the event loop."""

    def message_received(self, data: bytes, flow: Flow) -> None:
        """Handle one message of a flow."""

    def flow_lost(self, flow: Flow) -> None:
        """Handle a closed connection; `flow.connection` is its id."""


LocalAddress = Callable[[str, str], tuple[str, int]]
"""Returns the local host and port to announce to a peer, given transport and address of the peer."""

Trusted = Callable[[str], bool]
"""Tells whether an address lies in a network without limits."""


def plain_address(host: str) -> str:
    """Return an address in its usual notation: IPv4 rather than IPv4-mapped IPv6, without a zone."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    return str(address.ipv4_mapped or address)
