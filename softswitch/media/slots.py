"""Rows of the arrays: who has which, and how they grow."""

from collections.abc import Callable
from heapq import heappop, heappush


class Slots:
    """A free list of row numbers that doubles when it is used up.

    The lowest free number is always handed out first, so that the rows in use stay close together.
    """

    def __init__(self, capacity: int = 16) -> None:
        """Make `capacity` free slots."""
        self.capacity = capacity
        self._free = list(range(capacity))
        self._taken: set[int] = set()
        self._growing: list[Callable[[int], None]] = []

    def __len__(self) -> int:
        return len(self._taken)

    def on_growth(self, grow: Callable[[int], None]) -> None:
        """Call `grow` with the number of slots now, and again whenever there are more."""
        self._growing.append(grow)
        grow(self.capacity)

    def take(self) -> int:
        """Return a free slot; everything that was registered has grown before."""
        if not self._free:
            self._double()
        slot = heappop(self._free)
        self._taken.add(slot)
        return slot

    def release(self, slot: int) -> None:
        """Give a slot back.

        Raises:
            KeyError: it is not taken, which would hand one row to two owners later.
        """
        self._taken.remove(slot)
        heappush(self._free, slot)

    def _double(self) -> None:
        before, self.capacity = self.capacity, 2 * self.capacity
        for grow in self._growing:
            grow(self.capacity)
        self._free.extend(range(before, self.capacity))
