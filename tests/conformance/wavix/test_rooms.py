"""Calls of the call control into rooms."""

import aiohttp
import pytest

from tests.conformance.conftest import Switch
from tests.support import sound
from tests.support.bots import Bot
from tests.support.control import Control, Hooks
from tests.support.rooms import Rest

RATE = 24000


@pytest.mark.row("1:ours-users-uri-echo-room")
async def test_two_bots_hear_each_other_in_a_room(
    switch: Switch, control: Control, http: aiohttp.ClientSession
) -> None:
    rest = Rest(switch, http)
    room = await rest.create(topology="mix")
    async with Bot() as one, Bot() as two:
        calls = [await control.call(f"room:{room}", **{"from": name}) for name in ("100", "200")]
        assert len(await rest.people(room)) == 2
        assert [one["uuid"] for one in (await control.get("")).body["calls"]] == calls
        await control.stream(calls[0], one.url())
        await control.stream(calls[1], two.url())
        first, second = await one.stream(), await two.stream()
        await first.wait("media", 5)
        await second.wait("media", 5)
        await first.speak(sound.tone(440, 2.0, RATE))
        await first.mark("said")
        await second.until(lambda: sound.loud_ms(second.heard(), RATE, 1000) > 1500)
        await first.wait("mark")
        assert sound.share(second.heard(), 440, RATE) > 0.7
        assert sound.loud_ms(first.heard(), RATE, 500) == 0, "a participant does not hear itself"
        await second.speak(sound.tone(1000, 5.0, RATE))
        await first.until(lambda: sound.loud_ms(first.heard(), RATE, 1000) > 500)
        await second.clear()
        for call in calls:
            await control.delete(f"/{call}")
        await first.ended()
        await second.ended()
    assert (await control.get("")).body["calls"] == []


@pytest.mark.row("1:ours-users-uri-echo-room")
async def test_stream_of_both_channels_of_a_room_says_what_it_sends(
    switch: Switch, control: Control, http: aiohttp.ClientSession, hooks: Hooks
) -> None:
    room = await Rest(switch, http).create(topology="mix")
    async with Bot() as bot:
        call = await control.call(f"room:{room}", callback_url=hooks.url())
        for kind in ("oneway", "twoway"):
            await control.stream(call, bot.url(), kind, "both")
        await control.stream(call, bot.url(), "oneway", "inbound")
        await hooks.until(lambda: [one["status"] for one in hooks.about("stream")].count("started") == 3)
        await hooks.until(lambda: len([one for one in hooks.about("stream") if "reason" in one]) >= 2)
        await control.delete(f"/{call}")
    told = [one["reason"] for one in hooks.about("stream") if one["status"] == "warning"]
    assert len(told) == 2
    assert any("two-way stream sends inbound only" in reason for reason in told)
    assert any("outbound is what this call says" in reason for reason in told)


@pytest.mark.row("1:ours-users-uri-echo-room")
async def test_call_into_a_room_that_is_not_there_fails(control: Control) -> None:
    reply = await control.post("", **{"from": "100", "to": "room:nowhere"})
    assert reply.status == 404
    assert "room" in reply.body["message"].lower()
    assert (await control.get("")).body["calls"] == []
