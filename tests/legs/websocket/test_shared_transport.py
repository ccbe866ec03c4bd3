"""A WebSocket that the tick and the event loop read and write in turn."""

import asyncio
import contextlib
import random
import socket

import numpy as np
import pytest

from softswitch.legs.websocket.frame_reader import FrameReader
from softswitch.legs.websocket.frames import BINARY, MASKED, PING, TEXT, header, mask_bytes
from softswitch.legs.websocket.shared_transport import share
from softswitch.media.feeds.feed_queue import CompiledFifo, FeedTable, table_of
from tests.support.compiled import compiled_code

FRAME = 640


_opened = contextlib.ExitStack()


@pytest.fixture(autouse=True)
async def closing():
    """Close what a test has opened, also where it failed."""
    compiled_code()
    with _opened:
        yield


def masked(first: int, payload: bytes, key: bytes = b"\1\2\3\4") -> bytes:
    data = bytearray(payload)
    mask_bytes(key, data)
    return header(first, len(data), MASKED) + key + bytes(data)


class Parser:
    """Gets what the frame reader does not take."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        pass


class Server(asyncio.Protocol):
    """The server's end, as aiohttp has it."""

    def __init__(self) -> None:
        self.parser, self.lost, self._reading_paused = Parser(), False, False
        self.frames = FrameReader(self.parser, masked=True, most=1 << 20)

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.frames.feed_data(data)

    def connection_lost(self, error) -> None:
        self.lost = True


class Line:
    """A connection whose audio the tick serves; `client` is the other end."""

    def __init__(self, server: Server, client: socket.socket, *, listens: bool = True, capacity_ms=60_000):
        self.server, self.client = server, client
        self.queue = CompiledFifo(FRAME, 2, capacity_ms, 0)
        self.queue.belong(None, speaks=False)
        table = table_of([self.queue])
        assert table is not None
        self.table: FeedTable = table
        server.frames.take(self.fed)
        self.by_loop: list[bytes] = []
        shared = share(server.transport, server, server.frames, self.queue, listens=listens)
        assert shared is not None
        self.shared = shared
        _opened.callback(shared.end)

    def fed(self, data: bytes) -> None:
        self.by_loop.append(data)
        self.queue.put(data)

    def tick(self, frame: bytes = b"") -> None:
        """Read as the tick does, and send a frame; what is left to the loop is done at once."""
        looks = self.table.pull(0, 1, 0.0, np.zeros(FRAME, np.uint8)).looks
        left: list[int] = []
        roused: list[int] = []
        if frame:
            left, roused = self.table.push(None, np.frombuffer(frame, np.uint8).reshape(1, -1))
        if looks or roused:
            self.shared.look()
        if left:
            self.shared.handled()
            self.shared.write(header(BINARY, len(frame)) + frame)

    def played(self) -> bytes:
        """Return what is in the queue."""
        self.queue._feed.speaks = 1
        taken = b""
        while data := self.queue.take():
            taken += data
        self.queue._feed.speaks = 0
        return taken


async def connected() -> tuple[Server, socket.socket]:
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    far.setblocking(False)
    _, server = await loop.create_unix_connection(Server, sock=near)
    _opened.callback(server.transport.close)
    return server, _opened.enter_context(far)


async def connected_by_tcp() -> tuple[Server, socket.socket]:
    """Return a connection whose kernel knows SO_RCVLOWAT, which pairs of local sockets ignore."""
    server = Server()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        far = socket.create_connection(listening.getsockname())
        near, _ = listening.accept()
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: server, near)
    _opened.callback(server.transport.close)
    return server, _opened.enter_context(far)


def everything(client: socket.socket) -> bytes:
    """Return what the client can read now."""
    data = b""
    with contextlib.suppress(BlockingIOError):
        while piece := client.recv(1 << 20):
            data += piece
    return data


async def settled() -> None:
    """Wait until the loop has looked again."""
    for _ in range(5):
        await asyncio.sleep(0.004)


