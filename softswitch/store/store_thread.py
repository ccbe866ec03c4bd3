"""The thread in which a store reads its database and its files, off the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from softswitch.errors import UnavailableError

Result = TypeVar("Result")


class StoreThread:
    """Thread that does blocking work of a store, one piece after another."""

    def __init__(self) -> None:
        """Prepare; :meth:`start` begins to take work."""
        self._executor: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Begin to take work."""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="store-reader")

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do a piece of work in the thread; return its result, or raise its exception.

        Raises:
            UnavailableError: The thread was not started, or is closed.
        """
        if self._executor is None:
            raise UnavailableError("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def close(self, last: Callable[[], None]) -> None:
        """Do a last piece of work, then end the thread; closing twice is harmless."""
        executor = self._executor
        if executor is not None:
            await self.run(last)
            self._executor = None
            executor.shutdown()
