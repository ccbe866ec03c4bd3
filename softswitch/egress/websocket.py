"""Outgoing WebSockets, under the same rules as HTTP requests."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Protocol, Self, cast

import aiohttp

from softswitch.egress.address import WEBSOCKET, read_url
from softswitch.egress.errors import EgressFailed, EgressRefused, HandshakeRefused
from softswitch.egress.http import EgressClient
from softswitch.egress.names import SWITCH, Asker
from softswitch.egress.pin import Pin

MAX_MESSAGE = 8 * 1024 * 1024
"""Bytes of the longest message that is received."""

CLOSE_S = 2.0
"""Seconds in which the peer must answer a close frame."""


class Parser(Protocol):
    """Parser that aiohttp feeds with the bytes of an upgraded connection."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Parse bytes; return whether parsing is complete, and the bytes left over."""

    def feed_eof(self) -> None:
        """Handle the end of the connection."""


Before = Callable[[Parser], Parser]
"""Wraps the parser of a connection, so that messages can be taken before they are queued."""


class _Read(aiohttp.ClientWebSocketResponse):  # type: ignore[misc,type-arg,unused-ignore]
    """aiohttp's WebSocket with a wrapped parser.

    Uses one private member, ``_parser`` of aiohttp 3.14: it is set once and then passed to the connection.
    With a version that has no such member, all messages go to :meth:`Socket.receive`, which costs more time.
    """

    before: Before | None = None
    write: Callable[[bytes], None] | None = None
    """Writes whole frames in place of aiohttp, where the tick of the media engine writes, too."""
    parting: Callable[[], None] | None = None
    """Called before a Close is sent: no data may follow it (RFC 6455 section 5.5.1)."""

    async def pong(self, message: bytes = b"") -> None:
        """Answer a ping."""
        if self.write is None:
            await super().pong(message)
        elif not self.closed:
            key, data = os.urandom(4), bytearray(message)
            for place in range(len(data)):
                data[place] ^= key[place % 4]
            self.write(bytes((0x8A, 0x80 | len(data))) + key + bytes(data))

    async def close(self, *, code: int = aiohttp.WSCloseCode.OK, message: bytes = b"") -> bool:
        """Say Close, and wait for that of the peer; False where that was done before."""
        parting, self.parting = self.parting, None
        if parting is not None:
            parting()
        done: bool = await super().close(code=code, message=message)
        return done

    @property
    def _parser(self) -> Any:
        return self.__dict__.get("parser")

    @_parser.setter
    def _parser(self, parser: Any) -> None:
        self.__dict__["parser"] = self.before(parser) if parser is not None and self.before else parser


class Socket:
    """An open outgoing WebSocket; an asynchronous context manager that closes it."""

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
        """Whether the socket is closed, so that nothing can be sent."""
        return self._socket.closed

    @property
    def close_code(self) -> int | None:
        """Code of the close frame, None before it."""
        return self._socket.close_code

    @property
    def protocol(self) -> str:
        """Negotiated sub-protocol, "" for none."""
        return self._socket.protocol or ""

    @property
    def transport(self) -> asyncio.WriteTransport | None:
        """Transport of the connection, None once it is closed."""
        connection = self._socket._response.connection  # noqa: SLF001  (aiohttp shows it on a response only)
        return connection.transport if connection is not None else None

    def share(self, write: Callable[[bytes], None] | None, parting: Callable[[], None] | None) -> None:
        """Write pongs another way, and call a function before a Close is sent; None: as before."""
        if isinstance(self._socket, _Read):
            self._socket.write, self._socket.parting = write, parting

    async def send(self, message: str | bytes) -> None:
        """Send a text message (str) or a binary message (bytes); waits while the peer reads slowly.

        Raises:
            EgressFailed: The connection is closed.
        """
        try:
            if isinstance(message, str):
                await self._socket.send_str(message)
            else:
                await self._socket.send_bytes(message)
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise EgressFailed("the WebSocket is closed") from error

    async def receive(self) -> str | bytes | None:
        """Return the next message, None once the connection is closed."""
        message = await self._socket.receive()
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            content: str | bytes = message.data
            return content
        return None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection; closing twice is harmless."""
        try:
            await self._socket.close(code=code, message=reason.encode()[:123])
        finally:
            await self._session.close()


async def connect(
    egress: EgressClient,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    protocols: Sequence[str] = (),
    trusted: bool = False,
    heartbeat_s: float = 20.0,
    max_message: int = MAX_MESSAGE,
    before: Before | None = None,
    asker: Asker = SWITCH,
) -> Socket:
    """Open a WebSocket.

    Args:
        egress: client whose rules, limits and counters apply.
        url: ws or wss URL.
        headers: headers of the handshake.
        protocols: sub-protocols to offer, the preferred one first.
        trusted: whether the URL comes from the settings; then private addresses are permitted.
        heartbeat_s: seconds between pings; without a pong the connection is closed. 0 means no pings.
        max_message: bytes of the longest message that is received.
        before: wraps the parser, to take messages before they are queued for `Socket.receive`.
        asker: account and call that it is opened for.

    Returns:
        The open socket; the caller closes it.

    Raises:
        EgressRefused: The rules forbid the URL.
        HandshakeRefused: The server answered the handshake with a status of its own, which may be a redirect.
        EgressFailed: The server does not respond, or not as a WebSocket.
    """
    try:
        async with asyncio.timeout(egress.timeout_s):
            target = read_url(url, WEBSOCKET, trusted=trusted)
            pinned = await egress.pin(target, trusted=trusted, asker=asker)
            async with _session(pinned, egress, before) as session:
                socket = await session.ws_connect(
                    target,
                    headers=headers,
                    protocols=protocols,
                    heartbeat=heartbeat_s or None,
                    max_msg_size=max_message,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                )
    except EgressRefused:
        egress.counters.refused += 1
        raise
    except EgressFailed:
        egress.counters.failed += 1
        raise
    except aiohttp.WSServerHandshakeError as error:
        egress.counters.failed += 1
        raise HandshakeRefused(error.status) from error
    except TimeoutError as error:
        egress.counters.failed += 1
        raise EgressFailed(f"the WebSocket did not open within {egress.timeout_s:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        egress.counters.failed += 1
        raise EgressFailed(f"the WebSocket cannot be opened ({type(error).__name__})") from error
    egress.counters.opened += 1
    return Socket(session, socket)


async def _refuse_redirect(
    session: aiohttp.ClientSession, context: object, redirect: aiohttp.TraceRequestRedirectParams
) -> None:
    """End a handshake that the server redirects: the rules and the signature are those of the URL given."""
    raise HandshakeRefused(redirect.response.status)


@asynccontextmanager
async def _session(
    pinned: Pin, egress: EgressClient, before: Before | None
) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a client session; close it if the block fails."""

    def make(*parts: Any, **options: Any) -> _Read:
        socket = _Read(*parts, **options)
        socket.before = before
        return socket

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_redirect)
    session = aiohttp.ClientSession(
        trace_configs=[trace],
        ws_response_class=cast("type[aiohttp.ClientWebSocketResponse]", make),
        connector=pinned.connector(egress.tls),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    )
    try:
        yield session
    except BaseException:
        await session.close()
        raise
