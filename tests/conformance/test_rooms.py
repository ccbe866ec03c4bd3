"""`callee: "room:<id>"`: legs of `/call` in a room."""

import asyncio

import aiohttp
import pytest

from tests.conformance.conftest import Switch
from tests.support.rooms import Rest, humming, tones

pytestmark = pytest.mark.conformance


async def test_invite_to_an_unknown_room_is_refused_before_the_answer(switch: Switch) -> None:
    async with switch.client() as client:
        await client.send("invite", option={"callee": "room:nowhere", "vad": False})
        error = await client.wait("error")
        assert (error["sender"], error["code"]) == ("command", 404)
        assert error["error"].startswith("callee: ")
        assert all(event["event"] != "answer" for event in client.events)
        await client.invite(vad=False)
        await client.hang_up()


@pytest.mark.row("4:callee-room")
async def test_calls_meet_in_a_room(switch: Switch, http: aiohttp.ClientSession) -> None:
    rest = Rest(switch, http)
    room_id = await rest.create(topology="mix")
    async with switch.client() as a, switch.client() as b:
        await a.invite(caller="a", callee=f"room:{room_id}", vad=False)
        await b.invite(caller="b", callee=f"room:{room_id}", vad=False)
        async with humming(a, 440), humming(b, 1000):
            await a.hear(0.5)
            heard = await asyncio.gather(a.hear(1), b.hear(1))
        assert tones(heard[0], (440.0, 1000.0), 16000) == {1000.0}
        assert tones(heard[1], (440.0, 1000.0), 16000) == {440.0}
        assert [one["agent_id"] for one in await rest.people(room_id)] == ["a", "b"]
        await a.hang_up()
        await b.hang_up()
    assert (await rest.room(room_id))["status"] == "closed"
