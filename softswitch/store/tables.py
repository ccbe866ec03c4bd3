"""The statements of the SQLite store, and how its rows become records."""

import sqlite3
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from softswitch.errors import UnavailableError
from softswitch.store.database import identity
from softswitch.store.store import (
    CallRecord,
    ParticipantRecord,
    Recording,
    RoomRecord,
    SessionRecord,
    WebhookRecord,
)

Record = TypeVar("Record", CallRecord, Recording, WebhookRecord, RoomRecord, SessionRecord)

MAX_PAGE = 1000
"""Most entries of one listing."""


def _upsert(table: str, kind: type[msgspec.Struct], key: tuple[str, ...]) -> str:
    """Return the statement that inserts a record, or replaces what is not its key."""
    names = kind.__struct_fields__
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key)
    marks = ", ".join("?" * len(names))
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) "  # noqa: S608 - names of our own structs
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    )


SAVE_CALL = _upsert("calls", CallRecord, ("id", "created_at"))
SAVE_RECORDING = _upsert("recordings", Recording, ("name",))
SAVE_WEBHOOK = _upsert("webhooks", WebhookRecord, ("id",))
SAVE_ROOM = _upsert("rooms", RoomRecord, ("id",))
SAVE_PARTICIPANT = _upsert("participants", ParticipantRecord, ("id",))
SAVE_SESSION = _upsert("sessions", SessionRecord, ("id",))
DELETE_WEBHOOK = "DELETE FROM webhooks WHERE id = ?"
DELETE_RECORDING = "DELETE FROM recordings WHERE name = ?"

MARK_CUT_OFF = (
    "UPDATE calls SET reason = 'error', initiator = 'system' WHERE ended_at IS NULL AND reason = ''"
)
"""For the start: what still runs in the records was cut off by a crash."""

END_STAYS = (
    "UPDATE sessions SET status = 'interrupted', end_time = start_time WHERE status = 'active'",
    (
        "UPDATE participants SET status = 'left', left_at = joined_at, reason = 'connection_lost' "
        "WHERE status <> 'left'"
    ),
    "UPDATE rooms SET status = 'closed', reason = 'server_restart' WHERE status IN ('waiting', 'active')",
)
"""For the start: nobody is in a room any more. When a crash cut a session off is not known."""

TRIM_ROOMS = (
    (
        "DELETE FROM rooms WHERE status = 'closed' AND id IN "
        "(SELECT id FROM rooms ORDER BY created_at DESC LIMIT -1 OFFSET ?)"
    ),
    (
        "DELETE FROM participants WHERE id IN "
        "(SELECT id FROM participants ORDER BY joined_at DESC LIMIT -1 OFFSET ?)"
    ),
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions ORDER BY start_time DESC LIMIT -1 OFFSET ?)",
)
"""Delete all but the newest; a room that is open stays."""

TRIM_CALLS = (
    "DELETE FROM calls WHERE rowid IN (SELECT rowid FROM calls ORDER BY created_at DESC LIMIT -1 OFFSET ?)"
)
"""Delete all but the newest."""

NOTHING = "SELECT 1"
"""Changes nothing: it is answered when what came before it is written."""

NEWEST_FIRST = "ORDER BY created_at DESC, rowid DESC LIMIT ? OFFSET ?"
NEWEST_STARTED = "ORDER BY start_time DESC, id LIMIT ? OFFSET ?"
NEWEST_WITH_ID = "WHERE id = ? ORDER BY created_at DESC LIMIT 1"


def page(limit: int, offset: int) -> tuple[int, int]:
    """Return limit and offset within their bounds."""
    return max(0, min(limit, MAX_PAGE)), max(0, offset)


class Reading(Protocol):
    """The reading side of a database."""

    def records(
        self, table: str, kind: type[Record], clause: str, values: tuple[str | int, ...] = ()
    ) -> list[Record]:
        """Return rows as records."""

    def count(self, table: str, clause: str, values: tuple[str | int, ...] = ()) -> int:
        """Count rows."""

    def close(self) -> None:
        """Close it; a second time does nothing."""


class Reader:
    """Be the reading side of the file. Belongs to one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = (0, 0)
        self._connection: sqlite3.Connection | None = None

    def records(
        self, table: str, kind: type[Record], clause: str, values: tuple[str | int, ...] = ()
    ) -> list[Record]:
        """Return rows as records.

        Raises:
            UnavailableError: if the database cannot be read; the next call tries anew.
        """
        names = kind.__struct_fields__
        statement = f"SELECT {', '.join(names)} FROM {table} {clause}"  # noqa: S608 - our own texts
        try:
            rows = self._usable().execute(statement, values).fetchall()
        except sqlite3.Error as error:
            self.close()
            raise UnavailableError(f"the database cannot be read: {error}") from error
        return [kind(**dict(zip(names, row, strict=True))) for row in rows]

    def count(self, table: str, clause: str, values: tuple[str | int, ...] = ()) -> int:
        """Count rows.

        Raises:
            UnavailableError: as :meth:`records`.
        """
        statement = f"SELECT COUNT(*) FROM {table} {clause}"  # noqa: S608 - our own texts
        try:
            return int(self._usable().execute(statement, values).fetchone()[0])
        except sqlite3.Error as error:
            self.close()
            raise UnavailableError(f"the database cannot be read: {error}") from error

    def _usable(self) -> sqlite3.Connection:
        """Return the connection, opened anew where the file was replaced under us."""
        if self._connection is not None and identity(self._path) == self._file:
            return self._connection
        self.close()
        self._file = identity(self._path)
        connection = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
        self._connection = connection
        connection.execute("PRAGMA query_only = 1")
        return connection

    def close(self) -> None:
        """Close the connection; a second time does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
