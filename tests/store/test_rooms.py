"""Rooms, stays and sessions in the store."""

import json

from softswitch.store.database_store import DatabaseStore
from softswitch.store.store import ParticipantRecord, Recording, RoomRecord, SessionRecord


def room(number: int, **more: object) -> RoomRecord:
    return RoomRecord(id=f"r{number}", created_at=number, updated_at=number, **more)  # type: ignore[arg-type]


def stay(number: int, room_id: str = "r1", **more: object) -> tuple[ParticipantRecord, SessionRecord]:
    return (
        ParticipantRecord(
            id=f"p{number}", room_id=room_id, agent_id="a", status="connected", joined_at=number
        ),
        SessionRecord(
            id=f"s{number}",
            room_id=room_id,
            participant_id=f"p{number}",
            start_time=number,
            **more,  # type: ignore[arg-type]
        ),
    )


async def test_store_keeps_rooms_and_what_changes(store: DatabaseStore) -> None:
    for number in range(5):
        assert await store.save_room(room(number, name="ünï", settings_json=json.dumps({"a": [1]})))
    assert await store.save_room(room(2, status="closed", reason="deleted"))
    found = await store.records.rooms()
    assert [each.id for each in found] == ["r4", "r3", "r2", "r1", "r0"]
    assert found[2] == room(2, status="closed", reason="deleted")
    assert [each.id for each in await store.records.rooms(limit=2, offset=1)] == ["r3", "r2"]


async def test_store_keeps_sessions_of_rooms(store: DatabaseStore) -> None:
    for number in range(6):
        await store.save_participant(*stay(number, f"r{number % 2}"))
    done = stay(3, end_time=9, status="completed", stats_json='{"x":1}')
    assert await store.save_participant(*done)
    assert await store.records.session("s3") == done[1]
    assert await store.records.session("s9") is None
    assert [each.id for each in await store.records.sessions("r1")] == ["s5", "s3", "s1"]
    assert [each.id for each in await store.records.sessions(limit=2)] == ["s5", "s4"]
    assert await store.records.count_sessions() == 6
    assert await store.records.count_sessions("r0") == 3


async def test_start_ends_what_a_crash_cut_off(store: DatabaseStore) -> None:
    await store.save_room(room(1, status="active"))
    await store.save_room(room(2))
    await store.save_participant(*stay(1))
    await store.close()
    await store.start()
    states = {each.id: (each.status, each.reason) for each in await store.records.rooms()}
    assert states == {"r1": ("closed", "server_restart"), "r2": ("created", "")}
    session = await store.records.session("s1")
    assert session is not None
    assert session.status == "interrupted"


async def test_a_row_that_is_wrong_in_itself_fails_alone(store: DatabaseStore) -> None:
    wrong = room(1, name=None)
    outcomes = [store.save_room(room(0)), store.save_room(wrong), store.save_room(room(2))]
    assert [await outcome for outcome in outcomes] == [True, False, True]
    assert [each.id for each in await store.records.rooms()] == ["r2", "r0"]


async def test_sweep_keeps_the_newest_and_open_rooms(store: DatabaseStore) -> None:
    store._calls_kept = 2
    await store.save_room(room(0))
    for number in range(1, 5):
        await store.save_room(room(number, status="closed"))
        await store.save_participant(*stay(number, end_time=number, status="completed"))
    await store.sweep(10**12)
    assert [each.id for each in await store.records.rooms()] == ["r4", "r3", "r0"]
    assert [each.id for each in await store.records.sessions()] == ["s4", "s3"]


async def test_store_finds_sessions_of_an_account(store: DatabaseStore) -> None:
    for number in range(6):
        account = "shop" if number % 2 else ""
        await store.save_participant(*stay(number, f"r{number % 3}", account=account))
    assert [each.id for each in await store.records.sessions(account="shop")] == ["s5", "s3", "s1"]
    assert [each.id for each in await store.records.sessions("r1", account="shop")] == ["s1"]
    assert [each.id for each in await store.records.sessions(account="")] == ["s4", "s2", "s0"]
    assert await store.records.count_sessions(account="shop") == 3
    assert await store.records.count_sessions("r1", "") == 1
    assert await store.records.count_sessions("r1") == 2


async def test_store_finds_recordings_of_a_room_of_an_account(store: DatabaseStore) -> None:
    for number, (call_id, account) in enumerate(
        [("r1", "shop"), ("r1", "bank"), ("r2", "shop"), ("r1", "shop")]
    ):
        await store.save_recording(
            Recording(
                name=f"{number}.wav",
                call_id=call_id,
                size=0,
                duration_ms=0,
                created_at=number,
                container="wav",
                account=account,
            )
        )
    assert [each.name for each in await store.records.recordings_of("r1", "shop")] == ["3.wav", "0.wav"]
    assert await store.records.recordings_of("r1", "") == []
