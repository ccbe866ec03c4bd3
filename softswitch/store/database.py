"""Writing side of the SQLite database, and its recovery after failures."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from softswitch.errors import UnavailableError
from softswitch.store.migrate import migrate

_INVALID = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    ValueError,
    OverflowError,
)
"""Errors of one row, such as text that is not Unicode."""


class Row(NamedTuple):
    """An SQL statement with its values."""

    statement: str
    values: tuple[str | int | None, ...] = ()


class Writing(Protocol):
    """Interface of the writing side of a database."""

    def open(self) -> None:
        """Open the database and apply its migrations."""

    def close(self) -> None:
        """Close the database; closing twice is harmless."""

    def write(self, rows: Sequence[Row]) -> list[bool]:
        """Execute statements in one transaction.

        Returns:
            For each, whether it was stored; a statement with invalid values fails alone.

        Raises:
            UnavailableError: The database cannot be written now. Statements that were executed already may be
                executed again.
        """


class Database:
    """Writing side of an SQLite file, used by one thread."""

    def __init__(self, path: Path, words: Callable[[str, str], str] = lambda account, transcript: "") -> None:
        """Prepare.

        Args:
            path: the file.
            words: returns the words to index of an account's transcript, for the migration.
        """
        self.path = path
        self._words = words
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)

    def open(self) -> None:
        """Open the file, create it if necessary, and apply its migrations.

        Raises:
            sqlite3.Error: It is not a database, or cannot be written.
            OSError: Its folder cannot be created.
            UnavailableError: A newer version of softswitch wrote it.
        """
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(self.path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA journal_size_limit = 16777216")
            migrate(connection, self._words)
            self._file = identity(self.path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def close(self) -> None:
        """Close the database; closing twice is harmless."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def write(self, rows: Sequence[Row]) -> list[bool]:
        """Execute statements in one transaction; see `Writing.write`.

        After a failure of the disk the next call opens the file again.
        """
        try:
            connection = self._usable()
            try:
                _transaction(connection, rows)
            except _INVALID:
                return [_alone(connection, row) for row in rows]
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise UnavailableError(f"the database cannot be written: {error}") from error
        return [True] * len(rows)

    def _usable(self) -> sqlite3.Connection:
        """Return the connection; open it again if the file was removed or replaced."""
        if self._connection is None or identity(self.path) != self._file:
            self.open()
        if self._connection is None:
            raise sqlite3.OperationalError("the database is closed")
        return self._connection


def identity(path: Path) -> tuple[int, int]:
    """Return device and inode of a file, zeros if there is no file."""
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
    except _INVALID:
        return False
    return True
