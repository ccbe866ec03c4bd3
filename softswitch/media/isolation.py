"""One port's failure is its own: a step over many rows that raises is tried again by halves."""

from collections.abc import Callable


def by_halves(
    first: int, last: int, step: Callable[[int, int], None], failed: Callable[[int, Exception], None]
) -> None:
    """Do `step` for all rows; where it raises, find the guilty ones and do it for the others.

    Args:
        first: first row.
        last: row behind the last one.
        step: does its work for a range of rows. It may be called again for rows of a range in which it
            raised; what those lose by that is a frame.
        failed: told each row that fails by itself, and how.
    """
    if first >= last or (error := _try(first, last, step)) is None:
        return
    if last - first == 1:
        failed(first, error)
        return
    middle = (first + last) // 2
    by_halves(first, middle, step, failed)
    by_halves(middle, last, step, failed)


def _try(first: int, last: int, step: Callable[[int, int], None]) -> Exception | None:
    try:
        step(first, last)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must end one call and not all of them
        return error
    return None
