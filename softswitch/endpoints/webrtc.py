"""WebRTC endpoints: the factory of legs, and the way out of what relayed legs send."""

import time
from collections.abc import Callable
from random import Random, SystemRandom

from softswitch.call.needs import LegRequest
from softswitch.call.reports import Report
from softswitch.endpoints.aiortc_private import IceOptions, check_versions
from softswitch.endpoints.ice import gather_servers, ice_servers
from softswitch.endpoints.webrtc_leg import WebRtcLeg
from softswitch.endpoints.webrtc_shared import MediaPlane, WebRtcShared
from softswitch.settings import Ice

CONNECT_S = 30.0
"""Longest time from the answer to the keys, in seconds."""
GATHER_S = 0.5
"""Longest wait for STUN and TURN servers, in seconds (docs/adr on WebRTC)."""


class WebRtcEndpoints:
    """Makes WebRTC endpoints (:class:`softswitch.call.needs.EndpointFactory`)."""

    def __init__(
        self,
        engine: MediaPlane,
        ice: Ice,
        *,
        loopback: bool = True,
        ports: tuple[int, int] = (0, 0),
        external_ip: str = "",
        random: Random | None = None,
        wall_clock: Callable[[], float] = time.time,
        gather_s: float = GATHER_S,
        connect_s: float = CONNECT_S,
    ) -> None:
        """Set up what all legs share.

        Args:
            engine: where ports are opened and datagrams go.
            ice: section of the settings: own addresses, STUN and TURN servers.
            loopback: whether 127.0.0.1 is offered besides the addresses of the interfaces.
            ports: first and last UDP port; zeros let the system choose.
            external_ip: address by which the world reaches this host behind a one-to-one NAT; "" for none.
            random: source of names, passwords, SSRCs and ports; by default that of the system.
            wall_clock: seconds since the epoch, for the life of TURN credentials.
            gather_s: longest wait for STUN and TURN servers before an answer, in seconds.
            connect_s: longest wait for ICE and DTLS after it, in seconds.

        Raises:
            UnavailableError: aiortc or aioice is a release that this was not made for.
            ValueError: a STUN or TURN URL of the settings is malformed.
        """
        check_versions()
        gather_servers(ice_servers(ice, now=0.0))
        self._shared = WebRtcShared(
            engine,
            ice,
            IceOptions(ice.host_addresses, loopback, ports, gather_s),
            random or SystemRandom(),
            wall_clock,
            external_ip=external_ip,
            connect_s=connect_s,
        )
        self._legs: dict[int, WebRtcLeg] = {}

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> WebRtcLeg:
        """Make the endpoint of one leg; it does nothing before its first verb."""
        leg = WebRtcLeg(self._shared, request, report, self._forget)
        self._legs[request.port] = leg
        return leg

    def send(self, port: int, datagram: bytes) -> None:
        """Send a datagram of `Output.datagrams`: that of a leg whose pair is relayed."""
        if leg := self._legs.get(port):
            leg.send(datagram)

    def numbers(self) -> dict[str, int]:
        """Return the datagrams and candidates dropped so far, by reason."""
        return self._shared.drops.numbers()

    @property
    def legs(self) -> int:
        """Return how many legs there are, those being released among them."""
        return len(self._legs)

    def _forget(self, leg: WebRtcLeg) -> None:
        if self._legs.get(leg.port) is leg:
            del self._legs[leg.port]
