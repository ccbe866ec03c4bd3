import pytest

from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.dialects.bounds import MAX_VALUES, MOST_BRACKETS, TooMany, count, is_crowded
from softswitch.dialects.rooms import messages, rest
from softswitch.dialects.rustpbx import parse
from softswitch.dialects.wavix.fields import InvalidError, read_object
from softswitch.room.rejection import RoomRefused

MANY = '{"command":"mark","name":"m","x":[' + "1," * MAX_VALUES + "1]}"
CROWDED = '{"command":"mark","name":"m","x":[' + "[]," * MOST_BRACKETS + "1]}"


@pytest.mark.parametrize(
    "message",
    [[0] * (MAX_VALUES + 1), {str(n): n for n in range(MAX_VALUES + 1)}, {"a": [[0] * 500] * 4}],
    ids=["list", "object", "inside"],
)
def test_values_are_counted_wherever_they_are(message: object) -> None:
    with pytest.raises(TooMany, match="more than 2000 values"):
        count(message)


@pytest.mark.parametrize("message", [None, 1, "x" * 100_000, [0] * MAX_VALUES, {"a": [[0] * 400] * 4}])
def test_messages_within_the_bound_are_let_through(message: object) -> None:
    count(message)


def test_brackets_are_counted_in_texts_and_bytes() -> None:
    for text in ("[" * MOST_BRACKETS + "{", b"{" * MOST_BRACKETS + b"["):
        assert is_crowded(text)
        assert not is_crowded(text[1:])


@pytest.mark.parametrize("text", [MANY, CROWDED], ids=["many", "crowded"])
def test_every_dialect_refuses_more_than_the_bound(text: str) -> None:
    with pytest.raises(CommandRejected, match=r"too many lists|more than 2000 values"):
        parse(text)
    with pytest.raises(InvalidError):
        read_object(text.encode())
    with pytest.raises(RoomRefused, match=r"too many lists|more than 2000 values"):
        messages.parse(text)
    with pytest.raises(RoomRefused, match="more than"):
        rest.read_room(text.encode(), 10)
