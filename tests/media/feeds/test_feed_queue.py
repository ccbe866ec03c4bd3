"""Queues in compiled code against Python's: the same audio and reports; and the sockets that they serve."""

import contextlib
import ctypes
import random
import socket

import numpy as np
import pytest

from softswitch.audio.pcm import to_bytes
from softswitch.legs.websocket.frames import BINARY, MASKED, PING, TEXT, header, mask_bytes
from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine
from softswitch.media.feeds.feed_fifo import FeedFifo
from softswitch.media.feeds.feed_queue import ROUSED, CompiledFifo, FeedCode, _Feed, new_fifo, table_of
from tests.media.rig import ramp
from tests.support.compiled import compiled_code

FRAME, TICK_S = 640, 0.02
SILENCE = np.zeros(FRAME, np.uint8)


@pytest.fixture(autouse=True)
def code():
    compiled_code()


def test_both_sides_have_the_same_struct():
    assert ctypes.sizeof(_Feed) == FeedCode(compiled_code()).size


def state(fifo: FeedFifo | CompiledFifo) -> tuple[object, ...]:
    return (
        fifo.level, fifo.received, fifo.frame, fifo.correction, fifo.dropped, fifo.underruns, fifo.mended_ms,
        fifo.is_urgent,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(24))
def test_queue_does_what_that_in_python_does(seed):
    rng = random.Random(seed)
    frame, unit = [(8, 2), (640, 2), (160, 1), (16, 2)][seed % 4]
    bounds = rng.choice([60, 200, 2000]), rng.choice([0, 20, 60])
    pure, compiled = FeedFifo(frame, unit, *bounds), CompiledFifo(frame, unit, *bounds)
    pace, due = rng.choice([0.9, 1.0, 1.003, 1.5]), 0.0
    for _ in range(1500):
        due += pace
        while due >= 1:
            due -= 1
            data = rng.randbytes(rng.randrange(6 * frame) if rng.random() < 0.03 else frame)
            assert pure.put(data) == compiled.put(data)
        assert pure.take() == compiled.take()
        assert state(pure) == state(compiled)
        if pure.correction and rng.random() < 0.1:
            pure.apply_correction()
            compiled.apply_correction()
        if pure.level >= 3 * frame and rng.random() < 0.01:
            assert pure.skip(2 * frame) == compiled.skip(2 * frame)


def engine(*, compiled: bool) -> Engine:
    made = Engine()
    kind = CompiledFifo if compiled else FeedFifo
    for port, (codec, rate, live) in enumerate(
        [
            ("pcm", 16000, None), ("pcm", 16000, True), ("pcm", 16000, False), ("pcm", 24000, None),
            ("pcmu", 8000, True), ("g722", 16000, None),
        ],
        1,
    ):  # fmt: skip
        added = m.AddFeedPort(port, port, codec, rate, prebuffer_ms=40, buffer_ms=3000, live=live)  # type: ignore[arg-type]
        made.post(added)
        old = made._parts.ingress.fifos[port]
        made._parts.ingress.fifos[port] = kind(old.frame, 1 + (codec == "pcm"), 3000, 40)
        # A listener of its own, so that what the port says comes out.
        made.post(m.AddFeedPort(100 + port, port, "pcm", 24000, speaks=False))
    return made


@pytest.mark.parametrize("seed", range(6))
def test_engine_plays_the_same_and_is_as_punctual(seed):
    """Sources are late, send ahead, drift and pause."""
    rng, both = random.Random(seed), [engine(compiled=kind) for kind in (False, True)]
    sizes = {port: fifo.frame for port, fifo in both[0]._parts.ingress.fifos.items() if port < 100}
    sound = {port: to_bytes(ramp(40_000)) for port in sizes}
    at, now, held = dict.fromkeys(sizes, 0), 1000.0, dict.fromkeys(sizes, 0)
    for tick in range(700):
        for port, size in sizes.items():
            roll = rng.random()
            if roll < 0.004:
                held[port] = rng.randrange(10, 60)
            count = 1 + (roll > 0.997)
            if held[port]:
                held[port] -= 1
                # Some stalls are made up for at once, others are lost.
                count = 30 if not held[port] and roll < 0.7 else 0
            for _ in range(count):
                data = bytes(size) if tick % 60 < 20 else sound[port][at[port] : at[port] + size]
                at[port] = (at[port] + size) % (len(sound[port]) - size)
                for one in both:
                    one.feed(port, data)
        pure, compiled = (one.tick(now) for one in both)
        assert sorted(pure.frames) == sorted(compiled.frames)
        assert pure.reports == compiled.reports
        now += TICK_S
    assert both[0].counters == both[1].counters
    assert both[0].counters["late_cut_ms"]
    for one in both:
        for port in sizes:
            one.post(m.RemovePort(port))
    closed = [one.tick(now).reports for one in both]
    assert closed[0] == closed[1]


