"""Isolation of failures: a step over many rows that raises is repeated by halves until one row is blamed."""

from collections.abc import Callable


def by_halves(
    first: int, last: int, step: Callable[[int, int], None], on_failed: Callable[[int, Exception], None]
) -> None:
    """Run `step` over a range of rows; where it raises, find the rows that fail and run it for the others.

    k failing rows among n cost about k * 2 * log2(n) extra calls; a tick without failures costs one call.

    Args:
        first: first row.
        last: row behind the last one.
        step: processes rows `first` up to `last`. Rows of a range in which it raised are processed again, so
            that a stateful step may lose one frame of these rows.
        on_failed: called with each row that fails alone, and its exception.
    """
    if first >= last:
        return
    try:
        step(first, last)
    except Exception as fault:  # noqa: BLE001 - any error of one port must end that call, not all calls
        error = fault
    else:
        return
    if last - first == 1:
        on_failed(first, error)
        return
    middle = (first + last) // 2
    by_halves(first, middle, step, on_failed)
    by_halves(middle, last, step, on_failed)
