"""Destinations of calls."""

import pytest

from softswitch.dialects.wavix.destinations import check_destination, is_number


@pytest.mark.parametrize(
    "text",
    [
        "+4930123456",
        "4930123456",
        "echo",
        "tone",
        "alice",
        "sip:a@b.example;transport=tcp",
        "sips:a@b",
        "tel:+1",
        "room:r1",
    ],
)
def test_known_kinds_are_taken(text):
    assert check_destination(text, ["alice"]) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bob",
        "+0123",
        "12",
        "1" * 17,
        "sip:",
        "sip:a b",
        "sip:a\r\nX: y",
        "http://x",
        "room:",
        "room:../x",
        "stream:ws://x",
    ],
)
def test_everything_else_is_explained(text):
    assert "E.164" in (check_destination(text, ["alice"]) or "")


def test_numbers_are_told_from_names():
    assert is_number("+4930123456")
    assert not is_number("sip:4930123456@x")
