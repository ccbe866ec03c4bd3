"""All telephones of a switch: our own SIP stack, and pyVoIP where the settings ask for it."""

from collections.abc import Callable
from typing import Protocol

from softswitch.call.needs import Endpoint, LegRequest, OnIncoming
from softswitch.call.reports import Report
from softswitch.endpoints.pyvoip.endpoints import PyvoipEndpoints
from softswitch.endpoints.pyvoip.leg import Hear
from softswitch.endpoints.sip.server import SipEndpoints
from softswitch.endpoints.sip.transports.websocket import Receive, Send
from softswitch.endpoints.sip.views import TrunkView, UserView
from softswitch.endpoints.webrtc_shared import MediaPlane
from softswitch.endpoints.websocket import Media
from softswitch.settings import Settings


class Engine(Media, MediaPlane, Protocol):
    """What both kinds of telephones need of the engine."""


class Telephones:
    """Makes legs that are telephones, each by the engine its trunk asks for."""

    def __init__(self, settings: Settings, engine: Engine, on_incoming: OnIncoming, hear: Hear) -> None:
        """Set up everything; `start` opens the sockets.

        Args:
            settings: sections [sip], [rtp], [ice], tables [[trunk]] and [[user]].
            engine: where ports are opened and audio goes.
            on_incoming: told of every call that comes in.
            hear: routes the frames of a port (`Routes.frames`).

        Raises:
            UnavailableError: pyVoIP is asked for and not installed.
            SettingsError: a setting asks for what pyVoIP does not have.
        """
        self.sip = SipEndpoints(settings, engine, on_incoming)
        self.pyvoip: PyvoipEndpoints | None = None
        if PyvoipEndpoints.is_wanted(settings):
            self.pyvoip = PyvoipEndpoints(settings, engine, on_incoming, hear)
        self._order = [trunk.name for trunk in settings.trunk]

    async def start(self) -> None:
        """Listen, and register the trunks.

        Raises:
            OSError: an address is not ours, or a port is in use.
        """
        await self.sip.start()
        if self.pyvoip is not None:
            await self.pyvoip.start()

    async def drain(self) -> None:
        """Take no new calls and sign off at the trunks; running calls go on."""
        if self.pyvoip is not None:
            await self.pyvoip.drain()
        await self.sip.drain()

    async def stop(self) -> None:
        """End whatever is left, and close everything, in bounded time."""
        if self.pyvoip is not None:
            await self.pyvoip.stop()
        await self.sip.stop()

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make the endpoint that dials a number, a user or a URI."""
        if self.pyvoip is not None and self.pyvoip.carries(request):
            return self.pyvoip(request, report)
        return self.sip(request, report)

    async def serve_websocket(
        self, receive: Receive, send: Send, peer: tuple[str, int], *, secure: bool = False
    ) -> None:
        """Serve a WebSocket of sub-protocol `sip` (RFC 7118) until it ends."""
        await self.sip.serve_websocket(receive, send, peer, secure=secure)

    def send(self, port: int, datagram: bytes) -> None:
        """Send a datagram of `Output.datagrams`: that of a telephone whose pair is relayed."""
        self.sip.send(port, datagram)

    def extension(self, callee: str) -> str:
        """Return the number or name that a callee is here; "" where it is a URI of somebody else's."""
        return self.sip.extension(callee)

    def registered(self, user: str) -> bool:
        """Tell whether a user has a device that can be rung now."""
        return self.sip.registered(user)

    def trunks(self) -> list[TrunkView]:
        """Return the state of each trunk, in the order of the settings."""
        views = self.sip.trunks() + (self.pyvoip.trunks() if self.pyvoip is not None else [])
        return sorted(views, key=lambda view: self._order.index(view.name))

    def users(self) -> list[UserView]:
        """Return the state of each user."""
        return self.sip.users()

    def numbers(self) -> dict[str, int]:
        """Return everything that was counted, by name."""
        numbers = self.sip.numbers()
        if self.pyvoip is not None:
            numbers |= {f"pyvoip_{name}": value for name, value in self.pyvoip.numbers().items()}
        return numbers

    def gauges(self) -> dict[str, int]:
        """Return what there is at this moment, by name."""
        return self.sip.gauges()
