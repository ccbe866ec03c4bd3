"""A WebSocket client of the switch that remembers everything it was told."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.support import sound
from tests.support.sound import Pcm
from tests.support.wire import faults, sequence_faults

Event = dict[str, Any]
Where = Callable[[Event], bool]

PATIENCE_S = 60.0
"""How long a client waits for anything: generous, since a loaded machine is slow but not wrong."""


def anything(event: Event) -> bool:
    """Fit every event."""
    return True


class Client:
    """One end of `/call`, `/call/webrtc` or `/call/sip`. Use it with `async with`."""

    def __init__(self, url: str, headers: dict[str, str] | None = None, **options: Any) -> None:
        """Take the URL; `options` go to aiohttp's `ws_connect`."""
        self.url = url
        self.events: list[Event] = []
        self.times: list[float] = []
        """When each event came, monotonic seconds."""
        self.audio: list[tuple[float, bytes]] = []
        """Binary messages, each with the time it came."""
        self.close_code: int | None = None
        self.counted = True
        """Whether the events' numbers begin at 1 here (not so after a resume)."""
        self._headers = headers
        self._options = options
        self._seen = 0
        self._changed = asyncio.Condition()
        self._stack = contextlib.AsyncExitStack()
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            aiohttp.WSServerHandshakeError: if the server refuses.
        """
        session = await self._stack.enter_async_context(aiohttp.ClientSession())
        try:
            self.socket = await session.ws_connect(
                self.url, headers=self._headers, max_msg_size=0, **self._options
            )
        except BaseException:
            await self._stack.aclose()
            raise
        self._reader = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, whatever the state."""
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            await self.socket.close()
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        await self._stack.aclose()
        if kind is None:
            self.check()

    def check(self) -> None:
        """Make sure that every event so far keeps the rules that hold for all of them."""
        found = [fault for event in self.events for fault in faults(event)]
        found += sequence_faults(self.events) if self.counted else []
        assert not found, found

    async def _read(self) -> None:
        async for message in self.socket:
            async with self._changed:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self.events.append(json.loads(message.data))
                    self.times.append(time.monotonic())
                elif message.type is aiohttp.WSMsgType.BINARY:
                    self.audio.append((time.monotonic(), message.data))
                self._changed.notify_all()
        async with self._changed:
            self.close_code = self.socket.close_code
            self._over.set()
            self._changed.notify_all()

    # ---------------------------------------------------------------- being rude

    def cut(self) -> None:
        """Cut the connection without a word."""
        self._transport().abort()

    def stop_reading(self) -> None:
        """Leave what comes in the network."""
        self._transport().pause_reading()

    def read_again(self) -> None:
        """Read on."""
        self._transport().resume_reading()

    def _transport(self) -> asyncio.Transport:
        connection = self.socket._response.connection
        transport = connection.transport if connection is not None else None
        assert isinstance(transport, asyncio.Transport)
        return transport

    # ---------------------------------------------------------------- saying

    async def send(self, command: str, **fields: Any) -> None:
        """Send a command."""
        await self.text(json.dumps({"command": command, **fields}))

    async def text(self, text: str) -> None:
        """Send a text message as it is."""
        await self.socket.send_str(text)

    async def binary(self, data: bytes) -> None:
        """Send a binary message."""
        await self.socket.send_bytes(data)

    async def speak(self, pcm: Pcm, rate: int = sound.RATE) -> None:
        """Send PCM16 at the pace of speech."""
        start = time.monotonic()
        for number, piece in enumerate(sound.frames(pcm, rate)):
            await asyncio.sleep(max(0.0, start + number * 0.02 - time.monotonic()))
            await self.binary(piece)

    async def invite(self, timeout: float = PATIENCE_S, **option: Any) -> Event:
        """Send an invite and return the answer."""
        await self.send("invite", option=option)
        return await self.wait("answer", timeout=timeout)

    async def call(self, **option: Any) -> Event:
        """Set the call up, whatever that takes; return the answer."""
        return await self.invite(**option)

    # ---------------------------------------------------------------- hearing

    async def wait(self, name: str, where: Where = anything, *, timeout: float = PATIENCE_S) -> Event:
        """Return the next event with a name that fits, counted from the last one this method returned.

        Raises:
            AssertionError: if it does not come in time, or the socket closes before.
        """

        def found() -> bool:
            for place in range(self._seen, len(self.events)):
                event = self.events[place]
                if event["event"] == name and where(event):
                    self._seen = place + 1
                    return True
            return self._over.is_set()

        await self._until(found, timeout, f"no {name!r}")
        if self._seen and self.events[self._seen - 1]["event"] == name and where(self.events[self._seen - 1]):
            return self.events[self._seen - 1]
        raise AssertionError(f"the socket closed ({self.close_code}) without {name!r}: {self.names()}")

    async def until(
        self, condition: Callable[[], bool], *, timeout: float = PATIENCE_S, what: str = ""
    ) -> None:
        """Wait until something holds that events or audio change."""
        await self._until(condition, timeout, what or "the condition does not hold")

    async def _until(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            raise AssertionError(f"{what} within {timeout:g} s: {self.names()}") from None

    async def closed(self, timeout: float = PATIENCE_S) -> int | None:
        """Wait until the server has closed, and return the code."""
        await self._until(self._over.is_set, timeout, "the socket did not close")
        return self.close_code

    async def hang_up(self, **fields: Any) -> Event:
        """Send a hangup; return the hangup event, once the socket is closed."""
        await self.send("hangup", **fields)
        event = await self.wait("hangup")
        await self.closed()
        return event

    async def nothing(self, name: str, seconds: float) -> None:
        """Make sure that no further event of a name comes for some time."""
        before = self.count(name)
        await asyncio.sleep(seconds)
        assert self.count(name) == before, self.names()

    def all(self, name: str) -> list[Event]:
        """Return all events of a name."""
        return [event for event in self.events if event["event"] == name]

    def count(self, name: str) -> int:
        """Return how many events of a name came."""
        return len(self.all(name))

    def names(self) -> list[str]:
        """Return the names of all events, those of metrics left out."""
        return [event["event"] for event in self.events if event["event"] != "metrics"]

    def when(self, event: Event) -> float:
        """Return when an event came, monotonic seconds."""
        return self.times[next(place for place, one in enumerate(self.events) if one is event)]

    def heard(self, since: float = 0.0) -> Pcm:
        """Return the binary messages that came after a time, as PCM16."""
        return sound.pcm(b"".join(data for when, data in self.audio if when >= since))

    async def hear(self, seconds: float, rate: int = sound.RATE, timeout: float = PATIENCE_S) -> Pcm:
        """Wait until that much PCM16 came, counted from now, and return it."""
        start = len(self.audio)
        wanted = round(seconds * rate) * 2

        def enough() -> bool:
            return sum(len(data) for _, data in self.audio[start:]) >= wanted

        await self._until(enough, timeout, f"no {seconds:g} s of audio")
        return sound.pcm(b"".join(data for _, data in self.audio[start:]))


@contextlib.asynccontextmanager
async def calling(url: str, **option: Any) -> AsyncIterator[Client]:
    """Give a client whose call is answered."""
    async with Client(url) as client:
        await client.invite(**option)
        yield client


async def refusal(client: Client) -> aiohttp.WSServerHandshakeError | None:
    """Try to connect; return how the server refused, or None (then the client is closed again)."""
    try:
        async with client:
            return None
    except aiohttp.WSServerHandshakeError as error:
        return error
