"""Servers on loopback that a call reaches out to: files, and a WebSocket for its audio."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Files:
    """A web server that has what a test gives it."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.answers: dict[str, Answer] = {}
        """Handlers of a test's own, by path."""
        self.streams: list[MediaPeer] = []
        """WebSockets that were opened to us."""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        """Start."""
        application = web.Application()
        application.router.add_route("*", "/{name:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        for stream in self.streams:
            await stream.socket.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def serve_also(self, listening: socket.socket) -> int:
        """Serve at another socket, too; return its port."""
        assert self._runner is not None
        await web.SockSite(self._runner, listening).start()
        return int(listening.getsockname()[1])

    def put(self, name: str, content: bytes) -> str:
        """Have a file; return its URL."""
        self.contents[name] = content
        return self.url(name)

    def url(self, name: str, scheme: str = "http") -> str:
        """Return the URL of a name."""
        return f"{scheme}://127.0.0.1:{self.port}/{name}"

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.requests.append(name)
        if name in self.answers:
            return await self.answers[name](request)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._stream(request)
        if name not in self.contents:
            return web.Response(status=404)
        return web.Response(body=self.contents[name])

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        peer = MediaPeer(socket)
        self.streams.append(peer)
        await peer.listen()
        return socket


class MediaPeer:
    """The server of a mediaPass: raw audio, both ways."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.messages: list[tuple[float, bytes]] = []
        self.texts: list[str] = []
        self.over = asyncio.Event()

    async def listen(self) -> None:
        """Take what comes until the end."""
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                self.messages.append((time.monotonic(), message.data))
            elif message.type is aiohttp.WSMsgType.TEXT:
                self.texts.append(message.data)
        self.over.set()

    @property
    def audio(self) -> bytes:
        """Everything that came."""
        return b"".join(data for _, data in self.messages)
