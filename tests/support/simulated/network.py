"""Networks in memory: HTTP and WebSockets as joined protocols, SIP as datagrams. Delays are seeded."""

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import aiohttp
from aiohttp import web

from softswitch.sip.transaction.flow import Flow
from tests.support.simulated.clock import Ordered

HOST = "127.0.0.1"


class SimTransport(asyncio.Transport):
    """One end of a connection; what is written arrives at the protocol of the other end."""

    def __init__(self, wire: "Wire", protocol: Any, peername: tuple[str, int]) -> None:
        super().__init__({"peername": peername, "sockname": (HOST, 8080), "socket": None})
        self._wire = wire
        self._order = Ordered(asyncio.get_running_loop(), wire.delay)
        self._protocol = protocol
        self.other: SimTransport
        self._closing = False
        self._paused = False
        self._held: list[bytes] = []

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: Any) -> None:
        if not self._closing and not self._wire.cut:
            piece = bytes(data)
            self._order.deliver(lambda: self.other.arrive(piece))

    def writelines(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def arrive(self, data: bytes) -> None:
        """Hand data to the protocol."""
        if self._closing:
            return
        if self._paused:
            self._held.append(data)
        else:
            self._protocol.data_received(data)

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        held, self._held = self._held, []
        for data in held:
            self._protocol.data_received(data)

    def is_reading(self) -> bool:
        return not self._paused

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._order.deliver(lambda: self.other.end(None))
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close

    def end(self, error: Exception | None) -> None:
        """Close because the other end has, or the network is cut."""
        if not self._closing:
            self._closing = True
            self._protocol.connection_lost(error)


class Wire:
    """One connection between a client and a server."""

    def __init__(
        self, client: Any, server: Any, delay: Callable[[], float], peername: tuple[str, int]
    ) -> None:
        """Connect two protocols."""
        self.delay = delay
        self.cut = False
        self._loop = asyncio.get_running_loop()
        self.ends = [SimTransport(self, client, (HOST, 8080)), SimTransport(self, server, peername)]
        self.ends[0].other, self.ends[1].other = self.ends[1], self.ends[0]
        server.connection_made(self.ends[1])
        client.connection_made(self.ends[0])

    def break_off(self) -> None:
        """Cut the connection: both ends notice at once."""
        self.cut = True
        for end in self.ends:
            self._loop.call_soon(end.end, ConnectionResetError("cut"))

    @property
    def is_open(self) -> bool:
        """Whether one end is still open."""
        return not all(end.is_closing() for end in self.ends)


class SimConnector(aiohttp.BaseConnector):
    """Opens connections of an HTTP client to the web server of a node."""

    allowed_protocol_schema_set = aiohttp.connector.HIGH_LEVEL_SCHEMA_SET

    def __init__(self, connect: Callable[[Any], Wire | None]) -> None:
        """`connect` joins a client's protocol with a server's; it returns None where none answers."""
        super().__init__(limit=0)
        self._connect_to = connect

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> Any:
        protocol = self._factory()
        if self._connect_to(protocol) is None:
            raise aiohttp.ClientConnectionError("cannot connect")
        return protocol


class WebServers:
    """The web servers of nodes by name, and the connections to them."""

    def __init__(self, delay: Callable[[], float]) -> None:
        """Start without servers."""
        self.delay = delay
        self._runners: dict[str, web.AppRunner] = {}
        self._wires: list[tuple[str, str, Wire]] = []
        self.apart: set[frozenset[str]] = set()
        """Pairs of names that do not reach each other."""
        self._ports = iter(range(40_000, 60_000))

    def add(self, name: str, runner: web.AppRunner) -> None:
        """Serve a node."""
        self._runners[name] = runner

    def client(self, source: str, name: str) -> aiohttp.ClientSession:
        """Return an HTTP client of `source` for the node `name`."""
        return aiohttp.ClientSession(connector=self.connector(source, name))

    def connector(self, source: str, name: str) -> SimConnector:
        """Return what connects `source` with the node `name`."""

        def connect(protocol: Any) -> Wire | None:
            runner = self._runners.get(name)
            if runner is None or runner.server is None or frozenset((source, name)) in self.apart:
                return None
            wire = Wire(protocol, runner.server(), self.delay, (HOST, next(self._ports)))
            self._wires = [one for one in self._wires if one[2].is_open]
            self._wires.append((source, name, wire))
            return wire

        return SimConnector(connect)

    def break_off(self, one: str, two: str) -> None:
        """Cut all connections between two names; there will be no others."""
        self.apart.add(frozenset((one, two)))
        for source, name, wire in self._wires:
            if {source, name} == {one, two}:
                wire.break_off()


class SipNetwork:
    """Datagrams of SIP between ports of one address."""

    def __init__(self, delay: Callable[[], float]) -> None:
        """Start without sockets."""
        self.delay = delay
        self._ports = iter(range(5070, 9000))
        self._at: dict[int, tuple[str, Any]] = {}
        self._connected: set[int] = set()
        self.apart: set[frozenset[str]] = set()
        """Pairs of owners that do not reach each other."""

    def bind(self, owner: str, receiver: Any, *, connects: bool = False) -> int:
        """Return the port of a new socket; `connects`: its messages come by a TCP connection."""
        port = next(self._ports)
        self._at[port] = owner, receiver
        if connects:
            self._connected.add(port)
        return port

    def close(self, port: int) -> None:
        """Close a socket."""
        self._at.pop(port, None)

    def send(self, data: bytes, port: int, to: int) -> None:
        """Send a datagram; it is lost where no socket has that port."""
        asyncio.get_running_loop().call_later(self.delay(), self._arrive, data, port, to)

    def _arrive(self, data: bytes, port: int, to: int) -> None:
        source, target = self._at.get(port), self._at.get(to)
        if source is None or target is None or frozenset((source[0], target[0])) in self.apart:
            return
        # The number of a connection is the port of the end that opened it.
        connection = port if port in self._connected else to if to in self._connected else 0
        kind: Literal["tcp", "udp"] = "tcp" if connection else "udp"
        target[1].message_received(data, Flow(kind, HOST, port, connection, HOST, to))


class SimTransports:
    """The SIP transports of a switch or phone on a `SipNetwork` (a `SipTransports`)."""

    def __init__(self, network: SipNetwork, owner: str, receiver: Any, *, connects: bool = False) -> None:
        """Prepare; `start` opens the socket."""
        self._connects = connects
        self._open: set[int] = set()
        self._network = network
        self._owner = owner
        self._receiver = receiver
        self.port = self.tls_port = 0
        self.age_s = 0.0
        self.failures = 0

    async def start(self, *_: object) -> None:
        """Open the socket."""
        self.port = self._network.bind(self._owner, self, connects=self._connects)

    async def stop(self) -> None:
        """Close the socket."""
        self._network.close(self.port)

    def send(self, data: bytes, to: Flow, failed: Callable[[], None]) -> None:
        """Send a message; a connection carries it where it ends here only."""
        if self.is_open(to):
            self._network.send(data, self.port, to.port)
        else:
            failed()

    def message_received(self, data: bytes, flow: Flow) -> None:
        """Hand a message to the receiver."""
        if flow.connection:
            self._open.add(flow.connection)
        self._receiver.message_received(data, flow)

    def set_server_name(self, host: str, name: str) -> None:
        """Ignore the name: there is no TLS."""

    def is_open(self, flow: Flow) -> bool:
        """Tell whether a flow can carry a message."""
        return self._connects or not flow.connection or flow.connection in self._open

    def ping(self, host: str, port: int) -> None:
        """Send nothing: there is no NAT."""

    def catch_up(self) -> float:
        """Tell that no datagram waits."""
        return 0.0

    def on_wait(self, waited: Callable[[float], None]) -> None:
        """Tell of no waits."""

    def on_proof(self, flow: Flow) -> None:
        """There are no WebSockets."""

    async def serve_websocket(self, *_: object, **__: object) -> None:
        """There are no WebSockets."""

    def __len__(self) -> int:
        return 0
