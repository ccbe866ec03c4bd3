"""What is due when: a heap of alarms on a clock that is handed in."""

import heapq
from collections.abc import Callable


class Alarm:
    """Something to be done at a time, unless it is stopped before."""

    __slots__ = ("call", "when")

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call: Callable[[], None] | None = call

    def stop(self) -> None:
        """Forget it; stopping twice is harmless."""
        self.call = None


class Alarms:
    """All alarms of one user agent."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm]] = []
        self._number = 0

    def at(self, when: float, call: Callable[[], None]) -> Alarm:
        """Have `call` called once `due` reaches `when` (monotonic seconds)."""
        alarm = Alarm(when, call)
        # The number keeps alarms of one instant in the order they were set.
        self._number += 1
        heapq.heappush(self._heap, (when, self._number, alarm))
        if self._number % 4096 == 0:
            self._sweep()
        return alarm

    def next(self) -> float | None:
        """Return when the next alarm is due."""
        while self._heap and self._heap[0][2].call is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Callable[[], None] | None:
        """Take the next thing that is due at `now`, None when there is nothing."""
        when = self.next()
        if when is None or when > now:
            return None
        alarm = heapq.heappop(self._heap)[2]
        call = alarm.call
        alarm.stop()
        return call

    def __len__(self) -> int:
        return sum(alarm.call is not None for _, _, alarm in self._heap)

    def _sweep(self) -> None:
        """Drop stopped alarms: most timers of SIP are stopped long before they are due."""
        self._heap = [entry for entry in self._heap if entry[2].call is not None]
        heapq.heapify(self._heap)
