"""A rule of the settings that leads telephones into a room."""

import asyncio

import aiohttp
import pytest

from tests.conformance.conftest import StartSwitch
from tests.support.ports import free_port
from tests.support.rooms import Browser, Rest

pytestmark = pytest.mark.conformance


@pytest.mark.row("route-room", "call-room")
async def test_a_number_leads_into_a_room_that_is_made_when_it_is_first_called(
    start_switch: StartSwitch, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    far = start_switch({"sip": {"port": port}, "route": [{"match": "700", "to": "room:lobby"}]})
    near = start_switch({"trunk": [{"name": "far", "servers": [f"127.0.0.1:{port}"]}]})
    rest = Rest(far, http)
    for _ in range(2):
        async with near.client("/call/sip") as phone:
            await phone.send("invite", option={"callee": "700", "caller": "100", "vad": {"type": "off"}})
            await phone.wait("answer")
            room = await rest.room("lobby")
            assert (room["status"], room["participants_count"]) == ("waiting", 1)
            async with Browser(far) as a:
                await a.join("lobby", "a")
                a.hum(440)
                await a.talk()
                await a.hear(1)
                assert await rest.people("lobby")
                await a.say("room:leave")
                await a.wait("room:participant-left")
            await phone.hang_up()
        async with asyncio.timeout(60):
            while (await rest.room("lobby"))["status"] != "closed":
                await asyncio.sleep(0.05)
