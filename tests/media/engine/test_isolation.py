"""Finding the guilty rows."""

from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.media.engine.isolation import by_halves


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 40), st.sets(st.integers(0, 39)))
def test_failing_rows_are_reported_and_the_others_processed(rows, guilty):
    done: set[int] = set()
    blamed: list[int] = []

    def step(first, last):
        if guilty.intersection(range(first, last)):
            raise RuntimeError(first)
        done.update(range(first, last))

    by_halves(0, rows, step, lambda row, error: blamed.append(row))
    assert blamed == sorted(guilty.intersection(range(rows)))
    assert done == set(range(rows)) - guilty


def test_step_is_called_once_where_nothing_fails():
    calls = []
    by_halves(3, 9, lambda first, last: calls.append((first, last)), lambda row, error: None)
    assert calls == [(3, 9)]
