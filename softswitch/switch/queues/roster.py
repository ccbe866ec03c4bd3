"""Which user of a queue is rung next: the one who has been idle for the longest."""

from collections.abc import Callable, Sequence


class Roster:
    """Since when users are idle, and which of them rest because they did not answer. Pure."""

    def __init__(self) -> None:
        """Begin without knowledge: all users have been idle for ever."""
        self._idle_since: dict[str, float] = {}
        self._rests_until: dict[str, float] = {}

    def released(self, user: str, now: float) -> None:
        """Note that a call of a user has ended."""
        self._idle_since[user] = now
        self._rests_until.pop(user, None)

    def missed(self, user: str, now: float, rest_s: float) -> None:
        """Note that a user was rung and did not answer; the others come before."""
        self._idle_since[user] = now
        self._rests_until[user] = now + rest_s

    def pick(self, users: Sequence[str], is_free: Callable[[str], bool], now: float) -> str | None:
        """Return the user to ring next; None: all are busy, away or resting.

        Args:
            users: Users of the queue; of several who were idle equally long the first is taken.
            is_free: Tells whether a user can be rung and has no call.
            now: Monotonic seconds.
        """
        found = [user for user in users if self._rests_until.get(user, now) <= now and is_free(user)]
        return min(found, key=lambda user: self._idle_since.get(user, float("-inf")), default=None)
