"""The rate of commands of one client."""


class Bucket:
    """A token bucket that fills at a rate and holds the tokens of one second."""

    def __init__(self, per_second: float, now: float) -> None:
        """Start full."""
        self._rate = per_second
        self._level = per_second
        self._at = now

    def take(self, now: float) -> bool:
        """Take a token; return False where the bucket is empty."""
        self._level = min(self._rate, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True
