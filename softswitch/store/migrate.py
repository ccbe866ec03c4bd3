"""Schema migrations of the SQLite database: numbered scripts, each applied once."""

import sqlite3
from collections.abc import Callable
from importlib import resources
from typing import Literal

from softswitch.errors import UnavailableError

WORDS_VERSION = 11
"""Version that indexes the words of transcripts."""


def migrations(database: Literal["sqlite", "postgres"] = "sqlite") -> list[tuple[int, str]]:
    """Return the numbered scripts of `store/migrations` for a database, in order.

    Scripts are in SQLite's dialect, which is translated; one that is named
    ``<number>_<name>.<database>.sql`` is for that database alone.
    """
    folder = resources.files("softswitch.store") / "migrations"
    found = [
        (int(file.name.partition("_")[0]), file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".sql") and file.name.split(".")[1] in ("sql", database)
    ]
    return sorted(found)


def migrate(connection: sqlite3.Connection, words: Callable[[str, str], str]) -> int:
    """Apply the scripts that a database lacks, each in a transaction.

    Args:
        connection: the database.
        words: returns the words to index of an account's transcript.

    Returns:
        The version reached, which `PRAGMA user_version` stores.

    Raises:
        UnavailableError: A newer version of softswitch wrote the database.
        sqlite3.Error: A script failed.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    known = migrations()
    newest = known[-1][0]
    if version > newest:
        raise UnavailableError(
            f"the database has version {version}, this softswitch supports {newest}: install a newer one"
        )
    connection.create_function("softswitch_words", 2, words, deterministic=True)
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
