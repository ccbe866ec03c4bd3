"""How many commands a client may send."""


class Bucket:
    """A token bucket: so many a second, and as many at once."""

    def __init__(self, per_second: float, now: float) -> None:
        """Start full."""
        self._rate = per_second
        self._level = per_second
        self._at = now

    def take(self, now: float) -> bool:
        """Take one; False where there is none."""
        self._level = min(self._rate, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True
