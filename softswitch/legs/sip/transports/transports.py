"""All SIP transports together: listening sockets, connections, and the choice of one for a message."""

import asyncio
import errno
import logging
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Literal, Protocol

from softswitch.errors import ListenError
from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.transports.connecting import OutgoingConnections
from softswitch.legs.sip.transports.stream import StreamConnection
from softswitch.legs.sip.transports.udp import UdpSocket
from softswitch.legs.sip.transports.websocket import Receive, Send, WebSocketConnection
from softswitch.legs.sip.transports.wire import LocalAddress, Receiver, TransportLimits, Trusted
from softswitch.settings import Sip, listen_addresses, url_host
from softswitch.sip.transaction.flow import Flow
from softswitch.tls.live import server_context

logger = logging.getLogger(__name__)

CHECK_S = 5.0
"""Period of the check for silent connections, in seconds."""
BIND_TRIES = 20
"""Attempts to find a port that is free for UDP and TCP, where the system may choose."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Addresses to listen at."""

    host: str
    port: int = 0
    """Port of UDP and TCP; 0: the system chooses one for both."""
    tls_port: int | None = None
    """Port of TLS; None: no TLS."""
    tls: ssl.SSLContext | None = None


class Connection(Protocol):
    """Interface of all connections."""

    @property
    def flow(self) -> Flow:
        """Return the flow of the connection."""

    def send(self, data: bytes) -> bool:
        """Send a message; False where that is not possible."""

    def check_silence(self, now: float) -> None:
        """Close the connection if it is silent for too long at `now`, in monotonic seconds."""

    def close(self) -> None:
        """Close the connection at once."""


