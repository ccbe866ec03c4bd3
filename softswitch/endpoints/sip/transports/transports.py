"""All wires together: listens, and brings each message to where its flow says."""

import asyncio
import logging
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Literal, Protocol

from softswitch.endpoints.sip.counters import SipCounters
from softswitch.endpoints.sip.transports.dialling import Dialling
from softswitch.endpoints.sip.transports.stream import StreamConnection
from softswitch.endpoints.sip.transports.udp import UdpSocket
from softswitch.endpoints.sip.transports.websocket import Receive, Send, WebSocketConnection
from softswitch.endpoints.sip.transports.wire import LocalAddress, Receiver, Trusted, WireLimits
from softswitch.sip.flow import Flow

logger = logging.getLogger(__name__)

LOOK_S = 5.0
"""How often connections are looked at for silence, in seconds."""
BIND_TRIES = 20
"""Attempts to find a number that is free for UDP and for TCP, where the system may choose."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to listen."""

    host: str
    port: int = 0
    """For UDP and TCP; 0 lets the system choose one number for both."""
    tls_port: int | None = None
    """None: no TLS."""
    tls: ssl.SSLContext | None = None


class Connection(Protocol):
    """What all connections have in common."""

    @property
    def flow(self) -> Flow:
        """Say where it leads."""

    def send(self, data: bytes) -> bool:
        """Send a message; False where it cannot."""

    def look(self, now: float) -> None:
        """Close it if it is silent for too long."""

    def close(self) -> None:
        """Close it now."""


