"""Moments as text."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softswitch.protocol.instants import epoch_ms_of, rfc3339


@given(st.dates())
def test_dates_equal_those_of_the_standard_library(day: date) -> None:
    expected = round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    assert epoch_ms_of(day.isoformat()) == expected
    assert epoch_ms_of(day.isoformat(), end=True) == expected + 86_400_000


@given(st.integers(0, 4_000_000_000))
def test_moment_comes_back(second: int) -> None:
    assert epoch_ms_of(rfc3339(second * 1000)) == second * 1000


def test_offset_is_taken_off() -> None:
    assert epoch_ms_of("2026-01-15T10:30:00+01:30") == epoch_ms_of("2026-01-15T09:00:00Z")


@pytest.mark.parametrize(
    "text", ["", "today", "2026-13-01", "2026-02-29", "2026-01-15T24:00:00Z", "0000-01-01"]
)
def test_other_text_is_no_date(text: str) -> None:
    with pytest.raises(ValueError, match="date"):
        epoch_ms_of(text)
