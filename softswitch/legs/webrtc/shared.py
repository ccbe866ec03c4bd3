"""Resources of all WebRTC legs: engine, addresses, servers, certificate, random numbers, counters."""

import asyncio
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Protocol

from softswitch.legs.webrtc import aiortc_private
from softswitch.legs.webrtc.aiortc_private import IceOptions, IceOwner
from softswitch.legs.webrtc.ice import gather_servers, ice_servers
from softswitch.legs.webrtc.source_filter import Drops
from softswitch.media.messages import Message
from softswitch.sdp import CandidateLine, Fingerprint
from softswitch.settings import Ice

if TYPE_CHECKING:
    from aiortc import RTCCertificate

    from softswitch.legs.webrtc.aiortc_private import IceConnection

RELEASE_S = 2.0
"""Longest wait at the end of the process for relays to be given back, in seconds."""
CERTIFICATE_S = 86400.0
"""Life of a certificate, in seconds; it is renewed early, since making one takes a millisecond."""


class MediaPlane(Protocol):
    """Interface of the media engine for RTP legs."""

    def post(self, message: Message) -> None:
        """Queue a message; it takes effect with the next tick."""

    def deliver(self, port: int, datagram: bytes) -> None:
        """Hand over an encrypted datagram that was received for a port."""


class WebRtcShared:
    """Factory of the ICE sessions, certificates and candidates of legs."""

    def __init__(
        self,
        engine: MediaPlane,
        ice: Ice,
        options: IceOptions,
        random: Random,
        wall_clock: Callable[[], float],
        *,
        external_ips: Sequence[str],
        connect_s: float,
    ) -> None:
        self.engine = engine
        self.random = random
        self.connect_s = connect_s
        self.drops = Drops()
        self._ice = ice
        self._options = options
        self._wall_clock = wall_clock
        self._external_ips = external_ips
        self._loaded = False
        self._certificate: RTCCertificate | None = None
        self._certificate_ends = float("-inf")

    async def load(self) -> None:
        """Import the libraries of WebRTC, unless that is done; the event loop goes on meanwhile."""
        if not self._loaded:
            await asyncio.to_thread(aiortc_private.load)
            self._loaded = True

    def connection(self, owner: IceOwner, *, controlling: bool, trickle: bool = False) -> "IceConnection":
        """Return a new ICE session, with fresh TURN credentials of its own."""
        user = f"leg-{self.random.getrandbits(96):024x}"
        servers = gather_servers(ice_servers(self._ice, now=self._wall_clock(), user=user))
        return aiortc_private.IceConnection(
            owner,
            self._options,
            servers,
            self.drops,
            self.random,
            controlling=controlling,
            trickle=trickle,
        )

    async def released(self, seconds: float = RELEASE_S) -> None:
        """Wait for the relays of ended legs to be given back, for so many seconds at most."""
        await self._options.releases.stop(seconds)

    async def certificate(self) -> tuple["RTCCertificate", Fingerprint]:
        """Return the present certificate and its fingerprint."""
        await self.load()
        now = time.monotonic()
        if self._certificate is None or now >= self._certificate_ends:
            self._certificate = aiortc_private.make_certificate()
            self._certificate_ends = now + CERTIFICATE_S
        return self._certificate, aiortc_private.certificate_fingerprint(self._certificate)

    def own_candidates(self, connection: "IceConnection") -> tuple[CandidateLine, ...]:
        """Return the local candidates for the answer, including that of a one-to-one NAT."""
        lines = [aiortc_private.candidate_line_of(item) for item in connection.local_candidates]
        hosts = [line for line in lines if line.kind == "host"]
        for external in self._external_ips:
            inside = next((line for line in hosts if _fits(line, external)), None)
            if inside:
                outside = CandidateLine(
                    f"external{6 if ':' in external else 4}", 1, "udp", inside.priority - (26 << 24),
                    external, inside.port, "srflx", inside.address, inside.port,
                )  # fmt: skip
                lines.append(outside)
        return tuple(lines)


def _fits(line: CandidateLine, external_ip: str) -> bool:
    """Tell whether a host candidate can be the address behind the external one."""
    if line.ip is None or line.ip.is_loopback:
        return False
    return (":" in external_ip) == (line.ip.version == 6) and line.address != external_ip
