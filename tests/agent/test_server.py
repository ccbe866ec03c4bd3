"""The webhook of an agent that is a program of its own, against a pretended switch."""

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp.test_utils import BaseTestServer, TestServer

from softswitch.agent.config import AgentConfig, Model
from softswitch.agent.server import server_of
from tests.client.switch import PretendedSwitch, pretended
from tests.support.chat import ScriptedModel

PATIENCE_S = 60.0


@pytest.fixture
async def switch() -> AsyncIterator[tuple[PretendedSwitch, str]]:
    async with pretended() as (switch, url):
        switch.greeting = [("incoming", {"caller": "200", "callee": "100", "sdp": ""})]
        yield switch, url


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


def serving(url: str, model: str, **more: int) -> TestServer:
    config = AgentConfig(
        prompt="p", model=Model(url=model, model="m"), greeting="Good day.", voice={"speaker": "slt"}
    )
    return TestServer(server_of(config, url, token="secret", **more))


async def announce(server: BaseTestServer, body: object) -> int:
    async with aiohttp.ClientSession() as session, session.post(server.make_url("/hook"), json=body) as reply:
        return reply.status


async def test_announced_call_is_taken_with_the_key_and_greeted(switch) -> None:
    pretence, url = switch
    async with ScriptedModel(lambda _: ["Yes?"]) as model, serving(url, model.url) as server:
        assert await announce(server, {"dialogId": "c1", "caller": "200"}) == 200
        await until(lambda: any(tts.get("endOfStream") for tts in pretence.sent("tts")))
        assert pretence.queries == [{"id": "c1"}]
        assert pretence.headers[0]["Authorization"] == "Bearer secret"
        [accept] = pretence.sent("accept")
        assert accept["option"]["asr"] == {"provider": "builtin"}
        assert accept["option"]["bargeIn"] is True
        assert accept["option"]["tts"] == {"speaker": "slt"}
        assert pretence.sent("tts")[0]["text"] == "Good day."
        await pretence.say("asrFinal", trackId="c1", text="Hello?", index=0, startTime=0, endTime=0)
        await until(lambda: model.requests)
        assert "The caller's number or name: 200" in model.requests[0]["messages"][0]["content"]


async def test_calls_beyond_the_bound_are_left_to_others_and_a_place_becomes_free(switch) -> None:
    pretence, url = switch
    async with ScriptedModel(lambda _: ["Yes?"]) as model, serving(url, model.url, max_calls=1) as server:
        assert await announce(server, {"dialogId": "c1"}) == 200
        assert await announce(server, {"dialogId": "c2"}) == 503
        await until(lambda: pretence.sent("tts"))
        await pretence.say("hangup", trackId="c1", reason="user", initiator="caller")
        await pretence.sockets[-1].close()
        async with asyncio.timeout(PATIENCE_S):
            while await announce(server, {"dialogId": "c3"}) != 200:
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("body", [{}, [], "x", None, {"caller": "200"}])
async def test_what_is_no_announcement_is_refused(body) -> None:
    async with serving("ws://127.0.0.1:1/", "http://127.0.0.1:1/") as server:
        assert await announce(server, body) == 400


async def test_switch_that_refuses_costs_a_line_in_the_log(switch, caplog: pytest.LogCaptureFixture) -> None:
    pretence, url = switch
    pretence.refuse_with = 403
    async with serving(url, "http://127.0.0.1:1/") as server:
        assert await announce(server, {"dialogId": "c1"}) == 200
        await until(lambda: "a call could not be served" in caplog.text)


async def test_calls_end_with_the_server(switch) -> None:
    pretence, url = switch
    async with ScriptedModel(lambda _: ["Yes?"]) as model:
        async with serving(url, model.url) as server:
            assert await announce(server, {"dialogId": "c1"}) == 200
            await until(lambda: pretence.sent("tts"))
        await until(lambda: pretence.sockets[0].closed)
