"""The place of a worker in its environment."""

import msgspec
import pytest

from softswitch.bus.place import VARIABLE, Place, mark_of, socket_path, take_place

PLACE = Place(number=7, host="east", workers=4, control=5, run="/tmp/run", secret="s")


def test_a_place_is_taken_out_of_the_environment():
    environ = {VARIABLE: msgspec.json.encode(PLACE).decode(), "OTHER": "1"}
    assert take_place(environ) == PLACE
    assert environ == {"OTHER": "1"}
    assert take_place(environ) is None
    assert PLACE.node == "east.7"
    assert socket_path(PLACE.run, PLACE.node) == "/tmp/run/7.sock"


def test_a_malformed_place_is_an_error():
    with pytest.raises(msgspec.MsgspecError):
        take_place({VARIABLE: "{}"})


def test_marks_are_tokens_of_one_length():
    assert {mark_of(1), mark_of(0x1FFFF)} == {"s0001", "sffff"}
