"""Recovery of the file."""

import sqlite3
from pathlib import Path

import pytest

from softswitch.errors import UnavailableError
from softswitch.store.database import Database, Row
from softswitch.store.migrate import migrate, migrations
from softswitch.store.words import indexed

SAVE = "INSERT INTO recordings VALUES (?, 'c', 0, 0, ?, 'wav', '', '', '')"


@pytest.fixture
def database(tmp_path: Path):
    made = Database(tmp_path / "deep" / "x.db")
    made.open()
    yield made
    made.close()


def count(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM recordings").fetchone()[0])
    finally:
        connection.close()


def test_migrations_are_numbered_without_a_gap_and_applied_once(tmp_path: Path) -> None:
    numbers = list(range(1, len(migrations()) + 1))
    assert [number for number, _ in migrations()] == numbers
    assert [number for number, _ in migrations("postgres")] == numbers
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    assert migrate(connection, indexed) == migrate(connection, indexed) == len(migrations())
    connection.execute("PRAGMA user_version = 99")
    with pytest.raises(UnavailableError, match="version 99"):
        migrate(connection, indexed)
    connection.close()


def test_migrate_keeps_a_script_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "softswitch.store.migrate.migrations",
        lambda: [(1, "CREATE TABLE a (x)"), (2, "CREATE TABLE b (x); NONSENSE")],
    )
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    with pytest.raises(sqlite3.Error):
        migrate(connection, indexed)
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    assert (names, version) == (["a"], 1)


def test_database_is_in_wal_mode(database: Database) -> None:
    connection = sqlite3.connect(database.path)
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    connection.close()
    assert mode == "wal"


def test_database_keeps_the_good_rows_of_a_batch_with_a_bad_one(database: Database) -> None:
    rows = [
        Row(SAVE, ("a", 1)),
        Row(SAVE, ("a", 2)),  # the same key
        Row(SAVE, ("b", 2**70)),  # no such number there
        Row(SAVE, ("\ud800", 1)),  # no such text
        Row(SAVE, (None, 1)),
        Row(SAVE, ("c", 3)),
    ]
    assert database.write(rows) == [True, False, False, False, False, True]
    assert count(database.path) == 2


def test_database_is_made_anew_when_its_file_was_taken_away(database: Database) -> None:
    assert database.write([Row(SAVE, ("a", 1))]) == [True]
    for path in database.path.parent.iterdir():
        path.unlink()
    database.path.parent.rmdir()
    assert database.write([Row(SAVE, ("b", 1))]) == [True]
    assert count(database.path) == 1


def test_database_fails_while_its_place_is_blocked_and_recovers(database: Database) -> None:
    for path in database.path.parent.iterdir():
        path.unlink()
    database.path.mkdir()
    with pytest.raises(UnavailableError, match="cannot be written"):
        database.write([Row(SAVE, ("a", 1)), Row(SAVE, ("b", 1))])
    database.path.rmdir()
    assert database.write([Row(SAVE, ("c", 1))]) == [True]


def test_database_fails_on_a_full_disk_and_recovers(database: Database) -> None:
    database.write([Row("PRAGMA max_page_count = 1")])
    wide = Row("INSERT INTO recordings VALUES (?, ?, 0, 0, 1, 'wav', '', '', '')", ("a", "x" * 100_000))
    with pytest.raises(UnavailableError, match="full"):
        database.write([wide])
    assert database.write([wide]) == [True], "the connection was opened anew, without the bound"


def test_open_refuses_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        Database(tmp_path / "x.db").open()


def test_migration_gives_sessions_and_recordings_their_accounts() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for number, script in migrations()[:6]:
        if number == 6:
            connection.executescript(
                """
                INSERT INTO rooms VALUES ('r', '', 'closed', '{}', 1, 1, '', 'shop');
                INSERT INTO sessions VALUES ('s1', 'r', 'p', 1, 2, 'completed', '{}');
                INSERT INTO sessions VALUES ('s2', 'forgotten', 'p', 1, 2, 'completed', '{}');
                INSERT INTO recordings VALUES ('of-room', 'r', 0, 0, 5, 'wav');
                INSERT INTO recordings VALUES ('of-call', 'c', 0, 0, 15, 'wav');
                INSERT INTO recordings VALUES ('of-nothing', 'x', 0, 0, 5, 'wav');
                """
            )
            for at, account in ((10, "bank"), (20, "shop")):
                connection.execute(
                    "INSERT INTO calls (id, kind, created_at, caller, callee, reason, initiator, duration_ms,"
                    " codec, recording, option_json, statistics_json, account)"
                    " VALUES ('c', '', ?, '', '', '', '', 0, '', '', '', '', ?)",
                    (at, account),
                )
        connection.executescript(script)
    assert dict(connection.execute("SELECT id, account FROM sessions")) == {"s1": "shop", "s2": ""}
    assert dict(connection.execute("SELECT name, account FROM recordings")) == {
        "of-room": "shop",
        "of-call": "bank",
        "of-nothing": "",
    }
