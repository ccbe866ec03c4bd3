"""Mailboxes: records of the calls that left messages, told apart by tag and kind."""

from pathlib import Path

import msgspec
import pytest

from softswitch.store.database_store import DatabaseStore
from softswitch.store.store import CallRecord, Recording
from softswitch.switch.voicemail.mailboxes import Mailboxes, tag_of


async def message(store: DatabaseStore, name: str, user: str, account: str = "shop", at: int = 1) -> None:
    place = await store.new_recording(name)
    place.path.write_bytes(bytes(100))
    recording = Recording(
        name=place.name,
        call_id=name,
        account=account,
        size=100,
        duration_ms=4000,
        created_at=at,
        container="wav",
    )
    await store.save_recording(recording)
    record = CallRecord(
        id=name, kind="voicemail", created_at=at, ended_at=at + 1, caller="+49", account=account
    )
    await store.save_call(msgspec.structs.replace(record, tag=tag_of(user, "new"), recording=place.name))


@pytest.fixture
async def store(tmp_path: Path):
    made = DatabaseStore(tmp_path)
    await made.start()
    yield made
    await made.close()


async def test_messages_are_listed_marked_and_deleted(store: DatabaseStore) -> None:
    boxes = Mailboxes(store, 100)
    for at, (name, user, account) in enumerate(
        (("a", "anna", "shop"), ("b", "anna", "shop"), ("c", "bert", "shop"), ("d", "anna", "bank"))
    ):
        await message(store, name, user, account, at + 1)
    assert [one.id for one in await boxes.list("anna", "shop")] == ["b", "a"]
    assert [one.id for one in await boxes.list("", None)] == ["d", "c", "b", "a"]
    assert [one.user for one in await boxes.list("", "shop")] == ["bert", "anna", "anna"]
    assert await boxes.count("anna") == (3, 0)
    assert await boxes.mark("anna", "a", "shop", heard=True)
    assert await boxes.count("anna") == (2, 1)
    found = await boxes.get("anna", "a", "shop")
    assert found is not None
    assert (found.heard, found.duration_ms, found.caller) == (True, 4000, "+49")
    assert await boxes.path(found) is not None
    assert await boxes.delete("anna", "a", "shop")
    assert await boxes.get("anna", "a", None) is None
    assert await store.recording_path(found.recording) is None
    assert await boxes.count("anna") == (2, 0)


async def test_foreign_messages_are_not_there(store: DatabaseStore) -> None:
    boxes = Mailboxes(store, 100)
    await message(store, "a", "anna")
    for user, account in (("anna", "bank"), ("bert", "shop")):
        assert await boxes.get(user, "a", account) is None
        assert not await boxes.mark(user, "a", account, heard=True)
        assert not await boxes.delete(user, "a", account)


async def test_tags_of_applications_are_no_messages(store: DatabaseStore) -> None:
    boxes = Mailboxes(store, 100)
    record = CallRecord(
        id="x", kind="sip", created_at=1, ended_at=2, tag=tag_of("anna", "new"), recording="r.wav"
    )
    await store.save_call(record)
    await store.save_call(msgspec.structs.replace(record, id="y", kind="voicemail"))
    assert await boxes.list("anna", None) == [], "the one is no message, the recording of the other is gone"
    assert await boxes.get("anna", "x", None) is None


async def test_call_becomes_a_message_unless_it_says_nothing(store: DatabaseStore) -> None:
    boxes = Mailboxes(store, 100)
    for name in ("a", "b"):
        await message(store, name, "anna")
        record = await store.records.call(name)
        assert record is not None
        await store.save_call(msgspec.structs.replace(record, tag=""))
    assert await boxes.count("anna") == (0, 0)
    kept = await boxes.take("anna", "a", 4000)
    assert kept is not None
    assert (kept.id, kept.heard) == ("a", False)
    assert await boxes.take("anna", "b", 4001) is None
    assert await boxes.take("anna", "gone", 0) is None
    assert [one.id for one in await boxes.list("anna", None)] == ["a"]
    record = await store.records.call("b")
    assert record is not None
    assert record.recording == ""
