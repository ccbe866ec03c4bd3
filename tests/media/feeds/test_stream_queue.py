"""Streams in compiled code: texts are read as Python reads them or left, and written as Python does."""

import base64
import contextlib
import json
import random
import socket

import numpy as np
import pytest

from softswitch.call.interfaces import StreamRequest
from softswitch.dialects.wavix.stream import WavixSession, WavixStreams
from softswitch.errors import MalformedError
from softswitch.legs.stream.dialect import Audio
from softswitch.legs.websocket.frames import BINARY, MASKED, PING, TEXT, header, measure, unmasked
from softswitch.media.feeds.stream_queue import StreamPush, StreamQueue, StreamTable, audio_of
from tests.support.compiled import compiled_code

STREAM = "stream-1"
NOW = 1_768_473_000_250


@pytest.fixture(autouse=True)
def code():
    compiled_code()


def session(stream: str = STREAM, call: str = "call", *, ticks: bool = False) -> WavixSession:
    request = StreamRequest(call, stream, "wss://bot.example", two_way=True, channel="inbound")
    return WavixStreams(ticks=ticks).open(request)


def media(pcm: bytes, **more: object) -> bytes:
    payload = base64.b64encode(pcm).decode()
    return json.dumps({"event": "media", "media": {"payload": payload}, **more}).encode()


def framed(text: bytes, first: int = TEXT) -> bytes:
    return header(first, len(text)) + text


# --- the texts --------------------------------------------------------------------------------


def some_json(rng: random.Random) -> str:
    """Return a message as services write it, and as none does."""
    pcm = rng.randbytes(rng.choice((0, 1, 2, 3, 4, 8, 9, 960, 961)))
    payload = base64.b64encode(pcm).decode()
    odd = (
        payload.rstrip("="), payload + "\\n", payload.replace("A", "\\u0041"), payload[:-1], payload + "=",
        base64.urlsafe_b64encode(pcm).decode(), "é", payload[:-2] + "A=" if payload else "A", "\t",
    )  # fmt: skip
    part = {"payload": rng.choice(odd) if rng.random() < 0.2 else payload}
    values = (
        "1", "-0", "1.5", "01", "1e3", "-", "1.", ".5", "123456789012345678901234567890", "true", "false",
        "null", "nul", "tru", '"x"', '"\\n"', '"é"', '""', "[]", "{}", '{"a":1}', "[1]", "",
    )  # fmt: skip
    fields = [f'"payload":"{part["payload"]}"']
    fields += [
        f'"{rng.choice(("track", "chunk", "timestamp"))}":{rng.choice(values)}'
        for _ in range(rng.randrange(3))
    ]
    rng.shuffle(fields)
    inner = "{" + ",".join(fields) + "}"
    outer = [f'"event":"{rng.choice(("media",) * 12 + ("Media", "mark", ""))}"', f'"media":{inner}']
    if rng.random() < 0.5:
        outer.append(
            f'"stream_id":{rng.choice((f"{chr(34)}{STREAM}{chr(34)}",) * 4 + ("null", chr(34) * 2, "7"))}'
        )
    if rng.random() < 0.3:
        outer.append(
            f'"{rng.choice(("sequence_number", "call_id", "x", "event", "media"))}":{rng.choice(values)}'
        )
    rng.shuffle(outer)
    space = rng.choice(("", "", " ", "\n\t ", "\r\n", "\x0b"))
    text = ("," + space).join(piece.replace(":", ":" + space, 1) for piece in outer)
    return space + "{" + text + space + "}" + rng.choice(("", "", "", space, "x", ","))


