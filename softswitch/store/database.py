"""One SQLite file: the connection that writes, and its recovery."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from softswitch.store.migrate import migrate


class Row(NamedTuple):
    """One statement with its values."""

    statement: str
    values: tuple[str | int | None, ...] = ()


class Writing(Protocol):
    """The writing side of a database."""

    def open(self) -> None:
        """Open it and bring it up to date."""

    def close(self) -> None:
        """Close it; a second time does nothing."""

    def write(self, rows: Sequence[Row]) -> list[bool]:
        """Carry out statements in one transaction; return for each row whether it was kept."""


class Database:
    """Be the writing side of one file. Belongs to one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)

    def open(self) -> None:
        """Open the file, make it if need be, and bring it up to date.

        Raises:
            sqlite3.Error: if it is no database, or cannot be written.
            OSError: if its folder cannot be made.
            UnavailableError: if a newer softswitch wrote it.
        """
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(self.path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA journal_size_limit = 16777216")
            migrate(connection)
            self._file = identity(self.path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def close(self) -> None:
        """Close it; a second time does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def write(self, rows: Sequence[Row]) -> list[bool]:
        """Carry out statements in one transaction.

        A row that is wrong in itself fails alone; a disk that fails takes all of them, and the next call
        tries to open the file anew.

        Returns:
            For each row, whether it was kept.
        """
        try:
            connection = self._usable()
            try:
                _transaction(connection, rows)
            except (sqlite3.IntegrityError, sqlite3.ProgrammingError, ValueError, OverflowError):
                return [_alone(connection, row) for row in rows]
        except (sqlite3.Error, OSError):
            self.close()
            return [False] * len(rows)
        return [True] * len(rows)

    def _usable(self) -> sqlite3.Connection:
        """Return the connection, opened anew where the file was taken away under us."""
        if self._connection is None or identity(self.path) != self._file:
            self.open()
        if self._connection is None:
            raise sqlite3.OperationalError("the database is closed")
        return self._connection


def identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from a later one with the same name; zeros where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


def _transaction(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for row in rows:
            connection.execute(row.statement, row.values)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _alone(connection: sqlite3.Connection, row: Row) -> bool:
    try:
        connection.execute(row.statement, row.values)
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, ValueError, OverflowError):
        return False
    return True
