"""Absolute deadlines of ticks, with counts of late and skipped ones, and a histogram for metrics."""

from bisect import bisect_left
from itertools import accumulate

from softswitch.audio.pcm import TICK_MS

PERIOD_S = TICK_MS / 1000
"""Time between two ticks, seconds."""

LATE_S = 0.005
"""Delay after its deadline from which a tick counts as late, seconds."""

CATCH_UP = 5
"""Delayed ticks that are made up for, one right after the other; earlier ones are skipped."""


class Clock:
    """Deadlines at ``start + n * 20 ms``; every method gets the monotonic time, so that tests control it."""

    def __init__(self) -> None:
        self.ticks = 0
        """Ticks begun."""
        self.late = 0
        """Ticks begun more than :data:`LATE_S` after their deadline."""
        self.jumped = 0
        """Deadlines that passed without a tick."""
        self._next = 0.0

    def restart(self, now: float) -> None:
        """Make the next tick due at `now`, after a time in which the engine was idle."""
        self._next = now

    def wait_s(self, now: float) -> float:
        """Return the seconds until the next deadline; negative once it has passed."""
        return self._next - now

    def begin(self, now: float) -> None:
        """Note that a tick begins, and set the next deadline.

        The deadline advances by one period however late the tick is. A late tick is therefore followed at
        once by the ticks that it delayed, and no audio is lost. Delays of more than :data:`CATCH_UP` periods
        are skipped instead: after a stop of a second, that second of audio is of no use to a conversation.
        """
        lateness = now - self._next
        self.ticks += 1
        if lateness > LATE_S:
            self.late += 1
        if lateness > CATCH_UP * PERIOD_S:
            skipped = int(lateness / PERIOD_S)
            self.jumped += skipped
            self._next += skipped * PERIOD_S
        self._next += PERIOD_S


class Histogram:
    """Histogram of durations with the buckets that Prometheus expects."""

    BOUNDS = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.04, 0.1)
    """Upper bounds, seconds."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.counts = [0] * (len(self.BOUNDS) + 1)
        """Observations per bucket, not cumulative; the last bucket lies above every bound."""
        self.sum = 0.0
        """Sum of all observations, seconds."""

    @property
    def count(self) -> int:
        """Number of observations."""
        return sum(self.counts)

    def buckets(self) -> tuple[tuple[float, int], ...]:
        """Return each upper bound with the number of observations at or below it; the last is infinite."""
        return tuple(zip((*self.BOUNDS, float("inf")), accumulate(self.counts), strict=True))

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.BOUNDS, seconds)] += 1
        self.sum += seconds
