"""Store of one host: a database of records, by default SQLite's, and folders of recordings and dumps."""

import asyncio
import contextlib
import logging
import sqlite3
import time
import uuid
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from softswitch.errors import NotNowError, UnavailableError
from softswitch.store.call_parts import SIP
from softswitch.store.database import Database, Row, Writing
from softswitch.store.file_storage import DAY_MS, FileStorage
from softswitch.store.leftovers import Leftovers
from softswitch.store.lock import FolderLock, one_at_a_time
from softswitch.store.node import Node, this_node
from softswitch.store.row_writer import RowWriter
from softswitch.store.spool import NAME as SPOOL
from softswitch.store.spool import Spool
from softswitch.store.store import (
    AuditRecord,
    CallPart,
    CallRecord,
    Counters,
    Dump,
    EntryRecord,
    Forgotten,
    NewRecording,
    OnHealth,
    ParticipantRecord,
    Recording,
    Removal,
    RoomRecord,
    SessionRecord,
    Swept,
    Upload,
    WaitingMail,
    WebhookRecord,
)
from softswitch.store.store_thread import StoreThread
from softswitch.store.stored_records import StoredRecords
from softswitch.store.tables import (
    DELETE_BEGUN_RECORDING,
    DELETE_ENTRY,
    DELETE_FORGOTTEN_WORDS,
    DELETE_MAIL,
    DELETE_PART,
    DELETE_RECORDING,
    DELETE_REMOVAL,
    DELETE_SEEN,
    DELETE_WEBHOOK,
    FORGET_OLD_PARTS,
    FORGET_OLD_TRANSCRIPTS,
    FORGET_PARTS,
    FORGET_TRANSCRIPTS,
    FORGET_UPLOADED,
    NAMED,
    NOTHING,
    REMEMBER_OLD_REMOVALS,
    REMEMBER_REMOVAL,
    REMOVAL_TRIED,
    SAVE_AUDIT,
    SAVE_BEGUN_RECORDING,
    SAVE_CALL,
    SAVE_ENTRY,
    SAVE_MAIL,
    SAVE_PART,
    SAVE_PARTICIPANT,
    SAVE_RECORDING,
    SAVE_REMOVAL,
    SAVE_ROOM,
    SAVE_SEEN,
    SAVE_SESSION,
    SAVE_WEBHOOK,
    SET_UPLOAD,
    TRIM_AUDIT,
    TRIM_CALLS,
    TRIM_PARTS,
    TRIM_ROOMS,
    BegunRecording,
    CallId,
    Reader,
    Reading,
    SeenNode,
    page,
)
from softswitch.store.words import indexed
from softswitch.store.write_queue import WriteQueue

logger = logging.getLogger(__name__)

SETTLE_S = 1.0
AUDIT_KEPT = 100_000
"""Records of changes that a sweep leaves."""
PARTS_KEPT = 200_000
"""Parts of calls (SIP messages, quality) that a sweep leaves: of the newest calls."""