@pytest.mark.parametrize("seed", range(12))
def test_text_is_read_as_python_reads_it_or_left(seed):
    rng, reader, taken = random.Random(seed), session(), 0
    for _ in range(2500):
        text = bytearray(some_json(rng).encode())
        if rng.random() < 0.3 and text:
            place = rng.randrange(len(text))
            match rng.randrange(4):
                case 0:
                    text[place] = rng.randrange(256)
                case 1:
                    text[place] = rng.choice(b'{}[]",:\\=0 ')
                case 2:
                    del text[place]
                case _:
                    text.insert(place, rng.choice(b'{}[]",:\\= '))
        found = audio_of(bytes(text), STREAM)
        if found is None:
            continue
        taken += 1
        assert reader.read_text(bytes(text), NOW) == (Audio(found),), text
    assert taken > 150


@pytest.mark.parametrize(
    "text",
    [
        media(bytes(960)),
        media(bytes(960), stream_id=STREAM),
        media(bytes(2)).replace(b" ", b""),
        json.dumps(json.loads(media(bytes(7))), indent=2).encode(),
        b'{"media":{"track":"inbound","timestamp":-20,"payload":"AAA=","chunk":1.5},"sequence_number":7,"event":"media"}\n',
    ],
)
def test_ordinary_text_is_not_left(text):
    assert audio_of(text, STREAM) is not None


@pytest.mark.parametrize(
    "text",
    [
        media(bytes(2), stream_id="another"),
        media(bytes(2), stream_id=None),
        b'{"event":"mark","mark":{"name":"a"}}',
        b'{"event":"media","media":{"payload":"AAA="},"media":{"payload":"AAA="}}',
        b'{"event":"media","media":{"payload":"AAA=","payload":"AAA="}}',
        b'{"event":"media","media":{"payload":"AAA"}}',
        b'{"event":"media","media":{"payload":"A-A="}}',
        b'{"event":"media","media":{"payload":"AA\\u0041="}}',
        b'{"event":"media"}',
        b"{}",
        b"",
    ],
)
def test_what_is_not_surely_ordinary_is_left(text):
    assert audio_of(text, STREAM) is None


def test_every_octet_in_base64_is_judged_as_in_python():
    reader = session()
    for octet in range(256):
        for place in range(4):
            payload = bytearray(b"AAAA")
            payload[place] = octet
            text = b'{"event":"media","media":{"payload":"AAAA' + payload + b'"}}'
            found = audio_of(text, STREAM)
            try:
                values = reader.read_text(text, NOW)
            except MalformedError:
                assert found is None
            else:
                assert found is None or values == (Audio(found),)
                assert found is not None or octet in b'"=\\-_ \r\n\t'


# --- the socket -------------------------------------------------------------------------------


