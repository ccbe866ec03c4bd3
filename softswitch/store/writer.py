"""Writer thread of the store, so that no call waits for the disk."""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

CLOSE_S = 5.0
"""Seconds in which the thread must write its queue when the store closes."""


@dataclass(frozen=True, slots=True)
class _Job(Generic[Item]):
    item: Item
    cost: int
    future: asyncio.Future[bool] | None


class Writer(Generic[Item]):
    """Bounded queue whose items a thread writes in batches."""

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Sequence[bool]],
        *,
        waiting: int,
        waiting_bytes: int,
        batch: int = 256,
    ) -> None:
        """Create a writer; `start` starts its thread.

        Args:
            write: writes a batch, in the thread; returns for each item whether it was stored.
            waiting: most items in the queue.
            waiting_bytes: most bytes in the queue, by the declared costs.
            batch: most items per batch.
        """
        self._write = write
        # Its operations are single calls of C; those of a Queue take locks in Python.
        self._queue: queue.SimpleQueue[_Job[Item] | None] = queue.SimpleQueue()
        self._waiting, self._waiting_bytes = waiting, waiting_bytes
        self._batch = batch
        # The loop changes the first counter only and the thread the second, so that no lock is needed.
        self._bytes_in = 0
        self._bytes_out = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; futures complete on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def put(self, item: Item, *, cost: int = 0, future: asyncio.Future[bool] | None = None) -> bool:
        """Queue an item without waiting.

        Args:
            item: item to write.
            cost: size of the item in bytes.
            future: gets True once the item is stored, False if it is lost; unchanged if it is not queued.

        Returns:
            False if the queue is full or the writer is closed.
        """
        if self._thread is None or self._bytes_in - self._bytes_out + cost > self._waiting_bytes:
            return False
        if self._queue.qsize() >= self._waiting:
            return False
        self._queue.put(_Job(item, cost, future))
        self._bytes_in += cost
        return True

    async def close(self) -> None:
        """Write the queue, then end the thread; return after `CLOSE_S` even if the disk hangs."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        await asyncio.to_thread(self._end, thread)
        if thread.is_alive():
            logger.error(
                "the disk of the store does not respond; queued records are lost",
                extra={"waiting": self._queue.qsize()},
            )

    def _end(self, thread: threading.Thread) -> None:
        self._queue.put(None)
        thread.join(CLOSE_S)

    def _run(self) -> None:
        going = True
        while going:
            jobs = []
            job = self._queue.get()
            while job is not None:
                jobs.append(job)
                if len(jobs) >= self._batch:
                    break
                try:
                    job = self._queue.get_nowait()
                except queue.Empty:
                    break
            going = job is not None
            if jobs:
                self._write_batch(jobs)

    def _write_batch(self, jobs: Sequence[_Job[Item]]) -> None:
        try:
            kept = self._write([job.item for job in jobs])
        except Exception:
            logger.exception("a batch of records could not be written")
            kept = [False] * len(jobs)
        self._bytes_out += sum(job.cost for job in jobs)
        answers = [(job.future, good) for job, good in zip(jobs, kept, strict=True) if job.future is not None]
        if answers and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, answers)


def _settle(answers: Sequence[tuple[asyncio.Future[bool], bool]]) -> None:
    for future, good in answers:
        if not future.done():
            future.set_result(good)
