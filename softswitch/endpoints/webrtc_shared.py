"""What all WebRTC legs of a switch share: engine, addresses, servers, certificate, chance, counters."""

import time
from collections.abc import Callable
from random import Random
from typing import Protocol

from aiortc import RTCCertificate

from softswitch.endpoints.aiortc_private import (
    IceConnection,
    IceOptions,
    IceOwner,
    certificate_fingerprint,
    make_certificate,
)
from softswitch.endpoints.ice import gather_servers, ice_servers
from softswitch.endpoints.source_filter import Drops
from softswitch.media.messages import Message
from softswitch.sdp import CandidateLine, Fingerprint
from softswitch.settings import Ice

CERTIFICATE_S = 86400.0
"""Life of a certificate, in seconds; making one takes a millisecond that a call need not wait for."""


class MediaPlane(Protocol):
    """What the endpoints need of the engine."""

    def post(self, message: Message) -> None:
        """Hand over a message; it takes effect with the next tick."""

    def deliver(self, port: int, datagram: bytes) -> None:
        """Hand over an encrypted datagram that came for a port."""


class WebRtcShared:
    """Makes what each leg needs of its own."""

    def __init__(
        self,
        engine: MediaPlane,
        ice: Ice,
        options: IceOptions,
        random: Random,
        wall_clock: Callable[[], float],
        *,
        external_ip: str,
        connect_s: float,
    ) -> None:
        self.engine = engine
        self.random = random
        self.connect_s = connect_s
        self.drops = Drops()
        self._ice = ice
        self._options = options
        self._wall_clock = wall_clock
        self._external_ip = external_ip
        self._certificate = make_certificate()
        self._certificate_ends = time.monotonic() + CERTIFICATE_S

    def connection(self, owner: IceOwner, *, controlling: bool) -> IceConnection:
        """Return a new ICE session, with TURN credentials valid from now on."""
        servers = gather_servers(ice_servers(self._ice, now=self._wall_clock()))
        return IceConnection(owner, self._options, servers, self.drops, self.random, controlling=controlling)

    def certificate(self) -> tuple[RTCCertificate, Fingerprint]:
        """Return the certificate of the day and its fingerprint."""
        now = time.monotonic()
        if now >= self._certificate_ends:
            self._certificate = make_certificate()
            self._certificate_ends = now + CERTIFICATE_S
        return self._certificate, certificate_fingerprint(self._certificate)

    def own_candidates(self, connection: IceConnection) -> tuple[CandidateLine, ...]:
        """Return the candidates of a session for the answer, that of a one-to-one NAT among them."""
        lines = [
            CandidateLine(
                item.foundation, item.component, item.transport, item.priority, item.host, item.port,
                item.type, item.related_address or "", item.related_port or 0,
            )
            for item in connection.local_candidates
        ]  # fmt: skip
        inside = next(
            (line for line in lines if line.kind == "host" and _fits(line, self._external_ip)), None
        )
        if inside:
            outside = CandidateLine(
                "external", 1, "udp", inside.priority - (26 << 24), self._external_ip, inside.port,
                "srflx", inside.address, inside.port,
            )  # fmt: skip
            lines.append(outside)
        return tuple(lines)


def _fits(line: CandidateLine, external_ip: str) -> bool:
    """Tell whether a candidate can be what lies behind the external address."""
    if not external_ip or line.ip is None or line.ip.is_loopback:
        return False
    return (":" in external_ip) == (line.ip.version == 6) and line.address != external_ip
