"""Whether this process should get calls, and a watch over its event loop."""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

from softswitch.metrics import Metrics

logger = logging.getLogger(__name__)

BEAT_S = 0.25
LATE_S = 0.1
"""A loop that is late by this much is reported with what it was doing."""
DEAD_S = 5.0
"""A loop that is late by this much makes the process unready."""


class Readiness:
    """Collects what must be true, and beats once in a while to see how late the loop is."""

    def __init__(self, metrics: Metrics) -> None:
        """Start ready, without checks."""
        self._checks: dict[str, Callable[[], bool]] = {}
        self._metrics = metrics
        self._beat = time.monotonic()
        self._stop = threading.Event()
        self._loop_thread = threading.get_ident()

    def check(self, name: str, holds: Callable[[], bool]) -> None:
        """Add something that must be true."""
        self._checks[name] = holds

    def faults(self) -> list[str]:
        """Return the names of what is not true."""
        faults = [name for name, holds in self._checks.items() if not holds()]
        if time.monotonic() - self._beat > DEAD_S:
            faults.append("loop")
        return faults

    async def run(self) -> None:
        """Beat until cancelled; a thread looks at the beat and writes down what holds the loop up."""
        self._loop_thread = threading.get_ident()
        watcher = threading.Thread(target=self._watch, name="loop-watch", daemon=True)
        watcher.start()
        try:
            while True:
                before = self._beat = time.monotonic()
                await asyncio.sleep(BEAT_S)
                self._metrics.loop_lag_seconds.observe(max(0.0, time.monotonic() - before - BEAT_S))
        finally:
            self._stop.set()

    def _watch(self) -> None:
        told = 0.0
        while not self._stop.wait(BEAT_S):
            beat = self._beat
            late = time.monotonic() - beat - BEAT_S
            if late > LATE_S and beat != told:
                told = beat
                frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001  (the documented way)
                stack = "".join(traceback.format_stack(frame)[-8:]) if frame else ""
                logger.warning("the event loop is held up", extra={"late_s": round(late, 3), "stack": stack})
