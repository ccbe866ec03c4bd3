"""WebSocket frames written straight to the transport."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softswitch.endpoints.frames import FrameWriter, header


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


def test_slow_reader_loses_audio_first_and_is_told_once() -> None:
    wire, slow, dropped = Wire(), [], []
    writer = FrameWriter(wire, 2000, lambda: slow.append(1), lambda: dropped.append(1), audio_limit=1000)
    wire.reads = False
    for _ in range(10):
        writer.binary(b"x" * 200)
    assert len(dropped) == 5
    for _ in range(20):
        writer.text("y" * 100)
    assert slow == [1]
    before = len(wire.written)
    writer.text("more")
    writer.binary(b"more")
    assert len(wire.written) == before


@pytest.mark.parametrize("text", ["", "é", "\ud800"])
def test_any_text_is_written(text: str) -> None:
    wire = Wire()
    FrameWriter(wire, 100, lambda: None, lambda: None).text(text)
    assert wire.written[0] == 0x81


def test_nothing_is_written_to_a_connection_that_is_gone() -> None:
    wire = Wire()
    writer = FrameWriter(wire, 100, lambda: None, lambda: None)
    wire.closing = True
    writer.text("late")
    writer.binary(b"late")
    assert not wire.written
