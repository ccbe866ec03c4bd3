"""Outgoing TCP and TLS connections: messages wait in a bounded list until the connection is open."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Literal

from softswitch.legs.sip.transports.stream import StreamConnection
from softswitch.legs.sip.transports.wire import TransportLimits
from softswitch.log.tasks import Tasks
from softswitch.sip.transaction.flow import Flow

logger = logging.getLogger(__name__)

MAX_WAITING = 64
"""Messages that may wait for one connection."""
MAX_NAMES = 1024

Waiting = list[tuple[bytes, Callable[[], None]]]
Make = Callable[[Literal["tcp", "tls"]], StreamConnection]


class OutgoingConnections:
    """The connections that are being opened."""

    def __init__(self, make: Make, limits: TransportLimits, tls: ssl.SSLContext | None) -> None:
        """Prepare without connections.

        Args:
            make: makes the protocol object of a connection.
            limits: limits of connections.
            tls: how certificates are checked; None: by the authorities of the system.
        """
        self._make = make
        self._limits = limits
        self._tls = tls
        self._waiting: dict[tuple[str, str, int], Waiting] = {}
        self._tasks = Tasks("legs", "sip connections")
        self._names: dict[str, str] = {}

    @property
    def failures(self) -> int:
        """Return the number of attempts that ended with an unexpected exception."""
        return self._tasks.failures

    def set_server_name(self, host: str, name: str) -> None:
        """Set the name that a certificate of the TLS server at an address must match."""
        if len(self._names) >= MAX_NAMES and host not in self._names:
            del self._names[next(iter(self._names))]
        self._names[host] = name

    def send(self, data: bytes, to: Flow, failed: Callable[[], None]) -> None:
        """Send a message when its connection is open; call `failed` once if that does not succeed."""
        endpoint = to.transport, to.host, to.port
        waiting = self._waiting.get(endpoint)
        if waiting is not None:
            if len(waiting) >= MAX_WAITING:
                failed()
            else:
                waiting.append((data, failed))
            return
        self._waiting[endpoint] = [(data, failed)]
        self._tasks.spawn(self._open(to), name=f"sip {to.transport}")

    async def stop(self) -> None:
        """Cancel all connections that are being opened."""
        await self._tasks.stop()

    async def _open(self, to: Flow) -> None:
        endpoint = to.transport, to.host, to.port
        connection: StreamConnection | None = None
        try:
            async with asyncio.timeout(self._limits.connect_s):
                connection = await self._connect(to)
        except (OSError, TimeoutError) as error:
            logger.warning(
                "a SIP connection could not be opened", extra={"address": to.host, "error": str(error)}
            )
        finally:
            for data, failed in self._waiting.pop(endpoint):
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
