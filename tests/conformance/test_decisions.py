"""Decisions of an application in its answer to the POST about an incoming call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer

from softswitch.legs.telephones import Telephones
from softswitch.sip import events as hp
from softswitch.web.keys import SIP
from tests.conformance.conftest import StartSwitch, Switch
from tests.legs.sip.phone import Phone, phone, sdp
from tests.support.switch import Faults

ADMIN, ONE, TWO = "key-of-an-administrator", "key-of-account-one", "key-of-account-two"
KEYS = [f"root:{ADMIN}:admin+call", f"one:{ONE}:call", f"two:{TWO}:call"]
USERS = [{"name": name, "password": "secret"} for name in ("anna", "bert", "dialler")]
DIALLER = {"username": "dialler", "password": "secret"}
"""Account of the calling switch: a switch with users challenges unknown callers."""


class Decider:
    """An application that gets announcements and answers with a decision."""

    def __init__(self) -> None:
        self.decision: Any = None
        self.told: list[dict[str, Any]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.told.append(await request.json())
        return web.Response(status=204) if self.decision is None else web.json_response(self.decision)


@pytest.fixture
async def decider(aiohttp_server: AiohttpServer) -> tuple[Decider, str]:
    """Give an application and its URL."""
    made, application = Decider(), web.Application()
    application.router.add_post("/", made.take)
    server = await aiohttp_server(application)
    return made, str(server.make_url("/"))


def sip_port(switch: Switch) -> int:
    """Return the SIP port of a switch."""
    assert switch.app is not None
    telephones = switch.app[SIP]
    assert isinstance(telephones, Telephones)
    return telephones.sip.port


def pair(start_switch: StartSwitch, url: str, **more: object) -> tuple[Switch, Switch]:
    """Return a switch that calls, and one that announces what comes in to account one."""
    accounts = [{"name": "one", "secret": "s", "url": url}]
    called = start_switch({"auth": {"api_keys": KEYS}, "webhook": {"account": accounts}, **more})
    trunk = {"name": "out", "servers": [f"127.0.0.1:{sip_port(called)}"], **DIALLER}
    return start_switch({"auth": {"api_keys": KEYS}, "trunk": [trunk]}), called


@pytest.mark.parametrize(
    ("decision", "code"),
    [
        ({"action": "reject", "code": 603, "reason": "Not now"}, 603),
        ({"action": "reject"}, 486),
        ({"action": "forward", "targets": ["reject:404", "reject:486"]}, 404),
        ({"action": "forward", "targets": ["user:missing"]}, 404),
        ({"action": "forward", "targets": []}, 503),
        ({"action": "forward", "targets": ["stream:wss://bot.example/"]}, 503),
        ({"action": "forward", "targets": ["user:missing", "reject:486"], "strategy": "parallel"}, 404),
        ({"action": "forward", "targets": ["echo"], "strategy": "random"}, 503),
        ({"action": "forward", "targets": ["echo"], "timeout": 0}, 503),
        ({"action": "dance"}, 503),
        ({"action": "answer", "stream": {"url": "http://bot.example/"}}, 503),
        ({"action": "answer", "agent": "missing"}, 404),
        ({"action": "answer", "agent": "a", "stream": {"url": "ws://bot.example/"}}, 503),
    ],
)
async def test_caller_is_refused_by_the_decision(
    start_switch: StartSwitch, decider: tuple[Decider, str], decision: object, code: int
) -> None:
    application, url = decider
    caller, _ = pair(start_switch, url)
    application.decision = decision
    async with caller.client("/call/sip", token=ADMIN) as client:
        await client.send("invite", option={"callee": "100", "caller": "1"})
        assert (await client.wait("reject"))["code"] == code
    assert len(application.told) == 1
    Faults.forgive("")


async def test_forward_tries_one_target_after_the_other_and_records(
    start_switch: StartSwitch, decider: tuple[Decider, str], http: aiohttp.ClientSession
) -> None:
    application, url = decider
    caller, called = pair(start_switch, url)
    application.decision = {"action": "forward", "targets": ["room:missing", "echo"], "record": True}
    async with caller.client("/call/sip", token=ADMIN) as client:
        await client.send("invite", option={"callee": "100", "caller": "1"})
        await client.wait("answer")
        await asyncio.sleep(0.3)
        await client.hang_up()
    async with asyncio.timeout(60):
        while True:
            async with http.get(called.url("/calls", token=ADMIN)) as response:
                calls = (await response.json())["calls"]
            if calls and calls[0]["recording"]:
                break
            await asyncio.sleep(0.05)
    assert calls[0]["account"] == "one"


@asynccontextmanager
async def two_phones(called: Switch) -> AsyncIterator[tuple[Phone, Phone]]:
    """Give the registered telephones of anna and bert."""
    async with phone() as anna, phone() as bert:
        assert await anna.register(sip_port(called), "anna", "secret") == 200
        assert await bert.register(sip_port(called), "bert", "secret") == 200
        yield anna, bert


async def test_parallel_targets_ring_together_and_the_first_answer_wins(
    start_switch: StartSwitch, decider: tuple[Decider, str]
) -> None:
    application, url = decider
    caller, called = pair(start_switch, url, user=USERS)
    application.decision = {
        "action": "forward",
        "targets": ["user:anna", "user:bert"],
        "strategy": "parallel",
        "timeout": 30,
    }
    async with two_phones(called) as (anna, bert), caller.client("/call/sip", token=ADMIN) as client:
        await client.send("invite", option={"callee": "100", "caller": "1"})
        first, second = await anna.until(hp.Invited), await bert.until(hp.Invited)
        anna.do("ring", first.session)
        await client.wait("ringing")
        bert.do("answer", second.session, sdp())
        await client.wait("answer")
        cancelled = await anna.until(hp.Cancelled)
        assert cancelled.headers["Reason"] == 'SIP;cause=200;text="Call completed elsewhere"'
        await client.hang_up()
        await bert.until(hp.Ended)


async def test_route_with_further_targets_in_parallel_ends_with_a_refusal_for_all(
    start_switch: StartSwitch,
) -> None:
    route = {"match": "100", "to": "user:anna", "further": ["user:bert"], "strategy": "parallel"}
    called = start_switch({"auth": {"api_keys": KEYS}, "user": USERS, "route": [route]})
    trunk = {"name": "out", "servers": [f"127.0.0.1:{sip_port(called)}"], **DIALLER}
    caller = start_switch({"auth": {"api_keys": KEYS}, "trunk": [trunk]})
    async with two_phones(called) as (anna, bert), caller.client("/call/sip", token=ADMIN) as client:
        await client.send("invite", option={"callee": "100", "caller": "1"})
        invited, _ = await anna.until(hp.Invited), await bert.until(hp.Invited)
        anna.do("reject", invited.session, 603)
        assert (await client.wait("reject"))["code"] == 603
        assert (await bert.until(hp.Cancelled)).headers["Reason"] == "SIP;cause=603"


async def test_answer_with_an_agent_connects_the_caller_with_it(
    start_switch: StartSwitch, decider: tuple[Decider, str], http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    application, url = decider
    file = tmp_path / "agent.toml"
    file.write_text(
        'prompt = "You answer."\ngreeting = "Hello."\n[model]\nurl = "http://127.0.0.1:9/"\nmodel = "m"\n'
    )
    caller, called = pair(start_switch, url, agent=[{"name": "reception", "file": str(file)}])
    application.decision = {"action": "answer", "agent": "reception"}
    async with caller.client("/call/sip", token=ADMIN) as client:
        await client.send("invite", option={"callee": "100", "caller": "1"})
        await client.wait("answer")
        async with http.get(called.url("/metrics", token=ADMIN)) as response:
            assert "softswitch_agent_calls_active 1.0" in await response.text()
        await client.hang_up()


async def test_answer_gives_the_call_to_the_account_and_no_other(
    start_switch: StartSwitch, decider: tuple[Decider, str], http: aiohttp.ClientSession
) -> None:
    application, url = decider
    caller, called = pair(start_switch, url)
    application.decision = {"action": "answer", "option": {"vad": False}}
    async with caller.client("/call/sip", token=ADMIN) as client:
        await client.send("invite", option={"callee": "100", "caller": "1"})
        await client.wait("answer")
        name = application.told[0]["dialogId"]
        for key, status in ((TWO, 404), (ONE, 200)):
            headers = {"Authorization": f"Bearer {key}"}
            async with http.delete(called.url(f"/v1/call/{name}"), headers=headers) as response:
                assert response.status == status
        await client.wait("hangup")


async def test_answer_without_a_decision_waits_as_before(
    start_switch: StartSwitch, decider: tuple[Decider, str]
) -> None:
    application, url = decider
    caller, called = pair(start_switch, url)
    async with caller.client("/call/sip", token=ADMIN) as client:
        await client.send("invite", option={"callee": "100", "caller": "1"})
        async with asyncio.timeout(60):
            while not application.told:
                await asyncio.sleep(0.02)
        async with called.client("/call/sip", id=application.told[0]["dialogId"], token=TWO) as taker:
            await taker.send("accept", option={})
            await client.wait("answer")
            await client.hang_up()
            await taker.wait("hangup")
