"""The SIP server: the factory of SIP legs, with the transports, accounts and dial plan behind it."""

import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import asdict, replace

from softswitch import __version__
from softswitch.call.interfaces import LegRequest, OnIncoming
from softswitch.call.vocabulary.reports import Report
from softswitch.egress.address import networks
from softswitch.egress.names import Names
from softswitch.egress.pin import Resolve
from softswitch.entropy import EntropyPool
from softswitch.legs.sip.accounts.identity import sip_uri
from softswitch.legs.sip.accounts.mailbox_lights import MailboxLights
from softswitch.legs.sip.accounts.phones import Phones
from softswitch.legs.sip.accounts.shared import SharedAccounts
from softswitch.legs.sip.accounts.trunk import Trunk
from softswitch.legs.sip.accounts.trunks import Trunks
from softswitch.legs.sip.accounts.views import TrunkView, UserView
from softswitch.legs.sip.address_moves import AddressMoves
from softswitch.legs.sip.addressing.own_addresses import OwnAddresses
from softswitch.legs.sip.addressing.resolve import Resolver
from softswitch.legs.sip.addressing.trunk_servers import TrunkServers
from softswitch.legs.sip.arrivals import Arrivals
from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.destinations import FindFar, Forwarding
from softswitch.legs.sip.dial_error import DialError
from softswitch.legs.sip.driver import AgentDriver
from softswitch.legs.sip.hep import HepSender
from softswitch.legs.sip.leg.leg import SipLeg
from softswitch.legs.sip.leg.leg_shared import LegShared
from softswitch.legs.sip.leg.outgoing import OutgoingSide
from softswitch.legs.sip.media.shared import SipMediaShared
from softswitch.legs.sip.orphans import Orphans
from softswitch.legs.sip.routing.dial_check import DialCheck
from softswitch.legs.sip.routing.dialplan import Dialplan
from softswitch.legs.sip.routing.known_sources import KnownSources
from softswitch.legs.sip.routing.policy import Policy
from softswitch.legs.sip.routing.request_filter import RequestFilter, Shedding
from softswitch.legs.sip.trace import SipTrace
from softswitch.legs.sip.transports import TransportLimits, Transports
from softswitch.legs.sip.transports.handed_over import HandedOverTransports, SipShare
from softswitch.legs.sip.transports.interface import SipTransports
from softswitch.legs.sip.transports.transports import listening
from softswitch.legs.sip.transports.websocket import Receive, Send
from softswitch.legs.webrtc.shared import MediaPlane
from softswitch.log.tasks import Tasks
from softswitch.settings import Settings, is_loopback
from softswitch.settings import Trunk as TrunkSettings
from softswitch.sip.agent import UserAgent
from softswitch.sip.dialog.request import OutgoingRequest
from softswitch.sip.limits import AgentLimits
from softswitch.sip.registrar.bindings import Binding
from softswitch.sip.security.bearer import VerifyToken
from softswitch.sip.security.challenge import Challenger
from softswitch.sip.security.guard import Guard
from softswitch.sip.transaction.flow import Flow
from softswitch.sip.transaction.timers import Timers

logger = logging.getLogger(__name__)

FINISH_S = 1.5
"""Longest wait at shutdown for responses to the last requests, in seconds."""


