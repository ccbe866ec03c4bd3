"""Filter before ICE: tells STUN, DTLS and media apart (RFC 7983) and drops datagrams of strangers.

The libraries behind it trust their input: aioice answers every STUN request and queues all other datagrams
without bound; aiortc's DTLS transport fails on an empty datagram, and one alert or ClientHello of a stranger
ends a handshake. So datagrams of strangers are dropped before anything is parsed.
"""

from collections.abc import Container
from dataclasses import asdict, dataclass
from typing import Literal

MAX_DATAGRAM = 1500
"""Octets of the largest datagram: as much as an Ethernet frame carries and the engine's rows hold."""

STUN_BURST = 200
STUN_PER_SECOND = 100.0
"""Checks of one leg that are answered; a browser with eight addresses sends about fifty a second."""

_STUN_HEADER = 20
_BINDING_REQUEST = b"\x00\x01"
_BINDING_RESPONSE = b"\x01\x01"
_BINDING_ERROR = b"\x01\x11"
_USERNAME = b"\x00\x06"

Kind = Literal["stun", "dtls", "media", "other"]


@dataclass(slots=True)
class Drops:
    """Dropped datagrams by reason; one object counts for all legs."""

    empty: int = 0
    unknown_kind: int = 0
    oversized: int = 0
    stranger: int = 0
    stun_stranger: int = 0
    """STUN that is neither a request with the local user name nor a response to a local request."""
    stun_flood: int = 0
    stun_malformed: int = 0
    dtls_overflow: int = 0
    unsent: int = 0
    """DTLS of a SIP phone without ICE that the kernel did not accept."""
    unread: int = 0
    """Failed reads of sockets of SIP phones without ICE."""
    socket_errors: int = 0
    """ICMP errors on sockets of ICE and DTLS, and ICE datagrams that could not be sent."""
    candidates: int = 0
    """Unused candidates of the peer: mDNS names, TCP, refused addresses, too many."""

    def numbers(self) -> dict[str, int]:
        """Return all counters by name."""
        return asdict(self)


def kind_of(datagram: bytes) -> Kind:
    """Return the kind of a datagram that is not empty, by its first octet (RFC 7983 section 7)."""
    first = datagram[0]
    if 128 <= first <= 191:
        return "media"
    if first <= 3:
        return "stun"
    return "dtls" if 20 <= first <= 63 else "other"


class StunFilter:
    """Filter of the STUN messages of one ICE session, with a rate limit."""

    def __init__(self, ufrag: str, drops: Drops) -> None:
        self._name = f"{ufrag}:".encode()
        self._drops = drops
        self._tokens = float(STUN_BURST)
        self._filled_at = 0.0

    def admits(self, datagram: bytes, expected: Container[bytes], now: float) -> bool:
        """Tell whether a STUN message is for this session.

        Args:
            datagram: STUN message, not parsed yet.
            expected: ids of local transactions under way.
            now: monotonic seconds.
        """
        kind = datagram[:2]
        if len(datagram) < _STUN_HEADER:
            self._drops.stun_malformed += 1
            return False
        if kind in (_BINDING_RESPONSE, _BINDING_ERROR):
            if datagram[8:20] in expected:
                return True
            self._drops.stun_stranger += 1
            return False
        # A request of the peer has USERNAME "local:remote" (RFC 8445 section 7.2.2), known from the answer
        # only. No error response is sent: it would tell strangers of the port, or flood a forged source.
        if kind != _BINDING_REQUEST or _USERNAME not in datagram or self._name not in datagram:
            self._drops.stun_stranger += 1
            return False
        if not self._take_token(now):
            self._drops.stun_flood += 1
            return False
        return True

    def _take_token(self, now: float) -> bool:
        grown = (now - self._filled_at) * STUN_PER_SECOND
        self._tokens = min(float(STUN_BURST), self._tokens + grown)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
