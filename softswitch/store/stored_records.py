"""Queries of a store: calls, recordings, rooms and the rest, as `store.records` answers them."""

from softswitch.store.queries import CallQuery, RecordingQuery, calls_where, recordings_where
from softswitch.store.store import (
    AuditRecord,
    CallPart,
    CallRecord,
    EntryRecord,
    HourRow,
    Recording,
    Removal,
    RoomRecord,
    SessionRecord,
    WaitingMail,
    WebhookRecord,
)
from softswitch.store.store_thread import StoreThread
from softswitch.store.tables import (
    ENDED,
    HOURS,
    MAX_PAGE,
    NAMED,
    NEWEST_BY_ID,
    NEWEST_FIRST,
    NEWEST_HOURS,
    NEWEST_PART,
    NEWEST_STARTED,
    NEWEST_WITH_ID,
    WAITING_MAILS,
    WAITING_REMOVALS,
    WAITING_UPLOADS,
    Reading,
    Record,
    of_sessions,
    page,
)


class StoredRecords:
    """Records read from a database in the thread of its store; see `Records` for the named queries.

    Every method raises `UnavailableError` if the database cannot be read, or the thread is not running.
    """

    def __init__(self, reader: Reading, thread: StoreThread) -> None:
        """Prepare.

        Args:
            reader: reading side of the database, whose rows are read in the thread.
            thread: the thread of the store, which starts and closes it.
        """
        self._reader = reader
        self._thread = thread

    async def select(
        self, table: str, kind: type[Record], clause: str, values: tuple[str | int, ...] = ()
    ) -> list[Record]:
        """Return rows as records; see `Reading.records`."""
        return await self._thread.run(lambda: self._reader.records(table, kind, clause, values))

    async def count(self, table: str, clause: str, values: tuple[str | int, ...] = ()) -> int:
        """Return the number of rows; see `Reading.count`."""
        return await self._thread.run(lambda: self._reader.count(table, clause, values))

    async def calls(self, limit: int = 50, offset: int = 0, *, ended: bool = False) -> list[CallRecord]:
        """Return calls, optionally those only that have ended, the newest first."""
        clause = ENDED + NEWEST_FIRST if ended else NEWEST_FIRST
        return await self.select("calls", CallRecord, clause, page(limit, offset))

    async def call(self, call_id: str) -> CallRecord | None:
        """Return the newest call with an id, None if there is no such call."""
        found = await self.select("calls", CallRecord, NEWEST_WITH_ID, (call_id,))
        return found[0] if found else None

    async def hours(self, since_ms: int) -> list[HourRow]:
        """Return the ended calls since a time (epoch milliseconds) by hour and reason."""
        return await self.select(HOURS, HourRow, NEWEST_HOURS, (since_ms,))

    async def part(self, call_id: str, name: str) -> CallPart | None:
        """Return a part of the newest call with an id, None if there is no such part."""
        found = await self.select("call_parts", CallPart, NEWEST_PART, (call_id, name))
        return found[0] if found else None

    async def find_calls(self, query: CallQuery, limit: int, offset: int) -> tuple[list[CallRecord], int]:
        """Return the ended calls that are wanted, the newest first, and how many there are in all."""
        clause, values = calls_where(query, self._reader.matching)
        places = (*values, *page(limit, offset))
        records = await self.select("calls", CallRecord, clause + NEWEST_FIRST, places)
        return records, await self.count("calls", clause, values)

    async def list_calls(self, query: CallQuery, limit: int) -> list[CallRecord]:
        """Return the first calls that are wanted, the newest first; `CallQuery.before` leads to the next."""
        clause, values = calls_where(query, self._reader.matching)
        places = (*values, page(limit, 0)[0])
        return await self.select("calls", CallRecord, clause + NEWEST_BY_ID, places)

    async def find_recordings(
        self, query: RecordingQuery, limit: int, offset: int
    ) -> tuple[list[Recording], int]:
        """Return the recordings that are wanted, the newest first, and how many there are in all."""
        clause, values = recordings_where(query)
        places = (*values, *page(limit, offset))
        records = await self.select("recordings", Recording, clause + NEWEST_FIRST, places)
        return records, await self.count("recordings", clause, values)

    async def recordings(self, limit: int = 50, offset: int = 0) -> list[Recording]:
        """Return recordings, the newest first."""
        return await self.select("recordings", Recording, NEWEST_FIRST, page(limit, offset))

    async def recordings_of(self, call_id: str, account: str) -> list[Recording]:
        """Return an account's recordings of one call or room, the newest first."""
        clause = "WHERE call_id = ? AND account = ? " + NEWEST_FIRST
        return await self.select("recordings", Recording, clause, (call_id, account, *page(MAX_PAGE, 0)))

    async def webhooks(self) -> list[WebhookRecord]:
        """Return all webhooks, the oldest first."""
        return await self.select("webhooks", WebhookRecord, "ORDER BY id")

    async def entries(self) -> list[EntryRecord]:
        """Return all entries, by kind and age."""
        return await self.select("entries", EntryRecord, "ORDER BY kind, created_at, name")

    async def audit(self, limit: int = 50, before: tuple[int, str] | None = None) -> list[AuditRecord]:
        """Return records of changes, the newest first, those before a time and id only."""
        clause, values = ("WHERE (created_at, id) < (?, ?) ", before) if before else ("", ())
        places: tuple[str | int, ...] = (*values, page(limit, 0)[0])
        return await self.select(
            "audit", AuditRecord, f"{clause}ORDER BY created_at DESC, id DESC LIMIT ?", places
        )

    async def waiting_uploads(self, limit: int, before_ms: int) -> list[Recording]:
        """Return recordings that began before a time and wait for their upload, the oldest first."""
        places = (before_ms, page(limit, 0)[0])
        return await self.select("recordings", Recording, WAITING_UPLOADS, places)

    async def removals(self, limit: int, before_ms: int) -> list[Removal]:
        """Return objects to be deleted that were not tried since a time, the longest waiting first."""
        places = (before_ms, page(limit, 0)[0])
        return await self.select("removals", Removal, WAITING_REMOVALS, places)

    async def uploaded_to(self, name: str) -> str | None:
        """Return where a recording was uploaded to, empty if it was not; None: there is no such recording."""
        found = await self.select("recordings", Recording, NAMED, (name,))
        return found[0].upload_url if found else None

    async def waiting_mails(self, limit: int) -> list[WaitingMail]:
        """Return e-mail that is to be sent, the one that was not tried for longest first."""
        return await self.select("mails", WaitingMail, WAITING_MAILS, (page(limit, 0)[0],))

    async def rooms(self, limit: int = 1000, offset: int = 0) -> list[RoomRecord]:
        """Return rooms, the newest first."""
        return await self.select("rooms", RoomRecord, NEWEST_FIRST, page(limit, offset))

    async def session(self, session_id: str) -> SessionRecord | None:
        """Return a session, None if there is no such session."""
        found = await self.select("sessions", SessionRecord, "WHERE id = ?", (session_id,))
        return found[0] if found else None

    async def sessions(
        self, room_id: str = "", limit: int = 50, offset: int = 0, account: str | None = None
    ) -> list[SessionRecord]:
        """Return sessions, optionally of one room and one account, the newest first."""
        clause, values = of_sessions(room_id, account)
        places: tuple[str | int, ...] = (*values, *page(limit, offset))
        return await self.select("sessions", SessionRecord, clause + NEWEST_STARTED, places)

    async def count_sessions(self, room_id: str = "", account: str | None = None) -> int:
        """Return the number of sessions, optionally of one room and one account."""
        clause, values = of_sessions(room_id, account)
        return await self.count("sessions", clause, values)
