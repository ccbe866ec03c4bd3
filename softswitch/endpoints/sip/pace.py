"""How many calls may begin in a second, and how many there may be at once."""

from collections.abc import Callable


class Pace:
    """A token bucket: as many calls at once as a second may have, refilled evenly."""

    def __init__(self, per_second: int, clock: Callable[[], float]) -> None:
        """Begin full; 0 a second means no bound."""
        self._per_second = per_second
        self._clock = clock
        self._tokens = float(per_second)
        self._filled_at = clock()

    def take(self) -> bool:
        """Take one call's worth; False where the second has had its calls."""
        if not self._per_second:
            return True
        now = self._clock()
        self._tokens = min(self._per_second, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
