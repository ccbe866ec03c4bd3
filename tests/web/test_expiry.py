"""What a token opened ends with the token."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import jwt
import pytest

from softswitch.sip import events as hp
from softswitch.web import expiry as module
from softswitch.web.auth import Identity
from softswitch.web.expiry import Expiry
from tests.legs.sip.phone import phone
from tests.support.control import Hooks
from tests.support.ports import free_port
from tests.support.servers import Files
from tests.support.switch import SwitchThread

SECRET = "0123456789abcdef0123456789abcdef"


def until(expires: float | None) -> Identity:
    return Identity("bot", frozenset({"call"}), expires)


async def test_end_is_told_once_when_the_clock_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    now, told = [1000.0], asyncio.Event()
    expiry = Expiry(until(1e300), told.set, clock=lambda: now[0])
    await asyncio.sleep(0.01)
    assert not told.is_set()
    now[0] = 2e300
    async with asyncio.timeout(60):
        await told.wait()
    expiry.cancel()


async def test_key_without_an_end_and_one_that_is_waited_for_no_longer_tell_nothing() -> None:
    told: list[int] = []
    Expiry(until(None), lambda: told.append(1))
    over = Expiry(until(1000.0), lambda: told.append(2), clock=lambda: 999.999)
    over.cancel()
    await asyncio.sleep(0.01)
    assert told == []
    Expiry(until(1000.0), lambda: told.append(3), clock=lambda: 1000.0)
    assert told == [3]


@pytest.fixture
async def switch(tmp_path: Path) -> AsyncIterator[SwitchThread]:
    running = SwitchThread(
        tmp_path, {"auth": {"jwt_secret": SECRET}, "limits": {"overload": False, "drain_s": 1.0}}
    )
    await asyncio.to_thread(running.start)
    try:
        yield running
    finally:
        await asyncio.to_thread(running.stop)


def token(seconds: float, scope: str = "call admin") -> str:
    # Whole seconds, as JWT counts them: between `seconds` and one more from now.
    claims = {"sub": "bot", "scope": scope, "exp": int(time.time()) + int(seconds) + 1}
    return jwt.encode(claims, SECRET)


async def closed(ws: aiohttp.ClientWebSocketResponse) -> int | None:
    async with asyncio.timeout(60):
        async for _ in ws:
            pass
    return ws.close_code


async def test_call_feed_and_stream_of_events_end_with_their_token(switch: SwitchThread) -> None:
    brief, lasting = token(2), token(3600)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{switch.port}") as http:
        call = await http.ws_connect("/call", params={"token": brief, "id": "short"})
        kept = await http.ws_connect("/call", params={"token": lasting, "id": "long"})
        feed = await http.ws_connect("/sip", params={"token": brief})
        for ws in (call, kept):
            await ws.send_json({"command": "invite", "option": {"callee": "echo"}})
        while (await kept.receive_json(timeout=20))["event"] != "answer":
            pass
        events = await http.get("/events/long", headers={"Authorization": f"Bearer {brief}"})
        assert events.status == 200
        assert await closed(call) == 1008
        assert await closed(feed) == 1008
        async with asyncio.timeout(60):
            await events.read()
        async with asyncio.timeout(60):
            while switch.calls_now() != 1:
                await asyncio.sleep(0.02)
        await kept.send_json({"command": "history", "speaker": "x", "text": "still here"})
        assert not kept.closed
        await kept.close()


async def test_calls_and_streams_made_by_post_end_with_their_token(switch: SwitchThread) -> None:
    async with (
        Files() as files,
        aiohttp.ClientSession(f"http://127.0.0.1:{switch.port}") as http,
    ):

        async def post(path: str, token: str, body: dict[str, object]) -> dict[str, object]:
            async with http.post(path, json=body, headers={"Authorization": f"Bearer {token}"}) as answer:
                assert answer.status in (200, 201), await answer.text()
                return dict(await answer.json())

        async def until(condition: Callable[[], bool]) -> None:
            async with asyncio.timeout(60):
                while not condition():
                    await asyncio.sleep(0.02)

        lasting = token(3600, "call admin rooms")
        of_all = {"Authorization": f"Bearer {lasting}"}
        kept = str((await post("/v1/call", lasting, {"from": "1", "to": "tone"}))["uuid"])
        room = str(
            (await post("/api/v1/rooms", lasting, {"name": "r", "settings": {"topology": "mix"}}))["id"]
        )
        async with asyncio.timeout(60):
            while True:
                async with http.get(
                    f"/v1/call/{kept}", headers={"Authorization": f"Bearer {lasting}"}
                ) as got:
                    if (await got.json())["call"]["event_type"] == "answered":
                        break
                await asyncio.sleep(0.02)
        # From here on in haste: the token lives for four or five seconds.
        brief = token(4, "call rooms")
        await post("/v1/call", brief, {"from": "1", "to": "tone"})
        wanted: dict[str, object] = {"stream_type": "twoway", "stream_channel": "inbound"}
        wanted |= {"stream_url": files.url("a", "ws")}
        await post(f"/v1/call/{kept}/streams", brief, wanted)
        in_room: dict[str, object] = {"stream_url": files.url("b", "ws"), "stream_type": "twoway"}
        await post(f"/api/v1/rooms/{room}/streams", brief, in_room)
        await until(lambda: len(files.streams) == 2)
        assert switch.calls_now() == 3  # both calls, and the inner one of the room
        await until(lambda: switch.calls_now() == 2)
        await until(lambda: all(stream.socket.closed for stream in files.streams))
        async with http.get(f"/v1/call/{kept}", headers=of_all) as got:
            assert (await got.json())["call"]["event_type"] == "answered"
        async with http.delete(f"/v1/call/{kept}", headers=of_all) as gone:
            assert gone.status == 200
        async with http.delete(f"/api/v1/rooms/{room}", headers=of_all) as gone:
            assert gone.status == 204


async def test_incoming_call_that_was_taken_by_post_ends_with_its_token(tmp_path: Path) -> None:
    async with Hooks() as hooks, phone() as far:
        port = free_port()
        sections = {
            "auth": {"jwt_secret": SECRET},
            "sip": {"port": port},
            "webhook": {"url": hooks.url(), "format": "wavix"},
        }
        with SwitchThread(tmp_path, sections) as switch:
            session = far.invite(port, "100")
            taken = (await hooks.wait("call_setup"))["uuid"]
            url = f"http://127.0.0.1:{switch.port}/v1/call/{taken}/answer"
            bearer = {"Authorization": f"Bearer {token(2)}"}
            async with aiohttp.ClientSession() as http, http.post(url, headers=bearer) as reply:
                assert reply.status == 200, await reply.text()
            assert (await far.until(hp.Answered)).session == session
            assert (await far.until(hp.Ended)).reason == "bye"
            await hooks.wait("completed")
