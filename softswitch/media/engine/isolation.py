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
    except Exception as error:  # noqa: BLE001 - any error of one port must end that call, not all calls
        halved(first, last, error, step, on_failed)


def halved(
    first: int,
    last: int,
    error: Exception,
    step: Callable[[int, int], None],
    on_failed: Callable[[int, Exception], None],
) -> None:
    """Do what :func:`by_halves` does after `step` raised `error` for the whole range.

    What is done in every tick then needs neither a function for `step` nor one for `on_failed`.
    """
    if last - first == 1:
        on_failed(first, error)
        return
    middle = (first + last) // 2
    by_halves(first, middle, step, on_failed)
    by_halves(middle, last, step, on_failed)
