"""Gives memory back to the system once calls are over."""

import asyncio
import ctypes
import gc
import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)

LOOK_S = 5.0
"""Time between two looks at the number of calls, seconds."""

QUIET_S = 10.0
"""Time without calls after which memory is given back, seconds."""


def trimmer() -> Callable[[], None] | None:
    """Return what makes the C library give free pages back (malloc_trim(3)), None where it has no such call.

    Objects of calls lie scattered among others: by itself it gives back only what lies at its end.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None

    def give() -> None:
        trim(0)

    return give


def settle(trim: Callable[[], None] | None) -> None:
    """Give back what the start took for a while, and keep the collector from what will stay.

    Args:
        trim: :func:`trimmer`.
    """
    gc.collect()
    if trim is not None:
        # What modules and settings were read from is free now.
        trim()
    gc.freeze()


async def give_back(calls: Callable[[], int], trim: Callable[[], None] | None) -> None:
    """Call `trim` each time that no call has run for :data:`QUIET_S` after some did; runs until cancelled.

    With calls it would hold up threads that need memory, the tick's among them, and the next calls need it.

    Args:
        calls: returns how many calls run.
        trim: :func:`trimmer`; called in a thread of its own.
    """
    if trim is None:
        return
    quiet, due = 0.0, False
    while True:
        await asyncio.sleep(LOOK_S)
        if calls():
            quiet, due = 0.0, True
            continue
        quiet += LOOK_S
        if due and quiet >= QUIET_S:
            due = False
            await asyncio.to_thread(trim)
