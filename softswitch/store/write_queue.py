"""What waits to be written: rows of the database, lines of dumps, and probes whether writing works."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from softswitch.store.database import Row
from softswitch.store.file_storage import FileStorage
from softswitch.store.row_writer import RowWriter
from softswitch.store.store import Counters, OnHealth
from softswitch.store.writer import Writer

logger = logging.getLogger(__name__)

_WAITING = 4096
_WAITING_BYTES = 16 * 1024 * 1024


class _Line(NamedTuple):
    """A line of a dump."""

    call_id: str
    text: str


class _Probe:
    """A write that tests whether writing works, and tells later starts how long this process has lived."""


_PROBE = _Probe()


class WriteQueue:
    """Queue of a store's writes; a thread carries them out, many at a time."""

    def __init__(
        self,
        rows: RowWriter,
        dumps: FileStorage | None,
        counters: Counters,
        *,
        seen: Callable[[], Row],
        on_health: OnHealth | None = None,
    ) -> None:
        """Prepare; :meth:`start` begins to write.

        Args:
            rows: writes rows.
            dumps: appends lines to dumps; None: there are no dumps.
            counters: counters of the store.
            seen: returns the row that tells how long this process has lived; written with each probe.
            on_health: called when writing begins to fail, and when it works again.
        """
        self.healthy = True
        """Whether the last writes were stored."""
        self._rows, self._dumps, self._counters = rows, dumps, counters
        self._seen, self._on_health = seen, on_health
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer: Writer[Row | _Line | _Probe] = Writer(
            self._write, waiting=_WAITING, waiting_bytes=_WAITING_BYTES
        )

    def start(self) -> None:
        """Begin to write."""
        self._loop = asyncio.get_running_loop()
        self._writer.start()

    async def close(self) -> None:
        """Write what waits, then end the thread; closing twice is harmless."""
        await self._writer.close()

    def put(self, row: Row) -> asyncio.Future[bool]:
        """Queue a row; the result is False if it is lost."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        cost = 4 * sum([len(value) for value in row.values if isinstance(value, str)])
        if not self._writer.put(row, cost=cost, future=future):
            self._counters.queue_full += 1
            future.set_result(False)
        return future

    def dump(self, call_id: str, line: str) -> bool:
        """Append a line to the dump of a call; return False if it is already lost."""
        if self._dumps is None:
            return False
        # A character takes up to four bytes of memory.
        taken = self._writer.put(_Line(call_id, line), cost=len(line) * 4)
        self._counters.queue_full += not taken
        return taken

    async def probe(self) -> bool:
        """Write the time, after which `healthy` is up to date and rows that were kept are written."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        # If the queue is full, queued writes update `healthy` as well.
        return await future if self._writer.put(_PROBE, future=future) else False

    # --- in the thread --------------------------------------------------------------------

    def _write(self, items: Sequence[Row | _Line | _Probe]) -> list[bool]:
        rows = [item for item in items if isinstance(item, Row)]
        probing = _PROBE in items
        kept = iter(self._rows.write([*rows, self._seen()] if probing else rows, probing=probing))
        lines: dict[str, list[str]] = {}
        for item in items:
            if isinstance(item, _Line):
                lines.setdefault(item.call_id, []).append(item.text)
        appended = {call_id: self._append(call_id, texts) for call_id, texts in lines.items()}
        healthy = not self._rows.is_away
        answers = []
        for item in items:
            match item:
                case Row():
                    answers.append(next(kept))
                case _Line(call_id):
                    answers.append(appended[call_id])
                case _Probe():
                    answers.append(healthy)
        self._update_health(healthy=healthy and all(appended.values()))
        return answers

    def _append(self, call_id: str, texts: Sequence[str]) -> bool:
        """Append lines to a dump; return False only if the disk failed, not if a limit is reached."""
        written = 0
        try:
            written = self._dumps.append(call_id, texts) if self._dumps is not None else 0
        except OSError as error:
            logger.warning("a dump cannot be written", extra={"reason": error.strerror})
            return False
        finally:
            self._counters.lines_written += written
            self._counters.lines_lost += len(texts) - written
        return True

    def _update_health(self, *, healthy: bool) -> None:
        if healthy == self.healthy:
            return
        self.healthy = healthy
        if healthy:
            logger.info("the store can write again")
        else:
            logger.error("the store cannot write; records kept and lost are counted in /metrics")
        if self._on_health is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._on_health, healthy)
