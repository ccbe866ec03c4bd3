"""Readiness of this process for calls, and a watch over its event loop."""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence

from softswitch.metrics import Metrics

logger = logging.getLogger(__name__)

BEAT_S = 0.25
LATE_S = 0.1
"""A loop that is late by this much is reported with what it was doing."""
DEAD_S = 5.0
"""A loop that is late by this much makes the process unready."""


PROBE_S = 5.0
"""Time between two probes, each."""
PROBE_LIMIT_S = 15.0
"""A probe that takes longer has failed."""

Check = Callable[[], bool]
Warn = Callable[[], Sequence[str]]
Probe = Callable[[], Awaitable[object]]


class Readiness:
    """Collects what must be true, and beats once in a while to see how late the loop is.

    Parts register what they know: :meth:`check` a condition without which no call should come here,
    :meth:`warn` what an operator should hear of although calls may come, :meth:`probe` what keeps a condition
    true to the facts while nothing else would touch it.
    """

    def __init__(self, metrics: Metrics) -> None:
        """Start ready, without checks."""
        self._checks: dict[str, Check] = {}
        self._vital: set[str] = set()
        self._warnings: list[Warn] = []
        self._probes: dict[str, Probe] = {}
        self._metrics = metrics
        self._beat = time.monotonic()
        self._stop = threading.Event()
        self._loop_thread = threading.get_ident()
        self._feed: Callable[[], object] | None = None
        self._feed_s = self._fed = 0.0

    def check(self, name: str, holds: Check, *, vital: bool = False) -> None:
        """Add a check.

        Args:
            name: what `/readyz` calls it when it is not.
            holds: asked for each answer; quick, and what it raises counts as False.
            vital: nothing but a new process mends it: the watchdog starves while it is false.
        """
        self._checks[name] = holds
        if vital:
            self._vital.add(name)

    def warn(self, says: Warn) -> None:
        """Add a source of warnings for the operator; it returns none while all is well."""
        self._warnings.append(says)

    def probe(self, name: str, work: Probe) -> None:
        """Have something tried every few seconds, for the sake of a check that reads its outcome."""
        self._probes[name] = work

    def watchdog(self, seconds: float, feed: Callable[[], object]) -> None:
        """Call `feed` at least three times in `seconds` from now on, while all that is vital is true."""
        self._feed, self._feed_s = feed, seconds / 3

    def faults(self) -> list[str]:
        """Return the names of the checks that fail."""
        faults = [name for name in self._checks if not self._holds(name)]
        if time.monotonic() - self._beat > DEAD_S:
            faults.append("loop")
        return faults

    def vital(self) -> bool:
        """Tell whether everything holds without which only a new process helps."""
        return all(self._holds(name) for name in self._vital)

    def warnings(self) -> list[str]:
        """Return the warnings for the operator."""
        return [text for says in self._warnings for text in says()]

    def _holds(self, name: str) -> bool:
        try:
            return self._checks[name]()
        except Exception:
            logger.exception("a check of readiness failed", extra={"check": name})
            return False

    async def run(self) -> None:
        """Beat until cancelled; a thread watches the beat, and logs the stack that holds the loop up."""
        self._loop_thread = threading.get_ident()
        watcher = threading.Thread(target=self._watch, name="loop-watch", daemon=True)
        watcher.start()
        try:
            async with asyncio.TaskGroup() as group:
                for name, work in self._probes.items():
                    group.create_task(self._keep_probing(name, work))
                await self._keep_beating()
        finally:
            self._stop.set()

    async def _keep_beating(self) -> None:
        while True:
            before = self._beat = time.monotonic()
            self._feed_watchdog(before)
            await asyncio.sleep(BEAT_S)
            self._metrics.loop_lag_seconds.observe(max(0.0, time.monotonic() - before - BEAT_S))

    def _feed_watchdog(self, now: float) -> None:
        if self._feed is None or now - self._fed < self._feed_s:
            return
        if self.vital():
            self._feed()
            self._fed = now

    async def _keep_probing(self, name: str, work: Probe) -> None:
        while True:
            try:
                async with asyncio.timeout(PROBE_LIMIT_S):
                    await work()
            except Exception:
                logger.exception("a probe failed", extra={"probe": name})
            await asyncio.sleep(PROBE_S)

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
