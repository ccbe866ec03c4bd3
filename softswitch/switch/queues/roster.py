"""Which user of a queue is rung next: the one who has been idle for the longest."""

from collections.abc import Callable, Mapping, Sequence


class Roster:
    """Since when users are idle, and which of them rest because they did not answer. Pure."""

    def __init__(self) -> None:
        """Begin without knowledge: all users have been idle for ever."""
        self._last: dict[str, tuple[float, float]] = {}
        """Time of a user's last call or missed ring, and end of the rest after it."""

    def released(self, user: str, now: float) -> None:
        """Note that a call of a user has ended."""
        self._last[user] = now, now

    def missed(self, user: str, now: float, rest_s: float) -> None:
        """Note that a user was rung and did not answer; the others come before."""
        self._last[user] = now, now + rest_s

    def known(self) -> dict[str, tuple[float, float]]:
        """Return what is known, for other rosters by the same clock."""
        return dict(self._last)

    def learn(self, known: Mapping[str, tuple[float, float]]) -> None:
        """Take over what another roster knows and is newer."""
        for user, last in known.items():
            if last > self._last.get(user, (float("-inf"), 0.0)):
                self._last[user] = last

    def pick(self, users: Sequence[str], is_free: Callable[[str], bool], now: float) -> str | None:
        """Return the user to ring next; None: all are busy, away or resting.

        Args:
            users: Users of the queue; of several who were idle equally long the first is taken.
            is_free: Tells whether a user can be rung and has no call.
            now: Seconds, by the clock of the other times.
        """
        never = float("-inf"), float("-inf")
        found = [user for user in users if self._last.get(user, never)[1] <= now and is_free(user)]
        return min(found, key=lambda user: self._last.get(user, never)[0], default=None)
