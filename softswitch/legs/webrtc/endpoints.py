"""The factory of WebRTC legs, and the path for what relayed legs send."""

import time
from collections.abc import Callable, Sequence
from random import Random, SystemRandom

from softswitch.call.interfaces import LegRequest
from softswitch.call.vocabulary.reports import Report
from softswitch.egress import Names
from softswitch.egress.pin import Resolve
from softswitch.legs.webrtc.aiortc_private import IceOptions, check_versions
from softswitch.legs.webrtc.ice import gather_servers, ice_servers
from softswitch.legs.webrtc.leg import WebRtcLeg
from softswitch.legs.webrtc.shared import RELEASE_S, MediaPlane, WebRtcShared
from softswitch.log.tasks import spawn
from softswitch.settings import Ice

CONNECT_S = 30.0
"""Longest time from the answer to the keys, in seconds."""


class WebRtcEndpoints:
    """Factory of WebRTC legs (:class:`softswitch.call.interfaces.EndpointFactory`)."""

    def __init__(
        self,
        engine: MediaPlane,
        ice: Ice,
        *,
        loopback: bool = True,
        ports: tuple[int, int] = (0, 0),
        external_ips: Sequence[str] = (),
        random: Random | None = None,
        wall_clock: Callable[[], float] = time.time,
        gather_s: float | None = None,
        connect_s: float = CONNECT_S,
        resolve: Resolve | None = None,
    ) -> None:
        """Set up the resources that all legs share.

        Args:
            engine: the media engine.
            ice: section [ice]: local addresses, STUN and TURN servers.
            loopback: whether 127.0.0.1 is offered besides the addresses of the interfaces.
            ports: first and last UDP port; zeros let the system choose.
            external_ips: public addresses of this host behind a one-to-one NAT, at most one of each family.
            random: source of names, passwords, SSRCs and ports; by default that of the system.
            wall_clock: seconds since the epoch, for the life of TURN credentials.
            gather_s: longest wait for STUN and TURN servers, in seconds; None: that of `ice`.
            connect_s: longest wait for ICE and DTLS after it, in seconds.
            resolve: resolves STUN and TURN servers; by default over DNS.

        Raises:
            UnavailableError: aiortc or aioice is installed in an unsupported release.
            ValueError: a STUN or TURN URL of the settings is malformed.
        """
        check_versions()
        gather_servers(ice_servers(ice, now=0.0))
        self._shared = WebRtcShared(
            engine,
            ice,
            IceOptions(
                ice.host_addresses,
                loopback,
                ports,
                ice.gather_s if gather_s is None else gather_s,
                resolve or Names(),
            ),
            random or SystemRandom(),
            wall_clock,
            external_ips=external_ips,
            connect_s=connect_s,
        )
        self._legs: dict[int, WebRtcLeg] = {}
        self._warmed = False

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> WebRtcLeg:
        """Make the endpoint of one leg; it does nothing before its first command."""
        leg = WebRtcLeg(self._shared, request, report, self._remove)
        self._legs[request.port] = leg
        return leg

    def warm(self) -> None:
        """Begin to import the libraries of WebRTC, unless that has been begun: a leg would wait for them."""
        if not self._warmed:
            self._warmed = True
            spawn(self._shared.load(), package="legs", owner="webrtc", name="libraries")

    def send(self, port: int, datagram: bytes) -> None:
        """Send a datagram of `Output.datagrams`: media of a leg that is relayed by a TURN server."""
        if leg := self._legs.get(port):
            leg.send(datagram)

    def stray(self, port: int, datagram: bytes, source: tuple[str, int]) -> None:
        """Hand a datagram of `Output.strays` to its leg."""
        if leg := self._legs.get(port):
            leg.stray(datagram, source)

    async def released(self, seconds: float = RELEASE_S) -> None:
        """Wait for the relays of ended legs to be given back, for so many seconds at most.

        For the end of the process: what is not given back by then expires at the server.
        """
        await self._shared.released(seconds)

    def addresses_changed(self, present: frozenset[str]) -> None:
        """Ask the clients whose path begins at an address that is gone to restart ICE."""
        for leg in list(self._legs.values()):
            leg.addresses_changed(present)

    def numbers(self) -> dict[str, int]:
        """Return the counters of dropped datagrams and candidates, by reason."""
        return self._shared.drops.numbers()

    @property
    def legs(self) -> int:
        """Return the number of legs, including those being released."""
        return len(self._legs)

    def _remove(self, leg: WebRtcLeg) -> None:
        if self._legs.get(leg.port) is leg:
            del self._legs[leg.port]
