"""The thread that ticks: it keeps time, and sleeps while there is nothing to carry."""

import logging
import os
import threading
import time
from collections.abc import Callable

from softswitch.media.clock import Clock, Histogram
from softswitch.media.messages import Output

logger = logging.getLogger(__name__)

NICENESS = -10
"""Scheduling priority that the thread asks for: a few hundred microseconds of every 20 ms must not wait."""


HURRY_S = 0.005
"""Relayed packets wait at most so long, seconds: more would be jitter of our making to their far ends."""


class TickThread:
    """Calls `tick` every 20 ms while it is busy, and not at all while it is idle."""

    def __init__(
        self,
        tick: Callable[[float], Output],
        is_idle: Callable[[], bool],
        counters: dict[str, int],
        *,
        is_hurried: Callable[[], bool],
        hurry: Callable[[float], Output],
    ) -> None:
        """Make the thread; it runs after :meth:`start`.

        Args:
            tick: given the monotonic time in seconds; an exception from it is logged and counted.
            is_idle: asked before every tick whether none is needed until :meth:`wake`.
            counters: gets ticks, late_ticks, jumped_ticks, tick_errors and emit_errors.
            is_hurried: asked between two ticks whether something cannot wait for the next.
            hurry: then given the time every 5 ms.
        """
        self.seconds = Histogram()
        """How long ticks took."""
        self._tick, self._is_idle, self._counters = tick, is_idle, counters
        self._is_hurried, self._hurry = is_hurried, hurry
        self._clock = Clock()
        self._emit: Callable[[Output], None] | None = None
        self._wakened = threading.Condition()
        self._asleep = False
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self, emit: Callable[[Output], None]) -> None:
        """Begin to tick; `emit` is called from the thread for every output that has something in it.

        Raises:
            RuntimeError: it runs already.
        """
        if self._thread is not None:
            raise RuntimeError("the engine runs already")
        self._emit, self._stopping = emit, False
        self._thread = threading.Thread(target=self._run, name="media-tick", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the tick it is in, and wait for it."""
        if self._thread is None:
            return
        with self._wakened:
            self._stopping = True
            self._wakened.notify()
        self._thread.join()
        self._thread = None

    def wake(self) -> None:
        """Let a sleeping thread look again whether it is idle; cheap where it does not sleep."""
        if self._asleep:
            with self._wakened:
                self._wakened.notify()

    def _run(self) -> None:
        ask_for_priority()
        self._clock.restart(time.monotonic())
        while not self._stopping:
            self._sleep_while_idle()
            self._wait()
            now = time.monotonic()
            self._clock.begin(now)
            self._count()
            self._once(self._tick, now)
            self.seconds.observe(time.monotonic() - now)

    def _sleep_while_idle(self) -> None:
        if not self._is_idle():
            return
        with self._wakened:
            # Said before the last look: whoever posts after that look finds us asleep and notifies.
            self._asleep = True
            while self._is_idle() and not self._stopping:
                self._wakened.wait()
            self._asleep = False
        self._clock.restart(time.monotonic())

    def _wait(self) -> None:
        """Sleep until the next tick, and see to what cannot wait for it every 5 ms."""
        while (delay := self._clock.wait_s(time.monotonic())) > 0:
            # A look within a millisecond of the last one, or of the tick, would be for nothing.
            steps = int((delay - 0.001) / HURRY_S) if self._is_hurried() else 0
            time.sleep(delay - steps * HURRY_S)
            if not steps:
                return
            self._once(self._hurry, time.monotonic())

    def _once(self, work: Callable[[float], Output], now: float) -> None:
        try:
            output = work(now)
        except Exception:
            # The engine answers for each port's failure itself; this is the last net under all calls at once.
            self._counters["tick_errors"] += 1
            logger.exception("tick failed")
            return
        self.hand_out(output)

    def hand_out(self, output: Output) -> None:
        """Emit an output that has something in it."""
        if self._emit is None or not (output.reports or output.frames or output.datagrams):
            return
        try:
            self._emit(output)
        except Exception:
            self._counters["emit_errors"] += 1
            logger.exception("output of a tick was not taken")

    def _count(self) -> None:
        self._counters["ticks"] = self._clock.ticks
        self._counters["late_ticks"] = self._clock.late
        self._counters["jumped_ticks"] = self._clock.jumped


def ask_for_priority() -> bool:
    """Put the calling thread before ordinary ones; False where that needs a right (CAP_SYS_NICE) it lacks."""
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    except OSError:
        logger.debug("the media thread has no priority over others")
        return False
    return True
