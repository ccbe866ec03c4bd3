"""The SIP sockets of a host: each message is handed to its worker, and workers send by the same sockets."""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import lru_cache, partial

from softswitch.bus.channel import Channel
from softswitch.legs.sip.addressing.own_addresses import OwnAddresses
from softswitch.legs.sip.counters import SipCounters
from softswitch.legs.sip.transports import TransportLimits, Transports
from softswitch.legs.sip.transports.packets import Kind, pack, unpack
from softswitch.legs.sip.transports.transports import Listening
from softswitch.log.tasks import Tasks
from softswitch.settings import Settings
from softswitch.sip.security.guard import is_within
from softswitch.sip.transaction.flow import Flow
from softswitch.supervisor.distribution import Distribution

logger = logging.getLogger(__name__)

SWEEP_S = 5.0
"""Period in which Call-IDs that are due are forgotten, in seconds."""
MOST_ADDRESSES = 4096
"""Source addresses that are remembered as inside or outside of `[sip] allow`."""
MOST_SOCKET_MESSAGES = 64
"""Messages of one WebSocket that may wait; more are dropped and counted."""

_Queue = asyncio.Queue[bytes | None]


class SipSockets:
    """The transports of the host (a `Receiver`), and the channels to the workers."""

    def __init__(self, settings: Settings, distribution: Distribution) -> None:
        """Prepare; `start` opens the sockets."""
        self._settings = settings
        self.counters = SipCounters()
        self._own = OwnAddresses(settings.sip, settings.rtp)
        networks = settings.sip.networks()
        # Parsing an address takes as long as all else that is done for a datagram.
        is_trusted = lru_cache(MOST_ADDRESSES)(lambda host: is_within(host, networks))
        self.transports = Transports(
            self,
            self._own.signalling,
            is_trusted,
            self.counters,
            limits=TransportLimits(idle_s=settings.sip.register_expires + 100.0),
        )
        self._distribution = distribution
        self._channels: dict[int, Channel] = {}
        self._sockets: dict[tuple[int, int], _Queue] = {}
        self._tasks = Tasks("supervisor")
        self._sweeping: asyncio.TimerHandle | None = None
        self.homeless = 0
        """Messages that no worker could take."""

    async def start(self, listening: Listening) -> None:
        """Open the sockets; raises ListenError."""
        await self.transports.start(listening, self._unreachable)
        port = self.transports.port
        self._own.ports = {"udp": port, "tcp": port, "tls": self.transports.tls_port}
        self._sweep()

    async def stop(self) -> None:
        """Close the sockets and the channels."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for channel in list(self._channels.values()):
            channel.close()
        self._tasks.cancel()
        await self.transports.stop()

    def add(self, worker: int, channel: Channel) -> None:
        """Hand messages to a worker from now on."""
        self._channels[worker] = channel

    def remove(self, worker: int) -> None:
        """Forget a worker that is gone, and close its WebSockets."""
        channel = self._channels.pop(worker, None)
        if channel is not None:
            channel.close()
        for key in [key for key in self._sockets if key[0] == worker]:
            _put(self._sockets.pop(key), None)

    @property
    def dropped(self) -> int:
        """Return how many packets the channels of the present workers have dropped."""
        return sum(channel.dropped for channel in self._channels.values())

    # --- from the network (`Receiver`) --------------------------------------------------------

    def message_received(self, data: bytes, flow: Flow) -> None:
        """Hand a message to its worker."""
        now = time.monotonic()
        worker = self._distribution.choose(data, self._channels, now)
        channel = self._channels.get(worker)
        if channel is None:
            self.homeless += 1
            return
        age = self.transports.age_s if flow.transport == "udp" else 0.0
        channel.send(pack(Kind.MESSAGE, flow, data, moment=now - age))

    def flow_lost(self, flow: Flow) -> None:
        """Tell all workers of a closed connection."""
        self._to_all(pack(Kind.LOST, flow))

    def _unreachable(self, host: str, port: int) -> None:
        self._to_all(pack(Kind.UNREACHABLE, Flow("udp", host, port)))

    def _to_all(self, packet: bytes) -> None:
        for channel in list(self._channels.values()):
            channel.send(packet)

    # --- from the workers ---------------------------------------------------------------------

    def packet(self, worker: int, packet: bytes, descriptors: Sequence[int] = ()) -> None:
        """Handle a packet of a worker."""
        try:
            kind, flow, data, number, _ = unpack(packet)
        except ValueError:
            logger.error("a packet of a worker cannot be read", extra={"worker": worker})
            return
        match kind:
            case Kind.SEND:
                self._distribution.sent(data, time.monotonic())
                self.transports.send(data, flow, partial(self._failed, worker, number))
            case Kind.SERVER_NAME:
                self.transports.set_server_name(flow.host, data.decode())
            case Kind.PING:
                self.transports.ping(flow.host, flow.port)
            case Kind.PROVED:
                self.transports.on_proof(flow)
            case Kind.SOCKET_OPEN:
                self._open(worker, number, flow)
            case Kind.SOCKET_DATA:
                if queue := self._sockets.get((worker, number)):
                    _put(queue, data)
            case Kind.SOCKET_CLOSED:
                if queue := self._sockets.pop((worker, number), None):
                    _put(queue, None)
            case _:
                logger.error("a packet of a worker is for workers only", extra={"worker": worker})

    def _failed(self, worker: int, number: int) -> None:
        if channel := self._channels.get(worker):
            channel.send(pack(Kind.FAILED, number=number))

    def _open(self, worker: int, number: int, flow: Flow) -> None:
        """Serve a WebSocket that a worker has accepted like a connection of this process."""
        queue: _Queue = asyncio.Queue(MOST_SOCKET_MESSAGES + 1)
        self._sockets[worker, number] = queue

        async def send(data: bytes) -> None:
            if channel := self._channels.get(worker):
                channel.send(pack(Kind.SOCKET_DATA, data=data, number=number))

        async def serve() -> None:
            try:
                await self.transports.serve_websocket(
                    queue.get, send, (flow.host, flow.port), secure=flow.transport == "wss"
                )
            finally:
                self._sockets.pop((worker, number), None)
                if channel := self._channels.get(worker):
                    channel.send(pack(Kind.SOCKET_CLOSED, number=number))

        self._tasks.spawn(serve(), name="sip websocket")

    def _sweep(self) -> None:
        self._distribution.sweep(time.monotonic())
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)


def _put(queue: _Queue, data: bytes | None) -> None:
    if data is None and queue.full():
        queue.get_nowait()
    if not queue.full():
        queue.put_nowait(data)
