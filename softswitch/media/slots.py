"""Allocation of array rows (slots)."""

from collections.abc import Callable
from heapq import heappop, heappush


class Slots:
    """Free list of row numbers that doubles when it is used up.

    The lowest free number is handed out first, so that the rows in use stay close together in memory.
    """

    def __init__(self, capacity: int = 16) -> None:
        """Begin with `capacity` free slots."""
        self.capacity = capacity
        self._free = list(range(capacity))
        self._taken: set[int] = set()
        self._growing: list[Callable[[int], None]] = []

    def __len__(self) -> int:
        return len(self._taken)

    def on_growth(self, grow: Callable[[int], None]) -> None:
        """Call `grow` with the number of slots now, and after every growth."""
        self._growing.append(grow)
        grow(self.capacity)

    def take(self) -> int:
        """Return a free slot; all registered callbacks have been called with a sufficient number before."""
        if not self._free:
            self._double()
        slot = heappop(self._free)
        self._taken.add(slot)
        return slot

    def release(self, slot: int) -> None:
        """Free a slot.

        Raises:
            KeyError: the slot is free already; freeing it twice would give one row to two owners.
        """
        self._taken.remove(slot)
        heappush(self._free, slot)

    def _double(self) -> None:
        before, self.capacity = self.capacity, 2 * self.capacity
        for grow in self._growing:
            grow(self.capacity)
        self._free.extend(range(before, self.capacity))
