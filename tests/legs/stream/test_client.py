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

import pytest

from softswitch.call.interfaces import StreamOver, StreamRequest
from softswitch.call.vocabulary.stream_words import FromService, KeyPressed
from softswitch.dialects.wavix.stream import WavixStreams
from softswitch.egress.http import EgressClient
from softswitch.egress.websocket import MAX_MESSAGE
from softswitch.legs.stream import StreamClients, StreamTerms, connection
from softswitch.legs.stream.client import StreamClient
from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine
from softswitch.media.feeds.stream_queue import StreamQueue
from tests.legs.websocket.test_frame_writer import frames
from tests.support.bots import Bot, Stream
from tests.support.compiled import compiled_code
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


async def test_service_that_is_not_reached_is_told_in_the_log_without_its_url(caplog):
    client, clients = make("ws://10.9.8.7:8080/answers?token=secret", Ear())
    over = await client.run()
    assert over.status == "failed"
    assert clients.counters.failed == 1
    (record,) = (one for one in caplog.records if one.msg == "a stream's service was not reached")
    told = vars(record)
    assert (told["call"], told["stream"], told["detail"]) == ("call", "stream", over.reason)
    assert "[egress] allow" in over.reason
    assert "secret" not in over.reason


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


# --- with the tick of the media engine ------------------------------------------------------------


class Served(Ear):
    """A stream whose socket an engine serves; the engine ticks faster than time."""

    def __init__(self) -> None:
        super().__init__()
        compiled_code()
        self.client: StreamClient | None = None
        self.engine = Engine()
        self.engine.post(m.AddFeedPort(1, 1, "pcm", 24000, prebuffer_ms=0))
        self.queue: StreamQueue | None = None
        self.sound = b""
        """What the party hears."""
        self.by_loop = 0
        """Frames that the tick left to the loop."""
        self._now = 1000.0

    def opened(self) -> None:
        assert self.client is not None
        if self.queue is None:
            self.queue = self.engine.open_stream(9, "stream", 120_000)
            assert self.queue is not None
            self._taps = {}
            for number, track in enumerate(self.client._request.tracks, 20):
                words = self.client.media_words(track)
                assert words is not None
                self._taps[track] = self.queue.tap(number, *words)
                self.engine.post(m.AddTap(number, 1, track, 24000, 0, "pcm16", 9))
            if self.client._request.two_way:
                self.engine.post(m.AddTrack(9, 1, capacity_ms=120_000))
        self.client.share(self.queue, self._taps)
        super().opened()

    def audio(self, pcm: bytes, sample_rate: int) -> None:
        super().audio(pcm, sample_rate)
        self.engine.post(m.FeedTrack(9, sample_rate, pcm))

    def mark(self, name: str) -> None:
        super().mark(name)
        self.engine.post(m.PlaceMark(9, name))

    def clear(self) -> None:
        super().clear()
        self.engine.post(m.ClearTrack(9))

    async def tick(self) -> None:
        """Do what the thread of the engine does, and what the loop does with what comes of it."""
        assert self.client is not None
        for work in (self.engine.read_sockets, self.engine.tick):
            output = work(self._now)
            for number, data in output.frames:
                if number == 1:
                    self.sound += data
                else:
                    self.by_loop += 1
                    self.client.frame("inbound" if number == 20 else "outbound", data)
            if output.roused:
                self.client.look()
            for report in output.reports:
                if isinstance(report, m.MarkReached):
                    self.client.passed(report.name, report.cleared)
        self._now += 0.02
        await asyncio.sleep(0.002)

    async def tick_until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not done():
                await self.tick()


def pcm_of(value: int) -> bytes:
    return struct.pack("<h", value) * 480


def said(pcm: bytes) -> str:
    return json.dumps({"event": "media", "media": {"payload": base64.b64encode(pcm).decode()}})


@asynccontextmanager
async def served(
    **fields: object,
) -> AsyncIterator[tuple[Served, StreamClient, StreamClients, asyncio.Task[StreamOver], Stream]]:
    """Have a stream to a bot whose socket an engine serves."""
    ear = Served()
    async with Bot() as bot:
        client, clients = make(bot.url(), ear, **fields)
        ear.client = client
        running = asyncio.ensure_future(client.run())
        await ear.up.wait()
        yield ear, client, clients, running, await bot.stream()


