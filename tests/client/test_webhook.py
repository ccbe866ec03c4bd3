"""The application that takes announced calls, against a pretended switch."""

import asyncio
import logging
from collections.abc import Callable

import aiohttp
import pytest
from aiohttp.test_utils import BaseTestServer, TestServer

from softswitch.client import Call, webhook_application

PATIENCE_S = 60.0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


async def announce(server: BaseTestServer, call_id: str, path: str = "/") -> int:
    asked = {"event": "invite", "dialogId": call_id}
    async with aiohttp.ClientSession() as session, session.post(server.make_url(path), json=asked) as reply:
        return reply.status


@pytest.fixture
def ringing(pretence):
    switch, url = pretence
    switch.greeting = [("incoming", {"caller": "200", "callee": "100", "sdp": ""})]
    return switch, url


async def test_announced_call_is_served_with_the_key(ringing) -> None:
    switch, url = ringing
    callers = []

    async def talk(call: Call) -> None:
        callers.append((call.id, call.incoming and call.incoming.caller))
        await call.accept()
        await call.say("Hello.")

    async with TestServer(webhook_application(url, talk, path="/hook", token="secret")) as server:
        assert await announce(server, "c1", "/other") == 404
        assert await announce(server, "c1", "/hook") == 200
        await until(lambda: switch.sent("tts"))
    assert callers == [("c1", "200")]
    assert switch.headers[0]["Authorization"] == "Bearer secret"


async def test_call_whose_talk_fails_ends_and_the_others_go_on(ringing, caplog) -> None:
    switch, url = ringing
    release = asyncio.Event()

    async def talk(call: Call) -> None:
        await call.accept()
        if call.id == "bad":
            raise KeyError("a mistake")
        await release.wait()
        await call.say("Still here.")

    async with TestServer(webhook_application(url, talk)) as server:
        assert await announce(server, "good") == 200
        await until(lambda: len(switch.sent("accept")) == 1)
        assert await announce(server, "bad") == 200
        await until(lambda: "an application failed in a call" in caplog.text)
        await until(lambda: switch.sockets[1].closed)
        release.set()
        await until(lambda: switch.sent("tts"))
    [failed] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert failed.exc_info is not None


async def test_calls_beyond_the_bound_are_left_to_others(ringing) -> None:
    switch, url = ringing

    async def talk(call: Call) -> None:
        await asyncio.Event().wait()

    async with TestServer(webhook_application(url, talk, max_calls=1)) as server:
        assert await announce(server, "c1") == 200
        assert await announce(server, "c2") == 503
        await until(lambda: switch.queries)
    await until(lambda: switch.sockets[0].closed)
