"""Queues between a client's socket and the application: events for any number of readers, audio for one."""

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
    """The last items in order; every reader gets all of them at its own pace."""

    def __init__(self, kept: int) -> None:
        """Keep the last `kept` items."""
        self.closed = False
        self.missed = 0
        """Items that were dropped before a reader came to them."""
        self._entries: deque[_Entry[T]] = deque(maxlen=kept)
        self._count = 0
        self._news = asyncio.Event()

    def put(self, item: T) -> None:
        """Add an item and wake the readers."""
        self._entries.append(_Entry(self._count, item))
        self._count += 1
        self._wake()

    def close(self) -> None:
        """Wake the readers: no item follows."""
        self.closed = True
        self._wake()

    async def news(self) -> None:
        """Wait until an item is added or the inbox is closed."""
        await self._news.wait()

    async def read(self) -> AsyncGenerator[T, None]:
        """Yield every item from the oldest kept on, until the inbox is closed."""
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
        """Return the first wanted item that was not taken before; None when the inbox closes without one."""
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
    """Audio on its way to the application; the oldest is dropped when the application does not read it."""

    def __init__(self, bound: int) -> None:
        """Make a queue of at most `bound` messages."""
        self.dropped = 0
        """Messages that were not read in time."""
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(bound)

    def put(self, data: bytes) -> None:
        """Add a message; beyond the bound the oldest is dropped."""
        self._push(data)

    def close(self) -> None:
        """Wake the readers: no item follows."""
        self._push(None)

    async def read(self) -> AsyncGenerator[bytes, None]:
        """Yield messages until the queue is closed."""
        while (data := await self._queue.get()) is not None:
            yield data
        # The end is put back: another reader has to find it as well.
        self.close()

    def _push(self, item: bytes | None) -> None:
        if self._queue.full():
            self._queue.get_nowait()
            self.dropped += 1
        self._queue.put_nowait(item)
