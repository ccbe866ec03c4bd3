"""The store as the switch sees it."""

import json
import os
import sqlite3
from pathlib import Path

import pytest

from softswitch.errors import NotNowError, UnavailableError
from softswitch.store import DatabaseStore
from tests.store.records import flush, record, recording

DAY_MS = 86_400_000


async def test_store_keeps_a_call_and_what_is_learnt_later(store: DatabaseStore) -> None:
    assert await store.save_call(record("a", caller="1", callee="2", option_json='{"codec":"pcm"}'))
    begun = await store.records.call("a")
    assert begun is not None
    assert begun.ended_at is None
    ended = record(
        "a", caller="1", callee="2", answered_at=1100, ended_at=2000, reason="caller", duration_ms=900
    )
    assert await store.save_call(ended)
    assert await store.records.call("a") == ended
    assert await store.records.call("b") is None
    assert store.counters.rows_written == 2


async def test_store_keeps_two_calls_that_used_the_same_id(store: DatabaseStore) -> None:
    await store.save_call(record("a", created_at=1, caller="first"))
    await store.save_call(record("a", created_at=2, caller="second"))
    found = await store.records.call("a")
    assert found is not None
    assert found.caller == "second"
    assert len(await store.records.calls()) == 2


async def test_store_writes_dumps_as_lines_and_lists_them(store: DatabaseStore, tmp_path: Path) -> None:
    for number in range(3):
        assert store.dump("call-1", json.dumps({"seq": number}))
    assert store.dump("call-2", '{"text":"ü\ud800"}')
    await flush(store)
    path = await store.dump_path("call-1")
    assert path is not None
    assert [json.loads(line)["seq"] for line in path.read_text().splitlines()] == [0, 1, 2]
    assert {dump.call_id for dump in await store.dumps()} == {"call-1", "call-2"}
    assert len(await store.dumps(limit=1, offset=1)) == 1
    assert store.counters.lines_written == 4
    assert await store.delete_dump("call-1")
    assert not await store.delete_dump("call-1")
    assert await store.dump_path("call-1") is None
    assert await store.dump_path("../softswitch") is None


async def test_store_bounds_a_dump_and_says_so_in_it(tmp_path: Path) -> None:
    store = DatabaseStore(tmp_path, dump_bytes=500, free_bytes=0)
    await store.start()
    for number in range(100):
        store.dump("a", json.dumps({"seq": number, "text": "x" * 20}))
    await flush(store)
    lines = (tmp_path / "dumps" / "a.jsonl").read_text().splitlines()
    await store.close()
    assert sum(len(line) + 1 for line in lines) <= 500
    assert [json.loads(line).get("seq") for line in lines[:-1]] == list(range(len(lines) - 1))
    assert json.loads(lines[-1]) == {"truncated": True}
    assert store.counters.lines_lost == 100 - (len(lines) - 1)
    assert store.healthy


async def test_store_without_room_for_dumps_writes_none(tmp_path: Path) -> None:
    store = DatabaseStore(tmp_path, dump_bytes=0, free_bytes=0)
    await store.start()
    assert not store.dump("a", "{}")
    await store.close()
    assert list((tmp_path / "dumps").iterdir()) == []


async def test_store_gives_a_place_below_its_folder_whatever_is_wished(
    store: DatabaseStore, tmp_path: Path
) -> None:
    root = tmp_path / "data" / "recordings"
    wishes = {
        "": "call-1.wav",
        "mine.wav": "mine.wav",
        "/etc/cron.d/evil": "evil.wav",
        "..\\..\\up.wav": "up.wav",
        "../../.bashrc": "call-1-2.wav",
        "a b": "call-1-3.wav",
        "mine": "mine-2.wav",
        "x" * 500: "x" * (128 - len("-1000.wav")) + ".wav",
    }
    for wish, name in wishes.items():
        made = await store.new_recording("call-1", wish)
        assert made.name == name
        assert made.path == root / name
        assert made.path.read_bytes() == b""
    assert (await store.new_recording("../bad", "")).name == "recording.wav"
    assert (await store.new_recording("x" * 128, "", "ogg")).name.endswith(".ogg")
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


async def test_store_lists_opens_and_deletes_recordings(store: DatabaseStore) -> None:
    made = await store.new_recording("call-1")
    made.path.write_bytes(b"RIFF")
    assert await store.save_recording(recording(made.name))
    assert [one.name for one in await store.records.recordings()] == ["call-1.wav"]
    assert await store.recording_path("call-1.wav") == made.path
    file = await store.open_recording("call-1.wav")
    assert file is not None
    with file:
        assert file.read() == b"RIFF"
    assert await store.open_recording("../softswitch.db") is None
    assert not await store.delete_recording("../softswitch.db")
    assert await store.delete_recording("call-1.wav")
    assert not await store.delete_recording("call-1.wav")
    assert await store.records.recordings() == []


