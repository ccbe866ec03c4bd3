"""Connections to vendors: WebSocket or TCP behind one small interface."""

import asyncio
from typing import Protocol

from yarl import URL

from softswitch.egress import Asker, EgressClient, EgressError, EgressFailed, Socket, connect
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.errors import VendorError, vendor_error
from softswitch.speech.hosted.wire import Endpoint, Message

CHUNK = 65536


class Connection(Protocol):
    """An open connection."""

    @property
    def closed(self) -> bool:
        """Tell whether nothing more can be sent."""

    @property
    def close_code(self) -> int | None:
        """Return the code of the close frame, once there was one."""

    async def send(self, message: Message) -> None:
        """Send a message; raises EgressFailed where the peer is gone."""

    async def receive(self) -> Message | None:
        """Wait for the next message; None when the peer closed."""

    async def close(self) -> None:
        """Close; a second time does nothing."""


class TcpConnection:
    """A plain TCP connection; what it receives are pieces of a byte stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def closed(self) -> bool:
        """Tell whether nothing more can be sent."""
        return self._writer.is_closing() or self._reader.at_eof()

    @property
    def close_code(self) -> int | None:
        """Return None: TCP has none."""
        return None

    async def send(self, message: Message) -> None:
        """Send bytes, or a text as UTF-8."""
        try:
            self._writer.write(message.encode() if isinstance(message, str) else message)
            await self._writer.drain()
        except OSError as error:
            raise EgressFailed("the peer of the connection is gone") from error

    async def receive(self) -> Message | None:
        """Return what arrived; None at the end."""
        try:
            return await self._reader.read(CHUNK) or None
        except OSError:
            return None

    async def close(self) -> None:
        """Close at once; what was not sent is dropped."""
        self._writer.transport.abort()


async def dial(
    client: EgressClient, access: Access, endpoint: Endpoint, timeout_s: float, asker: Asker, *, idle: bool
) -> Connection:
    """Open a connection.

    Args:
        client: whose rules hold.
        access: the provider.
        endpoint: what to connect to.
        timeout_s: seconds it may take.
        asker: the call, for the name of the host.
        idle: whether the connection may stay unread for a while; then no pings are sent over it.

    Raises:
        VendorError: the vendor refuses or cannot be reached; its text has no address and no key.
        SpeechBusyError: the vendor refuses with 429.
    """
    failure: tuple[int, str]
    try:
        async with asyncio.timeout(timeout_s):
            if endpoint.url.startswith("tcp://"):
                return await _dial_tcp(client, endpoint, access, asker)
            socket: Socket = await connect(
                client,
                endpoint.url,
                headers=endpoint.headers,
                protocols=endpoint.protocols,
                trusted=access.trusted,
                heartbeat_s=0.0 if idle else 20.0,
                asker=asker,
            )
            return socket
    except EgressFailed as error:
        failure = error.status, str(error)
    except EgressError as error:
        # The address may not be dialled: the text says why and has no part of it.
        raise VendorError(f"provider {access.name!r}: {error}", 400) from None
    except TimeoutError:
        failure = 0, f"no connection within {timeout_s:g} s"
    # Not chained: the errors below have the address, and the address may have a signature or a key.
    raise vendor_error(access, *failure) from None


async def _dial_tcp(client: EgressClient, endpoint: Endpoint, access: Access, asker: Asker) -> Connection:
    url = URL(endpoint.url)
    if not access.trusted or not url.raw_host or not url.explicit_port:
        raise VendorError(f"provider {access.name!r}: base_url must be tcp://host:port in the settings", 400)
    pinned = await client.pin(url.with_scheme("http"), trusted=True, asker=asker)
    last: OSError | None = None
    for found in await pinned.resolve(url.raw_host, url.explicit_port, family=0):  # type: ignore[arg-type]
        try:
            return TcpConnection(*await asyncio.open_connection(found["host"], url.explicit_port))
        except OSError as error:
            last = error
    raise EgressFailed("the server does not take connections") from last
