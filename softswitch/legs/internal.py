"""Internal legs: SIP calls from one node of the switch to another, on sockets of their own.

Their INVITE carries a signed destination: ``call:<id>`` or ``room:<id>``. One without a valid signature is
refused, and an internal INVITE never causes another.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from weakref import WeakSet

import msgspec

from softswitch.call.interfaces import Endpoint, IncomingCall, LegRequest
from softswitch.call.vocabulary.reports import Report
from softswitch.legs.sip.leg.leg import SipLeg
from softswitch.legs.sip.server import SipEndpoints
from softswitch.legs.webrtc.shared import MediaPlane
from softswitch.settings import Egress, Settings

logger = logging.getLogger(__name__)

HEADER = "Softswitch-Leg"
Sign = Callable[[str, str], str]
"""Signs a destination and what is said of the client."""
Check = Callable[[str, str], tuple[str, str] | None]
"""Checks a signature of a destination; returns the node and what it said, None where it is not valid."""
OnLeg = Callable[[str, str, IncomingCall], None]
"""Takes an internal leg: its destination, what was said of the client, and the call."""


class InternalLegs:
    """The internal legs of one node."""

    def __init__(
        self, settings: Settings, engine: MediaPlane, sign: Sign, check: Check, host: str = "127.0.0.1"
    ) -> None:
        """Prepare; `start` opens the sockets.

        Args:
            settings: Range of the media ports, and timers of SIP.
            engine: Where ports are opened.
            sign: Signs destinations.
            check: Checks signatures.
            host: Address to listen at, which other nodes reach.
        """
        self._host = host
        # Every call is signed, so that the address it comes from proves nothing.
        networks = ("127.0.0.0/8",) if host == "127.0.0.1" else ("0.0.0.0/0", "::/0")
        sip = msgspec.structs.replace(
            settings.sip,
            enabled=True,
            host=host,
            port=0,
            tls_port=0,
            tls_cert="",
            tls_key="",
            external_host="",
            allow=networks,
            engine="builtin",
            srtp="off",
            calls_per_second=0,
        )
        rtp = msgspec.structs.replace(settings.rtp, host=host, external_ip="")
        self._sip = SipEndpoints(
            msgspec.structs.replace(
                settings, sip=sip, rtp=rtp, egress=Egress(allow=networks), trunk=(), user=(), route=()
            ),
            engine,
            self._incoming,
        )
        self._sip.media.near = True
        self._sign = sign
        self._check = check
        self.on_leg: OnLeg = lambda destination, said, call: call.reject(404, "Not Found")
        self.refused = 0
        """Calls without a valid signature."""
        self._with: dict[str, WeakSet[SipLeg]] = {}
        """Legs to and from each other node."""

    async def start(self) -> None:
        """Open the sockets; raises ListenError."""
        await self._sip.start()

    async def stop(self) -> None:
        """End all internal legs and close the sockets."""
        await self._sip.stop()

    @property
    def address(self) -> str:
        """Return host and port at which this node takes internal legs."""
        return f"{self._host}:{self._sip.port}"

    @property
    def count(self) -> int:
        """Return the number of internal legs."""
        return self._sip.legs

    def lose(self, node: str) -> None:
        """End all legs to and from a node that is lost: it says no BYE."""
        for leg in list(self._with.pop(node, ())):
            leg.media_ended("error")

    def dial(
        self,
        node: str,
        address: str,
        destination: str,
        said: str,
        request: LegRequest,
        report: Callable[[Report], None],
    ) -> Endpoint:
        """Make the endpoint of a leg to another node.

        Args:
            node: The node.
            address: Where it takes internal legs.
            destination: ``call:<id>`` or ``room:<id>``.
            said: What is said of the client.
            request: The leg.
            report: Gets its reports.
        """
        wanted = msgspec.structs.replace(
            request,
            callee=f"sip:leg@{address}",
            caller="switch",
            headers=self.signed(destination, said),
            trunk="",
        )
        leg = self._sip(wanted, report)
        self._note(node, leg)
        return leg

    def signed(self, destination: str, said: str) -> dict[str, str]:
        """Return the headers of an INVITE to another node, which are valid for once."""
        return {HEADER: f"{destination} {self._sign(destination, said)}"}

    def _note(self, node: str, leg: Endpoint) -> None:
        if isinstance(leg, SipLeg):
            self._with.setdefault(node, WeakSet()).add(leg)

    def _incoming(self, call: IncomingCall) -> None:
        destination, _, signed = call.headers.get(HEADER, "").partition(" ")
        found = self._check(destination, signed) if destination else None
        if found is None:
            self.refused += 1
            logger.warning("an internal leg was refused: its signature is not valid")
            call.reject(403, "Forbidden")
            return
        node, said = found

        def party(request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
            leg = call.party(request, report)
            self._note(node, leg)
            return leg

        self.on_leg(destination, said, replace(call, party=party))
