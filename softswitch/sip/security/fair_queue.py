"""Queue of datagrams from unknown sources, which are served in turn: none of them delays another one long."""

from collections import deque
from typing import Generic, TypeVar

from softswitch.sip.security.guard import source_of

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Bounded queue that takes one item of each source in turn.

    Args:
        most: Items of all sources together.
        most_bytes: Size of all items together.
        per_source: Items of one source: an IPv4 address, or a /64 network of IPv6. Where there are so many
            sources that not all can have so many, each may have its share of `most`: one more source finds
            room.
    """

    def __init__(self, *, most: int = 4096, most_bytes: int = 4_194_304, per_source: int = 16) -> None:
        self._most, self._most_bytes, self._per_source = most, most_bytes, per_source
        self._waiting: dict[str, deque[tuple[Item, int]]] = {}
        """Items with their sizes by source; the source whose turn is next comes first."""
        self._count = self._bytes = 0

    def __len__(self) -> int:
        return self._count

    def put(self, host: str, item: Item, size: int) -> bool:
        """Append an item of a host; return False if it has to be dropped."""
        if self._count >= self._most or self._bytes + size > self._most_bytes:
            return False
        source = source_of(host) if ":" in host else host
        items = self._waiting.get(source)
        if items is None:
            items = self._waiting[source] = deque()
        elif len(items) >= min(self._per_source, self._most // (len(self._waiting) + 1)):
            return False
        items.append((item, size))
        self._count += 1
        self._bytes += size
        return True

    def take(self) -> Item | None:
        """Remove and return the first item of the source whose turn it is; None if the queue is empty."""
        if not self._count:
            return None
        source = next(iter(self._waiting))
        items = self._waiting.pop(source)
        item, size = items.popleft()
        self._count -= 1
        self._bytes -= size
        if items:
            self._waiting[source] = items  # behind all others
        return item

    def clear(self) -> None:
        """Drop all items."""
        self._waiting.clear()
        self._count = self._bytes = 0
