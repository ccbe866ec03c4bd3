"""A stream's client against services that break rules below those of messages."""

import asyncio
import base64
import contextlib
import hashlib
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from softswitch.call.interfaces import StreamOver, StreamRequest
from softswitch.call.vocabulary.stream_words import FromService, KeyPressed
from softswitch.dialects.wavix.stream import WavixStreams
from softswitch.egress.http import EgressClient
from softswitch.egress.websocket import MAX_MESSAGE
from softswitch.legs.stream import StreamClients, StreamTerms, connection
from softswitch.legs.stream.client import StreamClient
from tests.legs.websocket.test_frame_writer import frames
from tests.support.bots import Bot
from tests.support.loops import LOOPS, run

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DIALECTS = {"wavix": WavixStreams()}
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Ear:
    """Remembers what a service said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, object]] = []
        self.up = asyncio.Event()

    def opened(self) -> None:
        self.up.set()

    def audio(self, pcm: bytes, sample_rate: int) -> None:
        assert sample_rate == 24000
        self.said.append(("audio", pcm))

    def mark(self, name: str) -> None:
        self.said.append(("mark", name))

    def clear(self) -> None:
        self.said.append(("clear", None))

    def hang_up(self, *, drain: bool = False) -> None:
        self.said.append(("hangup", None))

    def told(self, word: FromService) -> None:
        self.said.append(("told", word))


def text(event: str, **fields: object) -> bytes:
    """Return a server's frame."""
    data = json.dumps({"event": event, **fields}).encode()
    head = struct.pack("!BBH", 0x81, 126, len(data)) if len(data) > 125 else bytes((0x81, len(data)))
    return head + data


