"""When the next tick is due: absolute deadlines, with every late and every skipped one counted."""

from bisect import bisect_left
from itertools import accumulate

from softswitch.audio.pcm import TICK_MS

PERIOD_S = TICK_MS / 1000
"""Time between two ticks, seconds."""

LATE_S = 0.005
"""A tick that starts so much after its deadline is late, seconds."""

CATCH_UP = 5
"""Ticks that are made up for, one right after the other; time beyond them is skipped."""


class Clock:
    """Deadlines at ``start + n * 20 ms``; it reads no clock itself, `now` is told."""

    def __init__(self) -> None:
        """Begin with nothing due."""
        self.ticks = 0
        """Ticks begun."""
        self.late = 0
        """Ticks begun more than 5 ms after their deadline."""
        self.jumped = 0
        """Deadlines that passed without a tick."""
        self._next = 0.0

    def restart(self, now: float) -> None:
        """Let the next tick be due at `now`: there was nothing to do before."""
        self._next = now

    def wait_s(self, now: float) -> float:
        """Return the seconds until the next deadline, negative where it has passed."""
        return self._next - now

    def begin(self, now: float) -> None:
        """Note that a tick begins, and set the next deadline.

        A tick that is behind is followed at once by those it delayed, so that no audio is lost; but no more
        than :data:`CATCH_UP` of them, since after a second's stop nobody wants to hear that second.
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
    """How often something took how long, in buckets as Prometheus counts them."""

    BOUNDS = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.04, 0.1)
    """Upper bounds, seconds."""

    def __init__(self) -> None:
        """Begin with nothing observed."""
        self.counts = [0] * (len(self.BOUNDS) + 1)
        """Observations per bucket, not cumulated; the last one is above every bound."""
        self.sum = 0.0
        """Seconds in all."""

    @property
    def count(self) -> int:
        """Observations in all."""
        return sum(self.counts)

    def buckets(self) -> tuple[tuple[float, int], ...]:
        """Return each upper bound and the observations at or below it, the last bound being infinite."""
        return tuple(zip((*self.BOUNDS, float("inf")), accumulate(self.counts), strict=True))

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.BOUNDS, seconds)] += 1
        self.sum += seconds
