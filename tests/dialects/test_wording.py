"""Words for rejected commands."""

import pytest

from softswitch.call.vocabulary.rejection import CommandRejected, Reason, Rejection
from softswitch.dialects.wording import words


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words(reason: Reason) -> None:
    sentence = words(Rejection(reason, field="layer", value="a{b}", limit=8, text="as the dialect says"))
    assert sentence
    assert "{value" not in sentence


@pytest.mark.parametrize("field", ["Refer.timeout_s", "Collect.digits", "Collect.timeout_ms"])
def test_ranges_are_told_with_their_bounds(field: str) -> None:
    assert any(character.isdigit() for character in words(Rejection(Reason.OUT_OF_RANGE, field)))


def test_words_of_a_dialect_stay_as_they_are() -> None:
    rejected = CommandRejected("headers: 'a b' is no header of one line", 400)
    assert words(rejected.rejection) == str(rejected) == "headers: 'a b' is no header of one line"


def test_values_are_named() -> None:
    rejected = CommandRejected(Reason.UNKNOWN_CALL, 404, field="other", value="x")
    assert words(rejected.rejection) == "targetSessionId: no answered call 'x'"
    assert (rejected.code, rejected.field) == (404, "other")
