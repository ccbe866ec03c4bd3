"""Rows and their owners."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.media.slots import Slots


def test_lowest_free_slot_comes_first():
    slots = Slots(4)
    assert [slots.take() for _ in range(4)] == [0, 1, 2, 3]
    slots.release(2)
    slots.release(0)
    assert [slots.take(), slots.take()] == [0, 2]


def test_everything_registered_grows_before_a_new_slot_is_used():
    slots = Slots(2)
    seen: list[int] = []
    slots.on_growth(seen.append)
    for _ in range(5):
        assert slots.take() < seen[-1]
    assert seen == [2, 4, 8]


def test_slot_is_not_given_back_twice():
    slots = Slots()
    slot = slots.take()
    slots.release(slot)
    with pytest.raises(KeyError):
        slots.release(slot)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 30)))
def test_no_slot_has_two_owners(choices):
    slots = Slots(1)
    taken: list[int] = []
    for choice in choices:
        if choice < len(taken):
            slots.release(taken.pop(choice))
        else:
            taken.append(slots.take())
        assert len(set(taken)) == len(taken) == len(slots)
