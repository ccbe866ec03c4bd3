"""Many cursors at once decide as each of them would alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.rtp.packet import UNITS_PER_MS
from softswitch.rtp.playout import FRAME, NEVER, Cursor
from softswitch.rtp.playout_rows import Cursors

DEPTH = 8
FIELDS = ("next", "media", "run", "low", "high", "lasting", "newest", "dropped")


@st.composite
def slots(draw):
    """Return a cursor and its ring: packets missing, early, late, of odd durations and out of step."""
    ring = np.zeros((DEPTH, 5), np.int64)
    ring[:, 0] = NEVER
    first = draw(st.integers(90, 110))
    for number in range(first, first + draw(st.integers(0, DEPTH))):
        if draw(st.booleans()):
            duration = draw(st.sampled_from([0, 10, 20, 30, 60])) * UNITS_PER_MS
            off = draw(st.sampled_from([0, 0, 0, 3, -3, 11, -11, 40, -40, 300])) * UNITS_PER_MS
            ring[number % DEPTH] = number, number * FRAME + off, duration, 160, 0
    low = draw(st.sampled_from([NEVER, 20 * UNITS_PER_MS, 60 * UNITS_PER_MS]))
    cursor = Cursor(
        next=draw(st.integers(88, 116)),
        media=draw(st.sampled_from([NEVER, *range(88 * FRAME, 120 * FRAME, 7 * UNITS_PER_MS)])),
        run=draw(st.sampled_from([0, FRAME, 6 * FRAME, 60 * FRAME])),
        low=low,
        high=0 if low == NEVER else low + draw(st.sampled_from([0, 12, 25])) * UNITS_PER_MS,
        lasting=draw(st.sampled_from([0, FRAME // 2, FRAME, 3 * FRAME])),
        newest=draw(st.integers(88, 118)),
    )
    return cursor, ring, draw(st.booleans())


def together(cursors):
    return Cursors(*(np.array([getattr(cursor, name) for cursor in cursors], np.int64) for name in FIELDS))


def assert_same(cursors, many):
    for name in FIELDS:
        assert getattr(many, name).tolist() == [getattr(cursor, name) for cursor in cursors], name


@settings(max_examples=400, deadline=None)
@given(st.lists(slots(), min_size=1, max_size=6), st.integers(88 * FRAME, 150 * FRAME))
def test_rows_decide_as_each_alone(members, now):
    cursors, rings = [one for one, _, _ in members], np.stack([ring for _, ring, _ in members])
    many = together(cursors)
    for step in range(4):
        said = many.decide(rings, now + step * FRAME, np.array([quiet for _, _, quiet in members]))
        for row, (cursor, ring, quiet) in enumerate(members):
            alone = cursor.decide(ring, now + step * FRAME, quiet=quiet)
            assert (said.action[row], said.duration[row], said.index[row]) == alone
        assert_same(cursors, many)


def ring_of(*packets):
    ring = np.zeros((DEPTH, 5), np.int64)
    ring[:, 0] = NEVER
    for number, media, duration in packets:
        ring[number % DEPTH] = number, media, duration, 160, 0
    return ring


def waiting(next_, low):
    return Cursor(next=next_, media=next_ * FRAME, run=0, low=low, high=low, lasting=FRAME, newest=20)


def test_leap_gives_up_what_is_too_late_and_begins_with_a_whole_packet():
    rings = np.stack(
        [
            ring_of(*((number, number * FRAME, FRAME) for number in (10, 11, 15, 16))),
            ring_of(*((number, number * FRAME - FRAME // 4, FRAME) for number in (10, 11, 15, 16))),
            ring_of((10, 10 * FRAME, FRAME), (19, 19 * FRAME, FRAME)),
            ring_of((10, 10 * FRAME, FRAME)),
        ]
    )
    many = together([waiting(10, 2 * FRAME) for _ in range(4)])
    many.leap(rings, 17 * FRAME)
    assert many.next.tolist() == [15, 15, 19, 21]
    assert many.media.tolist() == [15 * FRAME, 15 * FRAME - FRAME // 4, 15 * FRAME, 15 * FRAME]
    assert many.dropped.tolist() == [2, 2, 1, 1]
