"""Open a WebSocket outwards, under the same rules as a fetch."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Protocol, Self, cast

import aiohttp

from softswitch.egress.address import WEBSOCKET, read_url
from softswitch.egress.errors import EgressFailed, EgressRefused
from softswitch.egress.http import Door
from softswitch.egress.pin import Pin

MAX_MESSAGE = 8 * 1024 * 1024
"""Bytes of the longest message that is read."""

CLOSE_S = 2.0
"""Seconds that a peer has to answer our close frame."""


class Parser(Protocol):
    """What aiohttp feeds with the bytes of an upgraded connection."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes; return whether nothing more is wanted, and what was left over."""

    def feed_eof(self) -> None:
        """Take note of the end."""


Before = Callable[[Parser], Parser]
"""Makes what stands before a connection's parser."""


class _Read(aiohttp.ClientWebSocketResponse):  # type: ignore[misc,type-arg,unused-ignore]
    """aiohttp's WebSocket, whose parser is ours before its first byte.

    Uses one private member, ``_parser`` of aiohttp 3.14: it is set once and then given to the connection. A
    version that does without leaves all messages to :meth:`Socket.receive`, which is only dearer.
    """

    before: Before | None = None

    @property
    def _parser(self) -> Any:
        return self.__dict__.get("parser")

    @_parser.setter
    def _parser(self, parser: Any) -> None:
        self.__dict__["parser"] = self.before(parser) if parser is not None and self.before else parser


class Socket:
    """Carry messages to and from a service that we dialled. Close it; `async with` does."""

    def __init__(
        self, session: aiohttp.ClientSession, socket: "aiohttp.ClientWebSocketResponse[bool]"
    ) -> None:
        self._session = session
        self._socket = socket

    async def __aenter__(self) -> Self:
        """Return the socket itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the socket."""
        await self.close()

    @property
    def closed(self) -> bool:
        """Tell whether nothing more can be sent."""
        return self._socket.closed

    @property
    def close_code(self) -> int | None:
        """The code of the close frame, once there was one."""
        return self._socket.close_code

    @property
    def protocol(self) -> str:
        """The sub-protocol agreed upon, or an empty text."""
        return self._socket.protocol or ""

    @property
    def transport(self) -> asyncio.WriteTransport | None:
        """What the connection writes to; None once it is gone."""
        connection = self._socket._response.connection  # noqa: SLF001  (aiohttp shows it on a response only)
        return connection.transport if connection is not None else None

    async def ping(self) -> None:
        """Ask the peer for a sign of life.

        Raises:
            EgressFailed: if the peer is gone.
        """
        try:
            await self._socket.ping()
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise EgressFailed("the peer of the WebSocket is gone") from error

    async def send(self, message: str | bytes) -> None:
        """Send one message: text as text, bytes as binary; waits while the peer reads slowly.

        Raises:
            EgressFailed: if the peer is gone.
        """
        try:
            if isinstance(message, str):
                await self._socket.send_str(message)
            else:
                await self._socket.send_bytes(message)
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise EgressFailed("the peer of the WebSocket is gone") from error

    async def receive(self) -> str | bytes | None:
        """Wait for the next message; None when the peer closed or broke the connection."""
        message = await self._socket.receive()
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            content: str | bytes = message.data
            return content
        return None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection and give back all it held; a second time does nothing."""
        try:
            await self._socket.close(code=code, message=reason.encode()[:123])
        finally:
            await self._session.close()


async def connect(
    door: Door,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    protocols: Sequence[str] = (),
    trusted: bool = False,
    heartbeat_s: float = 20.0,
    max_message: int = MAX_MESSAGE,
    before: Before | None = None,
) -> Socket:
    """Open a WebSocket.

    Args:
        door: whose rules hold.
        url: a ws or wss URL.
        headers: headers of the handshake.
        protocols: sub-protocols to offer, the preferred one first.
        trusted: whether the operator wrote the URL (in the settings); then private addresses are meant.
        heartbeat_s: time between pings in seconds; a peer that does not answer counts as gone. 0: no pings.
        max_message: bytes of the longest message that is read.
        before: makes what takes messages off the connection before they are queued for `Socket.receive`.

    Returns:
        The open socket; the caller closes it.

    Raises:
        EgressRefused: if the URL may not be dialled.
        EgressFailed: if nobody answers, or not as a WebSocket; a redirect to elsewhere is not followed.
    """
    try:
        async with asyncio.timeout(door.timeout_s):
            target = read_url(url, WEBSOCKET, trusted=trusted)
            pinned = await door.pin(target, trusted=trusted)
            async with _session(pinned, door, before) as session:
                socket = await session.ws_connect(
                    target,
                    headers=headers,
                    protocols=protocols,
                    heartbeat=heartbeat_s or None,
                    max_msg_size=max_message,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                )
    except EgressRefused:
        door.counters.refused += 1
        raise
    except EgressFailed:
        door.counters.failed += 1
        raise
    except TimeoutError as error:
        door.counters.failed += 1
        raise EgressFailed(f"the WebSocket did not open within {door.timeout_s:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        door.counters.failed += 1
        raise EgressFailed(f"the WebSocket cannot be opened ({type(error).__name__})") from error
    door.counters.opened += 1
    return Socket(session, socket)


@asynccontextmanager
async def _session(pinned: Pin, door: Door, before: Before | None) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a session that outlives the block only where the block succeeds."""

    def make(*parts: Any, **options: Any) -> _Read:
        socket = _Read(*parts, **options)
        socket.before = before
        return socket

    session = aiohttp.ClientSession(
        ws_response_class=cast("type[aiohttp.ClientWebSocketResponse]", make),
        connector=pinned.connector(door.tls),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    )
    try:
        yield session
    except BaseException:
        await session.close()
        raise
