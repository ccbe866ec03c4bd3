"""The store of one host: an SQLite file, and the folders of recordings and dumps beside it."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import msgspec

from softswitch.errors import NotNowError, UnavailableError
from softswitch.store.database import Database, Row, Writing
from softswitch.store.shelf import Shelf
from softswitch.store.store import (
    CallRecord,
    Counters,
    Dump,
    NewRecording,
    OnHealth,
    ParticipantRecord,
    Recording,
    RoomRecord,
    SessionRecord,
    Swept,
    WebhookRecord,
)
from softswitch.store.tables import (
    DELETE_RECORDING,
    DELETE_WEBHOOK,
    END_STAYS,
    MARK_CUT_OFF,
    NEWEST_FIRST,
    NEWEST_STARTED,
    NEWEST_WITH_ID,
    NOTHING,
    SAVE_CALL,
    SAVE_PARTICIPANT,
    SAVE_RECORDING,
    SAVE_ROOM,
    SAVE_SESSION,
    SAVE_WEBHOOK,
    TRIM_CALLS,
    TRIM_ROOMS,
    Reader,
    Reading,
    Record,
    page,
)
from softswitch.store.writer import Writer

logger = logging.getLogger(__name__)

_WAITING = 4096
SETTLE_S = 1.0
_WAITING_BYTES = 16 * 1024 * 1024

Result = TypeVar("Result")


class _Line(NamedTuple):
    """One line of a dump."""

    call_id: str
    text: str


class SqliteStore:
    """Keep calls, recordings and dumps below one folder (see `Store` for what each method promises)."""

    def __init__(
        self,
        root: Path,
        *,
        recordings: str = "recordings",
        quota_bytes: int = 10_000_000_000,
        retention_days: float = 30.0,
        dump_bytes: int = 4 * 1024 * 1024,
        free_bytes: int = 256 * 1024 * 1024,
        calls_kept: int = 1_000_000,
        on_health: OnHealth | None = None,
        database: Writing | None = None,
        reader: Reading | None = None,
    ) -> None:
        """Set the places and bounds.

        Args:
            root: the data folder.
            recordings: name of the folder of recordings below it.
            quota_bytes: room for recordings and dumps together.
            retention_days: age in days at which they are deleted; 0 keeps them.
            dump_bytes: size of the largest dump; 0: no dumps.
            free_bytes: room that stays free on the disk: below it nothing is recorded or dumped.
            calls_kept: most call records; a sweep deletes the oldest beyond.
            on_health: told on the loop when writing fails, and when it works again.
            database: writes records; by default to a file in the data folder.
            reader: reads them.
        """
        self.healthy = True
        self.counters = Counters()
        self.on_health = on_health
        self._root = root
        self._calls_kept = calls_kept
        self._dumping = dump_bytes > 0
        self._shelf = Shelf(
            root,
            recordings=recordings,
            quota_bytes=quota_bytes,
            retention_days=retention_days,
            dump_bytes=dump_bytes,
            free_bytes=free_bytes,
        )
        self._database = database or Database(root / "softswitch.db")
        self._reader = reader or Reader(root / "softswitch.db")
        self._writer: Writer[Row | _Line] = Writer(
            self._write, waiting=_WAITING, waiting_bytes=_WAITING_BYTES
        )
        self._executor: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Open the database and make the folders.

        Raises:
            UnavailableError: if one of them cannot be used; the text says which and why.
        """
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        try:
            await self._off_loop(self._open)
        except (OSError, sqlite3.Error, UnavailableError) as error:
            await self.close()
            raise UnavailableError(f"the data folder {self._root} cannot be used: {error}") from error
        self._writer.start()

    async def close(self) -> None:
        """Write what is waiting, then close; a second time does nothing."""
        await self._writer.close()
        executor = self._executor
        if executor is not None:
            await self._off_loop(self._shut)
            self._executor = None
            executor.shutdown()

    def _open(self) -> None:
        self._shelf.make()
        self._database.open()
        self._database.write([Row(statement) for statement in (MARK_CUT_OFF, *END_STAYS)])

    def _shut(self) -> None:
        self._database.close()
        self._reader.close()

    async def _off_loop(self, work: Callable[[], Result]) -> Result:
        if self._executor is None:
            raise UnavailableError("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    # ---------------------------------------------------------------- writing, on the loop

    def save_call(self, record: CallRecord) -> asyncio.Future[bool]:
        """Keep a call, or replace what was kept of it."""
        return self._put(Row(SAVE_CALL, msgspec.structs.astuple(record)))

    def save_recording(self, recording: Recording) -> asyncio.Future[bool]:
        """Keep what is known of a finished recording."""
        return self._put(Row(SAVE_RECORDING, msgspec.structs.astuple(recording)))

    def save_webhook(self, webhook: WebhookRecord) -> asyncio.Future[bool]:
        """Keep a webhook."""
        return self._put(Row(SAVE_WEBHOOK, msgspec.structs.astuple(webhook)))

    def delete_webhook(self, number: int) -> asyncio.Future[bool]:
        """Forget a webhook."""
        return self._put(Row(DELETE_WEBHOOK, (number,)))

    def save_room(self, room: RoomRecord) -> asyncio.Future[bool]:
        """Keep a room, or replace what was kept of it."""
        return self._put(Row(SAVE_ROOM, msgspec.structs.astuple(room)))

    def save_participant(
        self, participant: ParticipantRecord, session: SessionRecord
    ) -> asyncio.Future[bool]:
        """Keep a stay of somebody and its session, or replace what was kept of them."""
        self._put(Row(SAVE_PARTICIPANT, msgspec.structs.astuple(participant)))
        return self._put(Row(SAVE_SESSION, msgspec.structs.astuple(session)))

    def dump(self, call_id: str, line: str) -> bool:
        """Append a line to the dump of a call; False when it is lost already."""
        if not self._dumping:
            return False
        # A character may take four bytes of memory.
        taken = self._writer.put(_Line(call_id, line), cost=len(line) * 4)
        self.counters.queue_full += not taken
        return taken

    def _put(self, row: Row) -> asyncio.Future[bool]:
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        cost = sum(len(value) * 4 for value in row.values if isinstance(value, str))
        if not self._writer.put(row, cost=cost, future=future):
            self.counters.queue_full += 1
            future.set_result(False)
        return future

    # ---------------------------------------------------------------- writing, in the thread

    def _write(self, items: Sequence[Row | _Line]) -> list[bool]:
        outcome = iter(self._write_rows([item for item in items if isinstance(item, Row)]))
        lines: dict[str, list[str]] = {}
        for item in items:
            if isinstance(item, _Line):
                lines.setdefault(item.call_id, []).append(item.text)
        kept = {call_id: self._append(call_id, texts) for call_id, texts in lines.items()}
        answers = [next(outcome) if isinstance(item, Row) else kept[item.call_id] for item in items]
        self._feel(healthy=all(answers))
        return answers

    def _write_rows(self, rows: Sequence[Row]) -> list[bool]:
        kept = self._database.write(rows) if rows else []
        self.counters.rows_written += sum(kept)
        self.counters.rows_lost += len(kept) - sum(kept)
        return kept

    def _append(self, call_id: str, texts: Sequence[str]) -> bool:
        """Append lines to one dump; False only where the disk fails, since a bound is no illness."""
        written = 0
        try:
            written = self._shelf.append(call_id, texts)
        except OSError as error:
            logger.warning("a dump cannot be written", extra={"reason": error.strerror})
            return False
        finally:
            self.counters.lines_written += written
            self.counters.lines_lost += len(texts) - written
        return True

    def _feel(self, *, healthy: bool) -> None:
        if healthy == self.healthy:
            return
        self.healthy = healthy
        if healthy:
            logger.info("the store works again")
        else:
            logger.error("the store fails; what it loses is counted")
        if self.on_health is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.on_health, healthy)

    # ---------------------------------------------------------------- reading

    async def calls(self, limit: int = 50, offset: int = 0) -> list[CallRecord]:
        """List calls, the newest first."""
        return await self._records("calls", CallRecord, NEWEST_FIRST, page(limit, offset))

    async def call(self, call_id: str) -> CallRecord | None:
        """Find the newest call with an id."""
        found = await self._records("calls", CallRecord, NEWEST_WITH_ID, (call_id,))
        return found[0] if found else None

    async def recordings(self, limit: int = 50, offset: int = 0) -> list[Recording]:
        """List recordings, the newest first."""
        return await self._records("recordings", Recording, NEWEST_FIRST, page(limit, offset))

    async def webhooks(self) -> list[WebhookRecord]:
        """List all webhooks, the oldest first."""
        return await self._records("webhooks", WebhookRecord, "ORDER BY id")

    async def settled(self) -> None:
        """Wait until what was handed over so far is written, but not for long."""
        await asyncio.wait([self._put(Row(NOTHING))], timeout=SETTLE_S)

    async def rooms(self, limit: int = 1000, offset: int = 0) -> list[RoomRecord]:
        """List rooms, the newest first."""
        return await self._records("rooms", RoomRecord, NEWEST_FIRST, page(limit, offset))

    async def session(self, session_id: str) -> SessionRecord | None:
        """Find a session."""
        found = await self._records("sessions", SessionRecord, "WHERE id = ?", (session_id,))
        return found[0] if found else None

    async def sessions(self, room_id: str = "", limit: int = 50, offset: int = 0) -> list[SessionRecord]:
        """List sessions, of one room where one is named, the newest first."""
        clause, values = ("WHERE room_id = ? ", (room_id,)) if room_id else ("", ())
        places = (*values, *page(limit, offset))
        return await self._records("sessions", SessionRecord, clause + NEWEST_STARTED, places)

    async def count_sessions(self, room_id: str = "") -> int:
        """Count sessions, of one room where one is named."""
        clause, values = ("WHERE room_id = ?", (room_id,)) if room_id else ("", ())
        return await self._off_loop(lambda: self._reader.count("sessions", clause, values))

    async def _records(
        self, table: str, kind: type[Record], clause: str, values: tuple[str | int, ...] = ()
    ) -> list[Record]:
        return await self._off_loop(lambda: self._reader.records(table, kind, clause, values))

    # ---------------------------------------------------------------- files

    async def new_recording(self, call_id: str, wish: str = "", container: str = "wav") -> NewRecording:
        """Make an empty file to record to.

        Args:
            call_id: the call that is recorded; names the file where there is no fitting wish.
            wish: the name or path that the client asked for; only its last part counts.
            container: extension of the file.

        Raises:
            NotNowError: if the quota is reached or the disk is full.
            UnavailableError: if the folder cannot be written.
        """
        try:
            return await self._off_loop(lambda: self._shelf.new_recording(call_id, wish, container))
        except NotNowError:
            self.counters.recordings_refused += 1
            raise
        except OSError as error:
            self.counters.recordings_refused += 1
            raise UnavailableError(f"no recording can be written: {error.strerror}") from error

    async def recording_path(self, name: str) -> Path | None:
        """Find the file of a recording; None where there is none, or the name is not one of ours."""
        return await self._off_loop(lambda: self._shelf.recordings.path(name))

    async def open_recording(self, name: str) -> BinaryIO | None:
        """Open a recording for reading; the caller closes it."""
        return await self._off_loop(lambda: self._shelf.recordings.open(name))

    async def delete_recording(self, name: str) -> bool:
        """Delete a recording and what is known of it; False where there is none."""
        deleted = await self._off_loop(lambda: self._shelf.recordings.delete(name))
        # Waited for, so that a listing that follows does not show it.
        await self._put(Row(DELETE_RECORDING, (name,)))
        return deleted

    async def dumps(self, limit: int = 50, offset: int = 0) -> list[Dump]:
        """List dumps, the newest first."""
        files = await self._off_loop(self._shelf.dumps.files)
        count, start = page(limit, offset)
        return [
            Dump(call_id=file.name, size=file.size, modified_at=file.modified_at)
            for file in files[start : start + count]
        ]

    async def dump_path(self, call_id: str) -> Path | None:
        """Find the file of a dump."""
        return await self._off_loop(lambda: self._shelf.dumps.path(call_id))

    async def delete_dump(self, call_id: str) -> bool:
        """Delete a dump; False where there is none."""
        return await self._off_loop(lambda: self._shelf.dumps.delete(call_id))

    async def sweep(self, now_ms: int) -> Swept:
        """Delete recordings and dumps beyond the retention time, call records beyond their number.

        What the disk refuses is written to the log and tried again by the next sweep.

        Args:
            now_ms: the wall clock, epoch milliseconds.
        """
        recordings = dumps = 0
        try:
            recordings, dumps = await self._off_loop(lambda: self._shelf.delete_old(now_ms))
            await self._forget_missing()
        except (OSError, UnavailableError) as error:
            logger.warning("a sweep of old files failed", extra={"reason": str(error)})
        for statement in TRIM_ROOMS:
            self._put(Row(statement, (self._calls_kept,)))
        await self._put(Row(TRIM_CALLS, (self._calls_kept,)))
        return Swept(recordings=recordings, dumps=dumps)

    async def _forget_missing(self) -> None:
        """Delete the rows of recordings whose files are gone."""
        present = {file.name for file in await self._off_loop(self._shelf.recordings.files)}
        for known in await self._records("recordings", Recording, ""):
            if known.name not in present:
                await self._put(Row(DELETE_RECORDING, (known.name,)))
