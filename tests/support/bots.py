"""A service that calls are streamed to: it remembers everything, and says what a test tells it to."""

import asyncio
import base64
import json
import ssl
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import aiohttp
import numpy as np
from aiohttp import web

from tests.support.sound import Pcm

Message = dict[str, Any]
PATIENCE_S = 15.0


class Stream:
    """One connection of the switch, seen from the service."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self.request = request
        self.socket = socket
        self.messages: list[Message] = []
        self.texts: list[str] = []
        self.times: list[float] = []
        """When each message came, monotonic seconds."""
        self.over = asyncio.Event()
        self._changed = asyncio.Condition()

    async def listen(self) -> None:
        """Take what comes until the end."""
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                async with self._changed:
                    self.texts.append(message.data)
                    self.messages.append(json.loads(message.data))
                    self.times.append(time.monotonic())
                    self._changed.notify_all()
            else:
                raise AssertionError(f"the switch sent a {message.type!r}")
        async with self._changed:
            self.over.set()
            self._changed.notify_all()

    # --- what came ------------------------------------------------------------------------

    @property
    def close_code(self) -> int | None:
        """The code that the switch closed with."""
        return self.socket.close_code

    @property
    def id(self) -> str:
        """The stream's id, of its start."""
        return str(self.all("start")[0]["stream_id"])

    def all(self, event: str) -> list[Message]:
        """Return the messages of one kind."""
        return [message for message in self.messages if message["event"] == event]

    def marks(self) -> list[str]:
        """Return the names of the marks that came back, in order."""
        return [message["mark"]["name"] for message in self.all("mark")]

    def frames(self, track: str = "inbound") -> list[bytes]:
        """Return the audio of a track, message by message."""
        return [
            base64.b64decode(message["media"]["payload"], validate=True)
            for message in self.all("media")
            if message["media"]["track"] == track
        ]

    def heard(self, track: str = "inbound") -> Pcm:
        """Return the audio of a track, 24 kHz."""
        return np.frombuffer(b"".join(self.frames(track)), "<i2")

    async def until(
        self, condition: Callable[[], object], what: str = "", seconds: float = PATIENCE_S
    ) -> None:
        """Wait until something holds that messages change."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            kinds = [message["event"] for message in self.messages if message["event"] != "media"]
            raise AssertionError(f"{what or 'the condition does not hold'}: {kinds}") from None

    async def wait(self, event: str, count: int = 1) -> Message:
        """Return the count-th message of a kind."""
        await self.until(lambda: len(self.all(event)) >= count, f"no {event} number {count}")
        return self.all(event)[count - 1]

    async def ended(self) -> None:
        """Wait until the switch has closed."""
        await self.until(self.over.is_set, "the stream did not close")

    # --- what it says ---------------------------------------------------------------------

    async def send(self, event: str, **fields: Any) -> None:
        """Send a message."""
        await self.text(json.dumps({"event": event, **fields}))

    async def text(self, text: str) -> None:
        """Send a text as it is."""
        await self.socket.send_str(text)

    async def speak(self, pcm: Pcm | bytes, **fields: Any) -> None:
        """Send audio in one message."""
        data = pcm if isinstance(pcm, bytes) else pcm.astype("<i2").tobytes()
        await self.send("media", media={"payload": base64.b64encode(data).decode()}, **fields)

    async def mark(self, name: str) -> None:
        """Send a mark."""
        await self.send("mark", mark={"name": name})

    async def clear(self) -> None:
        """Take back what was not heard."""
        await self.send("clear")

    def cut(self) -> None:
        """Cut the connection without a word."""
        transport = self.request.transport
        assert transport is not None
        transport.abort()


Act = Callable[[Stream], Awaitable[None]]


class Bot:
    """A server of streams on loopback. Use it with `async with`."""

    def __init__(self, act: Act | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        """Prepare one.

        Args:
            act: What it does on each connection, beside listening.
            tls: Makes it a wss server.
        """
        self.streams: list[Stream] = []
        self.refusals = 0
        """Handshakes to be refused with 503."""
        self.tries: list[float] = []
        """When connections were attempted."""
        self._act = act
        self._tls = tls
        self._grown = asyncio.Condition()

    async def __aenter__(self) -> Self:
        """Start."""
        application = web.Application()
        application.router.add_get("/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        for stream in self.streams:
            await stream.socket.close()
        await self._runner.cleanup()

    def url(self, path: str = "stream") -> str:
        """Return the URL for `stream_url`."""
        return f"{'wss' if self._tls else 'ws'}://127.0.0.1:{self.port}/{path}"

    async def stream(self, number: int = 0) -> Stream:
        """Return a connection, once it is there."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._grown:
                await self._grown.wait_for(lambda: len(self.streams) > number)
        except TimeoutError:
            raise AssertionError(f"the switch did not connect ({len(self.tries)} tries)") from None
        return self.streams[number]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.tries.append(time.monotonic())
        if self.refusals > 0:
            self.refusals -= 1
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        stream = Stream(request, socket)
        async with self._grown:
            self.streams.append(stream)
            self._grown.notify_all()
        acting = asyncio.ensure_future(self._act(stream)) if self._act else None
        await stream.listen()
        if acting is not None:
            await acting
        return socket
