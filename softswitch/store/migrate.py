"""Bring a database to the shape this version knows: numbered files, each applied once."""

import sqlite3
from importlib import resources

from softswitch.errors import UnavailableError


def migrations() -> list[tuple[int, str]]:
    """Return the numbered scripts of `store/migrations`, in order."""
    folder = resources.files("softswitch.store") / "migrations"
    found = [
        (int(file.name.partition("_")[0]), file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found)


def migrate(connection: sqlite3.Connection) -> int:
    """Apply the scripts that a database has not seen; each is kept whole or not at all.

    Returns:
        The version reached, which `PRAGMA user_version` holds.

    Raises:
        UnavailableError: if a newer softswitch wrote the database.
        sqlite3.Error: if a script fails.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    known = migrations()
    newest = known[-1][0]
    if version > newest:
        raise UnavailableError(f"the database has version {version}, and this softswitch knows {newest}")
    for number, script in known:
        if number > version:
            _apply(connection, number, script)
    return newest


def _apply(connection: sqlite3.Connection, number: int, script: str) -> None:
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
