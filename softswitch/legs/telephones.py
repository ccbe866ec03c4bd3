"""All SIP legs of a switch: the built-in stack, and pyVoIP where the settings ask for it."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from softswitch.call.interfaces import Endpoint, LegRequest, OnIncoming
from softswitch.call.vocabulary.reports import Report
from softswitch.egress import Names
from softswitch.legs.feed_port import FeedEngine, Listen
from softswitch.legs.pyvoip.endpoints import PyvoipEndpoints
from softswitch.legs.sip.accounts.mailbox_lights import Count
from softswitch.legs.sip.accounts.views import TrunkView, UserView
from softswitch.legs.sip.addressing.resolve import Resolver
from softswitch.legs.sip.destinations import Forwarding
from softswitch.legs.sip.routing.request_filter import Shedding
from softswitch.legs.sip.server import SipEndpoints
from softswitch.legs.sip.transports.handed_over import SipShare
from softswitch.legs.sip.transports.websocket import Receive, Send
from softswitch.legs.webrtc.shared import MediaPlane
from softswitch.settings import Settings
from softswitch.sip.security.bearer import VerifyToken
from softswitch.sip.trace import SipMessage

_DOWN = ("failed", "unregistered", "unresolved")


class Engine(FeedEngine, MediaPlane, Protocol):
    """Interface of the media engine for both SIP engines."""


class Telephones:
    """Factory of SIP legs; the engine of the trunk decides which stack carries a leg."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        on_incoming: OnIncoming,
        listen: Listen,
        names: Names | None = None,
        share: SipShare | None = None,
    ) -> None:
        """Prepare; `start` opens the sockets.

        Args:
            settings: sections [sip], [rtp], [ice], tables [[trunk]] and [[user]].
            engine: the media engine.
            on_incoming: called with every incoming call.
            listen: routes the frames of a port (`Routes.frames`).
            names: DNS look-ups; by default its own.
            share: share in the SIP sockets of the host, for a worker.

        Raises:
            UnavailableError: pyVoIP is needed and not installed.
            SettingsError: a setting needs what pyVoIP lacks.
        """
        names = names or Names()
        self.sip = SipEndpoints(
            settings, engine, on_incoming, resolver=Resolver(names), resolve=names, share=share
        )
        self.pyvoip: PyvoipEndpoints | None = None
        if PyvoipEndpoints.is_wanted(settings):
            self.pyvoip = PyvoipEndpoints(settings, engine, on_incoming, listen, resolver=Resolver(names))
        self._note(settings)

    def _note(self, settings: Settings) -> None:
        self._order = [trunk.name for trunk in settings.trunk]
        self._required = [trunk.name for trunk in settings.trunk if trunk.required]

    def use(self, settings: Settings) -> None:
        """Take other users and trunks while running; present calls go on.

        Args:
            settings: the tables [[user]] and [[trunk]], with the same trunks of pyVoIP as before.
        """
        self._note(settings)
        self.sip.use(settings)
        if self.pyvoip is not None:
            self.pyvoip.use(settings)

    def shed(self, shedding: Shedding) -> None:
        """Set the overload control that decides on new calls; to be called before `start`."""
        self.sip.shed(shedding)

    def take_tokens(self, verify: VerifyToken) -> None:
        """Set what tells what a token of a user says; to be called before `start`."""
        self.sip.take_tokens(verify)

    def forward_by(self, forwarding: Forwarding) -> None:
        """Set the rules for what devices of users redirect to; to be called before `start`."""
        self.sip.forward_by(forwarding)

    async def start(self) -> None:
        """Open the sockets and register the trunks.

        Raises:
            ListenError: an address is not local, or a port is in use.
        """
        await self.sip.start()
        if self.pyvoip is not None:
            await self.pyvoip.start()

    async def drain(self) -> None:
        """Refuse new calls and unregister from the trunks; running calls go on."""
        if self.pyvoip is not None:
            await self.pyvoip.drain()
        await self.sip.drain()

    async def stop(self) -> None:
        """End all calls and close everything, in bounded time."""
        if self.pyvoip is not None:
            await self.pyvoip.stop()
        await self.sip.stop()

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make the endpoint of a leg that dials a number, a user or a URI."""
        if self.pyvoip is not None and self.pyvoip.carries(request):
            return self.pyvoip(request, report)
        return self.sip(request, report)

    async def serve_websocket(
        self, receive: Receive, send: Send, peer: tuple[str, int], *, secure: bool = False
    ) -> None:
        """Serve a WebSocket of sub-protocol `sip` (RFC 7118) until it ends."""
        await self.sip.serve_websocket(receive, send, peer, secure=secure)

    def send(self, port: int, datagram: bytes) -> None:
        """Send a datagram of `Output.datagrams`: media of a leg that is relayed by a TURN server."""
        self.sip.send(port, datagram)

    def traced(self, call: str) -> list[SipMessage]:
        """Return the SIP messages of a live call so far; none where the trace is off."""
        return self.sip.trace.messages(call) if self.sip.trace is not None else []

    def end_trace(self, call: str) -> Callable[[], list[SipMessage]] | None:
        """End the trace of a call.

        Returns:
            Returns all messages of the call, and frees them: to be called once the last ones have come. None:
            the call has no trace.
        """
        trace = self.sip.trace
        ended = trace.end(call) if trace is not None else None
        return partial(trace.take, ended) if trace is not None and ended is not None else None

    def count_messages_by(self, count: Count) -> None:
        """Set what counts the messages of users, new and heard; to be called before `start`."""
        self.sip.mailboxes.count = count

    def tell_messages(self, user: str, new: int, old: int, registered: bool) -> None:
        """Tell the phones of a user how many messages are new, and how many were heard.

        Args:
            user: Name of the user.
            new: Messages that were not heard.
            old: Messages that were heard.
            registered: Whether all registered phones are told, besides those that subscribed.
        """
        self.sip.mailboxes.tell(user, new, old, registered)

    def extension(self, callee: str) -> str:
        """Return the number or name that a callee stands for here; "" for a URI of another domain."""
        return self.sip.extension(callee)

    def registered(self, user: str) -> bool:
        """Tell whether a user has a registered device that can be reached."""
        return self.sip.registered(user)

    def trunks(self) -> list[TrunkView]:
        """Return the state of each trunk, in the order of the settings."""
        views = self.sip.trunks() + (self.pyvoip.trunks() if self.pyvoip is not None else [])
        return sorted(views, key=lambda view: self._order.index(view.name))

    def troubles(self) -> list[str]:
        """Return an error text for each trunk that is down."""
        down = (view for view in self.trunks() if view.state in _DOWN)
        return [f"trunk {view.name} is {view.state} {view.code or ''} {view.reason}".strip() for view in down]

    def has_required_trunk(self) -> bool:
        """Tell whether one of the trunks marked `required` is up; True where none is marked."""
        states = {view.name: view.state for view in self.trunks()}
        required = [states.get(name) for name in self._required]
        return not required or any(state not in _DOWN for state in required)

    def users(self) -> list[UserView]:
        """Return the state of each user."""
        return self.sip.users()

    def numbers(self) -> dict[str, int]:
        """Return all counters by name."""
        numbers = self.sip.numbers()
        if self.pyvoip is not None:
            numbers |= {f"pyvoip_{name}": value for name, value in self.pyvoip.numbers().items()}
        return numbers

    def gauges(self) -> dict[str, int]:
        """Return the present numbers of legs, connections and so on, by name."""
        return self.sip.gauges()
