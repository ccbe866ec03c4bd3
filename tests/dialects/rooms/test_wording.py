"""Words and codes of what a room refuses."""

import pytest

from softswitch.dialects.rooms.wording import error_code, message, refusal_message, refusal_phrase
from softswitch.room.rejection import CODES, RoomReason, RoomRefused


@pytest.mark.parametrize("reason", RoomReason)
def test_every_reason_has_a_code_a_status_and_words(reason: RoomReason) -> None:
    assert error_code(reason).isupper()
    assert 400 <= CODES[reason] < 500
    assert message(reason, value="anna")


def test_words_of_the_part_that_refuses_go_first() -> None:
    assert refusal_message(RoomRefused(RoomReason.INVALID, "name: must be a text")) == "name: must be a text"
    assert refusal_message(RoomRefused(RoomReason.ALREADY_JOINED, value="anna")) == (
        "anna is already in the room"
    )


def test_a_refused_call_hears_code_and_words() -> None:
    assert refusal_phrase(RoomRefused(RoomReason.UNKNOWN_ROOM)) == "ROOM_NOT_FOUND: Room does not exist"
