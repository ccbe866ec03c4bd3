"""SQL statements of the store, and the reading side of the SQLite database."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from softswitch.errors import UnavailableError
from softswitch.store.database import Row, identity
from softswitch.store.node import Node
from softswitch.store.store import (
    AuditRecord,
    CallPart,
    CallRecord,
    EntryRecord,
    HourRow,
    ParticipantRecord,
    Recording,
    Removal,
    RoomRecord,
    SessionRecord,
    WaitingMail,
    WebhookRecord,
)


class BegunRecording(msgspec.Struct, frozen=True, kw_only=True):
    """A recording whose file is being written; the fields are those of `Recording`."""

    name: str
    call_id: str
    created_at: int
    container: str
    account: str = ""


class CallId(msgspec.Struct, frozen=True, kw_only=True):
    """Id of a call."""

    id: str


class SeenNode(msgspec.Struct, frozen=True, kw_only=True):
    """Time at which a switch last wrote to the database."""

    node: str
    incarnation: str
    seen_at: int
    """Epoch milliseconds."""


Record = TypeVar(
    "Record",
    CallRecord,
    CallPart,
    HourRow,
    Recording,
    Removal,
    WaitingMail,
    WebhookRecord,
    EntryRecord,
    AuditRecord,
    RoomRecord,
    SessionRecord,
    BegunRecording,
    CallId,
    SeenNode,
)
Written = TypeVar("Written", bound=msgspec.Struct)

MAX_PAGE = 1000
"""Most entries of one listing."""

_NODE = ("node", "incarnation")
"""Columns of the rows that a crash may leave open."""


def _upsert(table: str, kind: type[msgspec.Struct], key: tuple[str, ...], more: tuple[str, ...] = ()) -> str:
    """Return the statement that inserts a record, or updates the one with the same key."""
    names = (*kind.__struct_fields__, *more)
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key)
    marks = ", ".join("?" * len(names))
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) "  # noqa: S608 - field names of the structs
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    )


SAVE_CALL = _upsert("calls", CallRecord, ("id", "created_at"), _NODE)
SAVE_PART = _upsert("call_parts", CallPart, ("call_id", "created_at", "part"))
SAVE_RECORDING = _upsert("recordings", Recording, ("name",))
SAVE_BEGUN_RECORDING = _upsert("begun_recordings", BegunRecording, ("name",), _NODE)
SAVE_WEBHOOK = _upsert("webhooks", WebhookRecord, ("id",))
SAVE_ROOM = _upsert("rooms", RoomRecord, ("id",), _NODE)
SAVE_PARTICIPANT = _upsert("participants", ParticipantRecord, ("id",), _NODE)
SAVE_SESSION = _upsert("sessions", SessionRecord, ("id",), _NODE)
SAVE_SEEN = _upsert("nodes", SeenNode, ("node",))
SAVE_ENTRY = _upsert("entries", EntryRecord, ("kind", "name"))
SAVE_AUDIT = _upsert("audit", AuditRecord, ("id",))
SAVE_WORDS = (
    "INSERT INTO transcript_words (call_id, created_at, words) VALUES (?, ?, ?) "
    "ON CONFLICT (call_id, created_at) DO UPDATE SET words = excluded.words"
)
DELETE_ENTRY = "DELETE FROM entries WHERE kind = ? AND name = ?"
DELETE_WEBHOOK = "DELETE FROM webhooks WHERE id = ?"
DELETE_RECORDING = "DELETE FROM recordings WHERE name = ?"
SET_UPLOAD = "UPDATE recordings SET upload = ?, upload_url = ? WHERE name = ?"
FORGET_UPLOADED = "DELETE FROM recordings WHERE upload = 'uploaded' AND created_at < ?"
"""Delete the records of old recordings whose files may be elsewhere only."""
_REMOVALS = (
    "INSERT INTO removals (name, account, created_at, url, tried_at) "
    "SELECT name, account, created_at, upload_url, CAST(? AS INTEGER) FROM recordings "
)
REMEMBER_REMOVAL = f"{_REMOVALS}WHERE name = ? AND upload <> '' ON CONFLICT (name) DO NOTHING"
"""Note, before a recording is deleted, that its object has to go as well."""
REMEMBER_OLD_REMOVALS = (
    f"{_REMOVALS}WHERE upload = 'uploaded' AND created_at < ? ON CONFLICT (name) DO NOTHING"
)
SAVE_REMOVAL = _upsert("removals", Removal, ("name",))
REMOVAL_TRIED = "UPDATE removals SET tried_at = ? WHERE name = ?"
DELETE_REMOVAL = "DELETE FROM removals WHERE name = ?"
WAITING_REMOVALS = "WHERE tried_at < ? ORDER BY tried_at LIMIT ?"
SAVE_MAIL = _upsert("mails", WaitingMail, ("call_id",))
DELETE_MAIL = "DELETE FROM mails WHERE call_id = ?"
WAITING_MAILS = "ORDER BY tried_at LIMIT ?"
WAITING_UPLOADS = "WHERE upload = 'waiting' AND created_at < ? ORDER BY created_at LIMIT ?"
NAMED = "WHERE name = ?"
DELETE_SEEN = "DELETE FROM nodes WHERE node = ?"
DELETE_BEGUN_RECORDING = "DELETE FROM begun_recordings WHERE name = ?"


class Kept(NamedTuple):
    """A statement whose rows are kept while the database is away."""

    name: str
    """Name in the spool, the same in all versions."""
    statement: str
    columns: tuple[str, ...]
    defaults: Mapping[str, str | int | None]
    """Values of columns that an earlier version did not write."""


def _kept(name: str, statement: str, kind: type[msgspec.Struct], more: tuple[str, ...] = ()) -> Kept:
    fields = msgspec.structs.fields(kind)
    defaults = {field.name: field.default for field in fields if field.default is not msgspec.NODEFAULT}
    return Kept(name, statement, (*kind.__struct_fields__, *more), defaults)


_ALL_KEPT = (
    _kept("call", SAVE_CALL, CallRecord, _NODE),
    _kept("call_part", SAVE_PART, CallPart),
    _kept("recording", SAVE_RECORDING, Recording),
    _kept("begun_recording", SAVE_BEGUN_RECORDING, BegunRecording, _NODE),
    _kept("webhook", SAVE_WEBHOOK, WebhookRecord),
    _kept("audit", SAVE_AUDIT, AuditRecord),
    _kept("room", SAVE_ROOM, RoomRecord, _NODE),
    _kept("participant", SAVE_PARTICIPANT, ParticipantRecord, _NODE),
    _kept("session", SAVE_SESSION, SessionRecord, _NODE),
    Kept("set_upload", SET_UPLOAD, ("upload", "upload_url", "name"), {}),
    Kept("remember_removal", REMEMBER_REMOVAL, ("tried_at", "name"), {}),
    _kept("mail", SAVE_MAIL, WaitingMail),
    Kept("delete_mail", DELETE_MAIL, ("call_id",), {}),
    Kept("delete_webhook", DELETE_WEBHOOK, ("id",), {}),
    Kept("delete_recording", DELETE_RECORDING, ("name",), {}),
    Kept("delete_begun_recording", DELETE_BEGUN_RECORDING, ("name",), {}),
)
KEPT: Mapping[str, Kept] = {kept.statement: kept for kept in _ALL_KEPT}
"""Statements whose rows are kept while the database is away, by their text."""
_BY_NAME = {kept.name: kept for kept in _ALL_KEPT}


def kept_row(name: str, values: Mapping[str, str | int | None]) -> Row:
    """Return the row of a kept statement.

    Args:
        name: `Kept.name`.
        values: values by column, as this or an earlier version wrote them.

    Raises:
        KeyError: There is no such statement, or a value is missing.
    """
    kept = _BY_NAME[name]
    return Row(
        kept.statement,
        tuple(values[column] if column in values else kept.defaults[column] for column in kept.columns),
    )


_LEFT_OPEN = "node IN ('', ?) AND incarnation <> ?"
"""Condition for rows of an earlier incarnation of a node; rows of versions before nodes have none."""


_BEGUN = "COALESCE(answered_at, created_at)"
_CLOSE_CALLS = (
    "UPDATE calls SET reason = ?, initiator = 'system', "  # noqa: S608 - constant texts
    f"ended_at = CASE WHEN ? > {_BEGUN} THEN ? ELSE {_BEGUN} END, "
    "duration_ms = CASE WHEN ? > answered_at THEN ? - answered_at ELSE 0 END "
    f"WHERE ended_at IS NULL AND {_LEFT_OPEN}"
)
_END_SESSIONS = (
    "UPDATE sessions SET status = 'interrupted', "  # noqa: S608 - constant texts
    "end_time = CASE WHEN ? > start_time THEN ? ELSE start_time END "
    f"WHERE status = 'active' AND {_LEFT_OPEN}"
)
_END_STAYS = (
    "UPDATE participants SET status = 'left', "  # noqa: S608 - constant texts
    "left_at = CASE WHEN ? > joined_at THEN ? ELSE joined_at END, reason = 'connection_lost' "
    f"WHERE status <> 'left' AND {_LEFT_OPEN}"
)
_CLOSE_ROOMS = (
    "UPDATE rooms SET status = 'closed', reason = 'server_restart' "  # noqa: S608 - constant texts
    f"WHERE status IN ('waiting', 'active') AND {_LEFT_OPEN}"
)


def close_left_open(node: Node, seen_at: int, reason: str = "interrupted") -> list[Row]:
    """Return the statements that close what a crash left open; they are executed at each start.

    The end of a call or stay is the time at which the earlier incarnation last wrote, if that is known, but
    not before its beginning.

    Args:
        node: this node with its new incarnation.
        seen_at: that time, in epoch milliseconds; 0: unknown.
        reason: reason of the calls: interrupted, or node_lost where other nodes have gone on.
    """
    return [
        Row(_CLOSE_CALLS, (reason, seen_at, seen_at, seen_at, seen_at, *node)),
        Row(_END_SESSIONS, (seen_at, seen_at, *node)),
        Row(_END_STAYS, (seen_at, seen_at, *node)),
        Row(_CLOSE_ROOMS, (*node,)),
    ]


LEFT_BEGUN = "WHERE node = ? AND incarnation <> ?"
"""Clause for the begun recordings of an earlier incarnation."""
OF_NODE = "WHERE node = ?"

NAME_RECORDING = (
    "UPDATE calls SET recording = ? WHERE id = ? AND created_at <= ? AND recording = '' "
    "AND reason IN ('interrupted', 'node_lost')"
)
"""Give an interrupted call the name of its recording, which began after the call."""

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
"""Delete all closed rooms but the newest."""

TRIM_CALLS = (
    "DELETE FROM calls WHERE rowid IN (SELECT rowid FROM calls ORDER BY created_at DESC LIMIT -1 OFFSET ?)"
)
"""Delete all calls but the newest."""

TRIM_PARTS = (
    "DELETE FROM call_parts WHERE rowid IN "
    "(SELECT rowid FROM call_parts ORDER BY created_at DESC LIMIT -1 OFFSET ?)"
)
"""Delete all parts of calls but the newest."""
DELETE_PART = "DELETE FROM call_parts WHERE call_id = ? AND part = ?"
FORGET_PARTS = "DELETE FROM call_parts WHERE account = ? AND created_at < ?"
FORGET_OLD_PARTS = "DELETE FROM call_parts WHERE created_at < ?"

TRIM_AUDIT = (
    "DELETE FROM audit WHERE rowid IN (SELECT rowid FROM audit ORDER BY created_at DESC LIMIT -1 OFFSET ?)"
)
"""Delete all records of changes but the newest."""

NOTHING = "SELECT 1"
"""Changes nothing; it is complete once all writes before it are."""

NEWEST_BY_ID = "ORDER BY created_at DESC, id DESC LIMIT ?"
"""The newest first, in an order that a time and an id lead back into."""
FORGET_TRANSCRIPTS = (
    "UPDATE calls SET transcript_json = '' WHERE account = ? AND created_at < ? AND transcript_json <> ''"
)
FORGET_OLD_TRANSCRIPTS = (
    "UPDATE calls SET transcript_json = '' WHERE created_at < ? AND transcript_json <> ''"
)
DELETE_FORGOTTEN_WORDS = (
    "DELETE FROM transcript_words WHERE NOT EXISTS "
    "(SELECT 1 FROM calls WHERE calls.id = transcript_words.call_id "
    "AND calls.created_at = transcript_words.created_at AND calls.transcript_json <> '')"
)
"""Delete the words of calls that have no transcript any more."""
NEWEST_FIRST = "ORDER BY created_at DESC, rowid DESC LIMIT ? OFFSET ?"
ENDED = "WHERE ended_at IS NOT NULL "
NEWEST_STARTED = "ORDER BY start_time DESC, id LIMIT ? OFFSET ?"
MOST_HOUR_ROWS = 10_000
HOURS = (
    "(SELECT created_at / 3600000 AS hour, "
    "CASE WHEN answered_at IS NOT NULL THEN '' WHEN reason = '' THEN 'unknown' ELSE reason END AS failure, "
    "COUNT(*) AS calls, CAST(COALESCE(SUM(answered_at - created_at), 0) AS INTEGER) AS setup_ms "
    "FROM calls WHERE ended_at IS NOT NULL AND created_at >= ? GROUP BY 1, 2) AS hourly"
)
"""Calls by hour and reason, as a table."""
NEWEST_HOURS = f"ORDER BY hour DESC LIMIT {MOST_HOUR_ROWS}"
NEWEST_PART = "WHERE call_id = ? AND part = ? ORDER BY created_at DESC LIMIT 1"
NEWEST_WITH_ID = "WHERE id = ? ORDER BY created_at DESC LIMIT 1"


def of_sessions(room_id: str, account: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the SQL condition for sessions of a room ("": any) and account (None: any), with its values."""
    wanted = [("room_id = ?", room_id)] if room_id else []
    if account is not None:
        wanted.append(("account = ?", account))
    if not wanted:
        return "", ()
    return f"WHERE {' AND '.join(condition for condition, _ in wanted)} ", tuple(value for _, value in wanted)


