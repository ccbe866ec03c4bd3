import numpy as np

from softswitch.audio.pcm import FRAME
from softswitch.media.rtp.store import ROOM, PcmStore


def store_of(slots):
    store = PcmStore()
    store.grow(slots)
    return store


def taken(store, slots):
    out = np.full((len(slots), FRAME), -1.0, np.float32)
    store.take(np.array(slots), out)
    return out


def ramp(begin, count):
    return np.arange(begin, begin + count, dtype=np.float32)


def test_whole_frames_come_out_as_they_went_in():
    store = store_of(3)
    store.append(np.array([0, 2]), np.stack([ramp(0, FRAME), ramp(1000, FRAME)]))
    out = taken(store, [0, 2])
    assert (out[0] == ramp(0, FRAME)).all()
    assert (out[1] == ramp(1000, FRAME)).all()
    assert not store.held.any()


def test_pieces_of_any_length_are_joined():
    store = store_of(2)
    line = ramp(0, 3 * FRAME)
    heard, at = [], 0
    for piece in (100, 700, 240, 400):
        store.append(np.array([1]), line[None, at : at + piece])
        at += piece
        if store.held[1] >= FRAME:
            heard.append(taken(store, [1])[0])
    assert (np.concatenate(heard) == line).all()


def test_slots_with_different_lines_are_taken_together():
    store = store_of(2)
    store.append(np.array([0]), ramp(0, 500)[None])
    store.append(np.array([0, 1]), np.stack([ramp(500, FRAME), ramp(0, FRAME)]))
    out = taken(store, [0, 1])
    assert (out[0] == ramp(0, FRAME)).all()
    assert (out[1] == ramp(0, FRAME)).all()
    assert store.held.tolist() == [500, 0]


def test_what_is_missing_is_silence():
    store = store_of(1)
    store.append(np.array([0]), ramp(1, 100)[None])
    out = taken(store, [0])
    assert (out[0, :100] == ramp(1, 100)).all()
    assert not out[0, 100:].any()


def test_line_is_bounded():
    store = store_of(1)
    for _ in range(20):
        store.append(np.array([0]), ramp(0, 1000)[None])
    assert store.held.tolist() == [ROOM]


def test_growing_keeps_what_waits():
    store = store_of(1)
    store.append(np.array([0]), ramp(0, 300)[None])
    store.grow(4)
    store.grow(2)
    assert store.held.tolist() == [300, 0, 0, 0]
    assert (taken(store, [0])[0, :300] == ramp(0, 300)).all()
    store.append(np.array([3]), ramp(0, 10)[None])
    store.clear(3)
    assert not taken(store, [3]).any()