@asynccontextmanager
async def raw(serve: Serve, greeting: bytes = b"") -> AsyncIterator[str]:
    """Give the URL of a server that shakes hands, says something in the same breath, and goes its own way."""
    tasks: list[asyncio.Task[None]] = []
    writers: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(
            line[18:].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
        )
        accept_key = base64.b64encode(hashlib.sha1(key + MAGIC).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key + b"\r\n\r\n" + greeting
        )
        tasks.append(asyncio.ensure_future(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read nothing and say nothing."""
    await asyncio.sleep(60)


def make(url: str, ear: Ear, **fields: object) -> tuple[StreamClient, StreamClients]:
    clients = StreamClients(EgressClient(("127.0.0.0/8",)), StreamTerms(), DIALECTS)
    base: dict[str, object] = {"two_way": True, "channel": "inbound"}
    request = StreamRequest("call", "stream", url, **{**base, **fields})  # type: ignore[arg-type]
    return clients(request, ear), clients


async def test_service_that_speaks_before_it_is_greeted_is_heard_in_order():
    ear = Ear()
    sound = base64.b64encode(bytes(400)).decode()
    greeting = text("media", media={"payload": sound}) + text("mark", mark={"name": "a"})
    half = text("mark", mark={"name": "b"})

    async def rest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(half[5:] + text("clear"))
        await asyncio.sleep(60)

    async with raw(rest, greeting + half[:5]) as url:
        client, _ = make(url, ear)
        running = asyncio.ensure_future(client.run())
        async with asyncio.timeout(5):
            while len(ear.said) < 4:
                await asyncio.sleep(0.01)
        assert ear.said == [("audio", bytes(400)), ("mark", "a"), ("mark", "b"), ("clear", None)]
        client.stop()
        assert await asyncio.wait_for(running, 10) == StreamOver("stopped")


async def test_dead_service_is_pinged_and_then_given_up(monkeypatch):
    monkeypatch.setattr(connection, "HEARTBEAT_S", 0.2)
    ear = Ear()
    async with raw(idle) as url:
        client, clients = make(url, ear)
        over = await asyncio.wait_for(client.run(), 10)
    assert over.status == "lost"
    assert clients.counters.lost == 1
    assert clients.counters.open == 0


async def test_silent_service_that_answers_pings_is_kept(monkeypatch):
    monkeypatch.setattr(connection, "HEARTBEAT_S", 0.1)
    ear = Ear()
    async with Bot() as bot:
        client, _ = make(bot.url(), ear)
        running = asyncio.ensure_future(client.run())
        await asyncio.sleep(1.0)
        assert not running.done()
        client.stop()
        assert (await asyncio.wait_for(running, 10)).status == "stopped"
        stream = await bot.stream()
        await stream.ended()
        assert [message["event"] for message in stream.messages] == ["connected", "start", "stop"]
        assert stream.close_code == 1000


async def test_service_that_never_answers_our_close_is_left_in_time():
    ear = Ear()
    got = bytearray()

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            got.extend(data)

    async with raw(read) as url:
        client, _ = make(url, ear)
        running = asyncio.ensure_future(client.run())
        await asyncio.wait_for(ear.up.wait(), 5)
        began = time.monotonic()
        client.stop()
        assert (await asyncio.wait_for(running, 10)).status == "stopped"
        assert time.monotonic() - began < 6
    *messages, (first, payload) = frames(bytes(got))
    assert [json.loads(message)["event"] for _, message in messages] == ["connected", "start", "stop"]
    assert (first, payload) == (0x88, b"\x03\xe8")


async def test_stream_is_stopped_while_it_is_dialled():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # The handshake is never answered.
        await _stopped_while_dialling(listener.getsockname()[1])


async def _stopped_while_dialling(port: int) -> None:
    client, clients = make(f"ws://127.0.0.1:{port}/", Ear())
    running = asyncio.ensure_future(client.run())
    await asyncio.sleep(0.1)
    client.stop()
    assert await asyncio.wait_for(running, 5) == StreamOver("stopped")
    assert clients.counters.failed == 0


async def test_frames_before_and_after_the_connection_cost_nothing_but_their_number():
    ear = Ear()
    async with Bot() as bot:
        client, _ = make(bot.url(), ear)
        client.frame("inbound", bytes(960))
        running = asyncio.ensure_future(client.run())
        await asyncio.wait_for(ear.up.wait(), 5)
        client.frame("inbound", bytes(960))
        stream = await bot.stream()
        media = await stream.wait("media")
        assert media["media"]["timestamp"] == 20
        client.stop()
        client.frame("inbound", bytes(960))
        client.passed("late", cleared=False)
        client.tell(KeyPressed("5"))
        await running
        await stream.ended()
        client.frame("inbound", bytes(960))
        client.passed("later", cleared=False)
    assert stream.messages[-1]["event"] == "stop"
    assert stream.marks() == []


async def test_message_that_breaks_the_protocol_ends_the_connection_alone():
    ear = Ear()

    async def break_it(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes((0x83, 1)) + b"x")
        await asyncio.sleep(60)

    async with raw(break_it) as url:
        client, clients = make(url, ear)
        over = await asyncio.wait_for(client.run(), 10)
    assert over.status == "lost"
    assert clients.counters.open == 0


@LOOPS
def test_service_whose_message_is_too_large_is_told_so_and_may_answer(loop_factory):
    """A Close with 1009, and TCP only once the service has answered: it would see 1006 otherwise."""
    heard = bytearray()
    told: list[str] = []

    async def large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = MAX_MESSAGE + 1
        writer.write(struct.pack("!BBQ", 0x81, 127, size) + b"x" * size + text("clear"))
        await writer.drain()
        while not any(first == 0x88 for first, _ in frames(bytes(heard))):
            heard.extend(await reader.readexactly(1))
            while len(heard) < 2 or not whole(heard):
                heard.extend(await reader.readexactly(1))
        try:
            async with asyncio.timeout(0.1):
                told.append("more" if await reader.read(1) else "cut off")
        except TimeoutError:
            told.append("open")
        writer.write(b"\x88\x02\x03\xf1")
        told.append("end" if await reader.read() == b"" else "more")

    async def scene() -> None:
        ear = Ear()
        async with raw(large) as url:
            client, clients = make(url, ear)
            over = await asyncio.wait_for(client.run(), 20)
            await asyncio.sleep(0)
            async with asyncio.timeout(5):
                while len(told) < 2:
                    await asyncio.sleep(0.001)
        assert over.status == "lost"
        assert clients.counters.too_large == 1
        assert ear.said == []

    run(loop_factory, scene())
    assert told == ["open", "end"]
    assert next(payload for first, payload in frames(bytes(heard)) if first == 0x88)[:2] == b"\x03\xf1"


def whole(data: bytearray) -> bool:
    """Tell whether data end with a frame."""
    at = 0
    while at + 2 <= len(data):
        length, at = data[at + 1] & 0x7F, at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, at = int.from_bytes(data[at : at + size]), at + size
        at += 4 + length
    return at == len(data)
