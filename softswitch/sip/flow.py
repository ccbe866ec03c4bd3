"""Where a message came from or goes to, and what is handed to the transports."""

from dataclasses import dataclass
from typing import Literal

TransportName = Literal["udp", "tcp", "tls", "ws", "wss"]

RELIABLE: frozenset[str] = frozenset({"tcp", "tls", "ws", "wss"})
"""Transports that repeat lost data themselves (RFC 3261 section 17)."""

DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Flow:
    """One way to a far end: a transport, the far end's address, and ours."""

    transport: TransportName
    host: str
    """IP address without brackets; a name only where the far end's Contact or Route has one: resolve it."""
    port: int
    connection: int = 0
    """Number of a stream's connection, 0: any or none (open one)."""
    local_host: str = ""
    """Our own address as the far end should see it: goes into Via and Contact."""
    local_port: int = 0
    """Our own port there; 0 writes none."""
    or_tcp: bool = False
    """UDP was nobody's express wish: what is too large for a datagram may go by TCP."""

    @property
    def reliable(self) -> bool:
        """Return whether the transport repeats lost data itself."""
        return self.transport in RELIABLE

    @property
    def secure(self) -> bool:
        """Return whether the transport is encrypted."""
        return self.transport in ("tls", "wss")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to hand to the transports."""

    data: bytes
    to: Flow
    transaction: str
    """Its transaction, for `UserAgent.refused` when it cannot be sent."""
