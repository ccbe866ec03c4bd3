"""Entries and the log of changes, in every kind of store."""

import msgspec

from softswitch.store import SqliteStore
from softswitch.store.store import AuditRecord, CallRecord, EntryRecord, Forgotten, Recording

ENTRY = EntryRecord(kind="user", name="anna", body_json="{}", secrets="", created_at=1, updated_at=1)


async def test_entry_is_kept_replaced_and_deleted(store: SqliteStore) -> None:
    other = msgspec.structs.replace(ENTRY, kind="trunk")
    assert await store.save_entry(ENTRY)
    assert await store.save_entry(other)
    changed = msgspec.structs.replace(ENTRY, body_json='{"a": 1}', updated_at=2)
    assert await store.save_entry(changed)
    assert await store.entries() == [other, changed]
    assert await store.delete_entry("user", "anna")
    assert await store.entries() == [other]


async def test_log_of_changes_goes_back_from_a_place(store: SqliteStore) -> None:
    records = [
        AuditRecord(
            id=name,
            created_at=at,
            who="root",
            address="",
            action="create",
            kind="user",
            name=name,
            before_json="",
            after_json="{}",
        )
        for at, name in ((1, "a"), (2, "b"), (2, "c"), (3, "d"))
    ]
    for record in records:
        assert await store.save_audit(record)
    assert await store.audit(2) == [records[3], records[2]]
    assert await store.audit(10, (2, "c")) == [records[1], records[0]]
    await store.sweep(0)
    assert len(await store.audit(10)) == 4


async def test_account_is_forgotten_alone_and_up_to_a_time(store: SqliteStore) -> None:
    for number, (name, account, at) in enumerate(
        [("a", "one", 1), ("b", "one", 9), ("c", "two", 1), ("d", "", 1)]
    ):
        call = CallRecord(
            id=name, kind="sip", created_at=at, ended_at=at, account=account, transcript_json="1 party x"
        )
        assert await store.save_call(call)
        place = await store.new_recording(name)
        assert await store.save_recording(
            Recording(
                name=place.name,
                call_id=name,
                size=number,
                duration_ms=1,
                created_at=at,
                container="wav",
                account=account,
            )
        )
        assert store.dump(name, "{}")
    await store.settled()
    assert await store.forget("one", 5) == Forgotten(1, 1, 1)
    assert await store.forget("one", 5) == Forgotten(0, 0, 0)
    assert {recording.call_id for recording in await store.recordings()} == {"b", "c", "d"}
    assert {dump.call_id for dump in await store.dumps()} == {"b", "c", "d"}
    assert {call.id for call in await store.calls() if call.transcript_json} == {"b", "c", "d"}
    assert len(await store.calls()) == 4


async def test_calls_are_counted_by_hour_and_reason(store: SqliteStore) -> None:
    hour = 3_600_000
    for number, (at, answered, reason) in enumerate(
        [
            (5 * hour, 5 * hour + 100, "caller"),
            (5 * hour + 9, 5 * hour + 59, "callee"),
            (5 * hour, None, "busy"),
            (6 * hour, None, ""),
            (1 * hour, None, "busy"),
        ]
    ):
        record = CallRecord(
            id=str(number), kind="sip", created_at=at, answered_at=answered, ended_at=at + 200, reason=reason
        )
        assert await store.save_call(record)
    assert await store.save_call(CallRecord(id="live", kind="sip", created_at=6 * hour))
    found = await store.hours(5 * hour)
    assert sorted((row.hour, row.failure, row.calls, row.setup_ms) for row in found) == [
        (5, "", 2, 150),
        (5, "busy", 1, 0),
        (6, "unknown", 1, 0),
    ]
