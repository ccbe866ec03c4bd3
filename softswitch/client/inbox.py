"""What came from the switch and who waits for it: events kept for late readers, audio within bounds."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Entry(Generic[T]):
    number: int
    item: T
    taken: bool = False


class Inbox(Generic[T]):
    """Keeps what happened in order; every reader goes through all of it at his own pace."""

    def __init__(self, kept: int) -> None:
        """Make an inbox that keeps the last `kept` items."""
        self.closed = False
        self.missed = 0
        """Items that were dropped before some reader came to them."""
        self._entries: deque[_Entry[T]] = deque(maxlen=kept)
        self._count = 0
        self._news = asyncio.Event()

    def put(self, item: T) -> None:
        """Add an item, and wake those who wait."""
        self._entries.append(_Entry(self._count, item))
        self._count += 1
        self._wake()

    def close(self) -> None:
        """Say that nothing follows."""
        self.closed = True
        self._wake()

    async def news(self) -> None:
        """Wait until something is added, or nothing will be."""
        await self._news.wait()

    async def read(self) -> AsyncGenerator[T, None]:
        """Yield every item, those first that came already; end when nothing follows."""
        position = 0
        while True:
            news = self._news
            for entry in self._since(position):
                self.missed += entry.number - position
                position = entry.number + 1
                yield entry.item
            if self.closed and position == self._count:
                return
            if position == self._count:
                await news.wait()

    async def take(self, wanted: Callable[[T], bool]) -> T | None:
        """Return the first item that is wanted and was not taken before; None when none will come."""
        while True:
            news = self._news
            for entry in self._entries:
                if not entry.taken and wanted(entry.item):
                    entry.taken = True
                    return entry.item
            if self.closed:
                return None
            await news.wait()

    def _since(self, position: int) -> list[_Entry[T]]:
        first = self._count - len(self._entries)
        return list(islice(self._entries, max(position - first, 0), None))

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class AudioQueue:
    """Audio on its way to the application; live, so the oldest gives way when nobody takes it."""

    def __init__(self, bound: int) -> None:
        """Make a queue of at most `bound` messages."""
        self.dropped = 0
        """Messages nobody took in time."""
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(bound)

    def put(self, data: bytes) -> None:
        """Add a message."""
        self._push(data)

    def close(self) -> None:
        """Say that nothing follows."""
        self._push(None)

    async def read(self) -> AsyncGenerator[bytes, None]:
        """Yield messages until nothing follows."""
        while (data := await self._queue.get()) is not None:
            yield data
        # Another reader, or the same one later, finds the end as well.
        self.close()

    def _push(self, item: bytes | None) -> None:
        if self._queue.full():
            self._queue.get_nowait()
            self.dropped += 1
        self._queue.put_nowait(item)
