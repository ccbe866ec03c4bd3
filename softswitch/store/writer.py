"""One thread that does all the writing, so that no call ever waits for a disk."""

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
"""Seconds that the thread has to write what is waiting at the end."""


@dataclass(frozen=True, slots=True)
class _Job(Generic[Item]):
    item: Item
    cost: int
    future: asyncio.Future[bool] | None


class Writer(Generic[Item]):
    """Take items on the loop, write them in batches in a thread, and tell what became of each."""

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Sequence[bool]],
        *,
        waiting: int,
        waiting_bytes: int,
        batch: int = 256,
    ) -> None:
        """Set the bounds.

        Args:
            write: called in the thread with a batch; returns for each item whether it was kept.
            waiting: most items that may wait.
            waiting_bytes: most bytes that may wait, as their senders declared them.
            batch: most items written at once.
        """
        self._write = write
        self._queue: queue.Queue[_Job[Item] | None] = queue.Queue(waiting)
        self._waiting_bytes = waiting_bytes
        self._batch = batch
        # Each is written by one side only, so that neither needs a lock.
        self._bytes_in = 0
        self._bytes_out = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; the loop that runs now gets the answers."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def put(self, item: Item, *, cost: int = 0, future: asyncio.Future[bool] | None = None) -> bool:
        """Hand over an item, without waiting.

        Args:
            item: what is to be written.
            cost: its size in bytes.
            future: gets the outcome; when the item is not taken, nobody touches it.

        Returns:
            Whether it was taken; False when too much is waiting, or nothing is taken any more.
        """
        if self._thread is None or self._bytes_in - self._bytes_out + cost > self._waiting_bytes:
            return False
        try:
            self._queue.put_nowait(_Job(item, cost, future))
        except queue.Full:
            return False
        self._bytes_in += cost
        return True

    async def close(self) -> None:
        """Write what is waiting, then end the thread; gives up on a disk that hangs."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        await asyncio.to_thread(self._end, thread)
        if thread.is_alive():
            logger.error(
                "the store's disk hangs; what was waiting is lost", extra={"waiting": self._queue.qsize()}
            )

    def _end(self, thread: threading.Thread) -> None:
        try:
            self._queue.put(None, timeout=CLOSE_S)
        except queue.Full:
            return  # the caller sees that the thread still lives, and says so
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
                self._carry_out(jobs)

    def _carry_out(self, jobs: Sequence[_Job[Item]]) -> None:
        try:
            kept = self._write([job.item for job in jobs])
        except Exception:
            logger.exception("a batch of the store failed")
            kept = [False] * len(jobs)
        self._bytes_out += sum(job.cost for job in jobs)
        answers = [(job.future, good) for job, good in zip(jobs, kept, strict=True) if job.future is not None]
        if answers and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, answers)


def _settle(answers: Sequence[tuple[asyncio.Future[bool], bool]]) -> None:
    for future, good in answers:
        if not future.done():
            future.set_result(good)
