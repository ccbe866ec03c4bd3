"""Bounds of calls."""

import pytest

from softswitch.endpoints.pyvoip.account import MAX_CALLS
from softswitch.endpoints.pyvoip.room import FullError, Room
from softswitch.settings import Trunk


def test_thirty_calls_are_carried_and_the_next_is_told_why_not() -> None:
    room = Room([])
    for _ in range(MAX_CALLS):
        room.enter("")
    with pytest.raises(FullError, match="pyVoIP carries 30 calls at once") as told:
        room.enter("")
    assert (told.value.trunk, told.value.code) == ("", 503)
    assert (room.total, room.refused[""]) == (30, 1)
    room.leave("")
    room.enter("")


def test_trunk_has_bounds_of_its_own() -> None:
    now = [0.0]
    trunks = [Trunk("t", ("h",), max_calls=2), Trunk("fast", ("h",), calls_per_second=1)]
    room = Room(trunks, clock=lambda: now[0])
    room.enter("t")
    room.enter("t")
    with pytest.raises(FullError, match="max_calls") as told:
        room.enter("t")
    assert told.value.trunk == "t"
    room.enter("fast")
    with pytest.raises(FullError, match="calls_per_second"):
        room.enter("fast")
    now[0] = 1.0
    room.enter("fast")
    assert room.calls == {"": 0, "t": 2, "fast": 2}


def test_nobody_gets_in_when_the_switch_goes_down() -> None:
    room = Room([])
    room.is_closed = True
    with pytest.raises(FullError, match="going down"):
        room.enter("")
