"""The queue between an application and the tick."""

from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.media.feeds.feed_fifo import FeedFifo


def fifo(**options) -> FeedFifo:
    return FeedFifo(**{"frame_bytes": 8, "unit": 2, "capacity_ms": 200, "prebuffer_ms": 0} | options)


def words(count: int) -> bytes:
    return b"".join(word.to_bytes(2, "big") for word in range(count))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), st.none()), max_size=60), st.integers(20, 400))
def test_what_comes_out_went_in_and_levels_add_up(steps, capacity_ms):
    queue, put, taken = fifo(capacity_ms=capacity_ms), b"", b""
    for step in steps:
        if step is None:
            taken += queue.take() or b""
        elif not queue.put(step):
            put += step
        else:
            # Something was dropped: the streams may differ from here on.
            break
        assert queue.level == len(put) - len(taken)
    assert put.startswith(taken)
    assert queue.level <= capacity_ms * 8 / 20


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=40))
def test_samples_stay_whole_through_any_loss(sizes):
    queue, stream, out, at = fifo(capacity_ms=60), words(1000), b"", 0
    for size in sizes:
        queue.put(stream[at : at + size])
        at += size
        if size % 3 == 0:
            out += queue.take() or b""
    while data := queue.take():
        out += data
    values = [int.from_bytes(out[place : place + 2], "big") for place in range(0, len(out) // 2 * 2, 2)]
    assert values == sorted(set(values))
    assert all(value < 1000 for value in values)


def test_frame_is_cut_from_the_middle_of_a_piece():
    queue = fifo()
    queue.put(words(11))
    assert [queue.take() for _ in range(4)] == [words(11)[:8], words(11)[8:16], words(11)[16:], None]
    assert queue.underruns == 1


def test_half_a_sample_waits_for_its_other_half():
    queue = fifo()
    queue.put(b"\x01")
    assert queue.take() is None
    queue.put(b"\x02\x03\x04")
    assert queue.take() == b"\x01\x02\x03\x04"


def test_pieces_are_bounded_however_small(monkeypatch):
    monkeypatch.setattr("softswitch.media.feeds.feed_fifo._MOST_PIECES", 3)
    queue = fifo()
    assert [queue.put(b"ab") for _ in range(5)] == [0, 0, 0, 2, 2]
    assert queue.dropped == 4
