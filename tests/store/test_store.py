"""Entries, the log of changes, and what is still to be done elsewhere, in every kind of store."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from softswitch.store import DatabaseStore
from softswitch.store.postgres import postgres_store
from softswitch.store.store import AuditRecord, CallRecord, EntryRecord, Forgotten, Recording, WaitingMail

ENTRY = EntryRecord(kind="user", name="anna", body_json="{}", secrets="", created_at=1, updated_at=1)
DAY_MS = 86_400_000
NOW_MS = 100 * DAY_MS


async def test_entry_is_kept_replaced_and_deleted(store: DatabaseStore) -> None:
    other = msgspec.structs.replace(ENTRY, kind="trunk")
    assert await store.save_entry(ENTRY)
    assert await store.save_entry(other)
    changed = msgspec.structs.replace(ENTRY, body_json='{"a": 1}', updated_at=2)
    assert await store.save_entry(changed)
    assert await store.records.entries() == [other, changed]
    assert await store.delete_entry("user", "anna")
    assert await store.records.entries() == [other]


async def test_log_of_changes_goes_back_from_a_place(store: DatabaseStore) -> None:
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
    assert await store.records.audit(2) == [records[3], records[2]]
    assert await store.records.audit(10, (2, "c")) == [records[1], records[0]]
    await store.sweep(0)
    assert len(await store.records.audit(10)) == 4


async def test_account_is_forgotten_alone_and_up_to_a_time(store: DatabaseStore) -> None:
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
    assert {recording.call_id for recording in await store.records.recordings()} == {"b", "c", "d"}
    assert {dump.call_id for dump in await store.dumps()} == {"b", "c", "d"}
    assert {call.id for call in await store.records.calls() if call.transcript_json} == {"b", "c", "d"}
    assert len(await store.records.calls()) == 4


async def test_calls_are_counted_by_hour_and_reason(store: DatabaseStore) -> None:
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
    found = await store.records.hours(5 * hour)
    assert sorted((row.hour, row.failure, row.calls, row.setup_ms) for row in found) == [
        (5, "", 2, 150),
        (5, "busy", 1, 0),
        (6, "unknown", 1, 0),
    ]


# --- what is still to be done elsewhere: objects to delete, mails to send


@pytest.fixture(params=["sqlite", "postgres"])
async def removing(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DatabaseStore]:
    """Give a store of each kind whose recordings are uploaded, and deleted in the storage too."""
    if request.param == "sqlite":
        made = DatabaseStore(tmp_path / "data", free_bytes=0, uploads=True, removes=True)
    else:
        url = request.getfixturevalue("postgres").database()
        made = postgres_store(tmp_path / "data", url, free_bytes=0, uploads=True, removes=True)
    await made.start()
    yield made
    await made.close()


async def keep_recording(
    store: DatabaseStore, name: str, *, account: str = "shop", at_ms: int = 5, url: str = ""
) -> str:
    made = await store.new_recording(name)
    made.path.write_bytes(b"sound")
    record = Recording(
        name=made.name,
        call_id=name,
        size=5,
        duration_ms=0,
        created_at=at_ms,
        container="wav",
        account=account,
    )
    await store.save_recording(record)
    if url:
        await store.set_upload(made.name, "uploaded", url)
    return made.name


async def removals_of(store: DatabaseStore) -> dict[str, str]:
    await store.settled()
    return {one.name: one.url for one in await store.records.removals(100, 1 << 62)}


async def test_objects_of_deleted_recordings_wait_for_their_deletion(removing: DatabaseStore) -> None:
    woken: list[bool] = []
    removing.on_removal = lambda: woken.append(True)
    for name in ("a", "b"):
        await keep_recording(removing, name, url=f"s3/{name}")
    assert await removing.delete_recording("a.wav")
    assert await removals_of(removing) == {"a.wav": "s3/a"}
    assert woken == [True]
    await removing.removal_tried("a.wav", 1 << 61)
    assert await removing.records.removals(9, 1 << 60) == []
    await removing.removed("a.wav")
    assert await removals_of(removing) == {}
    assert await removing.records.uploaded_to("b.wav") == "s3/b"
    assert await removing.records.uploaded_to("a.wav") is None


async def test_removal_is_due_in_the_millisecond_in_which_it_was_remembered(removing: DatabaseStore) -> None:
    removing._clock = lambda: 1000.0006
    await keep_recording(removing, "a", url="s3/a")
    await removing.delete_recording("a.wav")
    # As the remover asks, which is woken at once: a time rounded up would wait for its next round.
    assert [one.name for one in await removing.records.removals(9, int(1000.0007 * 1000) + 1)] == ["a.wav"]


async def test_objects_of_a_forgotten_account_and_of_old_recordings_wait_too(removing: DatabaseStore) -> None:
    await keep_recording(removing, "shop", url="s3/shop")
    await keep_recording(removing, "inn", account="inn", url="s3/inn")
    done = await removing.forget("shop", 10)
    assert (done.recordings, done.objects, done.objects_left) == (1, 1, 0)
    assert await removals_of(removing) == {"shop.wav": "s3/shop"}
    await removing.sweep(NOW_MS)
    assert await removals_of(removing) == {"shop.wav": "s3/shop", "inn.wav": "s3/inn"}


async def test_objects_that_stay_are_counted(tmp_path: Path) -> None:
    store = DatabaseStore(tmp_path / "data", free_bytes=0, uploads=True)
    await store.start()
    await keep_recording(store, "shop", url="s3/shop")
    done = await store.forget("shop", 10)
    assert (done.recordings, done.objects, done.objects_left) == (1, 0, 1)
    assert await removals_of(store) == {}
    await store.close()


@pytest.mark.parametrize("keeps_files", [True, False])
async def test_recording_whose_file_is_in_the_storage_alone_is_deleted_on_any_machine(
    tmp_path: Path, keeps_files: bool
) -> None:
    store = DatabaseStore(
        tmp_path / "data", free_bytes=0, uploads=True, removes=True, is_cluster=True, keeps_files=keeps_files
    )
    await store.start()
    await keep_recording(store, "a", url="s3/a")
    await store.drop_file("a.wav")
    assert await store.delete_recording("a.wav") is not keeps_files
    assert await removals_of(store) == ({} if keeps_files else {"a.wav": "s3/a"})
    await store.close()


async def test_mails_wait_in_the_order_of_their_last_try(store: DatabaseStore) -> None:
    for name, at in (("a", 1), ("b", 2)):
        await store.save_mail(WaitingMail(call_id=name, mailbox="anna", created_at=at, tried_at=at))
    assert [one.call_id for one in await store.records.waiting_mails(10)] == ["a", "b"]
    await store.save_mail(WaitingMail(call_id="a", mailbox="anna", created_at=1, tried_at=3))
    assert [(one.call_id, one.tried_at) for one in await store.records.waiting_mails(10)] == [
        ("b", 2),
        ("a", 3),
    ]
    assert len(await store.records.waiting_mails(1)) == 1
    await store.delete_mail("b")
    assert [one.call_id for one in await store.records.waiting_mails(10)] == ["a"]
