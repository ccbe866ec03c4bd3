"""SIP endpoints: the factory of telephone legs, and everything that telephones reach the switch by."""

import asyncio
import logging
import os
import re
import ssl
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

from softswitch import __version__
from softswitch.call.needs import IncomingCall, LegRequest, OnIncoming
from softswitch.call.reports import Report
from softswitch.endpoints.sip.counters import SipCounters
from softswitch.endpoints.sip.dialplan import Dialplan
from softswitch.endpoints.sip.doorman import Doorman, Entry
from softswitch.endpoints.sip.driver import AgentDriver
from softswitch.endpoints.sip.incoming import PendingCall
from softswitch.endpoints.sip.leg import SipLeg
from softswitch.endpoints.sip.leg_shared import LegShared
from softswitch.endpoints.sip.media_shared import MediaWish, SipMediaShared
from softswitch.endpoints.sip.outgoing import CallingSide, DialError
from softswitch.endpoints.sip.own_addresses import OwnAddresses
from softswitch.endpoints.sip.phones import Phones
from softswitch.endpoints.sip.policy import Policy
from softswitch.endpoints.sip.resolve import Resolver
from softswitch.endpoints.sip.transports import Transports, WireLimits
from softswitch.endpoints.sip.transports.transports import Listening
from softswitch.endpoints.sip.transports.websocket import Receive, Send
from softswitch.endpoints.sip.trunk import Trunk
from softswitch.endpoints.sip.trunks import Trunks
from softswitch.endpoints.sip.views import TrunkView, UserView
from softswitch.endpoints.webrtc_shared import MediaPlane
from softswitch.settings import Settings, is_loopback
from softswitch.sip.agent import UserAgent
from softswitch.sip.challenge import Challenger
from softswitch.sip.flow import Flow
from softswitch.sip.guard import Guard
from softswitch.sip.happenings import Invited, RequestAnswered, RequestReceived
from softswitch.sip.limits import AgentLimits
from softswitch.sip.message import Request
from softswitch.sip.timers import Timers
from softswitch.sip.uri import number_of

logger = logging.getLogger(__name__)

FINISH_S = 1.5
"""Longest wait at the end for answers to our last requests, in seconds."""
SECRET_HEADERS = {"authorization", "proxy-authorization"}
"""What is told to nobody."""

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.@:-]{0,127}")
"""Call-IDs that may be ids of calls as they are."""


