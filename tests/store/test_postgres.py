"""What PostgreSQL does beyond what every store does."""

from pathlib import Path

import pytest

from softswitch.errors import UnavailableError
from softswitch.store import CallRecord, DatabaseStore
from softswitch.store.postgres import dialect, postgres_store
from tests.support.postgres import PostgresServer


def feels(store: DatabaseStore) -> bool:
    """Return whether a store says that it is well."""
    return store.healthy


def record(call_id: str) -> CallRecord:
    return CallRecord(id=call_id, kind="websocket", created_at=1)


@pytest.mark.parametrize(
    ("local", "remote"),
    [
        ("SELECT id FROM calls WHERE id = ?", "SELECT id FROM calls WHERE id = $1"),
        ("ORDER BY a DESC, rowid DESC LIMIT ? OFFSET ?", "ORDER BY a DESC, ctid DESC LIMIT $1 OFFSET $2"),
        ("INSERT INTO calls (user) VALUES (?)", 'INSERT INTO calls ("user") VALUES ($1)'),
        ("LIMIT -1 OFFSET ?", "LIMIT ALL OFFSET $1"),
    ],
)  # fmt: skip
def test_statements_are_translated(local: str, remote: str) -> None:
    assert dialect(local) == remote


async def test_a_server_that_goes_and_comes_back_loses_nothing(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    store = postgres_store(tmp_path / "data", postgres.database(), free_bytes=0)
    await store.start()
    assert await store.save_call(record("before"))
    postgres.stop()
    try:
        assert await store.save_call(record("meanwhile"))
        assert feels(store) is False
        with pytest.raises(UnavailableError):
            await store.records.calls()
    finally:
        postgres.start()
    assert await store.save_call(record("after"))
    assert await store.probe()
    assert feels(store) is True
    assert {each.id for each in await store.records.calls()} == {"before", "meanwhile", "after"}
    assert store.counters.rows_lost == 0
    await store.close()


async def test_a_probe_finds_a_server_that_came_back_though_no_call_has_come(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    store = postgres_store(tmp_path, postgres.database())
    await store.start()
    assert await store.probe()
    postgres.stop()
    try:
        assert not await store.probe()
        assert feels(store) is False
    finally:
        postgres.start()
    assert await store.probe()
    assert feels(store) is True
    assert await store.records.webhooks() == []
    await store.close()


async def test_two_switches_share_one_database(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.database()
    first, second = (postgres_store(tmp_path / name, url, free_bytes=0) for name in ("one", "two"))
    await first.start()
    await second.start()
    assert await first.save_call(record("a"))
    assert (await second.records.call("a")) == record("a")
    await second.close()
    await second.start()
    assert (await second.records.call("a")) == record("a"), "a start closes only what its own node left open"
    await first.close()
    await first.start()
    closed = await second.records.call("a")
    assert closed is not None
    assert closed.reason == "interrupted"
    await first.close()
    await second.close()


async def test_a_database_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    store = postgres_store(tmp_path / "data", "postgresql://unknown@127.0.0.1:1/none")
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await store.start()
