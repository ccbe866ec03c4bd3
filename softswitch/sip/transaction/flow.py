"""Flows, which say where a message came from or goes to, and the messages handed to the transports."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

TransportName = Literal["udp", "tcp", "tls", "ws", "wss"]

Nat = Literal["auto", "yes", "no"]
"""Whether a device is behind a NAT, so that requests follow its flow: by evidence, always, or never."""

RELIABLE: frozenset[str] = frozenset({"tcp", "tls", "ws", "wss"})
"""Transports that retransmit lost data themselves (RFC 3261 section 17)."""

DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Flow:
    """Path to a peer: transport, remote address and local address."""

    transport: TransportName
    host: str
    """IP address without brackets; a host name, to be resolved, if the peer's Contact or Route has one."""
    port: int
    connection: int = 0
    """Number of the connection of a stream transport; 0 means any connection, or a new one."""
    local_host: str = ""
    """Local address as the peer shall see it, for Via and Contact."""
    local_port: int = 0
    """Local port as the peer shall see it; 0 writes no port."""
    or_tcp: bool = False
    """Whether a request that is too large for UDP may go by TCP: no configuration or URI asks for UDP."""

    pinned: bool = field(default=False, compare=False)
    """Whether the peer is reached by this flow alone, whatever its Contact says: a device behind a NAT."""

    @property
    def reliable(self) -> bool:
        """Whether the transport retransmits lost data itself."""
        return self.transport in RELIABLE

    @property
    def secure(self) -> bool:
        """Whether the transport is encrypted."""
        return self.transport in ("tls", "wss")


class Outgoing(NamedTuple):
    """One message for the transports to send."""

    data: bytes
    to: Flow
    transaction: str
    """Key of its transaction, for `UserAgent.send_failed`; "" for a message without one."""
