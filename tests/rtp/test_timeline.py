import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.rtp.packet import UNITS, UNITS_PER_MS
from softswitch.rtp.timeline import Arrivals, Timeline

FRAME = 20 * UNITS_PER_MS


class Stream:
    """One slot's packets of G.711, 8000 Hz."""

    def __init__(self):
        self.timeline = Timeline(1)

    def take(self, number, stamp, at_ms, ptime_ms=20):
        """Return the packet's media time in milliseconds after time zero."""
        one = np.array([0])
        packets = Arrivals(
            slots=one,
            extended=np.array([number]),
            stamps=np.array([stamp & 0xFFFFFFFF]),
            steps=np.array([UNITS // 8000]),
            durations=np.array([ptime_ms * UNITS_PER_MS]),
            kinds=one,
            rows=np.zeros((1, 200), np.uint8),
            offsets=one,
            lengths=one,
        )
        placed = self.timeline.place(packets, round(at_ms * UNITS_PER_MS))
        return int(placed.media[0]) / UNITS_PER_MS


@pytest.fixture
def stream():
    return Stream()


def test_first_packet_lies_where_it_arrives(stream):
    assert stream.take(7, 12345, 500) == 500


def test_packets_in_order_lie_end_to_end_whatever_the_network_does(stream):
    assert [stream.take(n, 160 * n, 20 * n + delay) for n, delay in enumerate((0, 30, 5, 55))] == [
        0,
        20,
        40,
        60,
    ]


def test_wrapping_timestamps_go_on(stream):
    base = 2**32 - 320
    assert [stream.take(n, base + 160 * n, 20 * n) for n in range(5)] == [0, 20, 40, 60, 80]


def test_late_packet_lies_before_the_newest(stream):
    stream.take(0, 0, 0)
    stream.take(2, 320, 40)
    assert stream.take(1, 160, 50) == 20
    assert stream.take(3, 480, 60) == 60


def test_missing_packets_leave_their_time(stream):
    stream.take(0, 0, 0)
    assert stream.take(5, 800, 100) == 100


def test_pause_without_packets_is_believed(stream):
    stream.take(0, 0, 0)
    assert stream.take(1, 8000, 1000) == 1000


def test_pause_filled_with_keys_is_as_long_as_the_timestamps_say(stream):
    stream.take(0, 0, 0)
    assert stream.take(9, 800, 100) == 100


def test_mixed_durations_lie_end_to_end(stream):
    assert stream.take(0, 0, 0, ptime_ms=60) == 0
    assert stream.take(1, 480, 60, ptime_ms=10) == 60
    assert stream.take(2, 560, 70, ptime_ms=30) == 70
    assert stream.take(4, 560 + 240 + 480, 160, ptime_ms=20) == 160


@pytest.mark.parametrize("stamp", [lambda n: 0, lambda n: n * 320, lambda n: (n * 2654435761) % 2**32])
def test_frozen_wrong_and_random_timestamps_play_by_sequence(stream, stamp):
    found = [stream.take(n, stamp(n), 20 * n) for n in range(100)]
    assert found == [20 * n for n in range(100)]


@pytest.mark.parametrize("jump", [28_800_000, -100_000, 2**31])
def test_jump_of_timestamps_is_none_of_time(stream, jump):
    stream.take(0, 0, 0)
    assert stream.take(1, 160 + jump, 20) == 20
    assert stream.take(2, 320 + jump, 40) == 40


def test_pause_that_timestamps_do_not_know_is_one_all_the_same(stream):
    stream.take(0, 0, 0)
    assert stream.take(1, 160, 30_000) == 30_000
    assert stream.take(2, 320, 30_020) == 30_020


def test_new_clock_goes_on_from_the_old(stream):
    stream.take(0, 0, 0)
    one = np.array([0])
    packets = Arrivals(
        one,
        np.array([1]),
        np.array([960]),
        np.array([1]),
        np.array([FRAME]),
        one,
        np.zeros((1, 99), np.uint8),
        one,
        one,
    )
    assert stream.timeline.place(packets, FRAME).media.tolist() == [FRAME]


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(1, 4), st.floats(0, 80)), min_size=1, max_size=50),
)
@settings(deadline=None, max_examples=60)
def test_losses_and_jitter_move_no_packet(first, steps):
    stream = Stream()
    stream.take(0, first, 0)
    number = 0
    for step, delay in steps:
        number += step
        assert stream.take(number, first + 160 * number, 20 * number + delay) == 20 * number


@given(
    st.lists(st.tuples(st.integers(-40, 40), st.integers(0, 2**32 - 1), st.integers(0, 3000)), max_size=50)
)
@settings(deadline=None, max_examples=100)
def test_no_stream_leaves_the_present(packets):
    stream = Stream()
    stream.take(0, 0, 0)
    number, now, newest = 0, 0, 0
    for step, stamp, later in packets:
        now += later
        place = number + step
        media = stream.take(place, stamp, now)
        if place > number:
            number, newest = place, media
    # Wherever a hostile stream went, the newest packet is within a second of when it came, or by order.
    assert newest <= now + 1000 + 20 * 40