class DatabaseStore:
    """Store with its records in a database and its files in a data folder; see `Store` for its methods."""

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
        spool_bytes: int = 64_000_000,
        on_health: OnHealth | None = None,
        clock: Callable[[], float] = time.time,
        database: Writing | None = None,
        reader: Reading | None = None,
        node: str = "",
        is_shared: bool = False,
        is_cluster: bool = False,
        uploads: bool = False,
        removes: bool = False,
        keeps_files: bool = True,
    ) -> None:
        """Create a store; `start` opens it.

        Args:
            root: data folder.
            recordings: folder of recordings in the data folder.
            quota_bytes: space for recordings and dumps together.
            retention_days: days after which they are deleted; 0 means never.
            dump_bytes: size of the largest dump; 0 means no dumps.
            free_bytes: free disk space below which nothing is recorded or dumped.
            calls_kept: most call records; a sweep deletes the oldest ones.
            spool_bytes: most bytes of records on the disk that wait for the database.
            on_health: called when writing begins to fail, and when it works again.
            clock: wall-clock time, in epoch seconds.
            database: writing side of the database; by default of an SQLite file in the data folder.
            reader: reading side of the same database.
            node: name of this process, in place of that in the folder, where it is one of several.
            is_shared: several processes share the folder, and their supervisor holds its lock.
            is_cluster: other machines, which have files of their own, share the database.
            uploads: finished recordings wait for their upload.
            removes: objects are deleted from the storage of uploads with their recordings.
            keeps_files: files stay here after their upload.
        """
        self.counters = Counters()
        self.on_recording: Callable[[Recording], None] | None = None
        """Called with each finished recording that waits for its upload."""
        self.on_removal: Callable[[], None] = lambda: None
        """Called once an object in the storage of uploads is to be deleted."""
        self._uploads: Upload = "waiting" if uploads else ""
        self._removes, self._keeps_files = removes, keeps_files
        self._root = root
        self._lock = FolderLock(root)
        self._node = Node("", "")
        self._clock = clock
        self._name, self._is_shared, self._is_cluster = node, is_shared, is_cluster
        spool = f"{SPOOL}-{node.rpartition('.')[2].partition('-')[0]}" if is_shared else SPOOL
        self._spool = Spool(root / spool, disk_bytes=spool_bytes)
        self._calls_kept = calls_kept
        self._retention = retention_days
        self._files = FileStorage(
            root,
            recordings=recordings,
            quota_bytes=quota_bytes,
            retention_days=retention_days,
            dump_bytes=dump_bytes,
            free_bytes=free_bytes,
        )
        self._database = database or Database(root / "softswitch.db", indexed)
        self._rows = RowWriter(self._database, self._spool, self.counters)
        self._reader = reader or Reader(root / "softswitch.db")
        self._thread = StoreThread()
        self.records = StoredRecords(self._reader, self._thread)
        """Queries of the database."""
        self._leftovers = Leftovers(self._reader, self._files, self._uploads)
        self._queue = WriteQueue(
            self._rows,
            self._files if dump_bytes else None,
            self.counters,
            seen=self._seen,
            on_health=on_health,
        )

    async def start(self) -> None:
        """Open the database and create the folders.

        Raises:
            UnavailableError: One of them cannot be used; the text says which one and why.
        """
        self._thread.start()
        try:
            await self._thread.run(self._open)
        except (OSError, sqlite3.Error, UnavailableError) as error:
            await self.close()
            raise UnavailableError(f"the data folder {self._root} cannot be used: {error}") from error
        self._queue.start()

    async def close(self) -> None:
        """Write the queue, then close; closing twice is harmless."""
        await self._queue.close()
        await self._thread.close(self._shut)

    def _open(self) -> None:
        if not self._is_shared:
            self._lock.acquire()
        self._node = Node(self._name, uuid.uuid4().hex) if self._name else this_node(self._root)
        self._files.make()
        # Workers that start together would apply the same migrations.
        with one_at_a_time(self._root) if self._is_shared else contextlib.nullcontext():
            self._database.open()
        self._spool.open()
        self._rows.replay()
        self._close_left_open()

    def _close_left_open(self) -> None:
        """Close the records of calls, stays and recordings that an earlier process did not close."""
        self._database.write([*self._leftovers.rows(self._node), self._seen()])

    async def close_lost(self, host: str, live: Collection[str]) -> list[str]:
        """Close what the processes of a machine that are gone have left open; return their names.

        Args:
            host: name of the machine; its processes are named `host` and `host.<number>`.
            live: names of the processes that run.

        Raises:
            UnavailableError: The database cannot be read.
        """
        known = await self.records.select("nodes", SeenNode, "")
        gone = [
            each.node
            for each in known
            if (each.node == host or each.node.startswith(f"{host}.")) and each.node not in live
        ]
        for name in gone:
            await self.close_node(name)
        return gone

    async def close_node(self, name: str) -> None:
        """Close what a process that is gone has left open; raises UnavailableError."""
        for row in await self._thread.run(partial(self._leftovers.rows, Node(name, ""), "node_lost")):
            self._queue.put(row)
        await self._queue.put(Row(DELETE_SEEN, (name,)))

    def _seen(self) -> Row:
        return Row(SAVE_SEEN, (*self._node, int(self._clock() * 1000)))

    def _shut(self) -> None:
        try:
            self._rows.replay()
        except UnavailableError:
            self.counters.rows_lost += self._spool.in_memory
            logger.error(
                "the store closes while its database is away; the next start writes the spooled records",
                extra={"spooled": len(self._spool), "lost": self._spool.in_memory},
            )
        self._database.close()
        self._reader.close()
        self._lock.release()

    # ---------------------------------------------------------------- writing, on the loop

    @property
    def healthy(self) -> bool:
        """Whether the last writes were stored."""
        return self._queue.healthy

    async def probe(self) -> bool:
        """Write the time, after which `healthy` is up to date and rows that were kept are written."""
        return await self._queue.probe()

    @property
    def spooled_rows(self) -> int:
        """Records that wait until the database is back."""
        return len(self._spool)

    @property
    def spooled_bytes(self) -> int:
        """Bytes of these records, on the disk and in memory."""
        return self._spool.size

    def save_call(self, record: CallRecord) -> asyncio.Future[bool]:
        """Store a call, or replace its record."""
        return self._queue.put(Row(SAVE_CALL, (*msgspec.structs.astuple(record), *self._node)))

    def save_part(self, part: CallPart) -> asyncio.Future[bool]:
        """Store a part of a call's record, or replace it."""
        return self._queue.put(Row(SAVE_PART, msgspec.structs.astuple(part)))

    def begin_recording(self, recording: Recording) -> asyncio.Future[bool]:
        """Store that a file is being written, so that the next start finds it if this process crashes."""
        values = (getattr(recording, name) for name in BegunRecording.__struct_fields__)
        return self._queue.put(Row(SAVE_BEGUN_RECORDING, (*values, *self._node)))

    def save_recording(self, recording: Recording) -> asyncio.Future[bool]:
        """Store the record of a finished recording."""
        # A recorder that was refused leaves an empty file.
        recording = msgspec.structs.replace(recording, upload=self._uploads if recording.size else "")
        stored = self._queue.put(Row(SAVE_RECORDING, msgspec.structs.astuple(recording)))
        self._queue.put(Row(DELETE_BEGUN_RECORDING, (recording.name,)))
        if recording.upload and self.on_recording is not None:
            # Only then does a look into the database find it.
            stored.add_done_callback(partial(_told, self.on_recording, recording))
        return stored

    def save_webhook(self, webhook: WebhookRecord) -> asyncio.Future[bool]:
        """Store a webhook."""
        return self._queue.put(Row(SAVE_WEBHOOK, msgspec.structs.astuple(webhook)))

    def delete_webhook(self, number: int) -> asyncio.Future[bool]:
        """Delete a webhook."""
        return self._queue.put(Row(DELETE_WEBHOOK, (number,)))

    def save_entry(self, entry: EntryRecord) -> asyncio.Future[bool]:
        """Store an entry, or replace it; it is not kept while the database is away."""
        return self._queue.put(Row(SAVE_ENTRY, msgspec.structs.astuple(entry)))

    def delete_entry(self, kind: str, name: str) -> asyncio.Future[bool]:
        """Delete an entry; the deletion is not kept while the database is away."""
        return self._queue.put(Row(DELETE_ENTRY, (kind, name)))

    def save_audit(self, record: AuditRecord) -> asyncio.Future[bool]:
        """Store a record of a change."""
        return self._queue.put(Row(SAVE_AUDIT, msgspec.structs.astuple(record)))

    def save_room(self, room: RoomRecord) -> asyncio.Future[bool]:
        """Store a room, or replace its record."""
        return self._queue.put(Row(SAVE_ROOM, (*msgspec.structs.astuple(room), *self._node)))

    def save_participant(
        self, participant: ParticipantRecord, session: SessionRecord
    ) -> asyncio.Future[bool]:
        """Store a participant and its session, or replace their records."""
        self._queue.put(Row(SAVE_PARTICIPANT, (*msgspec.structs.astuple(participant), *self._node)))
        return self._queue.put(Row(SAVE_SESSION, (*msgspec.structs.astuple(session), *self._node)))

    def dump(self, call_id: str, line: str) -> bool:
        """Append a line to the dump of a call; return False if it is already lost."""
        return self._queue.dump(call_id, line)

    # ---------------------------------------------------------------- deleting

    async def delete_part(self, call_id: str, name: str) -> bool:
        """Delete a part of all calls with an id; return False if there is no such part."""
        there = await self.records.part(call_id, name) is not None
        await self._queue.put(Row(DELETE_PART, (call_id, name)))
        return there

    async def forget(self, account: str, before_ms: int) -> Forgotten:
        """Delete recordings, dumps, transcripts and traces of an account's calls that began before a time.

        Args:
            account: the account; empty: the administrator's.
            before_ms: epoch milliseconds.
        """
        where, values = "WHERE account = ? AND created_at < ? ", (account, before_ms)
        recordings = dumps = uploaded = 0
        for recording in await self.records.select("recordings", Recording, where, values):
            if await self.delete_recording(recording.name):
                recordings += 1
                uploaded += recording.upload == "uploaded"
        for call in await self.records.select("calls", CallId, where, values):
            dumps += await self.delete_dump(call.id)
        transcripts = await self.records.count("calls", f"{where}AND transcript_json <> ''", values)
        traces = await self.records.count("call_parts", f"{where}AND part = ?", (*values, SIP))
        self._queue.put(Row(FORGET_PARTS, values))
        self._queue.put(Row(FORGET_TRANSCRIPTS, values))
        await self._queue.put(Row(DELETE_FORGOTTEN_WORDS))
        left = 0 if self._removes else uploaded
        if left:
            logger.warning("objects of deleted recordings stay in the storage", extra={"objects": left})
        return Forgotten(recordings, dumps, transcripts, traces, uploaded - left, left)

    async def settled(self) -> None:
        """Wait until all writes queued so far are complete, for a limited time."""
        await asyncio.wait([self._queue.put(Row(NOTHING))], timeout=SETTLE_S)

    # ---------------------------------------------------------------- files

    async def new_recording(self, call_id: str, requested: str = "", container: str = "wav") -> NewRecording:
        """Create an empty file for a recording.

        Args:
            call_id: id of the call, which names the file if `requested` is not usable.
            requested: file name or path that the client requested; only its last component counts.
            container: file extension.

        Raises:
            NotNowError: The quota is reached or the disk is full.
            UnavailableError: The folder cannot be written.
        """
        try:
            return await self._thread.run(lambda: self._files.new_recording(call_id, requested, container))
        except NotNowError:
            self.counters.recordings_refused += 1
            raise
        except OSError as error:
            self.counters.recordings_refused += 1
            raise UnavailableError(f"no recording can be written: {error.strerror}") from error

    async def recording_path(self, name: str) -> Path | None:
        """Return the file of a recording, None if there is no such file or the name is not safe."""
        return await self._thread.run(lambda: self._files.recordings.path(name))

    async def open_recording(self, name: str) -> BinaryIO | None:
        """Open a recording for reading; the caller closes it."""
        return await self._thread.run(lambda: self._files.recordings.open(name))

    async def delete_recording(self, name: str) -> bool:
        """Delete a recording and its record; return False if there is no such recording."""
        deleted = await self._thread.run(lambda: self._files.recordings.delete(name))
        known = await self.records.select("recordings", Recording, NAMED, (name,))
        is_in_storage = not self._keeps_files and any(one.upload == "uploaded" for one in known)
        if self._is_cluster and not deleted and not is_in_storage:
            return False  # Its file is on another machine.
        # Wait, so that a listing that follows does not contain it.
        self._queue.put(Row(DELETE_BEGUN_RECORDING, (name,)))
        await self._delete_record(name, is_uploaded=any(one.upload for one in known))
        return deleted or bool(known)

    async def _delete_record(self, name: str, *, is_uploaded: bool) -> None:
        """Delete the record of a recording; its object, if it may have one, is to be deleted from then on."""
        removes = self._removes and is_uploaded
        if removes:
            self._queue.put(Row(REMEMBER_REMOVAL, (int(self._clock() * 1000), name)))
        await self._queue.put(Row(DELETE_RECORDING, (name,)))
        if removes:
            self.on_removal()

    def set_upload(self, name: str, state: Upload, url: str = "") -> asyncio.Future[bool]:
        """Store where the upload of a recording stands."""
        return self._queue.put(Row(SET_UPLOAD, (state, url, name)))

    def removal_tried(self, name: str, now_ms: int) -> asyncio.Future[bool]:
        """Note that an object could not be deleted, so that others are tried before it."""
        return self._queue.put(Row(REMOVAL_TRIED, (now_ms, name)))

    def removed(self, name: str) -> asyncio.Future[bool]:
        """Note that an object was deleted."""
        return self._queue.put(Row(DELETE_REMOVAL, (name,)))

    def remove_object(self, recording: Recording, url: str) -> asyncio.Future[bool]:
        """Have an object deleted whose recording is gone."""
        removal = Removal(
            name=recording.name,
            account=recording.account,
            created_at=recording.created_at,
            url=url,
            tried_at=int(self._clock() * 1000),
        )
        return self._queue.put(Row(SAVE_REMOVAL, msgspec.structs.astuple(removal)))

    def save_mail(self, mail: WaitingMail) -> asyncio.Future[bool]:
        """Store an e-mail that is to be sent, or the time of its last try."""
        return self._queue.put(Row(SAVE_MAIL, msgspec.structs.astuple(mail)))

    def delete_mail(self, call_id: str) -> asyncio.Future[bool]:
        """Note that an e-mail was sent, or is not to be sent any more."""
        return self._queue.put(Row(DELETE_MAIL, (call_id,)))

    async def drop_file(self, name: str) -> bool:
        """Delete the file of a recording and keep its record; return False if there is no such file."""
        return await self._thread.run(lambda: self._files.recordings.delete(name))

    async def dumps(self, limit: int = 50, offset: int = 0) -> list[Dump]:
        """Return dumps, the newest first."""
        files = await self._thread.run(self._files.dumps.files)
        count, start = page(limit, offset)
        return [
            Dump(call_id=file.name, size=file.size, modified_at=file.modified_at)
            for file in files[start : start + count]
        ]

    async def dump_path(self, call_id: str) -> Path | None:
        """Return the file of a dump, None if there is no such file."""
        return await self._thread.run(lambda: self._files.dumps.path(call_id))

    async def delete_dump(self, call_id: str) -> bool:
        """Delete a dump; return False if there is no such dump."""
        return await self._thread.run(lambda: self._files.dumps.delete(call_id))

    async def sweep(self, now_ms: int) -> Swept:
        """Delete recordings and dumps beyond the retention time, and call records beyond their number.

        Failures are logged, and the next sweep tries again.

        Args:
            now_ms: wall-clock time, in epoch milliseconds.
        """
        recordings = dumps = 0
        try:
            recordings, dumps = await self._thread.run(lambda: self._files.delete_old(now_ms))
            await self._delete_missing(now_ms)
        except (OSError, UnavailableError) as error:
            logger.warning("old recordings and dumps could not be deleted", extra={"reason": str(error)})
        days = self._retention
        if days:
            self._queue.put(Row(FORGET_OLD_TRANSCRIPTS, (now_ms - int(days * DAY_MS),)))
            if self._removes:
                self._queue.put(Row(REMEMBER_OLD_REMOVALS, (now_ms, now_ms - int(days * DAY_MS))))
            self._queue.put(Row(FORGET_UPLOADED, (now_ms - int(days * DAY_MS),)))
            self._queue.put(Row(FORGET_OLD_PARTS, (now_ms - int(days * DAY_MS),)))
        self._queue.put(Row(TRIM_PARTS, (PARTS_KEPT,)))
        for statement in TRIM_ROOMS:
            self._queue.put(Row(statement, (self._calls_kept,)))
        self._queue.put(Row(TRIM_AUDIT, (AUDIT_KEPT,)))
        self._queue.put(Row(TRIM_CALLS, (self._calls_kept,)))
        await self._queue.put(Row(DELETE_FORGOTTEN_WORDS))
        if self._removes:
            self.on_removal()
        return Swept(recordings=recordings, dumps=dumps)

    async def _delete_missing(self, now_ms: int) -> None:
        """Delete the records of recordings whose files do not exist.

        Files of other machines are not seen from here: their records go when the retention time is over.
        """
        oldest = now_ms - int(self._retention * DAY_MS) if self._is_cluster else now_ms + DAY_MS
        if self._is_cluster and not self._retention:
            return
        present = {file.name for file in await self._thread.run(self._files.recordings.files)}
        for known in await self.records.select("recordings", Recording, ""):
            if known.name not in present and known.upload != "uploaded" and known.created_at < oldest:
                await self._delete_record(known.name, is_uploaded=bool(known.upload))


def _told(told: Callable[[Recording], None], recording: Recording, stored: asyncio.Future[bool]) -> None:
    """Tell of a recording whose record is stored."""
    if not stored.cancelled() and stored.result():
        told(recording)