class SipEndpoints:
    """Makes telephone endpoints (:class:`softswitch.call.needs.EndpointFactory`); tells who calls."""

    def __init__(
        self,
        settings: Settings,
        engine: MediaPlane,
        on_incoming: OnIncoming,
        *,
        resolver: Resolver | None = None,
        clock: Callable[[], float] = time.monotonic,
        entropy: Callable[[int], bytes] = os.urandom,
        timers: Timers | None = None,
        client_tls: ssl.SSLContext | None = None,
    ) -> None:
        """Set up everything; `start` opens the sockets.

        Args:
            settings: sections [sip], [rtp], [ice], tables [[trunk]] and [[user]].
            engine: where ports are opened and datagrams go.
            on_incoming: told of every call that comes in.
            resolver: finds servers; by default by DNS.
            clock: monotonic seconds.
            entropy: random bytes; by default those of the system.
            timers: T1, T2 and T4 where they are not those of RFC 3261.
            client_tls: how certificates of TLS servers are checked; by default by the system's authorities.

        Raises:
            UnavailableError: aiortc or aioice is a release that this was not made for.
        """
        sip = settings.sip
        self.settings = settings
        self.counters = SipCounters()
        self._on_incoming = on_incoming
        self._resolver = resolver or Resolver(clock=clock)
        self._own = OwnAddresses(sip, settings.rtp)
        self.guard = Guard(
            allow=sip.allow,
            requests_per_second=sip.requests_per_second,
            login_failures=sip.login_failures,
            ban_s=sip.ban_s,
        )
        agent = UserAgent(
            entropy=entropy,
            user_agent=f"softswitch/{__version__}",
            timers=timers or Timers(),
            limits=AgentLimits(session_expires=sip.session_expires),
        )
        self.driver = AgentDriver(agent, self._resolver, self.counters, clock)
        self._trunks = Trunks(
            [
                Trunk(one, self.driver, self._resolver, self._own, entropy)
                for one in settings.trunk
                if one.engine == "builtin"
            ],
            default.name if (default := settings.default_trunk()) else "",
        )
        self._phones = Phones(settings.user, sip, self.driver, self._is_open)
        policy = Policy(
            self._trunks,
            self._phones,
            self._own,
            self.guard,
            Challenger(sip.realm, entropy(32), algorithms=sip.digests),
            self.counters,
        )
        self._doorman = Doorman(
            self.driver,
            policy,
            self.guard,
            self._trunks,
            self.counters,
            calls_per_second=sip.calls_per_second,
            lost=self._flow_lost,
        )
        self._transports = Transports(
            self._doorman,
            self._own.signalling,
            self.guard.trusts,
            self.counters,
            limits=WireLimits(idle_s=sip.register_expires + 100.0),
            client_tls=client_tls,
            clock=clock,
        )
        self._doorman.transports = self._transports
        self._dialplan = Dialplan(
            sip, self._trunks, self._phones, self._own, self._resolver, self.guard.trusts
        )
        self.media = SipMediaShared(
            engine, settings.rtp, settings.ice, loopback=is_loopback(settings.rtp.host), clock=clock
        )
        self._shared = LegShared(self.driver, self.media, self.counters)
        self._legs: set[SipLeg] = set()
        self._minding: asyncio.Task[None] | None = None

    # --- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen, and register the trunks.

        Raises:
            OSError: an address is not ours, or a port is in use.
            ssl.SSLError: the certificate or its key cannot be read.
        """
        sip = self.settings.sip
        tls = None
        if sip.tls_cert:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(sip.tls_cert, sip.tls_key)
        # Where the local phone is pyVoIP's, the port is, too; trunks of our own leave by another one.
        port = sip.port if sip.engine == "builtin" else 0
        listening = Listening(sip.host, port, sip.tls_port or None, tls)
        await self._transports.start(listening, self._unreachable)
        port = self._transports.port
        self._own.ports = {"udp": port, "tcp": port, "tls": self._transports.tls_port}
        for timed in (*self._trunks, self._phones):
            self.driver.add(timed)
        self.driver.start(self._transports, self)
        self._minding = asyncio.get_running_loop().create_task(
            self._trunks.run(self._transports), name="sip trunks"
        )
        self._minding.add_done_callback(_tell_failure)
        logger.info(
            "telephones", extra={"host": sip.host, "port": port, "tls_port": self._transports.tls_port}
        )

    async def drain(self) -> None:
        """Refuse new calls with 503, and take the bindings at trunks back; running calls go on."""
        self._doorman.draining = True
        await self._stop_minding()
        await self._trunks.unregister(self.driver)

    async def stop(self) -> None:
        """End whatever is left, and close everything, in bounded time."""
        await self.drain()
        legs = list(self._legs)
        for leg in legs:
            leg.hangup()
        await self.driver.until(lambda: not self.driver.agent.busy, FINISH_S)
        for leg in legs:
            await leg.closed()
        self.driver.stop()
        await self._transports.stop()

    async def _stop_minding(self) -> None:
        if self._minding is not None:
            self._minding.cancel()
            with suppress(asyncio.CancelledError):
                await self._minding
            self._minding = None

    @property
    def port(self) -> int:
        """Return the UDP and TCP port, once it listens."""
        return self._transports.port

    @property
    def tls_port(self) -> int:
        """Return the TLS port, 0 where there is none."""
        return self._transports.tls_port

    async def serve_websocket(
        self, receive: Receive, send: Send, peer: tuple[str, int], *, secure: bool = False
    ) -> None:
        """Serve a WebSocket of sub-protocol `sip` (RFC 7118) until it ends.

        Args:
            receive: waits for the next message; None at the end.
            send: sends one message.
            peer: address and port of the far end.
            secure: it came over TLS.
        """
        await self._transports.serve_websocket(receive, send, peer, secure=secure)

    # --- calls ------------------------------------------------------------------------------

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> SipLeg:
        """Make the endpoint of a leg that calls somebody; it does nothing before its first verb."""
        leg = SipLeg(self._shared, request, report, self._legs.discard)
        leg.side = CallingSide(leg, self._dialplan.dial)
        self._legs.add(leg)
        return leg

    def invited(self, invited: Invited) -> None:
        """Tell the switch of a call (`softswitch.endpoints.sip.driver.Desk`)."""
        entry = self._doorman.admitted(invited.request)
        if invited.replaced:
            self._replace(invited, entry)
            return
        self._entrust(invited.session, entry)
        self.counters.calls_received += 1
        pending = PendingCall(
            self._shared,
            invited,
            lambda request: self._wish(request, entry, invited.flow),
            keep=self._legs.add,
            forget=self._legs.discard,
            leave=entry.leave,
        )
        self._on_incoming(self._incoming_call(invited, entry, pending))

    def requested(self, received: RequestReceived) -> None:
        """Answer a request outside any dialog (`Desk`)."""
        entry = self._doorman.admitted(received.request)
        now = self.driver.now()
        match received.request.method:
            case "REGISTER" if entry.admitted.source == "user":
                self._phones.register(received, entry.admitted.name)
            case "SUBSCRIBE":
                self.driver.agent.respond(received.key, 489, now)
            case _:
                self.driver.agent.respond(
                    received.key, 405, now, headers={"Allow": "INVITE, OPTIONS, REGISTER"}
                )

    def answered(self, answered: RequestAnswered) -> None:
        """Take the outcome of a REGISTER of ours (`Desk`)."""
        self._trunks.answered(answered)

    def _entrust(self, session: str, entry: Entry) -> None:
        """Let a trunk have the proof that some want of a BYE or re-INVITE, too."""
        trunk = self._trunks.get(entry.admitted.name) if entry.admitted.source == "trunk" else None
        if trunk is not None and trunk.credentials is not None:
            self.driver.agent.entrust(session, trunk.credentials)

    def _incoming_call(self, invited: Invited, entry: Entry, pending: PendingCall) -> IncomingCall:
        request, admitted = invited.request, entry.admitted
        call_id = request.call_id
        return IncomingCall(
            id=call_id if _ID.fullmatch(call_id) else str(uuid.uuid4()),
            caller=admitted.name if admitted.source == "user" else number_of(request.from_address.uri),
            callee=self._callee(request, entry),
            headers=_headers(request),
            sdp=invited.offer or "",
            source=admitted.source,
            name=admitted.name,
            address=invited.flow.host,
            party=pending.party,
            reject=pending.reject,
        )

    def _callee(self, request: Request, entry: Entry) -> str:
        """Return whom a caller dialled: some trunks write our account into the URI, the number into To."""
        dialled, to = number_of(request.uri), number_of(request.to_address.uri)
        trunk = self._trunks.get(entry.admitted.name) if entry.admitted.source == "trunk" else None
        account = trunk.settings.username if trunk is not None else ""
        return to if to and dialled in ("", account) else dialled

    def _wish(self, request: LegRequest, entry: Entry, flow: Flow) -> MediaWish:
        trunk = self._trunks.get(entry.admitted.name) if entry.admitted.source == "trunk" else None
        if trunk is not None:
            return self._dialplan.trunk_wish(trunk, request, flow.host)
        return self._dialplan.wish(request, flow.host, far_webrtc=flow.transport in ("ws", "wss"))

    def _replace(self, invited: Invited, entry: Entry) -> None:
        """Let a dialog take the place of that of a leg (RFC 3891): the call goes on with another phone."""
        entry.leave()
        leg = next((leg for leg in self._legs if leg.session == invited.replaced), None)
        if leg is None:
            self.driver.agent.reject(invited.session, 481, self.driver.now())
        else:
            leg.replace(invited)

    # --- what the wires tell ----------------------------------------------------------------

    def _flow_lost(self, flow: Flow) -> None:
        self._phones.lost(flow)
        self._trunks.broken(flow)

    def _is_open(self, flow: Flow) -> bool:
        return self._transports.is_open(flow)

    def _unreachable(self, host: str, port: int) -> None:
        self.driver.refused(Flow("udp", host, port))

    # --- what is shown ----------------------------------------------------------------------

    def send(self, port: int, datagram: bytes) -> None:
        """Send a datagram of `Output.datagrams`: that of a leg whose pair is relayed."""
        self.media.send(port, datagram)

    def trunks(self) -> list[TrunkView]:
        """Return the state of each trunk."""
        return self._trunks.views()

    def extension(self, callee: str) -> str:
        """Return the number or name that a callee is here; "" where it is a URI of somebody else's."""
        try:
            return self._dialplan.extension(callee)
        except DialError:
            return ""

    def registered(self, user: str) -> bool:
        """Tell whether a user has a device that can be rung now."""
        return user in self._phones and bool(self._phones.contacts(user))

    def users(self) -> list[UserView]:
        """Return the state of each user."""
        return self._phones.views()

    @property
    def legs(self) -> int:
        """Return how many legs there are."""
        return len(self._legs)

    def numbers(self) -> dict[str, int]:
        """Return everything that was counted, by name."""
        guard = self.guard.counters
        return {
            **self.counters.numbers(),
            **{f"guard_{name}": getattr(guard, name) for name in guard.__slots__},
            **{f"agent_{name}": value for name, value in self.driver.agent.counters.items()},
            **self.media.numbers(),
            "failures": self.driver.failures,
        }

    def gauges(self) -> dict[str, int]:
        """Return what there is at this moment, by name."""
        return {
            "legs": self.legs,
            "connections": len(self._transports),
            "devices": len(self._phones),
            "sessions": len(self.driver.agent.sessions),
            "trunks_registered": sum(view.state == "registered" for view in self.trunks()),
        }


def _headers(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        if name.lower() not in SECRET_HEADERS:
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.error("trunks are minded no more", exc_info=error)