class Transports:
    """The UDP socket and all connections, whose number is bounded."""

    def __init__(
        self,
        receiver: Receiver,
        local: LocalAddress,
        trusted: Trusted,
        counters: SipCounters,
        *,
        limits: TransportLimits | None = None,
        client_tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
        known: Callable[[str], bool] | None = None,
    ) -> None:
        """Prepare without sockets; `start` comes next.

        Args:
            receiver: receives all messages.
            local: returns the local address to announce to a peer.
            trusted: tells which addresses have no limits.
            counters: of all SIP legs.
            limits: limits of connections.
            client_tls: for connections that the switch opens; by default the system's authorities are
                trusted.
            clock: monotonic seconds.
            known: tells which addresses are served before others; by default the trusted ones.
        """
        self._receiver = receiver
        self._local = local
        self._trusted = trusted
        self._counters = counters
        self._limits = limits or TransportLimits()
        self._clock = clock
        self._numbers = count(1)
        self._connections: dict[int, Connection] = {}
        self._by_endpoint: dict[tuple[str, str, int], int] = {}
        self._per_address: Counter[str] = Counter()
        self._udp = UdpSocket(receiver, self._unreachable, local, counters, known=known or trusted)
        self._opening = OutgoingConnections(self._outgoing, self._limits, client_tls)
        self._servers: list[asyncio.Server] = []
        self._check_timer: asyncio.TimerHandle | None = None
        self._on_unreachable: Callable[[str, int], None] = lambda host, port: None
        self.port = 0
        """Port of UDP and TCP; 0 before `start`."""
        self.tls_port = 0

    # --- start and stop ---------------------------------------------------------------------

    async def start(self, listening: Listening, unreachable: Callable[[str, int], None]) -> None:
        """Open the listening sockets.

        Args:
            listening: addresses to listen at.
            unreachable: called with host and port of a peer that an ICMP error reports as unreachable.

        Raises:
            ListenError: an address is not local, or a port is in use.
        """
        self._on_unreachable = unreachable
        for attempt in range(BIND_TRIES):
            try:
                self.port = self._udp.open(listening.host, listening.port)
            except OSError as error:
                raise _cannot_listen(error, "UDP", listening.host, listening.port) from None
            try:
                await self._listen("tcp", listening.host, self.port, None)
                break
            except OSError as error:
                self._udp.close()
                if listening.port or attempt == BIND_TRIES - 1:
                    raise _cannot_listen(error, "TCP", listening.host, self.port) from None
        if listening.tls is not None and listening.tls_port is not None:
            try:
                await self._listen("tls", listening.host, listening.tls_port, listening.tls)
            except OSError as error:
                raise _cannot_listen(error, "TLS", listening.host, listening.tls_port) from None
            self.tls_port = self._servers[-1].sockets[0].getsockname()[1]
        self._check_connections()

    async def stop(self) -> None:
        """Close all sockets and connections."""
        if self._check_timer is not None:
            self._check_timer.cancel()
        for server in self._servers:
            server.close()
        for connection in list(self._connections.values()):
            connection.close()
        await self._opening.stop()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        self._udp.close()

    async def _listen(
        self, kind: Literal["tcp", "tls"], host: str, port: int, tls: ssl.SSLContext | None
    ) -> None:
        server = await asyncio.get_running_loop().create_server(
            lambda: self._connection(kind, is_outgoing=False),
            listen_addresses(host),
            port,
            ssl=tls,
            ssl_handshake_timeout=self._limits.connect_s if tls else None,
            backlog=512,
        )
        self._servers.append(server)

    # --- sending ----------------------------------------------------------------------------

    def send(self, data: bytes, to: Flow, failed: Callable[[], None]) -> None:
        """Send a message by a flow; `failed` is called once, now or later, where that is not possible.

        A flow with a connection id uses that connection only. Any other flow uses an open connection to its
        address, or opens one (RFC 3261 section 18.1.1).
        """
        self._counters.messages_sent += 1
        if to.transport == "udp":
            if not self._udp.send(data, to.host, to.port):
                self._drop(failed)
            return
        number = to.connection or self._by_endpoint.get((to.transport, to.host, to.port), 0)
        connection = self._connections.get(number)
        if connection is not None:
            if not connection.send(data):
                self._drop(failed)
        elif to.connection or to.transport not in ("tcp", "tls"):
            self._drop(failed)  # only the peer, which opened the connection, can open it again
        elif len(self._connections) >= self._limits.connections:
            self._counters.connections_refused += 1
            self._drop(failed)
        else:
            self._opening.send(data, to, lambda: self._drop(failed))

    def set_server_name(self, host: str, name: str) -> None:
        """Set the name that the certificate of the TLS server at an address must match."""
        self._opening.set_server_name(host, name)

    def is_open(self, flow: Flow) -> bool:
        """Tell whether a flow can still carry a message."""
        return not flow.connection or flow.connection in self._connections

    def ping(self, host: str, port: int) -> None:
        """Send a keep-alive to a UDP peer, so that NAT bindings stay open."""
        self._udp.send(b"\r\n\r\n", host, port)

    @property
    def failures(self) -> int:
        """Return the number of background tasks that ended with an unexpected exception."""
        return self._opening.failures

    def catch_up(self) -> float:
        """Read the datagrams that wait, for one turn; return the age in seconds of those left."""
        return self._udp.catch_up()

    @property
    def age_s(self) -> float:
        """Return the time that the datagram being handled has waited, in seconds."""
        return self._udp.age_s

    def on_wait(self, waited: Callable[[float], None]) -> None:
        """Set the callback that gets the time that datagrams wait, in seconds."""
        self._udp.on_wait = waited

    def _drop(self, failed: Callable[[], None]) -> None:
        self._counters.sends_dropped += 1
        failed()

    def _unreachable(self, host: str, port: int) -> None:
        self._counters.sends_failed += 1
        self._on_unreachable(host, port)

    # --- connections ------------------------------------------------------------------------

    def __len__(self) -> int:
        """Return the number of open connections."""
        return len(self._connections)

    async def serve_websocket(
        self, receive: Receive, send: Send, peer: tuple[str, int], *, secure: bool = False
    ) -> None:
        """Serve a WebSocket until it ends; one beyond the limits returns at once."""
        connection = WebSocketConnection(
            self._receiver,
            self._local,
            self._limits,
            self._counters,
            number=next(self._numbers),
            secure=secure,
            peer=peer,
            now=self._clock(),
        )
        if self._unproved(peer[0]) >= self._limits.unproved or not self._add(connection):
            self._counters.connections_refused += 1
            return
        try:
            await connection.run(receive, send)
        finally:
            self._remove(connection)

    def on_proof(self, flow: Flow) -> None:
        """Let a WebSocket stay whose phone has authenticated."""
        connection = self._connections.get(flow.connection)
        if isinstance(connection, WebSocketConnection):
            connection.prove()

    def _unproved(self, host: str) -> int:
        return sum(
            isinstance(one, WebSocketConnection) and not one.is_proved and one.flow.host == host
            for one in self._connections.values()
        )

    def admit(self, connection: StreamConnection) -> bool:
        """Add a connection; False where the limits are reached (`Connections`)."""
        return self._add(connection)

    def remove(self, connection: StreamConnection) -> None:
        """Remove a connection (`Connections`)."""
        self._remove(connection)

    def _connection(self, kind: Literal["tcp", "tls"], *, is_outgoing: bool) -> StreamConnection:
        return StreamConnection(
            self,
            self._receiver,
            self._local,
            self._limits,
            self._counters,
            number=next(self._numbers),
            transport=kind,
            is_outgoing=is_outgoing,
            clock=self._clock,
        )

    def _outgoing(self, kind: Literal["tcp", "tls"]) -> StreamConnection:
        """Make the protocol object of a connection that the switch opens."""
        return self._connection(kind, is_outgoing=True)

    def _add(self, connection: Connection) -> bool:
        flow = connection.flow
        if len(self._connections) >= self._limits.connections:
            return False
        if self._per_address[flow.host] >= self._limits.per_address and not self._trusted(flow.host):
            return False
        self._counters.connections_opened += 1
        self._connections[flow.connection] = connection
        self._per_address[flow.host] += 1
        self._by_endpoint[flow.transport, flow.host, flow.port] = flow.connection
        return True

    def _remove(self, connection: Connection) -> None:
        flow = connection.flow
        if self._connections.pop(flow.connection, None) is None:
            return
        self._per_address[flow.host] -= 1
        if self._per_address[flow.host] <= 0:
            del self._per_address[flow.host]
        endpoint = flow.transport, flow.host, flow.port
        if self._by_endpoint.get(endpoint) == flow.connection:
            del self._by_endpoint[endpoint]
        self._receiver.flow_lost(flow)

    def _check_connections(self) -> None:
        now = self._clock()
        for connection in list(self._connections.values()):
            connection.check_silence(now)
        self._check_timer = asyncio.get_running_loop().call_later(CHECK_S, self._check_connections)


def listening(sip: Sip) -> Listening:
    """Return the addresses to listen at.

    Raises:
        ssl.SSLError: the certificate or its key cannot be read.
    """
    tls = None
    if sip.tls_cert:
        tls = server_context(sip.tls_cert, sip.tls_key)
    # `[sip] engine = "pyvoip"` gives [sip] port to pyVoIP; builtin trunks then use a port of the system.
    port = sip.port if sip.engine == "builtin" else 0
    return Listening(sip.host, port, sip.tls_port or None, tls)


def _cannot_listen(error: OSError, kind: str, host: str, port: int) -> ListenError:
    """Return the error of a listener, with the settings that choose its address."""
    key = "tls_port" if kind == "TLS" else "port"
    if error.errno == errno.EADDRNOTAVAIL:
        key, advice = "host", "set [sip] host to an address of this machine"
    else:
        advice = "choose another with [sip] tls_port" if kind == "TLS" else "choose another with --sip-port"
    return ListenError(error, f"{kind} {url_host(host)}:{port}", advice, section="sip", key=key)
