"""Writes through a running store: while the disk fails, many at once, and probes."""

import asyncio
import logging
from pathlib import Path

import pytest

from softswitch.errors import UnavailableError
from softswitch.store import DatabaseStore
from tests.store.records import flush, record


async def test_store_keeps_records_while_the_disk_fails_and_tells_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[bool] = []
    store = DatabaseStore(tmp_path / "data", free_bytes=0, on_health=told.append)
    await store.start()
    caplog.set_level(logging.CRITICAL)
    database = tmp_path / "data" / "softswitch.db"
    for path in database.parent.glob("softswitch.db*"):
        path.unlink()
    database.mkdir()
    assert await store.save_call(record("kept"))
    assert await store.save_call(record("kept too"))
    await asyncio.sleep(0)
    assert (store.healthy, told, store.counters.rows_lost) == (False, [False], 0)
    assert (store.spooled_rows, store.counters.rows_spooled) == (2, 2)
    with pytest.raises(UnavailableError, match="cannot be read"):
        await store.records.calls()
    database.rmdir()
    assert await store.probe()
    await asyncio.sleep(0)
    assert (store.healthy, told, store.spooled_rows) == (True, [False, True], 0)
    assert {call.id for call in await store.records.calls()} == {"kept", "kept too"}
    assert not (tmp_path / "data" / "spool.jsonl").exists()
    await store.close()


async def test_probe_finds_a_store_that_came_back_and_leaves_no_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = DatabaseStore(tmp_path / "data", free_bytes=0)
    await store.start()
    caplog.set_level(logging.CRITICAL)
    assert await store.probe()
    database = tmp_path / "data" / "softswitch.db"
    for path in database.parent.glob("softswitch.db*"):
        path.unlink()
    database.mkdir()
    assert (await store.probe(), store.healthy) == (False, False)
    database.rmdir()
    assert (await store.probe(), store.healthy) == (True, True)
    assert await store.records.webhooks() == []
    assert (store.counters.rows_lost, store.counters.rows_written) == (0, 0)
    await store.close()


async def test_store_counts_dump_lines_that_a_folder_gone_costs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = DatabaseStore(tmp_path, free_bytes=0)
    await store.start()
    caplog.set_level(logging.CRITICAL)
    (tmp_path / "dumps").rmdir()
    (tmp_path / "recordings").rmdir()
    store.dump("a", "{}")
    with pytest.raises(UnavailableError, match="no recording"):
        await store.new_recording("a")
    assert await store.save_call(record("a"))
    assert store.counters.lines_lost == 1
    await store.close()


async def test_store_keeps_up_with_many_calls_at_once(store: DatabaseStore) -> None:
    futures = []
    for number in range(500):
        futures.append(store.save_call(record(f"c{number}", created_at=number)))
        store.dump(f"c{number % 100}", '{"event":"x"}')
    assert all(await asyncio.gather(*futures))
    await flush(store)
    assert store.counters.lines_written == 500
    assert store.counters.queue_full == 0
