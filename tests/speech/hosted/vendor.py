"""Servers on loopback that stand for vendors, and what may go wrong with them.

The "recogniser" in them counts loud audio: each 100 ms of it is one word, so that a test can tell whether all
of what was said has arrived, once and in order. The "voice" gives 10 ms of audio for each character.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
from aiohttp import WSMsgType, web

WORD_MS = 100
LOUD = 1000
KEY = "key-that-must-stay-secret"


def tone(length_ms: int, rate: int = 16000) -> bytes:
    """Return loud audio."""
    turn = 2 * np.pi * 400 * np.arange(rate * length_ms // 1000) / rate
    return (8000 * np.sin(turn)).astype("<i2").tobytes()


def quiet(length_ms: int, rate: int = 16000) -> bytes:
    """Return silence."""
    return bytes(2 * (rate * length_ms // 1000))


def words(length_ms: float) -> str:
    """Return the text of loud audio of a length."""
    return " ".join(f"word{number}" for number in range(1, round(length_ms / WORD_MS) + 1))


def speech(text: str, rate: int) -> bytes:
    """Return the audio of a text."""
    return tone(10 * len(text), rate)


class Ears:
    """Counts the loud audio of an utterance."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.heard_ms = 0.0
        self.loud_ms = 0.0
        self.silent_ms = 0.0

    def push(self, pcm: bytes) -> None:
        """Take PCM16 in blocks of 10 ms."""
        samples = np.frombuffer(pcm, "<i2").astype(np.int32)
        block = self.rate // 100
        for begin in range(0, samples.size, block):
            piece = samples[begin : begin + block]
            length = piece.size * 1000 / self.rate
            self.heard_ms += length
            if np.abs(piece).max(initial=0) > LOUD:
                self.loud_ms += length
                self.silent_ms = 0.0
            else:
                self.silent_ms += length

    @property
    def text(self) -> str:
        return words(self.loud_ms)

    def take(self) -> str:
        """Return the text of the utterance and begin another one."""
        text = self.text
        self.loud_ms = 0.0
        return text


@dataclass
class Trouble:
    """What goes wrong."""

    status: int = 0
    """HTTP status of the first answer."""
    garbage: bool = False
    """Send what is not of the protocol before each message."""
    mute: bool = False
    """Take everything, answer nothing."""
    cut_after_ms: int = 0
    """Close after so much audio, once."""
    close_idle: bool = False
    """Close each connection as soon as it has given one result."""


@dataclass
class Seen:
    """What the vendor saw."""

    connections: int = 0
    problems: list[str] = field(default_factory=list)
    """What was wrong with requests: signatures, parameters, order."""
    texts: list[str] = field(default_factory=list)
    audio_at: list[tuple[float, int]] = field(default_factory=list)
    """When audio came, and how many milliseconds."""
    kept_alive: int = 0
    cancelled: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self) -> None:
        self.news.set()


class Vendor:
    """A server; kinds add their protocol."""

    scheme = "http"
    rate = 16000
    """Of the audio that it recognises."""
    pause_s = 0.0
    """Between the pieces of what it speaks."""

    def __init__(self) -> None:
        self.trouble = Trouble()
        self.seen = Seen()
        self.port = 0
        self.cutting = False
        self.lines: list[Line] = []
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def settings(self) -> dict[str, Any]:
        """Return what the provider's entry says besides kind and address."""
        return {"key": KEY}

    def routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=30_000_000)
        application.add_routes(self.routes())
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def break_off(self) -> None:
        """Close all connections."""
        for line in self.lines:
            line.abort()
        self.lines.clear()
        await asyncio.sleep(0)

    def check(self, what: str, *, is_right: bool) -> None:
        """Note a problem where something is not right."""
        if not is_right:
            self.seen.problems.append(what)

    def refuse(self) -> None:
        """Answer with the status that a test wants."""
        if self.trouble.status:
            body = f'{{"error": "refused {KEY}"}}'
            match self.trouble.status:
                case 401:
                    raise web.HTTPUnauthorized(text=body)
                case 429:
                    raise web.HTTPTooManyRequests(text=body)
                case _:
                    raise web.HTTPInternalServerError(text=body)

    def heard(self, length_ms: int) -> bool:
        """Note audio; return whether the connection is to be cut now."""
        self.seen.audio_at.append((time.monotonic(), length_ms))
        self.seen.note()
        total = sum(length for _, length in self.seen.audio_at)
        if self.trouble.cut_after_ms and total >= self.trouble.cut_after_ms:
            self.trouble.cut_after_ms = 0
            self.cutting = True
            return True
        return False


class Line:
    """One WebSocket of a vendor."""

    def __init__(self, vendor: Vendor, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.vendor = vendor
        self.socket = socket
        self._request = request

    def abort(self) -> None:
        """Break the connection off."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def json(self, value: object) -> None:
        """Send JSON, and what is no JSON before it where the test wants that."""
        if self.vendor.trouble.mute:
            return
        await self.garbage()
        await self.socket.send_json(value)

    async def text(self, value: str) -> None:
        """Send a text."""
        if self.vendor.trouble.mute:
            return
        await self.garbage()
        await self.socket.send_str(value)

    async def binary(self, value: bytes) -> None:
        """Send bytes."""
        if not self.vendor.trouble.mute:
            await self.socket.send_bytes(value)

    async def garbage(self) -> None:
        if self.vendor.trouble.garbage:
            for text in ("", "{", "[1, 2]", "null", '{"type": 7}', '{"header": "no"}', '"text"'):
                await self.socket.send_str(text)


Talk = Callable[[Line, web.Request], Awaitable[None]]


def socket(path: str, vendor: Vendor, talk: Talk, protocols: tuple[str, ...] = ()) -> web.RouteDef:
    """Return the route of a WebSocket."""

    async def handle(request: web.Request) -> web.StreamResponse:
        vendor.refuse()
        vendor.seen.connections += 1
        response = web.WebSocketResponse(protocols=protocols, max_msg_size=0)
        await response.prepare(request)
        try:
            vendor.lines.append(Line(vendor, response, request))
            await talk(vendor.lines[-1], request)
        except ConnectionError:
            pass
        finally:
            vendor.seen.closed.set()
            vendor.seen.note()
        if vendor.cutting and request.transport is not None:
            vendor.cutting = False
            request.transport.abort()
        await response.close()
        return response

    return web.get(path, handle)


TEXT, BINARY = WSMsgType.TEXT, WSMsgType.BINARY
