"""Rooms go on when what keeps them does not."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.conformance.rooms.test_socket import connect
from tests.support.postgres import postgres_server
from tests.support.rooms import Rest, Socket
from tests.support.switch import Faults, SwitchThread

pytestmark = pytest.mark.conformance


async def test_people_go_on_talking_while_the_database_is_gone(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    with postgres_server() as server:
        sections = {"store": {"postgres": server.database()}}
        with SwitchThread(tmp_path / "data", sections) as switch:
            rest = Rest(switch, http)
            before = await rest.create("before")
            assert (await rest.ask("GET", "/sessions"))[0] == 200
            server.stop()
            room_id = await rest.create()
            async with Socket(switch) as a, Socket(switch) as b:
                await connect(a, b, room_id)
                await a.say("room:mute", muted=True)
                await b.wait("room:muted")
                status, body = await rest.ask("GET", "/sessions")
                assert (status, body["error"]["code"]) == (503, "NOT_NOW")
                assert (await rest.room(room_id))["status"] == "active"
                server.start()
                await a.say("room:leave")
                await b.say("room:leave")
                await b.wait("room:closed")
            # What waited for the database is written at its next look at it.
            async with asyncio.timeout(60):
                while len(await rest.sessions(room_id)) != 2:
                    await asyncio.sleep(0.1)
        Faults.forgive("the store cannot write")
        with SwitchThread(tmp_path / "data", sections) as switch:
            rest = Rest(switch, http)
            assert (await rest.room(before))["status"] == "created"
            assert [each["status"] for each in await rest.sessions(room_id)] == ["completed"] * 2
