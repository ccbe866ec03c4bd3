"""Media resources of all SIP legs, the options of one leg, and the receiver of its media events."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Literal, Protocol

from softswitch.egress import Names
from softswitch.egress.pin import Resolve
from softswitch.legs.sip.addressing.own_addresses import OwnAddresses
from softswitch.legs.sip.media.rtp_sockets import RtpSockets
from softswitch.legs.webrtc.aiortc_private import IceOptions, check_versions
from softswitch.legs.webrtc.ice import gather_servers, ice_servers
from softswitch.legs.webrtc.shared import MediaPlane, WebRtcShared
from softswitch.sdp import CODECS
from softswitch.settings import Ice, Rtp, Sip

CONNECT_S = 20.0
"""Longest time from the answer to the keys of DTLS, in seconds."""

AddressToward = Callable[[str], str]
"""Returns the local address for SDP by the address of the peer."""
Srtp = Literal["off", "allowed", "sdes", "dtls"]


@dataclass(frozen=True, slots=True)
class MediaOptions:
    """Options of the media of one leg."""

    codecs: tuple[str, ...] = CODECS
    """Codecs that may be agreed on, in the order of offers."""
    preferred: str = ""
    """Codec that comes first in offers, and in the choice from the peer's; any case."""
    srtp: Srtp = "allowed"
    """off: plain RTP only. allowed: offers are plain, and answers follow the offer. sdes, dtls: offers are
    keyed so, and the peer's offers must be encrypted by either. An offer with ICE is always accepted."""
    ptime_ms: int = 20
    """Packet length to ask for, and to send where the peer has no ptime: 10-60 ms."""
    dtmf: Literal["auto", "rfc4733", "info", "inband"] = "auto"
    is_browser: bool = False
    """The peer is a browser: offers have ICE and DTLS."""
    remote: str = ""
    """Address of the peer's signalling, for the choice of the local address in SDP."""
    handshake_s: float | None = None
    """Longest wait for ICE and DTLS in seconds; None: the default."""


class MediaOwner(Protocol):
    """Receiver of the media events of a leg; all calls come from the event loop."""

    def media_held(self, on_hold: bool) -> None:
        """Handle a hold or resume by the peer."""

    def media_failed(self, sender: str, error: str, code: int) -> None:
        """Handle media that cannot be connected or keyed; `sender` is ice, dtls or media."""

    def media_ended(self, reason: str) -> None:
        """Handle the end of connected media: `caller` closed DTLS, or ICE is silent (`media_timeout`)."""

    def media_warned(self, sender: str, error: str, code: int) -> None:
        """Handle a fault that does not end the media."""


class RelaySender(Protocol):
    """Sender of datagrams that the engine hands out because no socket of its own leads to the peer."""

    def send(self, datagram: bytes) -> bool:
        """Send an encrypted datagram; False where there is no connection."""


class SipMediaShared:
    """Engine, ports, ICE servers, certificates and random numbers of all SIP legs."""

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
        gather_s: float | None = None,
        connect_s: float = CONNECT_S,
        resolve: Resolve | None = None,
        own: OwnAddresses | None = None,
    ) -> None:
        """Set up the resources that all legs share.

        Args:
            engine: media engine.
            rtp: section [rtp]: address and ports of media.
            ice: section [ice], for phones in browsers.
            loopback: whether 127.0.0.1 is an ICE candidate besides the addresses of the interfaces.
            random: source of keys, names and ports; by default that of the system.
            clock: monotonic seconds.
            wall_clock: seconds since the epoch, for the life of TURN credentials.
            gather_s: longest wait for STUN and TURN servers before a description is sent, in seconds;
                None: that of `ice`.
            connect_s: longest wait for ICE and DTLS after it, in seconds.
            resolve: resolves STUN and TURN servers, and hosts in descriptions; by default over DNS.
            own: local addresses by peer; by default those of `rtp` alone.

        Raises:
            UnavailableError: aiortc or aioice is installed in an unsupported release.
            ValueError: a STUN or TURN URL of the settings is malformed.
        """
        check_versions()
        gather_servers(ice_servers(ice, now=0.0))
        self.engine = engine
        self.near = False
        """Whether the peers of all legs are other nodes of the switch."""
        self.random = random or SystemRandom()
        self.clock = clock
        self.resolve: Resolve = resolve or Names()
        """Resolves host names in the descriptions of peers."""
        own = own or OwnAddresses(Sip(), rtp)
        self.address_toward: AddressToward = own.media
        """Returns the address for SDP that a peer can send to."""
        self.sockets = RtpSockets(own.media_host, rtp.port_min, rtp.port_max, self.random, clock)
        self.webrtc = WebRtcShared(
            engine,
            ice,
            IceOptions(
                ice.host_addresses,
                loopback,
                (rtp.port_min, rtp.port_max),
                ice.gather_s if gather_s is None else gather_s,
                self.resolve,
            ),
            self.random,
            wall_clock,
            external_ips=rtp.externals(),
            connect_s=connect_s,
        )
        self.relaying: dict[int, RelaySender] = {}
        """Senders of `Output.datagrams`, by port."""

    def send(self, port: int, datagram: bytes) -> None:
        """Send a datagram of `Output.datagrams`: media of a leg that is relayed by a TURN server."""
        if leg := self.relaying.get(port):
            leg.send(datagram)

    def numbers(self) -> dict[str, int]:
        """Return the counters of dropped datagrams by reason, and of opened and refused ports."""
        return self.webrtc.drops.numbers() | {
            "ports_opened": self.sockets.opened,
            "ports_refused": self.sockets.refused,
        }