@pytest.mark.each_loop
async def test_tick_reads_and_writes_what_is_ordinary_and_all_stays_in_order():
    async with served() as (ear, client, clients, running, stream):
        await ear.tick_until(lambda: ear.queue is not None and ear.queue.sent > 20)
        for number in range(1, 61):
            await stream.socket.send_str(said(pcm_of(number)))
            if number % 10 == 0:
                await stream.socket.send_str(json.dumps({"event": "mark", "mark": {"name": str(number)}}))
            if number % 15 == 0:
                await stream.socket.ping(b"are you there")
            if number % 20 == 0:
                # In an alphabet that only Python reads.
                await stream.socket.send_str(said(pcm_of(-1)).replace("/", "_"))
            await ear.tick()
        await ear.tick_until(lambda: len(stream.marks()) == 6 and ear.sound[-960:] == bytes(960))
        heard = [value for (value,) in struct.iter_unpack("<h", ear.sound) if value]
        turns = [value for value, before in zip(heard, [0, *heard], strict=False) if value != before]
        expected = [
            value for number in range(1, 61) for value in ((number, -1) if number % 20 == 0 else (number,))
        ]
        assert turns == expected
        assert len(heard) == 480 * 63
        assert stream.marks() == ["10", "20", "30", "40", "50", "60"]
        assert ear.queue is not None
        assert ear.queue.fed > 480 * 40
        by_messages = [word for word, _ in ear.said if word == "audio"]
        assert len(by_messages) < 25
        client.stop()
        for _ in range(20):
            await ear.tick()
        assert (await asyncio.wait_for(running, 10)).status == "stopped"
        await stream.ended()
        numbered = [message for message in stream.messages if message["event"] != "connected"]
        assert [message["sequence_number"] for message in numbered] == list(range(1, len(numbered) + 1))
        media = stream.all("media")
        assert [message["media"]["chunk"] for message in media] == list(range(1, len(media) + 1))
        assert [message["media"]["timestamp"] for message in media] == [20 * at for at in range(len(media))]
        assert numbered[-1]["event"] == "stop"
        assert stream.close_code == 1000
        assert ear.queue.sent > len(media) / 2
        assert clients.numbers()["media_sent"] == len(media)


@pytest.mark.each_loop
async def test_clear_takes_back_what_came_before_it_and_nothing_that_came_behind():
    async with served() as (ear, client, _, running, stream):
        await ear.tick_until(lambda: ear.queue is not None and ear.queue.is_reading)
        for _ in range(3):
            ear.sound = b""
            await stream.socket.send_str(said(pcm_of(1000) * 400))
            await stream.socket.send_str(json.dumps({"event": "mark", "mark": {"name": "before"}}))
            await ear.tick_until(lambda: 1000 in struct.unpack(f"<{len(ear.sound) // 2}h", ear.sound))
            marks = len(stream.marks()) + 2
            await stream.socket.send_str(json.dumps({"event": "clear"}))
            await stream.socket.send_str(said(pcm_of(2000)))
            await stream.socket.send_str(json.dumps({"event": "mark", "mark": {"name": "behind"}}))
            await ear.tick_until(lambda marks=marks: len(stream.marks()) == marks)  # type: ignore[misc]
            await ear.tick()
            values = struct.unpack(f"<{len(ear.sound) // 2}h", ear.sound)
            assert values.count(2000) == 480
            assert values.count(1000) < 480 * 200
            assert stream.marks()[-2:] == ["before", "behind"]
        client.stop()
        await asyncio.wait_for(running, 10)


@pytest.mark.each_loop
async def test_service_that_closes_is_answered_and_gets_nothing_behind_the_close():
    async with served() as (ear, _, clients, running, stream):
        await ear.tick_until(lambda: ear.queue is not None and ear.queue.sent > 5)
        await stream.socket.send_str(said(pcm_of(7)))
        await stream.socket.close()
        await ear.tick_until(running.done)
        assert running.result().status == "closed"
        assert ear.queue is not None
        assert ear.queue.fed == 480
        assert not ear.queue.reads
        assert not ear.queue.is_shared
        assert clients.counters.open == 0


async def test_stream_of_both_tracks_that_only_listens_is_written_by_the_tick():
    async with served(two_way=False, channel="both") as (ear, client, _, running, stream):
        await ear.tick_until(lambda: ear.queue is not None and ear.queue.sent > 40)
        await stream.socket.send_str(said(pcm_of(7)))
        await ear.tick_until(lambda: client._counters.deaf == 1)
        client.stop()
        await asyncio.wait_for(running, 10)
        await stream.ended()
        media = stream.all("media")
        assert [message["media"]["chunk"] for message in media] == list(range(1, len(media) + 1))
        for track in ("inbound", "outbound"):
            times = [one["media"]["timestamp"] for one in media if one["media"]["track"] == track]
            assert times == [20 * at for at in range(len(times))]


async def test_slow_service_loses_the_oldest_audio_and_no_mark_while_the_tick_writes():
    ear = Served()
    got = bytearray()
    reads = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reads.wait()
        while data := await reader.read(1 << 16):
            got.extend(data)

    async with raw(slow) as url:
        client, clients = make(url, ear)
        ear.client = client
        running = asyncio.ensure_future(client.run())
        await ear.up.wait()
        await ear.tick_until(lambda: clients.counters.media_dropped > 20)
        assert ear.queue is not None
        sent = ear.queue.sent
        reads.set()
        await ear.tick_until(lambda: ear.queue is not None and ear.queue.sent > sent + 20)
        client.stop()
        await asyncio.wait_for(running, 20)
    messages = [json.loads(text) for first, text in frames(bytes(got)) if first == 0x81]
    numbers = [message["sequence_number"] for message in messages if "sequence_number" in message]
    assert numbers == sorted(numbers)
    assert len(numbers) == numbers[-1] - clients.counters.media_dropped
    assert messages[-1]["event"] == "stop"
