"""Queue of the outputs of a recognition stream, between the recogniser and the call that reads them."""

import asyncio
from collections import deque

from softswitch.speech.interface import AsrOutput

MAX_OUTPUTS = 256
"""Outputs that may wait for their reader; of more, the oldest is dropped."""


class OutputQueue:
    """Bounded queue that is read by `async for` until it ends."""

    def __init__(self, most: int = MAX_OUTPUTS) -> None:
        self._most = most
        self._outputs: deque[AsrOutput] = deque()
        self._changed = asyncio.Event()
        self.ended = False
        """Whether nothing will follow."""

    def __len__(self) -> int:
        """Return how many outputs wait."""
        return len(self._outputs)

    def __aiter__(self) -> "OutputQueue":
        return self

    async def __anext__(self) -> AsrOutput:
        """Return the next output, as soon as there is one."""
        while not self._outputs:
            if self.ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._outputs.popleft()

    def put(self, output: AsrOutput) -> bool:
        """Add an output, unless the queue has ended; return False where the oldest was dropped for it."""
        if self.ended:
            return True
        full = len(self._outputs) >= self._most
        if full:
            self._outputs.popleft()
        self._outputs.append(output)
        self._changed.set()
        return not full

    def end(self) -> None:
        """Add nothing more; what waits can still be read."""
        self.ended = True
        self._changed.set()

    def close(self) -> None:
        """Drop what waits, and end."""
        self._outputs.clear()
        self.end()
