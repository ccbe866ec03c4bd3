"""The thread that runs the tick every 20 ms, and sleeps while the engine is idle."""

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable

from softswitch.media.engine.clock import Clock, Histogram
from softswitch.media.messages import Output
from softswitch.media.rtp.drain import JUST_PASSED_S

logger = logging.getLogger(__name__)

NICENESS = -10
"""Niceness that the thread asks for: a tick takes little of its 20 ms, but must begin on time."""

RELAY_PERIOD_S = 0.005
"""Longest wait of a relayed packet, seconds: the wait adds jitter at the remote party."""

COMMANDS_S = 0.001
"""Time that the event loop has for commands that came over WebSockets, before they have to wait for the next
tick, seconds."""

LAST_PASS_S = 0.001
"""Time before a tick in which no packets are relayed by themselves, seconds.

Compiled passes end with one that begins then.
"""

MOST_RESTARTS = 10
"""Failures of the thread within :data:`RESTARTS_S` after which it restarts; one more and it gives up."""

RESTARTS_S = 10.0
"""Window in which failures of the thread are counted, seconds."""

PAUSE_S = 0.1
"""Pause between a failure of the thread and its restart, seconds: a lack of memory, say, may be over then."""


class TickThread:
    """A thread that calls `tick` every 20 ms while the engine is busy, and never while it is idle."""

    def __init__(
        self,
        tick: Callable[[float], Output],
        is_idle: Callable[[], bool],
        counters: dict[str, int],
        *,
        is_relaying: Callable[[], bool],
        relay_now: Callable[[float], Output],
        await_relayed: Callable[[float], bool] = lambda seconds: True,
        carry: Callable[[float, float, float, float], tuple[float, Output] | None] | None = None,
        is_serving: Callable[[], bool] = lambda: False,
        read_sockets: Callable[[float], Output] = lambda now: Output(),
    ) -> None:
        """Prepare the thread; it runs after :meth:`start`.

        Args:
            tick: called with monotonic seconds; an exception from it is logged and counted.
            is_idle: called before every tick; True: no tick is needed until :meth:`wake`.
            counters: gets ticks, late_ticks, jumped_ticks, tick_errors, emit_errors and thread_restarts.
            is_relaying: called between two ticks; True: relayed packets must not wait for the next tick.
            relay_now: called with monotonic seconds while `is_relaying` and packets come, every 5 ms at most.
            await_relayed: waits so many seconds at most; returns False where no packet to relay came.
            carry: does what `await_relayed` and `relay_now` do, in turn; see :meth:`Engine.carry`.
            is_serving: called before a tick; True: there are WebSockets to be read.
            read_sockets: called with monotonic seconds before a tick while `is_serving`.
        """
        self.seconds = Histogram()
        """Histogram of the duration of ticks."""
        self._tick, self._is_idle, self._counters = tick, is_idle, counters
        self._is_relaying, self._relay_now, self._await_relayed = is_relaying, relay_now, await_relayed
        self._carry = carry
        self._passed = -float("inf")
        """Monotonic seconds of the last pass of `carry`."""
        self._is_serving, self._read_sockets = is_serving, read_sockets
        self._clock = Clock()
        self._emit: Callable[[Output], None] | None = None
        self._wakened = threading.Condition()
        self._asleep = False
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._on_died: Callable[[], None] | None = None
        self._failures: deque[float] = deque(maxlen=MOST_RESTARTS + 1)
        self._alive_at = 0.0
        """Monotonic seconds at which the thread last began a tick, was woken or was started."""

    def start(self, emit: Callable[[Output], None], on_died: Callable[[], None] | None = None) -> None:
        """Begin to tick.

        Args:
            emit: called from the thread with every output that is not empty.
            on_died: called from the thread when it gives up after repeated failures; all calls are silent
                from then on.

        Raises:
            RuntimeError: the thread runs already.
        """
        if self._thread is not None:
            raise RuntimeError("the engine runs already")
        self._emit, self._on_died, self._stopping = emit, on_died, False
        self._alive_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="media-tick", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the current tick, and wait for it."""
        if self._thread is None:
            return
        with self._wakened:
            self._stopping = True
            self._wakened.notify()
        self._thread.join()
        self._thread = None

    def wake(self) -> None:
        """Make a sleeping thread check again whether it is idle; cheap where it is awake."""
        if self._asleep:
            self._alive_at = time.monotonic()
            with self._wakened:
                self._wakened.notify()

    def age_s(self) -> float:
        """Return the seconds since the last tick began; 0 while idle, infinite where no thread runs."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return float("inf")
        if self._asleep and self._is_idle():
            return 0.0
        return max(time.monotonic() - self._alive_at, 0.0)

    def _run(self) -> None:
        """Tick until stopped; restart the loop after a failure outside a tick's own work."""
        ask_for_priority()
        while not self._stopping:
            try:
                self._keep_ticking()
            except BaseException as error:  # noqa: BLE001 - without this thread all calls are silent for ever
                if not self._may_restart(error):
                    return

    def _may_restart(self, error: BaseException) -> bool:
        """Count a failure of the thread; return False, and call `on_died`, after too many."""
        now = time.monotonic()
        self._failures.append(now)
        self._counters["thread_restarts"] += 1
        self._asleep = False
        gives_up = len(self._failures) > MOST_RESTARTS and now - self._failures[0] < RESTARTS_S
        with contextlib.suppress(Exception):
            outcome = "gives up: all calls are silent" if gives_up else "restarts"
            logger.critical("the media thread failed", extra={"outcome": outcome}, exc_info=error)
        if gives_up and self._on_died is not None:
            self._on_died()
        if not gives_up:
            with self._wakened:
                self._wakened.wait_for(lambda: self._stopping, PAUSE_S)
        return not gives_up

    def _keep_ticking(self) -> None:
        self._clock.restart(time.monotonic())
        while not self._stopping:
            self._sleep_while_idle()
            self._wait()
            now = self._alive_at = time.monotonic()
            self._clock.begin(now)
            self._count()
            waited = self._serve(now)
            self._once(self._tick, now)
            self.seconds.observe(time.monotonic() - now - waited)

    def _sleep_while_idle(self) -> None:
        if not self._is_idle():
            return
        with self._wakened:
            # Set before the last check of is_idle: a thread that posts after that check sees _asleep and
            # notifies, so that its message is not missed.
            self._asleep = True
            while self._is_idle() and not self._stopping:
                self._wakened.wait()
            self._alive_at = time.monotonic()
            self._asleep = False
        self._clock.restart(time.monotonic())

    def _wait(self) -> None:
        """Sleep until the next tick; while ports are relayed, forward their packets every 5 ms.

        Calls that are silent, or ring, wake the thread as seldom as others.
        """
        carried = self._alive_at
        if carried - self._passed < JUST_PASSED_S:
            carried = self._passed
        while (delay := self._clock.wait_s(now := time.monotonic())) > 0:
            if not self._is_relaying():
                time.sleep(delay)
                return
            if (passed := self._carried(carried, now + delay)) is not None:
                carried = self._passed = passed
                continue
            # A pass less than a millisecond before the tick would find nothing that the tick does not carry
            # itself.
            if max(carried + RELAY_PERIOD_S - now, 0.0) > delay - LAST_PASS_S:
                time.sleep(delay)
                return
            # Where nothing comes, as while calls ring, the thread wakes once, for the tick.
            if not self._await_relayed(delay):
                continue
            now = time.monotonic()
            rest = carried + RELAY_PERIOD_S - now
            if rest > 0.0:
                time.sleep(rest)
                now = time.monotonic()
            if self._clock.wait_s(now) < LAST_PASS_S:
                continue
            carried = now
            self._once(self._relay_now, now)

    def _carried(self, passed: float, until: float) -> float | None:
        """Relay packets in compiled code; return when it did so last, None where it did not."""
        if self._carry is None:
            return None
        try:
            done = self._carry(passed, until, RELAY_PERIOD_S, LAST_PASS_S)
        except Exception:
            self._counters["tick_errors"] += 1
            logger.exception("relaying failed")
            return None
        if done is None:
            return None
        self.hand_out(done[1])
        return done[0]

    def _serve(self, now: float) -> float:
        """Read WebSockets; where there is more than audio, let the event loop see to it before the tick.

        Returns:
            Seconds that were waited.
        """
        if not (self._is_serving() and self._once(self._read_sockets, now)):
            return 0.0
        time.sleep(COMMANDS_S)
        return COMMANDS_S

    def _once(self, work: Callable[[float], Output], now: float) -> bool:
        """Work, and emit what comes of it; return False where nothing did."""
        try:
            output = work(now)
        except Exception:
            # The engine isolates failures of ports and steps itself; this protects the thread from the rest.
            self._counters["tick_errors"] += 1
            logger.exception("tick failed")
            return False
        return self.hand_out(output)

    def hand_out(self, output: Output) -> bool:
        """Emit an output; return False where it is empty."""
        if self._emit is None:
            return False
        if not (output.reports or output.frames or output.datagrams or output.strays or output.roused):
            return False
        try:
            self._emit(output)
        except Exception:
            self._counters["emit_errors"] += 1
            logger.exception("the receiver of the media engine's output failed")
        return True

    def _count(self) -> None:
        self._counters["ticks"] = self._clock.ticks
        self._counters["late_ticks"] = self._clock.late
        self._counters["jumped_ticks"] = self._clock.jumped


def ask_for_priority() -> bool:
    """Raise the priority of the calling thread; return False without the right to do so (CAP_SYS_NICE)."""
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    except OSError:
        logger.debug("the media thread runs at ordinary priority: CAP_SYS_NICE is missing")
        return False
    return True
