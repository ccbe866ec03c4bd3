"""What the media of all telephones share, what one leg wishes, and whom it tells."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from random import Random, SystemRandom
from typing import Literal, Protocol

from softswitch.endpoints.aiortc_private import IceOptions, check_versions
from softswitch.endpoints.ice import gather_servers, ice_servers
from softswitch.endpoints.sip.rtp_sockets import RtpSockets
from softswitch.endpoints.webrtc_shared import MediaPlane, WebRtcShared
from softswitch.sdp import CODECS
from softswitch.settings import Ice, Rtp

CONNECT_S = 20.0
"""Longest time from the answer to the keys of DTLS, in seconds."""
GATHER_S = 0.5

Srtp = Literal["off", "allowed", "sdes", "dtls"]


@dataclass(frozen=True, slots=True)
class MediaWish:
    """What is wanted of the media of one leg."""

    codecs: tuple[str, ...] = CODECS
    """What may be agreed on; our offers name it in this order."""
    preferred: str = ""
    """Codec that comes before all others, in our offers and in what is chosen of theirs; any case."""
    srtp: Srtp = "allowed"
    """off: plain RTP alone. allowed: ours are plain, theirs are answered as they come. sdes, dtls: ours are
    encrypted so, theirs must be encrypted one way or the other. Whatever has ICE is always served."""
    ptime_ms: int = 20
    """Length of packets that we ask for, and send where the far end does not say: 10-60 ms."""
    dtmf: Literal["auto", "rfc4733", "info", "inband"] = "auto"
    far_webrtc: bool = False
    """The far end is a browser: our offer has ICE and DTLS."""
    address: str = ""
    """Address to announce in place of [rtp] external_ip or host: one of ours that this far end can reach."""
    handshake_s: float | None = None
    """Longest wait for ICE and DTLS; None: as long as usual."""


class MediaOwner(Protocol):
    """Whom the media of a leg tells; all calls come from the event loop."""

    def media_held(self, on_hold: bool) -> None:
        """Note that the far end put us on hold, or took us back."""

    def media_failed(self, sender: str, error: str, code: int) -> None:
        """Note that the far end cannot be reached or keyed: `sender` is ice, dtls or media."""

    def media_ended(self, reason: str) -> None:
        """Note that an established way is gone: `caller` closed DTLS, or ICE is silent (`media_timeout`)."""

    def media_warned(self, sender: str, error: str, code: int) -> None:
        """Note what went wrong while the media go on."""


class Relaying(Protocol):
    """Sends what the engine hands out since no socket of its own leads there."""

    def send(self, datagram: bytes) -> bool:
        """Send an encrypted datagram; False when there is no way."""


class SipMediaShared:
    """Engine, ports, ICE, certificates and chance of all telephones."""

    def __init__(
        self,
        engine: MediaPlane,
        rtp: Rtp,
        ice: Ice,
        *,
        loopback: bool = True,
        random: Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        gather_s: float = GATHER_S,
        connect_s: float = CONNECT_S,
    ) -> None:
        """Set up what all legs share.

        Args:
            engine: where ports are opened and datagrams go.
            rtp: section of the settings: address and ports of media.
            ice: section of the settings, for registered browsers.
            loopback: whether 127.0.0.1 is an ICE candidate besides the addresses of the interfaces.
            random: source of keys, names and ports; by default that of the system.
            clock: monotonic seconds.
            wall_clock: seconds since the epoch, for the life of TURN credentials.
            gather_s: longest wait for STUN and TURN servers before a description of ours, in seconds.
            connect_s: longest wait for ICE and DTLS after it, in seconds.

        Raises:
            UnavailableError: aiortc or aioice is a release that this was not made for.
            ValueError: a STUN or TURN URL of the settings is malformed.
        """
        check_versions()
        gather_servers(ice_servers(ice, now=0.0))
        self.engine = engine
        self.random = random or SystemRandom()
        self.clock = clock
        self.external_ip = rtp.external_ip
        self.own_address = _own_address(rtp.host)
        self.sockets = RtpSockets(rtp.host, rtp.port_min, rtp.port_max, self.random, clock)
        self.webrtc = WebRtcShared(
            engine,
            ice,
            IceOptions(ice.host_addresses, loopback, (rtp.port_min, rtp.port_max), gather_s),
            self.random,
            wall_clock,
            external_ip=rtp.external_ip,
            connect_s=connect_s,
        )
        self.relaying: dict[int, Relaying] = {}
        """By port: who sends what of it comes in `Output.datagrams`."""

    def send(self, port: int, datagram: bytes) -> None:
        """Send a datagram of `Output.datagrams`: that of a leg whose pair is relayed."""
        if leg := self.relaying.get(port):
            leg.send(datagram)

    def numbers(self) -> dict[str, int]:
        """Return what was counted: datagrams dropped by reason, pairs of ports by what became of them."""
        return self.webrtc.drops.numbers() | {
            "ports_opened": self.sockets.opened,
            "ports_refused": self.sockets.refused,
        }


def _own_address(host: str) -> str:
    """Return the address that sockets bound to `host` have: of "all", that of the way to the world."""
    address = ip_address(host)
    if not address.is_unspecified:
        return host
    family, far = (socket.AF_INET6, "2001:db8::1") if address.version == 6 else (socket.AF_INET, "192.0.2.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((far, 9))  # sends nothing
        except OSError:
            return "::1" if address.version == 6 else "127.0.0.1"
        return str(probe.getsockname()[0])