def test_queue_is_compiled_where_there_is_compiled_code():
    assert isinstance(new_fifo(FRAME, 2, 1000, 0), CompiledFifo)
    assert table_of([new_fifo(FRAME, 2, 1000, 0), FeedFifo(FRAME, 2, 1000, 0)]) is None


# --- sockets --------------------------------------------------------------------------------


def masked(first: int, payload: bytes, key: bytes = b"\1\2\3\4") -> bytes:
    data = bytearray(payload)
    mask_bytes(key, data)
    return header(first, len(data), MASKED) + key + bytes(data)


class Served:
    """A queue with the socket of a client, who is `far`."""

    def __init__(self, *, capacity_ms: int = 1000, most: int = 0, listens: bool = True) -> None:
        self.near, self.far = socket.socketpair()
        for end in (self.near, self.far):
            end.setblocking(False)
        self.queue = CompiledFifo(FRAME, 2, capacity_ms, 0)
        self.queue.belong(None, speaks=False)
        self.queue.connect(self.near.fileno(), most, listens=listens)
        self.queue.read(on=True)
        assert self.queue.write(0)
        table = table_of([self.queue])
        assert table is not None
        self.table = table

    def pull(self):
        return self.table.pull(0, 1, 0.0, SILENCE)

    def push(self, frame: bytes):
        return self.table.push(None, np.frombuffer(frame, np.uint8).reshape(1, -1))

    def close(self) -> None:
        self.queue.disconnect()
        self.near.close()
        self.far.close()


@pytest.fixture
def served():
    made: list[Served] = []

    def make(**options) -> Served:
        made.append(Served(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 7, 8, 9, 300, 655])
def test_messages_are_read_in_any_pieces(served, cut):
    one = served()
    data = masked(BINARY, b"") + masked(BINARY, b"ab" * 320) + masked(BINARY, b"cd" * 10)
    for piece in (data[:cut], data[cut:]):
        one.far.send(piece)
        assert not one.pull().looks
    assert one.queue.take() == b"ab" * 320
    assert one.queue.take() == b"cd" * 10
    assert one.queue.heard == 2


@pytest.mark.parametrize(
    "odd",
    [
        masked(TEXT, b"hello"),
        masked(PING, b""),
        masked(0x02, b"ab"),  # the first of several fragments
        header(BINARY, 2) + b"ab",  # without a mask
        masked(BINARY, bytes(5000)),  # too long
    ],
)
def test_what_is_not_ordinary_is_left_to_the_loop_with_all_that_follows(served, odd):
    one = served(most=4000)
    rest = odd + masked(BINARY, b"ef")
    one.far.send(masked(BINARY, b"ab") + rest[:3])
    first = one.pull().looks
    one.far.send(rest[3:])
    looks = one.pull().looks or first
    assert looks == [(0, ROUSED)]
    assert not one.queue.reads
    strays = one.queue.take_strays()
    assert rest.startswith(strays)
    # What was not read yet is still in the socket.
    with contextlib.suppress(BlockingIOError):
        strays += one.near.recv(10_000)
    assert strays == rest
    assert one.queue.take_strays() == b""
    assert one.queue.take() == b"ab"


def test_end_of_the_connection_is_told(served):
    one = served()
    one.far.send(masked(BINARY, b"ab"))
    one.far.close()
    assert not one.pull().looks
    assert one.pull().looks == [(0, ROUSED)]
    assert one.queue.ended
    assert one.pull().looks == []


def test_audio_beyond_the_bound_is_refused_and_counted(served):
    one = served(capacity_ms=40)
    one.far.send(masked(BINARY, bytes(3 * FRAME)))
    assert one.pull().refused == FRAME
    assert one.queue.dropped == FRAME


def test_frames_are_sent_until_the_kernel_takes_no_more(served):
    one = served()
    one.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sent = 0
    left: list[int] = []
    roused: list[int] = []
    while not left and not roused:
        left, roused = one.push(b"ab" * 320)
        sent += not left
    rest = one.queue.take_rest()
    assert not one.queue.is_shared
    data = b""
    with contextlib.suppress(BlockingIOError):
        while piece := one.far.recv(65536):
            data += piece
    assert data + rest == sent * (header(BINARY, FRAME) + b"ab" * 320)
    # From here on frames are the loop's, until it has written all of them.
    assert one.push(bytes(FRAME)) == ([0], [])
    assert not one.queue.write(len(left))
    assert one.queue.write(len(left) + 1)
    assert one.push(bytes(FRAME)) == ([], [])
    assert one.queue.sent_frames == sent + len(left) + 2


def test_port_that_hears_otherwise_is_sent_nothing(served):
    one = served(listens=False)
    assert one.push(bytes(FRAME)) == ([0], [])
    assert one.queue.send(b"ab") == 2
    assert one.far.recv(10) == b"ab"
