"""A worker: this process under its supervisor, with its channel, its bus and the connections it is given."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Sequence

from aiohttp import web

from softswitch.bus.channel import Channel
from softswitch.bus.frames import Frame
from softswitch.bus.hub_bus import HubBus
from softswitch.bus.place import Place, mark_of
from softswitch.legs.sip.transports.handed_over import SipShare
from softswitch.log.tasks import Tasks

logger = logging.getLogger(__name__)

REPORT_S = 0.25
"""Period in which the load is reported, in seconds."""
WAITING_BYTES = 8_000_000
"""Octets that may wait for the supervisor."""


class WorkerLink:
    """The link of a worker with its supervisor."""

    def __init__(self, place: Place) -> None:
        """Prepare; `open` comes next, on the loop."""
        self.place = place
        self.bus = HubBus(place.node, self._send, self._frame)
        self._channel: Channel | None = None
        self._tasks = Tasks("cluster")
        self._leaving = False
        self.is_orphan = False
        """Whether the supervisor is gone."""
        self.retire: Callable[[], None] = lambda: None
        """Called when this worker is to end with its last call."""
        self.orphaned: Callable[[], None] = lambda: None
        """Called when the supervisor is gone."""
        self._runner: web.AppRunner | None = None
        self._tls: ssl.SSLContext | None = None

    def sip_share(self) -> SipShare | None:
        """Return the share of this worker in the SIP sockets; None where SIP is off."""
        if self.place.sip < 0:
            return None
        end = socket.socket(fileno=self.place.sip)
        return SipShare(end, self.place.sip_port, self.place.sip_tls_port, mark_of(self.place.number))

    def open(self) -> None:
        """Begin to read the channel."""
        if self._channel is None:
            end = socket.socket(fileno=self.place.control)
            self._channel = Channel(end, self._packet, self._closed, waiting=WAITING_BYTES)

    def serve(self, runner: web.AppRunner, tls: ssl.SSLContext | None) -> None:
        """Serve the connections that the supervisor hands over."""
        self._runner, self._tls = runner, tls

    def ready(self, load: Callable[[], tuple[int, bool]]) -> None:
        """Tell the supervisor that this worker takes calls, and from now on its load.

        Args:
            load: Returns the number of live calls, and whether everything vital works.
        """
        self.bus.tell(Frame("ready"))
        self._tasks.spawn(self._report(load), name="load")

    def stopping(self) -> None:
        """Tell the supervisor that this worker ends."""
        self.bus.tell(Frame("stopping"))

    def inherit(self, node: str) -> None:
        """Have the SIP messages for a lost worker come to this one."""
        self.bus.tell(Frame("heir", node=node))

    def drain_all(self) -> None:
        """Have the supervisor drain all workers."""
        self.bus.tell(Frame("drain"))

    def restart_all(self) -> None:
        """Have the supervisor replace all workers."""
        self.bus.tell(Frame("restart"))

    async def supervisor_figures(self) -> bytes:
        """Return the numbers of the supervisor as JSON; raises BusError."""
        return await self.bus.ask_supervisor("figures")

    def close(self) -> None:
        """Close the channel."""
        self._tasks.cancel()
        self.bus.close()
        self._leaving = True
        if self._channel is not None:
            self._channel.close()

    async def _report(self, load: Callable[[], tuple[int, bool]]) -> None:
        while True:
            calls, alive = load()
            self.bus.tell(Frame("load", number=float(calls), key="alive" if alive else ""))
            await asyncio.sleep(REPORT_S)

    def _send(self, data: bytes) -> bool:
        return self._channel is not None and self._channel.send(data)

    def _packet(self, data: bytes, descriptors: Sequence[int]) -> None:
        if descriptors:
            for descriptor in descriptors:
                self._tasks.spawn(self._connect(descriptor), name="http connection")
            return
        self.bus.receive(data)

    async def _connect(self, descriptor: int) -> None:
        connection = socket.socket(fileno=descriptor)
        if self._runner is None or self._runner.server is None:
            connection.close()
            return
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(self._runner.server, connection, ssl=self._tls)
        except (OSError, ssl.SSLError) as error:
            logger.debug("a connection failed at its start", extra={"error": str(error)})

    def _frame(self, frame: Frame) -> None:
        match frame.kind:
            case "retire":
                self.retire()
            case _:
                logger.error("a frame of the supervisor is unknown", extra={"kind": frame.kind})

    def _closed(self) -> None:
        self.bus.close()
        if self._leaving:
            return
        self.is_orphan = True
        logger.error("the supervisor is gone: draining")
        self.orphaned()
