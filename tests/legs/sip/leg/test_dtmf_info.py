"""Digits in INFO."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.legs.sip.leg.dtmf_info import TYPES, read_digit, write_digit

RELAY, PLAIN = TYPES


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        ("Signal=5\r\nDuration=160\r\n", RELAY, ("5", 160)),
        ("Signal= 5\nDuration= 250\n", RELAY, ("5", 250)),
        ("signal=*", RELAY, ("*", 160)),
        ("Signal=11\r\nDuration=999999\r\n", RELAY, ("#", 5000)),
        ("Signal=a\r\n", RELAY, ("A", 160)),
        ("7", PLAIN, ("7", 160)),
        (" # \r\n", PLAIN, ("#", 160)),
        ("10", PLAIN, ("*", 160)),
        ("Signal=3\r\nDuration=100", PLAIN, ("3", 100)),
        ("", PLAIN, None),
        ("Duration=100", RELAY, None),
        ("Signal=55", RELAY, None),
        ("5", "text/plain", None),
    ],
)
def test_digit_is_read_as_phones_write_it(body, kind, expected):
    assert read_digit(body, kind) == expected


@given(digit=st.sampled_from("0123456789*#ABCD"), duration=st.integers(1, 5000))
@settings(deadline=None, max_examples=30)
def test_digit_that_is_written_is_read_again(digit, duration):
    assert read_digit(write_digit(digit, duration), RELAY) == (digit, duration)
