"""Calls of two workers in one bridge, and a call in a room of another worker: real processes."""

import asyncio
import contextlib
import uuid
from typing import Any

import aiohttp
import pytest

from tests.supervisor.test_supervisor import WORKERS, get
from tests.support import sound
from tests.support.switch import SwitchProcess

pytestmark = [pytest.mark.client, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    """Run a switch with two workers."""
    with SwitchProcess(tmp_path_factory.mktemp("bridging") / "data", WORKERS) as running:
        yield running
        assert not running.tracebacks(), running.output()


async def counts(switch):
    """Return how many WebSocket calls each worker has."""
    text = (await get(switch, "/metrics"))[1]
    found = {}
    for row in text.splitlines():
        if row.startswith("softswitch_calls_active{") and 'type="websocket"' in row:
            worker = row.partition('worker="')[2].partition('"')[0]
            found[worker] = int(float(row.rpartition(" ")[2]))
    return found


@contextlib.asynccontextmanager
async def apart(switch, **option):
    """Open calls until two of them are on different workers; yield those two."""
    async with contextlib.AsyncExitStack() as stack:
        opened: dict[str, Any] = {}
        for _ in range(12):
            before = await counts(switch)
            client = await stack.enter_async_context(switch.client(id=uuid.uuid4().hex))
            await client.invite(vad=False, **option)
            after = await counts(switch)
            worker = next(name for name in after if after[name] > before.get(name, 0))
            opened.setdefault(worker, client)
            if len(opened) == 2:
                break
        assert len(opened) == 2, "all calls went to one worker"
        yield tuple(opened.values())


async def until_get(switch, path, fits):
    """Wait until what a path answers fits three times in a row, whichever worker is asked."""
    async with asyncio.timeout(60):
        in_a_row = 0
        while in_a_row < 3:
            status, body = await get(switch, path)
            assert status == 200, body
            in_a_row = in_a_row + 1 if fits(body) else 0
            await asyncio.sleep(0.02)


def id_of(client):
    """Return the id of a client's call."""
    return client.all("answer")[0]["trackId"]


async def test_calls_of_two_workers_hear_each_other(switch):
    async with apart(switch) as (left, right):
        await left.send("bridge", targetSessionId=id_of(right), requestId="b")
        await left.wait("ack")
        await right.wait("bridged")
        talking = asyncio.ensure_future(
            asyncio.gather(left.speak(sound.tone(600, 8)), right.speak(sound.tone(1000, 8)))
        )
        await right.until(lambda: sound.share(right.heard()[-8000:], 600) > 0.8, what="right hears nothing")
        await left.until(lambda: sound.share(left.heard()[-8000:], 1000) > 0.8, what="left hears nothing")
        await right.send("unbridge")
        await right.wait("unbridged")
        await left.wait("unbridged")
        talking.cancel()
        await left.send("mark", name="alive")
        await left.wait("mark")


async def test_a_bridge_to_no_call_is_refused(switch):
    async with switch.client(id="alone") as alone:
        await alone.invite(vad=False)
        await alone.send("bridge", targetSessionId="unknown", requestId="b")
        error = await alone.wait("error")
        assert error["code"] == 404


async def test_a_bridge_ends_with_a_call_of_the_other_worker(switch):
    async with apart(switch) as (stays, goes):
        await stays.send("bridge", targetSessionId=id_of(goes))
        await stays.wait("bridged")
        await goes.hang_up()
        await stays.wait("unbridged")


async def test_calls_of_both_workers_meet_in_a_room(switch):
    status, room = await get(
        switch, "/api/v1/rooms", "POST", json={"name": "meeting", "settings": {"topology": "mix"}}
    )
    assert status == 201, room
    async with apart(switch, callee=f"room:{room['id']}") as (first, second):
        await until_get(
            switch, f"/api/v1/rooms/{room['id']}/participants", lambda body: len(body["data"]) >= 2
        )
        talking = asyncio.ensure_future(first.speak(sound.tone(600, 8)))
        await second.until(lambda: sound.share(second.heard()[-8000:], 600) > 0.8, what="nothing is heard")
        talking.cancel()
        status, body = await get(switch, "/call/lists")
        kinds = {call["call_type"] for call in body["calls"]}
        assert kinds == {"websocket"}, "ends of internal legs are not listed"
    for _ in range(3):
        status, page = await get(switch, "/api/v1/rooms")
        assert [row["id"] for row in page["data"]] == [room["id"]]
        assert page["pagination"]["total"] == 1
    await until_get(switch, f"/api/v1/rooms/{room['id']}", lambda body: body["status"] == "closed")


async def test_participants_of_both_workers_exchange_messages(switch):
    status, room = await get(switch, "/api/v1/rooms", "POST", json={"name": "p2p"})
    assert status == 201, room
    async with aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(switch.socket_url("/ws")) for _ in range(2)]
        joined = []
        for number, socket in enumerate(sockets):
            await socket.send_json({"type": "room:join", "roomId": room["id"], "agentId": f"agent-{number}"})
            async with asyncio.timeout(60):
                while (message := await socket.receive_json())["type"] != "room:joined":
                    assert message["type"] != "room:error", message
            joined.append(message)
        async with asyncio.timeout(60):
            while (await sockets[0].receive_json())["type"] != "room:participant-joined":
                pass
        for socket in sockets:
            await socket.close()