class SipEndpoints:
    """Factory of SIP legs (:class:`softswitch.call.interfaces.EndpointFactory`), with all that they share."""

    def __init__(
        self,
        settings: Settings,
        engine: MediaPlane,
        on_incoming: OnIncoming,
        *,
        resolver: Resolver | None = None,
        resolve: Resolve | None = None,
        clock: Callable[[], float] = time.monotonic,
        entropy: Callable[[int], bytes] | None = None,
        timers: Timers | None = None,
        client_tls: ssl.SSLContext | None = None,
        share: SipShare | None = None,
    ) -> None:
        """Prepare; `start` opens the sockets.

        Args:
            settings: sections [sip], [rtp], [ice], tables [[trunk]] and [[user]].
            engine: where ports are opened and datagrams go.
            on_incoming: called with every incoming call.
            resolver: resolves SIP servers; by default over DNS.
            resolve: resolves STUN and TURN servers; by default over DNS.
            clock: monotonic seconds.
            entropy: returns random bytes; by default those of the system, by way of a pool.
            timers: T1, T2 and T4 where they are not those of RFC 3261.
            client_tls: how certificates of TLS servers are checked; by default by the system's authorities.
            share: share in the sockets of the host, for a worker; None: this process opens its own.

        Raises:
            UnavailableError: aiortc or aioice is installed in an unsupported release.
        """
        sip = settings.sip
        self.settings = settings
        self.counters = SipCounters()
        self._resolver = resolver or Resolver(clock=clock)
        self._own = OwnAddresses(sip, settings.rtp)
        self.guard = Guard(
            allow=sip.allow,
            requests_per_second=sip.requests_per_second,
            login_failures=sip.login_failures,
            ban_s=sip.ban_s,
        )
        entropy = entropy or EntropyPool()
        agent = UserAgent(
            entropy=entropy,
            user_agent=f"softswitch/{__version__}",
            timers=timers or Timers(),
            limits=AgentLimits(session_expires=sip.session_expires),
            mark=share.mark if share is not None else "",
        )
        self.driver = AgentDriver(agent, self._resolver, self.counters, clock)
        self.trace = self.driver.trace = SipTrace(self.counters) if sip.trace else None
        """The messages of calls; None where the trace is off."""
        self.driver.hep = _hep(settings, resolve or Names(), self.counters)
        self._entropy: Callable[[int], bytes] = entropy
        self._trunks = Trunks(
            [self._trunk(one) for one in settings.trunk if one.engine == "builtin"], _default(settings)
        )
        self._phones = Phones(settings.user, sip, self.driver, self._is_open)
        policy = Policy(
            self._trunks,
            self._phones,
            self._own,
            self.guard,
            Challenger(sip.realm, entropy(32), algorithms=sip.digests),
            counters=self.counters,
            token_server=sip.token_server,
        )
        self._policy = policy
        known = KnownSources(self._trunks, self._phones, self.guard, clock)
        self._request_filter = RequestFilter(
            self.driver,
            policy,
            self.guard,
            self._trunks,
            self.counters,
            calls_per_second=sip.calls_per_second,
            on_flow_lost=self._flow_lost,
            on_proof=known.prove,
        )
        self._handed_over: HandedOverTransports | None = None
        self._sockets: Transports | None = None
        self._transports: SipTransports
        if share is not None:
            self._transports = self._handed_over = HandedOverTransports(
                share, self._request_filter, self._own.signalling, self.counters, clock
            )
        else:
            self._transports = self._sockets = Transports(
                self._request_filter,
                self._own.signalling,
                self.guard.trusts,
                self.counters,
                limits=TransportLimits(idle_s=sip.register_expires + 100.0),
                client_tls=client_tls,
                clock=clock,
                known=known,
            )
        self._request_filter.transports = self._transports
        self._servers = TrunkServers(settings.trunk, self._resolver, self._own.is_this_machine)
        self._dialplan = Dialplan(
            sip,
            self._trunks,
            self._phones,
            self._own,
            self._resolver,
            servers=self._servers,
            check=DialCheck(sip.allow, settings.egress.allow),
        )
        self.media = SipMediaShared(
            engine,
            settings.rtp,
            settings.ice,
            loopback=is_loopback(settings.rtp.host),
            clock=clock,
            resolve=resolve,
            own=self._own,
        )
        self._shared = LegShared(self.driver, self.media, self.counters)
        self.shared = SharedAccounts(self._phones, self._trunks, self.guard, self.driver)
        """What the workers of a switch share of their accounts."""
        self.orphans = Orphans(self.driver, self._trunks)
        """What another worker needs to end the calls of this one."""
        self._legs: set[SipLeg] = set()
        self.mailboxes = MailboxLights(self.driver, self._phones, self._own, sip.realm)
        """Lights of phones that tell of messages."""
        self._phones.on_added = self.mailboxes.registered
        self._arrivals = Arrivals(
            self._shared,
            self._legs,
            self._request_filter.admitted,
            on_incoming,
            trunks=self._trunks,
            phones=self._phones,
            mailboxes=self.mailboxes,
            dialplan=self._dialplan,
        )
        self._tasks = Tasks("legs", "sip server")
        self._copying = Tasks("legs", "sip hep")

    # --- life -------------------------------------------------------------------------------

    def forward_by(self, forwarding: Forwarding) -> None:
        """Set the rules for what devices of users redirect to; to be called before `start`."""
        self._dialplan.forwarding = forwarding

    def reach(self, find: FindFar) -> None:
        """Set what finds the phones that are connected with other machines of this switch."""
        self._dialplan.far = find

    def take_tokens(self, verify: VerifyToken) -> None:
        """Set what tells what a token of a user says; to be called before `start`."""
        self._policy.verify = verify

    def use(self, settings: Settings) -> None:
        """Take other users and trunks while running; present calls go on.

        Args:
            settings: the tables [[user]] and [[trunk]]; nothing else of them is read.
        """
        self._phones.use(settings.user)
        known = {trunk.name: trunk for trunk in self._trunks}
        trunks: list[Trunk] = []
        for one in settings.trunk:
            if one.engine == "builtin":
                former = known.get(one.name)
                same = former is not None and former.settings == one
                trunks.append(former if former is not None and same else self._trunk(one))
        self._servers.use(settings.trunk)
        for trunk in self._trunks.use(trunks, _default(settings)):
            self.counters.trunks_changed += 1
            logger.info("a trunk has left or changed", extra={"trunk": trunk.name})
        for trunk in self._trunks:
            if known.get(trunk.name) is not trunk:
                self.driver.add(trunk)
        self._trunks.forget_gone(self.driver)
        self.driver.pump()

    def _trunk(self, settings: TrunkSettings) -> Trunk:
        return Trunk(settings, self.driver, self._resolver, self._own, self._entropy)

    async def start(self) -> None:
        """Listen, and register the trunks.

        Raises:
            ListenError: an address is not local, or a port is in use.
            ssl.SSLError: the certificate or its key cannot be read.
        """
        sip = self.settings.sip
        if self._sockets is not None:
            await self._sockets.start(listening(sip), self._unreachable)
        elif self._handed_over is not None:
            await self._handed_over.start(self._unreachable)
        port = self._transports.port
        self._own.ports = {"udp": port, "tcp": port, "tls": self._transports.tls_port}
        for timed in (*self._trunks, self._phones):
            self.driver.add(timed)
        self.driver.start(self._transports, self._arrivals)
        self._tasks.spawn(self._trunks.run(self._transports), name="sip trunks")
        moves = AddressMoves(self._own, self.driver, self._trunks, self._legs, self.counters)
        self._tasks.spawn(moves.run(), name="sip own addresses")
        if self.driver.hep is not None:
            self._copying.spawn(self.driver.hep.run(), name="sip hep")
        self._tasks.spawn(self._phones.keep_alive(self._ask_device), name="sip keep-alives")
        logger.info(
            "SIP listens", extra={"host": sip.host, "port": port, "tls_port": self._transports.tls_port}
        )

    def shed(self, shedding: Shedding) -> None:
        """Set the overload control that decides on new calls; to be called before `start`."""
        self._request_filter.shedding = shedding
        self._transports.on_wait(shedding.waited)

    async def drain(self) -> None:
        """Refuse new calls with 503 and unregister from the trunks; running calls go on."""
        self._request_filter.draining = True
        await self._tasks.stop()
        await self.mailboxes.stop()
        await self._trunks.unregister(self.driver)

    async def stop(self) -> None:
        """End all calls and close all sockets, in bounded time."""
        await self.drain()
        legs = list(self._legs)
        for leg in legs:
            leg.hangup()
        await self.driver.until(lambda: not self.driver.agent.busy, FINISH_S)
        for leg in legs:
            await leg.closed()
        await self.media.webrtc.released()
        self.driver.stop()
        await self._transports.stop()
        await self._copying.stop()

    @property
    def port(self) -> int:
        """Return the UDP and TCP port; 0 before `start`."""
        return self._transports.port

    @property
    def tls_port(self) -> int:
        """Return the TLS port; 0 without TLS."""
        return self._transports.tls_port

    async def serve_websocket(
        self, receive: Receive, send: Send, peer: tuple[str, int], *, secure: bool = False
    ) -> None:
        """Serve a WebSocket of sub-protocol `sip` (RFC 7118) until it ends.

        Args:
            receive: waits for the next message; None at the end.
            send: sends one message.
            peer: address and port of the client.
            secure: the WebSocket is over TLS.
        """
        await self._transports.serve_websocket(receive, send, peer, secure=secure)

    # --- calls ------------------------------------------------------------------------------

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> SipLeg:
        """Make the endpoint of an outgoing leg; it does nothing before its first command."""
        leg = SipLeg(self._shared, request, report, self._legs.discard)
        leg.side = OutgoingSide(leg, self._dialplan)
        self._legs.add(leg)
        return leg

    def _ask_device(self, binding: Binding) -> None:
        """Send OPTIONS to a device behind a NAT, which keeps its flow open and shows whether it is there."""
        host, port = self._own.signalling(binding.flow.transport, binding.flow.host)
        flow = replace(binding.target, local_host=host, local_port=port)
        address = f"<{sip_uri(binding.aor, host)}>"
        uri, route = binding.route()
        request = OutgoingRequest(
            "OPTIONS", str(uri), from_=address, to=address, targets=(flow,), route=route
        )
        key = self.driver.agent.request(request, self.driver.now())
        self.driver.expect(
            key, lambda outcome: self._phones.pulse.answered(binding, by_peer=not outcome.local)
        )
        self.counters.keep_alives_sent += 1
        self.driver.pump()

    # --- events of the transports -----------------------------------------------------------

    def _flow_lost(self, flow: Flow) -> None:
        self._phones.on_flow_lost(flow)
        self._trunks.on_flow_lost(flow)

    def _is_open(self, flow: Flow) -> bool:
        return self._transports.is_open(flow)

    def _unreachable(self, host: str, port: int) -> None:
        self.driver.refused(Flow("udp", host, port))

    # --- state and counters -----------------------------------------------------------------

    def send(self, port: int, datagram: bytes) -> None:
        """Send a datagram of `Output.datagrams`: media of a leg that is relayed by a TURN server."""
        self.media.send(port, datagram)

    def trunks(self) -> list[TrunkView]:
        """Return the state of each trunk."""
        return self._trunks.views()

    def extension(self, callee: str) -> str:
        """Return the number or name that a callee stands for here; "" where it is a URI of another domain."""
        try:
            return self._dialplan.extension(callee)
        except DialError:
            return ""

    def registered(self, user: str) -> bool:
        """Tell whether a user has a registered device that can be reached."""
        return user in self._phones and bool(self._phones.contacts(user) or self._phones.machines(user))

    def users(self) -> list[UserView]:
        """Return the state of each user."""
        return self._phones.views()

    @property
    def legs(self) -> int:
        """Return the number of legs."""
        return len(self._legs)

    def numbers(self) -> dict[str, int]:
        """Return all counters by name."""
        guard = self.guard.counters
        return {
            **self.counters.numbers(),
            **{f"guard_{name}": value for name, value in asdict(guard).items()},
            **{f"agent_{name}": value for name, value in self.driver.agent.counters.items()},
            **self.media.numbers(),
            "failures": self.driver.failures
            + self.driver.background_failures
            + self._transports.failures
            + self._tasks.failures,
        }

    def gauges(self) -> dict[str, int]:
        """Return the present numbers of legs, connections and so on, by name."""
        return {
            "legs": self.legs,
            "connections": len(self._transports),
            "devices": len(self._phones),
            "devices_silent": self._phones.pulse.silent,
            "sessions": len(self.driver.agent.sessions),
            "trunks_registered": sum(view.state == "registered" for view in self.trunks()),
        }


def _hep(settings: Settings, resolve: Resolve, counters: SipCounters) -> HepSender | None:
    """Return what sends copies of messages to Homer; None where the settings name no server."""
    sip = settings.sip
    if not sip.hep:
        return None
    return HepSender(
        *sip.hep_server(),
        agent=sip.hep_id,
        key=sip.hep_key,
        allow=networks(settings.egress.allow),
        resolve=resolve,
        counters=counters,
    )


def _default(settings: Settings) -> str:
    """Return the name of the default trunk; empty without trunks."""
    default = settings.default_trunk()
    return default.name if default is not None else ""
