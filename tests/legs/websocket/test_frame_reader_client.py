"""The frame reader on the side of a client: all messages of a service, text and binary, unmasked."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.legs.websocket.frame_reader import FrameReader


class Parser:
    """Remembers what was passed on."""

    def __init__(self, protocol_error: bool = False) -> None:
        self.data: list[bytes] = []
        self.ended = False
        self._answer = (protocol_error, b"")

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data.append(data)
        return self._answer

    def feed_eof(self) -> None:
        self.ended = True


class Setting:
    """A reader and everything it did."""

    def __init__(self, most: int = 1000, protocol_error: bool = False) -> None:
        self.parser = Parser(protocol_error)
        self.messages: list[tuple[str, bytes]] = []
        self.faults: list[tuple[int, str]] = []
        self.reader = FrameReader(
            self.parser,
            lambda data: self.messages.append(("binary", data)),
            on_text=lambda data: self.messages.append(("text", data)),
            masked=False,
            most=most,
            on_fault=lambda code, reason: self.faults.append((code, reason)),
        )


def frame(opcode: int, payload: bytes, fin: bool = True, masked: bool = False) -> bytes:
    first, length, mask = opcode | (0x80 if fin else 0), len(payload), 0x80 if masked else 0
    if length < 126:
        head = bytes((first, mask | length))
    elif length < 65536:
        head = struct.pack("!BBH", first, mask | 126, length)
    else:
        head = struct.pack("!BBQ", first, mask | 127, length)
    return head + (b"\0\0\0\0" if masked else b"") + payload


@pytest.mark.parametrize("size", [0, 5, 125, 126, 65535, 65536, 100_000])
def test_message_of_any_size_is_taken(size):
    setting = Setting(most=200_000)
    setting.reader.feed_data(frame(1, b"x" * size))
    assert setting.messages == [("text", b"x" * size)]
    assert setting.parser.data == []


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=300), max_size=6), st.data())
def test_messages_come_whole_and_in_order_however_they_are_cut(payloads, data):
    setting = Setting()
    stream = b"".join(frame(1 + number % 2, payload) for number, payload in enumerate(payloads))
    at = 0
    while at < len(stream):
        step = data.draw(st.integers(1, len(stream) - at))
        setting.reader.feed_data(stream[at : at + step])
        at += step
    kinds = ("text", "binary")
    assert setting.messages == [(kinds[number % 2], payload) for number, payload in enumerate(payloads)]


def test_fragments_are_put_together_with_control_frames_between():
    setting = Setting()
    ping = frame(9, b"hi")
    setting.reader.feed_data(frame(1, b"a", fin=False) + ping + frame(0, b"b", fin=False) + frame(0, b"c"))
    assert setting.messages == [("text", b"abc")]
    assert setting.parser.data == [ping]


def test_empty_first_fragment_is_a_fragment():
    setting = Setting()
    setting.reader.feed_data(frame(2, b"", fin=False) + frame(0, b"xy") + frame(1, b"z"))
    assert setting.messages == [("binary", b"xy"), ("text", b"z")]


def test_close_goes_to_the_parser_and_is_noted():
    setting = Setting()
    setting.reader.feed_data(frame(8, b"\x03\xe8"))
    assert setting.reader.closing
    assert setting.parser.data == [frame(8, b"\x03\xe8")]


@pytest.mark.parametrize(
    "broken",
    [
        frame(0, b"no beginning"),
        frame(3, b"reserved opcode"),
        bytes((0xC1, 1)) + b"x",
    ],
)
def test_what_breaks_the_protocol_is_left_to_the_parser(broken):
    setting = Setting(protocol_error=True)
    assert setting.reader.feed_data(broken + frame(1, b"later")) == (True, b"")
    assert setting.messages == []
    assert setting.parser.data == [broken]


def test_frame_with_a_mask_is_a_fault():
    setting = Setting()
    setting.reader.feed_data(frame(1, b"masked", masked=True) + frame(1, b"later"))
    assert setting.faults == [(1002, "frames of a server must not be masked")]
    assert setting.messages == []
    assert setting.parser.data == []


def test_new_message_amid_fragments_is_left_to_the_parser():
    setting = Setting(protocol_error=True)
    setting.reader.feed_data(frame(1, b"a", fin=False) + frame(1, b"b"))
    assert setting.messages == []
    assert setting.parser.data == [frame(1, b"b")]


@pytest.mark.parametrize(
    "data",
    [
        frame(1, b"x" * 1001),
        frame(1, b"x" * 600, fin=False) + frame(0, b"x" * 401),
        struct.pack("!BBQ", 0x81, 127, 1 << 40),
    ],
)
def test_message_beyond_the_bound_is_told_once_and_ends_the_reading(data):
    setting = Setting(most=1000)
    setting.reader.feed_data(data)
    setting.reader.feed_data(frame(1, b"later"))
    assert setting.faults == [(1009, "a message is larger than 1000 bytes")]
    assert setting.messages == []


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_the_close_behind_a_message_beyond_the_bound_is_still_read(step):
    setting = Setting(most=1000)
    data = frame(1, b"x" * 70_000) + frame(1, b"later") + frame(2, b"", fin=False) + frame(8, b"\x03\xf1")
    for at in range(0, len(data), step):
        setting.reader.feed_data(data[at : at + step])
    assert setting.faults == [(1009, "a message is larger than 1000 bytes")]
    assert setting.messages == []
    assert setting.parser.data == [frame(8, b"\x03\xf1")]
    assert setting.reader.closing


def test_end_is_passed_on():
    setting = Setting()
    setting.reader.feed_eof()
    assert setting.parser.ended