class Transports:
    """The sockets of SIP: one of UDP, and any bounded number of connections."""

    def __init__(
        self,
        receiver: Receiver,
        local: LocalAddress,
        trusted: Trusted,
        counters: SipCounters,
        *,
        limits: WireLimits | None = None,
        client_tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Hold nothing yet.

        Args:
            receiver: takes what comes.
            local: by which address a far end reaches us.
            trusted: which addresses have no limits.
            counters: of all telephones.
            limits: of connections.
            client_tls: for connections that we open; by default the system's authorities are trusted.
            clock: monotonic seconds.
        """
        self._receiver = receiver
        self._local = local
        self._trusted = trusted
        self._counters = counters
        self._limits = limits or WireLimits()
        self._clock = clock
        self._numbers = count(1)
        self._connections: dict[int, Connection] = {}
        self._ways: dict[tuple[str, str, int], int] = {}
        self._per_address: Counter[str] = Counter()
        self._udp = UdpSocket(receiver, self._unreachable, local, counters)
        self._dialling = Dialling(self._accepted, self._limits, client_tls)
        self._servers: list[asyncio.Server] = []
        self._looking: asyncio.TimerHandle | None = None
        self._on_unreachable: Callable[[str, int], None] = lambda host, port: None
        self.port = 0
        """UDP and TCP port, once it listens."""
        self.tls_port = 0

    # --- life -------------------------------------------------------------------------------

    async def start(self, listening: Listening, unreachable: Callable[[str, int], None]) -> None:
        """Listen.

        Args:
            listening: where.
            unreachable: told host and port of a far end that no datagram reaches.

        Raises:
            OSError: an address is not ours, or a port is in use.
        """
        self._on_unreachable = unreachable
        for attempt in range(BIND_TRIES):
            self.port = self._udp.open(listening.host, listening.port)
            try:
                await self._listen("tcp", listening.host, self.port, None)
                break
            except OSError:
                self._udp.close()
                if listening.port or attempt == BIND_TRIES - 1:
                    raise
        if listening.tls is not None and listening.tls_port is not None:
            await self._listen("tls", listening.host, listening.tls_port, listening.tls)
            self.tls_port = self._servers[-1].sockets[0].getsockname()[1]
        self._look()

    async def stop(self) -> None:
        """Close everything."""
        if self._looking is not None:
            self._looking.cancel()
        for server in self._servers:
            server.close()
        for connection in list(self._connections.values()):
            connection.close()
        await self._dialling.stop()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        self._udp.close()

    async def _listen(
        self, kind: Literal["tcp", "tls"], host: str, port: int, tls: ssl.SSLContext | None
    ) -> None:
        server = await asyncio.get_running_loop().create_server(
            lambda: self._connection(kind, ours=False),
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=self._limits.connect_s if tls else None,
            backlog=512,
        )
        self._servers.append(server)

    # --- sending ----------------------------------------------------------------------------

    def send(self, data: bytes, to: Flow, failed: Callable[[], None]) -> None:
        """Send a message by a flow; `failed` is called once, now or later, if it cannot leave.

        A flow that names a connection uses that one alone, unless it was ours to open; any other flow uses a
        connection that leads there, or opens one (RFC 3261 section 18.1.1).
        """
        self._counters.messages_sent += 1
        if to.transport == "udp":
            if not self._udp.send(data, to.host, to.port):
                self._drop(failed)
            return
        number = to.connection or self._ways.get((to.transport, to.host, to.port), 0)
        connection = self._connections.get(number)
        if connection is not None:
            if not connection.send(data):
                self._drop(failed)
        elif to.connection or to.transport not in ("tcp", "tls"):
            self._drop(failed)  # the far end opened it, and nobody but it can open it again
        elif len(self._connections) >= self._limits.connections:
            self._counters.connections_refused += 1
            self._drop(failed)
        else:
            self._dialling.send(data, to, lambda: self._drop(failed))

    def name(self, host: str, name: str) -> None:
        """Remember the name by which an address was found: the certificate of a TLS server must have it."""
        self._dialling.name(host, name)

    def is_open(self, flow: Flow) -> bool:
        """Tell whether a message can still be sent by a flow."""
        return not flow.connection or flow.connection in self._connections

    def ping(self, host: str, port: int) -> None:
        """Keep the way of a NAT to a UDP far end open."""
        self._udp.send(b"\r\n\r\n", host, port)

    def _drop(self, failed: Callable[[], None]) -> None:
        self._counters.sends_dropped += 1
        failed()

    def _unreachable(self, host: str, port: int) -> None:
        self._counters.sends_failed += 1
        self._on_unreachable(host, port)

    # --- connections ------------------------------------------------------------------------

    def __len__(self) -> int:
        """Return how many connections are open."""
        return len(self._connections)

    async def serve_websocket(
        self, receive: Receive, send: Send, peer: tuple[str, int], *, secure: bool = False
    ) -> None:
        """Serve a WebSocket until it ends; one beyond the bounds is not served at all."""
        connection = WebSocketConnection(
            self._receiver,
            self._local,
            self._limits,
            self._counters,
            number=next(self._numbers),
            secure=secure,
            peer=peer,
        )
        if not self._enter(connection):
            self._counters.connections_refused += 1
            return
        try:
            await connection.run(receive, send)
        finally:
            self._forget(connection)

    def admit(self, connection: StreamConnection) -> bool:
        """Enter a connection; False where there are too many (`Connections`)."""
        return self._enter(connection)

    def leave(self, connection: StreamConnection) -> None:
        """Forget a connection (`Connections`)."""
        self._forget(connection)

    def _connection(self, kind: Literal["tcp", "tls"], *, ours: bool) -> StreamConnection:
        return StreamConnection(
            self,
            self._receiver,
            self._local,
            self._limits,
            self._counters,
            number=next(self._numbers),
            transport=kind,
            ours=ours,
            clock=self._clock,
        )

    def _accepted(self, kind: Literal["tcp", "tls"]) -> StreamConnection:
        """Make the object of a connection that we open."""
        return self._connection(kind, ours=True)

    def _enter(self, connection: Connection) -> bool:
        flow = connection.flow
        if len(self._connections) >= self._limits.connections:
            return False
        if self._per_address[flow.host] >= self._limits.per_address and not self._trusted(flow.host):
            return False
        self._counters.connections_opened += 1
        self._connections[flow.connection] = connection
        self._per_address[flow.host] += 1
        self._ways[flow.transport, flow.host, flow.port] = flow.connection
        return True

    def _forget(self, connection: Connection) -> None:
        flow = connection.flow
        if self._connections.pop(flow.connection, None) is None:
            return
        self._per_address[flow.host] -= 1
        if self._per_address[flow.host] <= 0:
            del self._per_address[flow.host]
        way = flow.transport, flow.host, flow.port
        if self._ways.get(way) == flow.connection:
            del self._ways[way]
        self._receiver.flow_lost(flow)

    def _look(self) -> None:
        now = self._clock()
        for connection in list(self._connections.values()):
            connection.look(now)
        self._looking = asyncio.get_running_loop().call_later(LOOK_S, self._look)
