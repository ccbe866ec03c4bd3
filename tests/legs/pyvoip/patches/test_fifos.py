"""The replacements of pyVoIP's packet buffers."""

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.legs.pyvoip.pyvoip import Arriving, Leaving

QUIET = bytes([0x80])


def audio(value: int, length: int = 160) -> bytes:
    return bytes([value]) * length


def test_arriving_gives_audio_back_in_order_and_silence_after_it() -> None:
    fifo = Arriving()
    fifo.write(1000, audio(1))
    fifo.write(1160, audio(2))
    assert fifo.waiting == 320
    assert fifo.read(160) == audio(1)
    assert fifo.read(200) == audio(2) + QUIET * 40
    assert fifo.waiting == 0


def test_arriving_fills_a_hole_with_silence_and_drops_what_comes_after_it() -> None:
    fifo = Arriving()
    fifo.write(0, audio(1))
    fifo.write(320, audio(3))
    fifo.write(160, audio(2))
    assert fifo.read(480) == audio(1) + QUIET * 160 + audio(3)
    assert (fifo.filled, fifo.late) == (160, 1)


def test_arriving_goes_on_where_the_timestamp_wraps() -> None:
    fifo = Arriving()
    fifo.write(2**32 - 160, audio(1))
    fifo.write(0, audio(2))
    assert fifo.read(320) == audio(1) + audio(2)
    assert (fifo.jumps, fifo.filled, fifo.late) == (0, 0, 0)


def test_arriving_follows_a_jump_either_way_at_once() -> None:
    fifo = Arriving()
    for timestamp in (0, 3_000_000_000, 5):
        fifo.write(timestamp, audio(7))
        assert fifo.read(160) == audio(7)
    assert fifo.jumps == 2


def test_arriving_takes_no_more_memory_for_a_packet_from_far_ahead() -> None:
    fifo = Arriving()
    fifo.write(0, audio(1))
    tracemalloc.start()
    fifo.write(2**32 - 9000, audio(2))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2000)), max_size=60))
def test_arriving_keeps_one_second_of_whatever_comes(packets: list[tuple[int, int]]) -> None:
    fifo = Arriving()
    for timestamp, length in packets:
        fifo.write(timestamp, audio(1, length))
        assert 0 <= fifo.waiting <= 8000
    waiting = fifo.waiting
    assert len(fifo.read(160)) == 160
    assert fifo.waiting == max(0, waiting - 160)


def test_leaving_waits_for_two_frames_and_then_goes_on() -> None:
    fifo = Leaving()
    fifo.write(0, audio(1))
    assert fifo.read(160) == QUIET * 160
    fifo.write(160, audio(2))
    assert [fifo.read(160) for _ in range(3)] == [audio(1), audio(2), QUIET * 160]


def test_leaving_drops_the_oldest_beyond_200_ms() -> None:
    fifo = Leaving()
    for number in range(15):
        fifo.write(0, audio(number))
    assert fifo.dropped == 5 * 160
    assert fifo.read(160) == audio(5)