class Line:
    """A stream whose socket the tick serves; `service` is the other end."""

    def __init__(self, capacity_ms: int = 60_000, stream: str = STREAM) -> None:
        self.near, self.service = socket.socketpair()
        for end in (self.near, self.service):
            end.setblocking(False)
        self.queue = StreamQueue(7, stream, capacity_ms)
        self.queue.open(takes=True)
        self.queue.connect(self.near.fileno(), 1 << 23, listens=True)
        self.table = StreamTable()
        self.table.offered[7] = self.queue
        assert self.table.use(7) is self.queue
        self.queue.read(on=True)

    def close(self) -> None:
        self.queue.disconnect()
        self.near.close()
        self.service.close()

    def tick(self, data: bytes = b"") -> list[int]:
        if data:
            self.service.sendall(data)
        self.table.read(early=False)
        return self.table.take_roused()

    def played(self) -> bytes:
        return self.queue.take_samples(self.queue.waiting).tobytes()

    def written(self) -> list[bytes]:
        """Return the texts that came to the service."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            while piece := self.service.recv(1 << 20):
                data += piece
        texts, at = [], 0
        while at < len(data):
            head, length = measure(data, at)
            assert data[at] == TEXT
            assert data[at + 1] & MASKED
            texts.append(unmasked(data, at + head, length))
            at += head + length
        return texts


@pytest.fixture
def line():
    made = Line()
    yield made
    made.close()


@pytest.mark.parametrize("seed", range(8))
def test_messages_in_pieces_are_read_and_the_rest_is_left_in_order(line, seed):
    rng = random.Random(seed)
    said, wire = b"", b""
    for _ in range(60):
        pcm = rng.randbytes(2 * rng.choice((1, 5, 20, 480, 3000, 40_000)))
        said += pcm
        wire += framed(media(pcm))
    rest = framed(b'{"event":"mark","mark":{"name":"m"}}') + framed(media(b"\1\2")) + framed(b"", PING)
    heard, at = b"", 0
    wire += rest
    while at < len(wire) and line.queue.reads:
        size = rng.choice((1, 3, 100, 4000, 60_000))
        roused = line.tick(wire[at : at + size])
        at += size
        heard += line.played()
        assert roused == ([] if line.queue.reads else [7])
    for _ in range(200):
        if not line.queue.reads:
            break
        line.tick()
        heard += line.played()
    assert heard == said
    assert line.queue.take_strays() + wire[at:] == rest
    assert line.queue.take_begun()[0] == b""


@pytest.mark.parametrize(
    "frame",
    [
        framed(media(b"\1\2\3")),
        framed(media(b"")),
        framed(media(b"\1\2"), BINARY),
        framed(media(b"\1\2"), 0x01),
        header(TEXT, 4, MASKED) + bytes(8),
        framed(b"x" * 300_000),
        framed(b"", 0x88),
    ],
)
def test_what_is_no_audio_in_one_frame_is_left_with_what_follows(line, frame):
    line.tick(framed(media(b"\1\2")))
    line.service.setblocking(True)
    follows = framed(media(b"\3\4"))
    begun = frame[:100]
    assert line.tick(begun) == ([7] if len(frame) <= 100 or frame[0] != TEXT or len(frame) > 262_144 else [])
    roused = line.tick(frame[100:][:50_000] + follows)
    assert not line.queue.reads or roused
    assert line.queue.take_strays() in (begun, frame + follows, begun + frame[100:][:50_000] + follows)
    assert line.played() == b"\1\2"


def test_audio_that_has_no_room_or_no_track_is_left(line):
    small = Line(capacity_ms=20)
    assert small.tick(framed(media(bytes(958)))) == []
    assert small.tick(framed(media(bytes(4)))) == [7]
    assert small.queue.take_strays() == framed(media(bytes(4)))
    small.close()
    line.queue.open(takes=False)
    assert line.tick(framed(media(b"\1\2"))) == [7]


def test_end_of_the_connection_leaves_what_was_begun(line):
    line.tick(framed(media(bytes(100)))[:50])
    line.service.close()
    assert line.tick() == [7]
    assert line.queue.ended == -1
    assert line.queue.take_strays() == framed(media(bytes(100)))[:50]


def test_socket_is_read_behind_what_was_posted_before(line):
    line.queue.read(on=False)
    asked: list[int] = []
    line.queue.ask = asked.append
    line.queue.read(on=True)
    assert (line.queue.reads, line.queue.is_reading) == (True, False)
    line.tick(framed(media(b"\1\2")))
    assert line.played() == b""
    line.queue.begin_reading(asked[0] - 1)  # of another connection
    assert not line.queue.is_reading
    line.queue.begin_reading(asked[0])
    line.tick()
    assert line.played() == b"\1\2"


def test_socket_is_read_once_a_tick(line):
    line.service.sendall(framed(media(b"\1\2")))
    line.table.read(early=True)
    line.service.sendall(framed(media(b"\3\4")))
    line.table.read(early=False)
    assert line.played() == b"\1\2"
    line.table.read(early=False)
    assert line.played() == b"\3\4"


def test_queue_that_nothing_uses_is_left_to_the_loop(line):
    line.table.use(7)
    line.table.release(7)
    assert line.queue.reads
    line.table.release(7)
    line.table.release(7)
    assert line.table.take_roused() == [7]
    assert (line.queue.reads, line.queue.ended, len(line.table)) == (False, -1, 0)


# --- what is written --------------------------------------------------------------------------


@pytest.mark.parametrize("ticks", [False, True])
@pytest.mark.parametrize("stream", [STREAM, 'per % cent "quote" é'])
def test_messages_are_written_as_python_writes_them(ticks, stream):
    line = Line(stream=stream)
    by_tick, by_loop = session(stream, "a%d", ticks=ticks), session(stream, "a%d", ticks=ticks)
    by_tick.opened(NOW)
    by_loop.opened(NOW)
    by_tick.count_with(line.queue)
    words = [by_tick.media_words("inbound"), by_tick.media_words("outbound")]
    taps = [line.queue.tap(number, *text) for number, text in enumerate(words)]
    push, rng = StreamPush([*taps, None]), np.random.default_rng(1)
    assert line.queue.write(0)
    for frame in range(300):
        data = rng.integers(0, 256, (3, 960), np.uint8)
        now = NOW + 7919 * 86_400_000 // 1000 * frame
        assert push.push(data, now) == ([2], [])
        expected = [
            by_loop.media("inbound", frame, data[0].tobytes(), now),
            by_loop.media("outbound", frame, data[1].tobytes(), now),
        ]
        assert line.written() == expected
        if frame % 50 == 49:
            # A mark between two media messages has the number between their numbers.
            assert by_tick.mark("m", False, now) == by_loop.mark("m", False, now)
            assert not line.queue.is_shared
            assert line.queue.write(0)
    assert line.queue.sent == 600
    line.close()


def test_keys_of_masks_differ(line):
    tap = line.queue.tap(1, b"\3", 20)
    push = StreamPush([tap])
    line.queue.write(0)
    keys = set()
    for _ in range(2000):
        push.push(np.zeros((1, 960), np.uint8), NOW)
        head = line.service.recv(1 << 16)
        assert head[:2] == bytes((TEXT, MASKED | 126))
        keys.add(head[4:8])
    assert len(keys) > 1990


def test_frames_that_are_left_are_handled_before_the_tick_writes_on(line):
    tap = line.queue.tap(1, b"[\2]", 20)
    push, data = StreamPush([tap]), np.zeros((1, 960), np.uint8)
    assert push.push(data, NOW) == ([0], [])
    assert not line.queue.write(0)
    assert tap.frames == 0
    tap.handled()
    assert line.queue.write(0)
    assert push.push(data, NOW) == ([], [])
    assert line.written() == [b"[1]"]
    assert tap.frames == 2
    line.queue.claim()
    assert push.push(data, NOW) == ([0], [])


def test_service_that_does_not_read_gets_whole_messages(line):
    tap = line.queue.tap(1, b"\2 \3", 20)
    push = StreamPush([tap])
    line.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    line.queue.write(0)
    data, sent = np.zeros((1, 960), np.uint8), 0
    while True:
        left, roused = push.push(data, NOW)
        if left or roused:
            break
        sent += 1
    rest = line.queue.take_rest()
    assert bool(roused) == bool(rest)
    assert not line.queue.is_shared
    got = b""
    with contextlib.suppress(BlockingIOError):
        while piece := line.service.recv(1 << 20):
            got += piece
    line.service.close()
    assert (len(got) + len(rest)) % (sent + bool(rest)) in range(200)


def test_bounds_of_taps(line):
    one, two = line.queue.tap(1, b"a", 1), line.queue.tap(2, b"b", 1)
    with pytest.raises(ValueError, match="two taps"):
        line.queue.tap(3, b"c", 1)
    del one
    kept = line.queue.tap(3, b"c", 1)
    assert set(line.queue.taps) == {2, 3}
    assert two.queue is kept.queue
    del kept
    with pytest.raises(MemoryError):
        line.queue.tap(4, bytes(10_000), 1)