def page(limit: int, offset: int) -> tuple[int, int]:
    """Return limit and offset, corrected to their ranges."""
    return max(0, min(limit, MAX_PAGE)), max(0, offset)


class Reading(Protocol):
    """Interface of the reading side of a database."""

    def records(
        self, table: str, kind: type[Record], clause: str, values: tuple[str | int, ...] = ()
    ) -> list[Record]:
        """Return rows as records; `clause` follows the FROM clause."""

    def count(self, table: str, clause: str, values: tuple[str | int, ...] = ()) -> int:
        """Return the number of rows."""

    def matching(self, account_word: str, beginnings: Sequence[str]) -> tuple[str, str]:
        """Return the SQL condition for rows of ``transcript_words``, and its value.

        Args:
            account_word: word of the account; empty: any.
            beginnings: beginnings of the words that are wanted; at least one.
        """

    def close(self) -> None:
        """Close the database; closing twice is harmless."""


class Reader:
    """Reading side of an SQLite file, used by one thread."""

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
        statement = f"SELECT {', '.join(names)} FROM {table} {clause}"  # noqa: S608 - constant texts
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
        statement = f"SELECT COUNT(*) FROM {table} {clause}"  # noqa: S608 - constant texts
        try:
            return int(self._usable().execute(statement, values).fetchone()[0])
        except sqlite3.Error as error:
            self.close()
            raise UnavailableError(f"the database cannot be read: {error}") from error

    def matching(self, account_word: str, beginnings: Sequence[str]) -> tuple[str, str]:
        """Return the condition of FTS5; words hold letters, digits and ``=`` alone."""
        wanted = [f'"{account_word}"'] if account_word else []
        wanted += [f'"{beginning}" *' for beginning in beginnings]
        return (
            "number IN (SELECT rowid FROM transcript_index WHERE transcript_index MATCH ?)",
            " AND ".join(wanted),
        )

    def _usable(self) -> sqlite3.Connection:
        """Return the connection; open it again if the file was replaced."""
        if self._connection is not None and identity(self._path) == self._file:
            return self._connection
        self.close()
        self._file = identity(self._path)
        connection = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
        self._connection = connection
        connection.execute("PRAGMA query_only = 1")
        return connection

    def close(self) -> None:
        """Close the connection; closing twice is harmless."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
