"""What an ICE session needs to know, and whom it tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aioice import Connection

Address = tuple[str, int]


class IceOwner(Protocol):
    """What an :class:`IceConnection` tells the leg it belongs to; all calls come from the event loop."""

    def media_received(self, datagram: bytes) -> None:
        """Take an encrypted RTP or RTCP datagram of the far end."""

    def dtls_received(self, datagram: bytes) -> None:
        """Take a DTLS datagram of the far end."""

    def pair_nominated(self, connection: Connection) -> None:
        """Note that there is a pair to send on, or another one than before."""

    def connection_lost(self, connection: Connection) -> None:
        """Note that consent has expired, or that the relay is gone."""


@dataclass(frozen=True, slots=True)
class IceOptions:
    """What all ICE sessions of a switch have in common."""

    addresses: Sequence[str] = ()
    """Own addresses; empty takes those of the interfaces."""
    loopback: bool = True
    """Whether 127.0.0.1 is among them when they are taken from the interfaces."""
    ports: tuple[int, int] = (0, 0)
    """First and last UDP port; zeros let the system choose."""
    gather_s: float = 0.5
    """Longest wait for STUN and TURN servers, since the answer waits for them."""


@dataclass(frozen=True, slots=True)
class NominatedPair:
    """Where media goes."""

    relayed: bool
    """It leaves through the TURN server, hence not on a plain socket."""
    remote: Address