async def test_store_refuses_recordings_and_dumps_beyond_the_quota(tmp_path: Path) -> None:
    store = DatabaseStore(tmp_path, quota_bytes=1000, free_bytes=0)
    await store.start()
    made = await store.new_recording("a")
    made.path.write_bytes(bytes(600))
    (tmp_path / "dumps" / "b.jsonl").write_bytes(bytes(400))
    with pytest.raises(NotNowError, match="quota"):
        await store.new_recording("c")
    store.dump("c", "{}")
    await flush(store)
    assert (store.counters.recordings_refused, store.counters.lines_lost) == (1, 1)
    assert made.path.exists(), "a quota deletes nothing"
    await store.delete_dump("b")
    assert (await store.new_recording("c")).name == "c.wav"
    await store.close()


async def test_store_leaves_room_on_the_disk(tmp_path: Path) -> None:
    store = DatabaseStore(tmp_path, free_bytes=2**62)
    await store.start()
    with pytest.raises(NotNowError, match="disk is full"):
        await store.new_recording("a")
    store.dump("a", "{}")
    assert await store.save_call(record("a")), "call records are small and go on"
    await flush(store)
    await store.close()
    assert store.counters.lines_lost == 1


async def test_sweep_deletes_what_is_too_old_and_forgets_what_is_gone(tmp_path: Path) -> None:
    store = DatabaseStore(tmp_path, retention_days=7, calls_kept=2, free_bytes=0)
    await store.start()
    now_ms = 1_000 * DAY_MS
    for name, age_days in (("old", 8), ("young", 6), ("gone", 1)):
        made = await store.new_recording(name)
        made.path.write_bytes(b"x")
        await store.save_recording(recording(made.name))
        (tmp_path / "dumps" / f"{name}.jsonl").write_bytes(b"{}\n")
        seconds = (now_ms - age_days * DAY_MS) / 1000
        os.utime(made.path, (seconds, seconds))
        os.utime(tmp_path / "dumps" / f"{name}.jsonl", (seconds, seconds))
    (tmp_path / "recordings" / "gone.wav").unlink()
    for number in range(4):
        await store.save_call(record(f"c{number}", created_at=number))
    swept = await store.sweep(now_ms)
    assert (swept.recordings, swept.dumps) == (1, 1)
    assert [one.name for one in await store.records.recordings()] == ["young.wav"]
    assert {dump.call_id for dump in await store.dumps()} == {"young", "gone"}
    assert [call.id for call in await store.records.calls()] == ["c3", "c2"]
    assert (await store.sweep(now_ms)).recordings == 0
    await store.close()


async def test_sweep_without_a_retention_time_keeps_all(tmp_path: Path) -> None:
    store = DatabaseStore(tmp_path, retention_days=0, free_bytes=0)
    await store.start()
    made = await store.new_recording("a")
    os.utime(made.path, (0, 0))
    assert (await store.sweep(10**15)).recordings == 0
    await store.close()


async def test_sweep_does_not_raise_where_nothing_can_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = DatabaseStore(tmp_path, free_bytes=0)
    await store.start()
    for path in tmp_path.glob("softswitch.db*"):
        path.unlink()
    (tmp_path / "softswitch.db").mkdir()
    await store.sweep(0)
    (tmp_path / "dumps").rmdir()
    await store.sweep(0)
    assert caplog.text.count("old recordings and dumps could not") == 2
    await store.close()


async def test_store_takes_nothing_before_it_starts_and_after_it_closed(tmp_path: Path) -> None:
    store = DatabaseStore(tmp_path, free_bytes=0)
    assert not await store.save_call(record("early"))
    await store.start()
    await store.close()
    await store.close()
    assert not await store.save_call(record("late"))
    assert not store.dump("late", "{}")
    assert store.counters.queue_full == 3
    with pytest.raises(UnavailableError, match="closed"):
        await store.records.calls()


async def test_store_refuses_to_start_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnavailableError, match=f"{tmp_path}/file"):
        await DatabaseStore(tmp_path / "file").start()
    (tmp_path / "softswitch.db").write_bytes(b"no database" * 1000)
    with pytest.raises(UnavailableError, match="cannot be used"):
        await DatabaseStore(tmp_path).start()


async def test_store_refuses_a_database_of_a_later_version(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "softswitch.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UnavailableError, match="version 99"):
        await DatabaseStore(tmp_path).start()
