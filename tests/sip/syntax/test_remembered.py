"""Tests of the memory of parsed texts."""

import pytest

from softswitch.sip.syntax.field_values import parse_address, parse_via
from softswitch.sip.syntax.grammar import MalformedError
from softswitch.sip.syntax.remembered import LONGEST_TEXT, MOST_TEXTS, remembered


def test_short_texts_are_parsed_once_for_each_field() -> None:
    """A text is parsed once; another field, which its errors would name, is another text."""
    parsed: list[tuple[str, str]] = []

    @remembered
    def parse(text: str, field: str = "From") -> int:
        parsed.append((text, field))
        return len(text)

    assert [parse("abc"), parse("abc"), parse("abc", "To"), parse("abc", "To")] == [3, 3, 3, 3]
    assert parsed == [("abc", "From"), ("abc", "To")]


def test_the_memory_is_bounded() -> None:
    """Long texts are not kept, and of short ones `MOST_TEXTS`."""
    parsed: list[str] = []

    @remembered
    def parse(text: str) -> str:
        parsed.append(text)
        return text

    long = "x" * (LONGEST_TEXT + 1)
    parse(long), parse(long)
    assert parsed == [long, long]
    for number in range(MOST_TEXTS + 1):
        parse(str(number))
    parse("0")
    assert parsed.count("0") == 2


def test_errors_name_the_field_each_time() -> None:
    """A malformed value raises at each attempt, with the field of that attempt."""
    for field in ("From", "To", "From"):
        with pytest.raises(MalformedError) as caught:
            parse_address("<sip:", field)
        assert caught.value.field == field


def test_changed_copies_leave_the_remembered_value_alone() -> None:
    """A change makes a copy: the next reader gets what the text says."""
    text = "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport"
    parse_via(text).parameters.replace(received="192.0.2.9")
    assert "received" not in parse_via(text).parameters