@pytest.mark.each_loop
async def test_audio_goes_past_the_loop_in_both_directions():
    server, client = await connected()
    line = Line(server, client)
    client.send(masked(BINARY, b"ab" * 320))
    await settled()
    assert not line.by_loop
    line.tick(b"cd" * 320)
    assert line.played() == b"ab" * 320
    assert everything(client) == header(BINARY, 640) + b"cd" * 320
    assert line.shared.heard == 1


@pytest.mark.each_loop
@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_or_overtaken_whatever_comes_in_whatever_pieces(seed):
    rng = random.Random(seed)
    server, client = await connected()
    line = Line(server, client)
    sent = audio = others = b""
    for _ in range(120):
        kind = rng.random()
        payload = rng.randbytes(rng.choice([0, 1, 2, 125, 126, 640, 640, 640, 3000, 70_000]) // 2 * 2)
        key = rng.randbytes(4)
        if kind < 0.75:
            frame = masked(BINARY, payload, key)
            audio += payload
        elif kind < 0.85:
            frame = masked(TEXT, payload, key)
            others += frame
        elif kind < 0.95:
            frame = masked(PING, payload[:125], key)
            others += frame
        else:  # in two fragments, with a ping between them
            ping = masked(PING, b"p", key)
            frame = masked(0x02, payload[:2], key) + ping + masked(0x80, payload[2:], key)
            audio += payload
            others += ping
        sent += frame
    at = 0
    while at < len(sent):
        size = rng.choice([1, 7, 100, 648, 648, 648, 1300, 20_000])
        with contextlib.suppress(BlockingIOError):
            at += client.send(sent[at : at + size])
        if rng.random() < 0.5:
            line.tick()
        if rng.random() < 0.2:
            await asyncio.sleep(0)
        if rng.random() < 0.03:
            await asyncio.sleep(0.012)
    for _ in range(20):
        line.tick()
        await asyncio.sleep(0.012)
    assert line.played() == audio
    assert server.parser.data == others


@pytest.mark.each_loop
@pytest.mark.parametrize("seed", range(2))
async def test_frames_are_whole_and_in_order_however_slowly_they_are_read(seed):
    rng = random.Random(seed)
    server, client = await connected()
    server.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    line = Line(server, client)
    wanted, got = b"", b""
    for number in range(400):
        frame = number.to_bytes(2) * 320
        line.tick(frame)
        wanted += header(BINARY, 640) + frame
        if rng.random() < 0.1:
            text = rng.randbytes(rng.choice([10, 5000]))
            line.shared.write(header(TEXT, len(text)) + text)
            wanted += header(TEXT, len(text)) + text
        if rng.random() < (0.1 if number % 100 < 50 else 0.7):
            with contextlib.suppress(BlockingIOError):
                got += client.recv(rng.choice([100, 2000, 100_000]))
        if rng.random() < 0.3:
            await asyncio.sleep(0 if rng.random() < 0.9 else 0.012)
    for _ in range(100):
        got += everything(client)
        await asyncio.sleep(0.002)
    assert got == wanted
    await settled()
    line.tick(bytes(640))
    assert everything(client) == header(BINARY, 640) + bytes(640)
    assert line.queue.is_shared


@pytest.mark.each_loop
async def test_the_loop_goes_on_in_the_middle_of_a_message():
    server, client = await connected()
    line = Line(server, client)
    message = masked(BINARY, bytes(range(256)) * 4)
    client.send(message[:401])
    line.tick()
    line.shared.end()
    client.send(message[401:] + masked(TEXT, b"x"))
    await settled()
    assert line.played() == bytes(range(256)) * 4
    assert server.parser.data == masked(TEXT, b"x")


@pytest.mark.each_loop
async def test_the_loop_goes_on_in_the_middle_of_a_header():
    server, client = await connected()
    line = Line(server, client)
    message = masked(BINARY, b"ab" * 320)
    client.send(message[:3])
    line.tick()
    line.shared.end()
    client.send(message[3:])
    await settled()
    assert line.by_loop == [b"ab" * 320]


@pytest.mark.each_loop
async def test_the_end_of_the_connection_is_seen():
    server, client = await connected()
    line = Line(server, client)
    client.send(masked(BINARY, b"ab"))
    client.close()
    line.tick()
    line.tick()
    await settled()
    assert server.lost
    line.shared.end()


@pytest.mark.each_loop
async def test_a_command_does_not_wait_for_the_tick():
    server, client = await connected()
    line = Line(server, client)
    client.send(masked(TEXT, b"x"))
    await settled()
    assert server.parser.data == masked(TEXT, b"x")
    assert line.queue.reads


@pytest.mark.each_loop
async def test_a_command_behind_audio_does_not_wait_for_the_tick():
    server, client = await connected_by_tcp()
    line = Line(server, client)
    client.send(masked(BINARY, b"ab" * 320) + masked(TEXT, b"x" * 20))
    await settled()
    assert server.parser.data == masked(TEXT, b"x" * 20)
    assert line.played() == b"ab" * 320


@pytest.mark.each_loop
async def test_a_small_command_beside_audio_waits_for_the_tick_and_alone_for_nothing():
    server, client = await connected_by_tcp()
    line = Line(server, client)
    seen = b""
    for text in (b"a", b"b"):
        client.send(masked(TEXT, text))
        await settled()
        seen += masked(TEXT, text)
        assert server.parser.data == seen
    client.send(masked(BINARY, b"ab" * 320))
    await settled()
    client.send(masked(TEXT, b"c"))
    await settled()
    assert server.parser.data == seen
    line.tick()
    seen += masked(TEXT, b"c")
    assert server.parser.data == seen
    client.send(masked(BINARY, b"ab" * 320))
    await settled()
    for _ in range(11):
        line.table.read()
    client.send(masked(TEXT, b"d"))
    await settled()
    assert server.parser.data == seen + masked(TEXT, b"d")


@pytest.mark.each_loop
async def test_the_loop_is_woken_by_any_octet_while_it_reads():
    server, client = await connected_by_tcp()
    line = Line(server, client)
    message = masked(TEXT, b"hello")
    client.send(message[:4])
    line.tick()
    assert not line.queue.reads
    # What completes the message is far less than a frame of audio, for which the tick would be woken.
    client.send(message[4:])
    await settled()
    assert server.parser.data == message
    client.send(message)
    line.tick()
    await settled()
    line.shared.end()
    client.send(message)
    await settled()
    assert server.parser.data == 3 * message


@pytest.mark.each_loop
async def test_a_connection_that_was_reset_is_closed():
    server, client = await connected()
    line = Line(server, client)
    line.queue._feed.ended = 104
    line.queue.read(on=False)
    line.shared.look()
    await settled()
    assert server.lost
    line.shared.end()
    client.close()


@pytest.mark.each_loop
async def test_a_protocol_that_wants_no_more_is_not_read():
    server, client = await connected()
    line = Line(server, client)
    server._reading_paused = True
    client.send(masked(TEXT, b"a"))
    line.tick()
    client.send(masked(TEXT, b"b") + masked(BINARY, b"cd"))
    line.tick()
    await settled()
    assert server.parser.data == masked(TEXT, b"a")
    server._reading_paused = False
    await settled()
    line.tick()
    await settled()
    assert server.parser.data == masked(TEXT, b"a") + masked(TEXT, b"b")
    line.tick()
    assert line.played() == b"cd"


async def test_what_the_tick_cannot_serve_is_left_to_the_loop():
    class Encrypted:
        def is_closing(self) -> bool:
            return False

        def pause_reading(self) -> None:
            """As transports have it."""

        def get_extra_info(self, name: str) -> object:
            return object() if name == "ssl_object" else None

    server = Server()
    queue = CompiledFifo(FRAME, 2, 1000, 0)
    assert share(Encrypted(), server, server.frames, queue, listens=True) is None  # type: ignore[arg-type]
