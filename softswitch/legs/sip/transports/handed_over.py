"""SIP transports of a worker: its supervisor owns the sockets and hands messages over (docs/adr/0033)."""

import asyncio
import logging
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

from softswitch.bus.channel import Channel
from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.transports.packets import Kind, pack, unpack
from softswitch.legs.sip.transports.websocket import Receive, Send
from softswitch.legs.sip.transports.wire import LocalAddress, Receiver
from softswitch.sip.transaction.flow import Flow

logger = logging.getLogger(__name__)

MOST_FAILURES = 8192
"""Messages sent last, whose failure is still reported to their transactions."""
MOST_LOST = 20_000
"""Closed connections that are remembered; bindings of others were removed when they closed."""
MOST_SOCKET_MESSAGES = 64
"""Messages to one WebSocket that may wait for a slow client; then it is closed."""


@dataclass(frozen=True, slots=True)
class SipShare:
    """Share of a worker in the SIP sockets of its host."""

    end: socket.socket
    """This worker's end of the channel."""
    port: int
    """Port of UDP and TCP."""
    tls_port: int
    """Port of TLS; 0: none."""
    mark: str
    """Begins every branch and tag of this worker."""


class HandedOverTransports:
    """The transports of one worker (a `SipTransports`)."""

    def __init__(
        self,
        share: SipShare,
        receiver: Receiver,
        local: LocalAddress,
        counters: SipCounters,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; `start` comes next.

        Args:
            share: Channel and ports.
            receiver: Receives all messages.
            local: Returns the local address to announce to a peer.
            counters: Of all SIP legs.
            clock: Monotonic seconds, the same for all processes of the host.
        """
        self._end = share.end
        self.port, self.tls_port = share.port, share.tls_port
        self._receiver = receiver
        self._local = local
        self._counters = counters
        self._clock = clock
        self._channel: Channel | None = None
        self._unreachable: Callable[[str, int], None] = lambda host, port: None
        self._waited: Callable[[float], None] = lambda age_s: None
        self._numbers = count(1)
        self._failures: OrderedDict[int, Callable[[], None]] = OrderedDict()
        self._lost: OrderedDict[int, None] = OrderedDict()
        self._sockets: dict[int, asyncio.Queue[bytes | None]] = {}
        self.age_s = 0.0
        self.failures = 0

    async def start(self, unreachable: Callable[[str, int], None]) -> None:
        """Begin to read."""
        self._unreachable = unreachable
        self._channel = Channel(self._end, self._packet, self._closed)

    async def stop(self) -> None:
        """Close the channel; the supervisor keeps the sockets."""
        if self._channel is not None:
            self._channel.close()

    def send(self, data: bytes, to: Flow, failed: Callable[[], None]) -> None:
        """Hand a message to the supervisor."""
        self._counters.messages_sent += 1
        number = next(self._numbers) & 0xFFFFFFFF
        self._failures[number] = failed
        if len(self._failures) > MOST_FAILURES:
            self._failures.popitem(last=False)
        if not self._give(pack(Kind.SEND, to, data, number=number)):
            del self._failures[number]
            self._counters.sends_dropped += 1
            failed()

    def set_server_name(self, host: str, name: str) -> None:
        """Set the name of the TLS server at an address."""
        self._give(pack(Kind.SERVER_NAME, Flow("tls", host, 0), name.encode()))

    def is_open(self, flow: Flow) -> bool:
        """Tell whether a flow can still carry a message."""
        return flow.connection not in self._lost

    def ping(self, host: str, port: int) -> None:
        """Send a keep-alive."""
        self._give(pack(Kind.PING, Flow("udp", host, port)))

    def catch_up(self) -> float:
        """Read the messages that wait, for one turn."""
        if self._channel is None or self._channel.read():
            return 0.0
        return self.age_s

    def on_wait(self, waited: Callable[[float], None]) -> None:
        """Set the callback that gets the time that datagrams wait."""
        self._waited = waited

    def on_proof(self, flow: Flow) -> None:
        """Let a WebSocket stay whose phone has authenticated."""
        if flow.transport in ("ws", "wss"):
            self._give(pack(Kind.PROVED, flow))

    def __len__(self) -> int:
        """Return the number of WebSockets; the supervisor counts the other connections."""
        return len(self._sockets)

    async def serve_websocket(
        self, receive: Receive, send: Send, peer: tuple[str, int], *, secure: bool = False
    ) -> None:
        """Carry the messages of a WebSocket to the supervisor and back."""
        number = next(self._numbers) & 0xFFFFFFFF
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_SOCKET_MESSAGES)
        self._sockets[number] = queue
        self._give(pack(Kind.SOCKET_OPEN, Flow("wss" if secure else "ws", peer[0], peer[1]), number=number))
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read(receive, number))
                writing = tasks.create_task(_write(send, queue))
                await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
                reading.cancel()
                writing.cancel()
        finally:
            self._sockets.pop(number, None)
            self._give(pack(Kind.SOCKET_CLOSED, number=number))

    async def _read(self, receive: Receive, number: int) -> None:
        try:
            while (message := await receive()) is not None:
                data = message.encode("utf-8", "surrogateescape") if isinstance(message, str) else message
                self._give(pack(Kind.SOCKET_DATA, data=data, number=number))
        except ConnectionError:
            return  # the socket is closed

    def _give(self, packet: bytes) -> bool:
        return self._channel is not None and self._channel.send(packet)

    def _closed(self) -> None:
        for queue in self._sockets.values():
            _end(queue)

    def _packet(self, packet: bytes, descriptors: Sequence[int]) -> None:
        try:
            kind, flow, data, number, moment = unpack(packet)
        except ValueError:
            self.failures += 1
            logger.error("a packet of the supervisor cannot be read")
            return
        match kind:
            case Kind.MESSAGE:
                self.age_s = max(0.0, self._clock() - moment)
                self._waited(self.age_s)
                host, port = self._local(flow.transport, flow.host)
                self._receiver.message_received(data, replace(flow, local_host=host, local_port=port))
            case Kind.FAILED:
                if failed := self._failures.pop(number, None):
                    self._counters.sends_dropped += 1
                    failed()
            case Kind.LOST:
                self._lost[flow.connection] = None
                if len(self._lost) > MOST_LOST:
                    self._lost.popitem(last=False)
                self._receiver.flow_lost(flow)
            case Kind.UNREACHABLE:
                self._counters.sends_failed += 1
                self._unreachable(flow.host, flow.port)
            case Kind.SOCKET_DATA:
                if queue := self._sockets.get(number):
                    _put(queue, data)
            case Kind.SOCKET_CLOSED:
                if queue := self._sockets.get(number):
                    _end(queue)
            case _:
                self.failures += 1


def _put(queue: asyncio.Queue[bytes | None], data: bytes) -> None:
    if queue.full():
        _end(queue)
    else:
        queue.put_nowait(data)


def _end(queue: asyncio.Queue[bytes | None]) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(None)


async def _write(send: Send, queue: asyncio.Queue[bytes | None]) -> None:
    try:
        while (data := await queue.get()) is not None:
            await send(data)
    except ConnectionError:
        return
