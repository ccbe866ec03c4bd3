"""Options of an ICE session, and the receiver of its events."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from softswitch.egress import Names
from softswitch.egress.pin import Resolve
from softswitch.log.tasks import Tasks
from softswitch.sdp import CandidateLine

if TYPE_CHECKING:
    from aioice import Connection

Address = tuple[str, int]


class IceOwner(Protocol):
    """Receiver of the events of an :class:`IceConnection`; all calls come from the event loop."""

    def media_received(self, datagram: bytes) -> None:
        """Handle an encrypted RTP or RTCP datagram of the peer."""

    def dtls_received(self, datagram: bytes) -> None:
        """Handle a DTLS datagram of the peer."""

    def pair_nominated(self, connection: "Connection") -> None:
        """Handle the first nominated pair, or another one than before."""

    def connection_lost(self, connection: "Connection") -> None:
        """Handle the end of consent, or of the relay."""

    def candidates_found(self, connection: "Connection", lines: Sequence[CandidateLine]) -> None:
        """Handle candidates that came after the description; an empty sequence: nothing follows."""

    def relay_refused(self, connection: "Connection", reason: str) -> None:
        """Handle a TURN server that refuses, or does not respond; `reason` is for the application."""


@dataclass(frozen=True, slots=True)
class IceOptions:
    """Options of all ICE sessions of a switch."""

    addresses: Sequence[str] = ()
    """Local addresses; empty: those of the interfaces."""
    loopback: bool = True
    """Whether 127.0.0.1 is used besides the addresses of the interfaces."""
    ports: tuple[int, int] = (0, 0)
    """First and last UDP port; zeros let the system choose."""
    gather_s: float = 2.0
    """Longest wait of a description for STUN and TURN servers, in seconds, unless the peer trickles."""
    resolve: Resolve = field(default_factory=Names)
    """Resolves STUN and TURN servers."""
    releases: Tasks = field(default_factory=lambda: Tasks("legs", "ice"))
    """Tasks that give back the relays of ended sessions."""


@dataclass(frozen=True, slots=True)
class NominatedPair:
    """The pair that media use."""

    relayed: bool
    """Media leave through the TURN server, hence not by a plain socket."""
    remote: Address
