import numpy as np
import pytest

from softswitch.rtp.playout import (
    CONCEAL,
    FRAME,
    MOST_DELAY,
    NEVER,
    PLAY,
    RECOVER,
    REPAIRED,
    SILENCE,
    Cursor,
)

DEPTH = 8


def notes(*packets):
    """Return a ring with packets (number, media in frames, duration in frames)."""
    ring = np.zeros((DEPTH, 5), np.int64)
    ring[:, 0] = NEVER
    for number, media, duration in packets:
        ring[number % DEPTH] = number, media * FRAME, duration * FRAME, 160, 0
    return ring


def cursor(next_=10, media=10, newest=20, **options):
    settings = {"run": 0, "low": NEVER, "high": 0, "lasting": FRAME} | options
    return Cursor(next=next_, media=media * FRAME, newest=newest, **settings)


def decided(state, ring, now=12, quiet=False):
    return state.decide(ring, now * FRAME, quiet=quiet)


def test_due_packet_is_played():
    state = cursor(run=FRAME)
    assert decided(state, notes((10, 10, 1))) == (PLAY, FRAME, 10 % DEPTH)
    assert (state.next, state.media, state.run) == (11, 11 * FRAME, 0)


def test_first_packet_sets_the_cursor():
    state = cursor()
    state.media = NEVER
    assert decided(state, notes((10, 17, 1)))[0] == PLAY
    assert state.media == 18 * FRAME


def test_empty_buffer_conceals_and_waits_for_the_same_packet():
    state = cursor(newest=9)
    assert decided(state, notes()) == (CONCEAL, FRAME, -1)
    assert (state.next, state.media) == (10, 11 * FRAME)


def test_packet_that_then_comes_late_is_played_with_more_delay():
    state = cursor(media=11, newest=10, run=FRAME)
    assert decided(state, notes((10, 10, 1)))[0] == PLAY
    assert state.media == 11 * FRAME


def test_single_straggler_is_dropped():
    state = cursor(media=11, newest=11, run=FRAME)
    assert decided(state, notes((10, 10, 1), (11, 11, 1))) == (PLAY, FRAME, 11 % DEPTH)
    assert state.dropped == 1


def test_much_too_late_packet_is_dropped():
    state = cursor(media=40, newest=10, low=0)
    now = 10 + MOST_DELAY // FRAME + 1
    assert decided(state, notes((10, 10, 1)), now=now)[0] == CONCEAL
    assert state.dropped == 1


def test_hole_of_one_packet_is_recovered_from_the_next():
    state = cursor()
    assert decided(state, notes((11, 11, 1))) == (RECOVER, FRAME, 11 % DEPTH)
    assert (state.next, state.media) == (11, 11 * FRAME)


def test_hole_of_many_packets_is_filled_piece_by_piece():
    state = cursor()
    ring = notes((14, 14, 1))
    done = [decided(state, ring)[0] for _ in range(5)]
    assert done == [CONCEAL, CONCEAL, CONCEAL, RECOVER, PLAY]
    assert state.next == 15


@pytest.mark.parametrize("frames", [2, 3])
def test_hole_of_long_packets_is_filled_to_its_end(frames):
    state = cursor(lasting=frames * FRAME)
    ring = notes((12, 10 + 2 * frames, frames))
    total = 0
    while True:
        action, duration, _ = decided(state, ring)
        if action == PLAY:
            break
        total += duration
    assert total == 2 * frames * FRAME


def test_missing_numbers_without_missing_time_are_skipped():
    state = cursor()
    assert decided(state, notes((15, 10, 1)))[0] == PLAY
    assert state.next == 16


def test_pause_between_packets_is_waited_for():
    state = cursor()
    assert decided(state, notes((10, 13, 1))) == (CONCEAL, FRAME, -1)
    assert state.next == 10


def test_announced_pause_is_silent_at_once():
    state = cursor(newest=9)
    assert decided(state, notes(), quiet=True)[0] == SILENCE


def test_concealment_ends_in_silence():
    state = cursor(newest=9)
    done = [decided(state, notes())[0] for _ in range(10)]
    assert done == [CONCEAL] * (REPAIRED // FRAME) + [SILENCE] * 4


def test_silence_puts_the_delay_right_for_nothing():
    deep = cursor(newest=9, run=REPAIRED, low=FRAME, high=2 * FRAME)
    decided(deep, notes(), now=30)
    assert 31 * FRAME - deep.media == 2 * FRAME
    shallow = cursor(newest=9, run=REPAIRED, low=3 * FRAME, high=4 * FRAME)
    decided(shallow, notes(), now=11)
    assert 12 * FRAME - shallow.media == 3 * FRAME


def test_silence_is_never_cut_into_the_packet_behind_it():
    state = cursor(run=REPAIRED, low=0, high=0)
    decided(state, notes((10, 13, 1)), now=40)
    assert state.media == 13 * FRAME


def test_ring_overwritten_altogether_is_as_good_as_empty():
    state = cursor(newest=500)
    assert decided(state, notes())[0] == CONCEAL
