"""Opening connections: what is to be sent waits in a bounded list until the way is open."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Literal

from softswitch.endpoints.sip.transports.stream import StreamConnection
from softswitch.endpoints.sip.transports.wire import WireLimits
from softswitch.sip.flow import Flow

logger = logging.getLogger(__name__)

MAX_WAITING = 64
"""Messages that wait for one connection."""
MAX_NAMES = 1024

Waiting = list[tuple[bytes, Callable[[], None]]]
Make = Callable[[Literal["tcp", "tls"]], StreamConnection]


class Dialling:
    """The connections that are being opened."""

    def __init__(self, make: Make, limits: WireLimits, tls: ssl.SSLContext | None) -> None:
        """Open nothing yet.

        Args:
            make: makes the object of a connection.
            limits: bounds of it.
            tls: how certificates are checked; None: by the authorities of the system.
        """
        self._make = make
        self._limits = limits
        self._tls = tls
        self._waiting: dict[tuple[str, str, int], Waiting] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._names: dict[str, str] = {}

    def name(self, host: str, name: str) -> None:
        """Remember by which name an address was found."""
        if len(self._names) >= MAX_NAMES and host not in self._names:
            del self._names[next(iter(self._names))]
        self._names[host] = name

    def send(self, data: bytes, to: Flow, failed: Callable[[], None]) -> None:
        """Send a message as soon as the connection is open; `failed` is called if that cannot be."""
        way = to.transport, to.host, to.port
        waiting = self._waiting.get(way)
        if waiting is not None:
            if len(waiting) >= MAX_WAITING:
                failed()
            else:
                waiting.append((data, failed))
            return
        self._waiting[way] = [(data, failed)]
        task = asyncio.get_running_loop().create_task(self._open(to), name=f"sip {to.transport}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Give up whatever is being opened."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _open(self, to: Flow) -> None:
        way = to.transport, to.host, to.port
        connection: StreamConnection | None = None
        try:
            async with asyncio.timeout(self._limits.connect_s):
                connection = await self._connect(to)
        except (OSError, TimeoutError) as error:
            logger.warning(
                "a connection could not be opened", extra={"address": to.host, "error": str(error)}
            )
        finally:
            for data, failed in self._waiting.pop(way):
                if connection is None or not connection.send(data):
                    failed()

    async def _connect(self, to: Flow) -> StreamConnection:
        loop = asyncio.get_running_loop()
        if to.transport != "tls":
            _, connection = await loop.create_connection(lambda: self._make("tcp"), to.host, to.port)
            return connection
        self._tls = self._tls or ssl.create_default_context()
        _, connection = await loop.create_connection(
            lambda: self._make("tls"),
            to.host,
            to.port,
            ssl=self._tls,
            server_hostname=self._names.get(to.host, to.host),
        )
        return connection
