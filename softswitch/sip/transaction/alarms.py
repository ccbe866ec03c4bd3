"""Alarms of a user agent: callbacks in a heap ordered by time; the caller passes the time in."""

import heapq
from collections.abc import Callable


class Alarm:
    """A callback that is due at a time, unless it is stopped before."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def stop(self) -> None:
        """Drop the callback; stopping twice is harmless."""
        self.callback = None


class Alarms:
    """All alarms of one user agent."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm]] = []
        self._number = 0

    def at(self, when: float, callback: Callable[[], None]) -> Alarm:
        """Set an alarm; `take_due` returns `callback` from `when` (monotonic seconds) on."""
        alarm = Alarm(when, callback)
        # The number keeps alarms of one instant in the order in which they were set.
        self._number += 1
        heapq.heappush(self._heap, (when, self._number, alarm))
        # Most SIP timers are stopped long before they are due, and stay in the heap until then. Removing them
        # every 4096 alarms bounds the memory, at a cost that is small per alarm.
        if self._number % 4096 == 0:
            self._remove_stopped()
        return alarm

    def next(self) -> float | None:
        """Return when the next alarm is due, None if none is set."""
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> Callable[[], None] | None:
        """Remove the next alarm that is due at `now` and return its callback, None if none is due."""
        when = self.next()
        if when is None or when > now:
            return None
        alarm = heapq.heappop(self._heap)[2]
        callback = alarm.callback
        alarm.stop()
        return callback

    def __len__(self) -> int:
        return sum(alarm.callback is not None for _, _, alarm in self._heap)

    def _remove_stopped(self) -> None:
        self._heap = [entry for entry in self._heap if entry[2].callback is not None]
        heapq.heapify(self._heap)
