"""Records read from a database, in pages and by conditions."""

import asyncio
from pathlib import Path

import msgspec

from softswitch.store import DatabaseStore
from softswitch.store.database import Database, Row
from softswitch.store.queries import CallQuery, RecordingQuery
from softswitch.store.store import WebhookRecord
from softswitch.store.store_thread import StoreThread
from softswitch.store.stored_records import StoredRecords
from softswitch.store.tables import SAVE_WEBHOOK, Reader
from softswitch.store.words import indexed
from tests.store.records import record, recording
from tests.store.test_words import transcript


async def test_store_lists_calls_newest_first_in_pages(store: DatabaseStore) -> None:
    await asyncio.gather(*(store.save_call(record(f"c{number}", created_at=number)) for number in range(10)))
    assert [call.id for call in await store.records.calls(limit=3)] == ["c9", "c8", "c7"]
    assert [call.id for call in await store.records.calls(limit=3, offset=8)] == ["c1", "c0"]
    assert await store.records.calls(limit=-1) == []
    assert len(await store.records.calls(limit=10**9, offset=-5)) == 10


async def test_records_need_a_reader_and_a_thread_and_no_store(tmp_path: Path) -> None:
    path, thread = tmp_path / "softswitch.db", StoreThread()
    database, reader = Database(path, indexed), Reader(path)
    database.open()
    hook = WebhookRecord(id=1, account="me", url="https://example.com/", event_type="on-call", created_at=1)
    assert database.write([Row(SAVE_WEBHOOK, msgspec.structs.astuple(hook))]) == [True]
    thread.start()
    records = StoredRecords(reader, thread)
    assert await records.webhooks() == [hook]
    assert await records.select("webhooks", WebhookRecord, "WHERE id = ?", (2,)) == []
    assert await records.count("webhooks", "", ()) == 1
    await thread.close(reader.close)
    database.close()


async def test_store_reads_again_after_its_file_was_replaced(sqlite: DatabaseStore, tmp_path: Path) -> None:
    await sqlite.save_call(record("a"))
    assert len(await sqlite.records.calls()) == 1
    for path in (tmp_path / "data").glob("softswitch.db*"):
        path.unlink()
    await sqlite.save_call(record("b"))
    assert [call.id for call in await sqlite.records.calls()] == ["b"]


async def test_ended_calls_are_found_by_every_condition(store: DatabaseStore) -> None:
    day = 86_400_000
    kept = [
        record(
            "a", day, ended_at=day + 9, answered_at=day + 1, duration_ms=8000, caller="4930", callee="echo"
        ),
        record(
            "b",
            2 * day,
            ended_at=2 * day,
            reason="busy",
            account="me",
            direction="outbound",
            trunk="t",
            user="u",
        ),
        record(
            "c",
            3 * day,
            ended_at=3 * day,
            reason="no_answer",
            caller="50%",
            tag="vip",
            transcript_json=transcript("Good Day"),
        ),
        record("running", 4 * day),
    ]
    for one in kept:
        assert await store.save_call(one)

    async def found(**conditions: object) -> str:
        calls, total = await store.records.find_calls(CallQuery(**conditions), 10, 0)  # type: ignore[arg-type]
        assert total == len(calls)
        return "".join(call.id for call in calls)

    assert await found() == "cba"
    assert await found(account="me") == "b"
    assert await found(since_ms=2 * day, until_ms=3 * day) == "b"
    assert await found(direction="outbound", trunk="t") == "b"
    assert await found(caller="93", callee="ech") == "a"
    assert await found(caller="%") == "c"
    assert await found(call_id="c") == "c"
    assert await found(answered=True, least_ms=8000) == "a"
    assert await found(answered=False, reasons=("busy",)) == "b"
    assert await found(answered=False, other_than=("busy",)) == "c"
    assert await found(ended=False) == "running"
    assert await found(number="ech") == "a"
    assert await found(number="50%") == "c"
    assert await found(user="u") == "b"
    assert await found(tag="vip") == "c"
    assert await found(tag_begins="vi") == "c"
    assert await found(tag_begins="%ip") == ""
    assert await found(transcript="GOOD day") == "c"
    assert await found(transcript="%") == ""
    first = await store.records.list_calls(CallQuery(), 2)
    rest = await store.records.list_calls(CallQuery(before=(first[-1].created_at, first[-1].id)), 2)
    assert [call.id for call in first + rest] == ["c", "b", "a"]
    page, total = await store.records.find_calls(CallQuery(), 1, 1)
    assert ([call.id for call in page], total) == (["b"], 3)


async def test_recordings_are_found_by_call_time_and_account(store: DatabaseStore) -> None:
    await store.save_recording(recording("a.wav", 1000))
    await store.save_recording(recording("b.wav", 2000))
    found, total = await store.records.find_recordings(
        RecordingQuery(call_id="c", account="", since_ms=1500), 10, 0
    )
    assert ([each.name for each in found], total) == (["b.wav"], 1)
    assert await store.records.find_recordings(RecordingQuery(account="other"), 10, 0) == ([], 0)
