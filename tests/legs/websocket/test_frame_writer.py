"""Messages written to a transport: framed, bounded, control never dropped."""

import asyncio
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from softswitch.legs.websocket.frame_writer import FrameWriter
from softswitch.legs.websocket.frames import header
from softswitch.legs.websocket.masking import Mask


class Wire(asyncio.WriteTransport):
    """A transport whose reader does not read."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.reads = True
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: object) -> None:
        self.written += data  # type: ignore[arg-type]

    def get_write_buffer_size(self) -> int:
        return 0 if self.reads else len(self.written)


@given(st.integers(0, 200_000))
def test_header_tells_the_length(length: int) -> None:
    head = header(0x82, length)
    assert head[0] == 0x82
    if length < 126:
        assert head[1] == length
    elif length < 65536:
        assert (head[1], int.from_bytes(head[2:])) == (126, length)
    else:
        assert (head[1], int.from_bytes(head[2:])) == (127, length)


def test_slow_reader_loses_media_first_and_is_told_once() -> None:
    wire, slow, dropped = Wire(), [], []
    writer = FrameWriter(wire, lambda: dropped.append(1), limit=2000, ahead=1000)
    wire.reads = False
    for _ in range(10):
        writer.media(b"x" * 200)
    assert len(dropped) == 5
    for _ in range(20):
        if not writer.control(b"y" * 100):
            slow.append(1)
            writer.end()
    assert slow == [1]
    before = len(wire.written)
    assert writer.control(b"more")
    writer.media(b"more")
    assert len(wire.written) == before


def test_nothing_is_written_to_a_connection_that_is_gone() -> None:
    wire = Wire()
    writer = FrameWriter(wire, lambda: None, limit=100)
    wire.closing = True
    writer.control(b"late")
    writer.media(b"late")
    assert not wire.written


# --- a client, whose media may wait ---


class Transport:
    """A connection whose network takes what the test lets it."""

    def __init__(self) -> None:
        self.data = b""
        self.stuck = 0
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.stuck

    def write(self, data: bytes) -> None:
        self.data += data


TERMS = {"limit": 2_000_000, "ahead": 32_768, "most_media": 100, "binary_media": False}


class Setting:
    def __init__(self, **options) -> None:
        self.transport = Transport()
        self.dropped = 0
        self.writer = FrameWriter(self.transport, self._drop, mask=Mask(), **(TERMS | options))

    def _drop(self) -> None:
        self.dropped += 1

    def messages(self) -> list[bytes]:
        return list(unmasked(self.transport.data))


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the first byte and the payload of each of a client's frames."""
    at = 0
    while at < len(data):
        first = data[at]
        assert data[at + 1] & 0x80
        length, at = data[at + 1] & 0x7F, at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, at = int.from_bytes(data[at : at + size]), at + size
        key, at = data[at : at + 4], at + 4
        yield first, bytes(byte ^ key[place % 4] for place, byte in enumerate(data[at : at + length]))
        at += length


def unmasked(data: bytes) -> Iterator[bytes]:
    """Yield the payloads of a client's text frames, and make sure that they are all there is."""
    for first, payload in frames(data):
        assert first == 0x81
        yield payload


def test_messages_of_any_length_arrive_as_they_were():
    setting = Setting()
    sent = [b"x" * size for size in (0, 1, 2, 3, 4, 125, 126, 1500, 65535, 65536)]
    for message in sent:
        setting.writer.media(message)
    assert setting.messages() == sent


def test_oldest_media_gives_way_and_control_does_not():
    setting = Setting(most_media=3)
    setting.transport.stuck = 1 << 20
    setting.writer.control(b"mark")
    for number in range(5):
        setting.writer.media(b"%d" % number)
    setting.writer.control(b"stop")
    assert setting.dropped == 2
    setting.transport.stuck = 0
    setting.writer.flush()
    assert setting.messages() == [b"mark", b"2", b"3", b"4", b"stop"]


def test_what_waits_goes_first():
    setting = Setting()
    setting.transport.stuck = 1 << 20
    setting.writer.media(b"first")
    setting.transport.stuck = 0
    setting.writer.media(b"second")
    assert setting.messages() == [b"first", b"second"]


def test_control_waits_only_behind_media():
    setting = Setting(limit=100_000)
    setting.transport.stuck = 50_000
    assert setting.writer.control(b"at once")
    setting.writer.media(b"media")
    assert setting.writer.control(b"behind")
    assert (setting.messages(), setting.writer.waiting) == ([b"at once"], 2)
    setting.transport.stuck = 99_999
    assert not setting.writer.control(b"xx")
    setting.transport.stuck = 0
    setting.writer.flush()
    assert setting.messages() == [b"at once", b"media", b"behind", b"xx"]


def test_nothing_is_written_after_the_end_or_to_a_closing_transport():
    setting = Setting()
    setting.transport.closing = True
    setting.writer.media(b"a")
    setting.transport.closing = False
    setting.writer.end()
    setting.writer.media(b"b")
    setting.writer.control(b"c")
    assert setting.messages() == []
    assert setting.writer.waiting == 0


def test_binary_media_and_text_control_keep_their_opcodes_while_they_wait():
    setting = Setting(binary_media=True)
    setting.writer.media(b"now")
    setting.transport.stuck = 1 << 20
    setting.writer.media(b"later")
    setting.writer.control(b"{}")
    setting.transport.stuck = 0
    setting.writer.flush()
    assert list(frames(setting.transport.data)) == [(0x82, b"now"), (0x82, b"later"), (0x81, b"{}")]
