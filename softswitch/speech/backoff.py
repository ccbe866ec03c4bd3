"""How long to leave alone what has just failed, so that it is not asked again by all callers at once."""

from collections.abc import Callable
from random import random


class Backoff:
    """Waits twice as long after each failure in a row; pure, the time is an argument."""

    def __init__(
        self, first_s: float = 0.5, longest_s: float = 30.0, *, chance: Callable[[], float] = random
    ) -> None:
        """Begin with no failure.

        Args:
            first_s: wait after the first failure.
            longest_s: bound of the wait.
            chance: 0 to 1; a wait is shortened by up to a quarter, so that many do not come back together.
        """
        self._first_s = first_s
        self._longest_s = longest_s
        self._chance = chance
        self._failures = 0
        self._due = 0.0

    def failed(self, now: float) -> float:
        """Note a failure; return the seconds to wait."""
        wait_s = min(self._first_s * 2.0**self._failures, self._longest_s)
        # Beyond this the power only grows; the wait does not.
        self._failures = min(self._failures + 1, 32)
        wait_s *= 1.0 - 0.25 * self._chance()
        self._due = now + wait_s
        return wait_s

    def succeeded(self) -> None:
        """Forget the failures."""
        self._failures = 0
        self._due = 0.0

    def wait_s(self, now: float) -> float:
        """Return the seconds still to wait, 0 where it may be tried now."""
        return max(self._due - now, 0.0) if self._failures else 0.0
