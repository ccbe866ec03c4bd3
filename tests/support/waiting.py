"""Bounded waits for conditions that no event announces; an elapsed bound fails the test and names them."""

import asyncio
import threading
import time
from collections.abc import Callable

SECONDS = 60.0
"""Default bound: long, since a loaded machine is no fault; a wait that succeeds ends at once."""
_LOOK_S = 0.005


async def until(condition: Callable[[], object], what: str = "", seconds: float = SECONDS) -> None:
    """Let the loop run until a condition holds.

    Args:
        condition: Called again and again; it must not block.
        what: Names the condition in the failure.
        seconds: Bound.
    """
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise AssertionError(what or f"{condition!r} did not hold within {seconds:g} s") from None


def until_in_threads(condition: Callable[[], object], what: str = "", seconds: float = SECONDS) -> None:
    """Let other threads and processes run until a condition holds; without a loop."""
    never, end = threading.Event(), time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(what or f"{condition!r} did not hold within {seconds:g} s")
        never.wait(_LOOK_S)
