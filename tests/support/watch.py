"""What the switch's own work costs: the processor time of each callback of its loop, and of each tick.

Processor time, not time on the wall: a loaded machine makes both threads wait, and neither of them work.
"""

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from softswitch.media.engine.tick_thread import TickThread
from softswitch.media.messages import Output


class Work:
    """The longest piece of work so far, on the loop and in a tick."""

    def __init__(self) -> None:
        self.loop_s = 0.0
        self.tick_s = 0.0
        self.what = ""
        self.callbacks = 0

    def ran(self, seconds: float, what: object) -> None:
        """Take a callback of the loop."""
        self.callbacks += 1
        if seconds > self.loop_s:
            self.loop_s, self.what = seconds, repr(getattr(what, "__self__", what))[:400]


@contextlib.contextmanager
def watching(thread_name: str = "switch under test") -> Iterator[Work]:
    """Watch the loop that runs in a thread, and the ticks of this process.

    The garbage collector rests meanwhile: what it takes depends on all that the test process has ever held.
    """
    work = Work()
    run = asyncio.Handle._run
    once = TickThread._once

    def watched_run(handle: asyncio.Handle) -> None:
        if threading.current_thread().name != thread_name:
            run(handle)
            return
        what = handle._callback  # type: ignore[attr-defined]
        begun = time.thread_time()
        run(handle)
        work.ran(time.thread_time() - begun, what)

    def watched_tick(thread: TickThread, tick: Callable[[float], Output], now: float) -> None:
        begun = time.thread_time()
        once(thread, tick, now)
        work.tick_s = max(work.tick_s, time.thread_time() - begun)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", watched_run)
        patch.setattr(TickThread, "_once", watched_tick)
        gc.collect()
        gc.disable()
        try:
            yield work
        finally:
            gc.enable()
