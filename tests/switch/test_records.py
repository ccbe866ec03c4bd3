"""Records of calls: written while they go on and at their end, each change not by itself."""

import asyncio

import msgspec
import pytest

from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary.events import AsrFinal
from softswitch.call.vocabulary.values import party_of
from softswitch.settings.sections import Recording, RecordingAccount
from softswitch.switch import records
from tests.switch.harness import House, settle
from tests.switch.test_switch import house, up  # noqa: F401


async def test_short_call_is_written_once(house: House) -> None:  # noqa: F811
    conversation = await up(house)
    conversation.command(c.Hangup(reason="done"))
    await conversation.released.wait()
    await settle()
    assert [record.reason for record in house.store.ended] == ["done"]
    assert house.store.running == []


async def test_call_that_goes_on_is_written_once_for_all_changes(
    house: House,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "CHANGED_S", 0.0)
    conversation = await up(house)
    async with asyncio.timeout(5):
        while not house.store.running:
            await asyncio.sleep(0)
    (record,) = house.store.running
    assert (record.id, record.ended_at) == ("a", None)
    assert record.answered_at is not None
    conversation.command(c.Hangup())
    await conversation.released.wait()
    await settle()
    assert len(house.store.running) == len(house.store.ended) == 1


async def test_call_that_has_just_changed_is_not_written_with_an_earlier_one(
    house: House,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "CHANGED_S", 0.0)
    await up(house, "earlier")
    monkeypatch.setattr(records, "CHANGED_S", 60.0)
    await up(house, "later")
    async with asyncio.timeout(60):
        while not house.store.running:
            await asyncio.sleep(0)
    assert [record.id for record in house.store.running] == ["earlier"]


@pytest.mark.parametrize("kept", [True, False])
async def test_record_has_the_transcript_where_the_settings_keep_it(
    house: House,  # noqa: F811
    kept: bool,
) -> None:
    recording = Recording(account=(RecordingAccount(name="me", transcripts=kept),))
    house.resources.settings = msgspec.structs.replace(house.resources.settings, recording=recording)
    conversation = await up(house)
    conversation.owner = "me"
    at = 1.5
    conversation.publish(
        AsrFinal(timestamp=at, subject=party_of("a"), index=0, start_time=at, end_time=at, text="good day")
    )
    conversation.command(c.Hangup(reason="done"))
    await conversation.released.wait()
    await settle()
    assert ("good day" in house.store.ended[-1].transcript_json) == kept


async def test_calls_that_end_soon_after_another_are_written_together(
    house: House,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "TOGETHER_S", 0.2)
    calls = [await up(house, name) for name in ("first", "second", "third")]
    times: list[float] = []
    for conversation in calls:
        conversation.command(c.Hangup(reason="done"))
    for conversation in calls:
        await conversation.recorded.wait()
        times.append(asyncio.get_running_loop().time())
    assert [record.id for record in house.store.ended] == ["first", "second", "third"]
    assert times[1] - times[0] > times[2] - times[1]
