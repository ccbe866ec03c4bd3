"""Every JSON example of the source document: requests as they stand, what comes back by keys and types."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from tests.conformance.conftest import StartSwitch, Switch
from tests.conformance.test_commands import press
from tests.conftest import data_path
from tests.support import sound
from tests.support.client import Client
from tests.support.servers import Files
from tests.support.webrtc import RtcClient
from tests.support.wire import REQUIRED

EXAMPLES = data_path("documents", "call_examples.json")


def examples() -> Iterator[Any]:
    """Yield the JSON examples of the document."""
    yield from json.loads(EXAMPLES.read_text(encoding="utf-8"))


COMMANDS = [one for one in examples() if isinstance(one, dict) and "command" in one]
EVENTS = [one for one in examples() if isinstance(one, dict) and "event" in one]


def test_document_was_read() -> None:
    assert len(COMMANDS) == 9
    assert len(EVENTS) == 15


@pytest.mark.parametrize("route", ["/call", "/call/webrtc"])
@pytest.mark.parametrize("example", COMMANDS, ids=lambda example: example["command"])
async def test_command_of_the_document_is_taken_as_it_stands(
    start_switch: StartSwitch, switch: Switch, route: str, example: dict[str, Any]
) -> None:
    async with switch.phone(route) as client:
        if example["command"] in {"invite", "accept"}:
            option = dict(example["option"])
            if isinstance(client, RtcClient):
                option["offer"] = await client.offer()
            await client.text(json.dumps({**example, "option": option}))
            await client.wait("answer")
            await client.hang_up()
            return
        await client.call(vad=False)
        await client.text(json.dumps(example))
        if example["command"] == "hangup":
            hangup = await client.wait("hangup")
            assert (hangup["reason"], hangup["initiator"]) == ("user_requested", "user")
            return
        if example["command"] == "tts":
            await client.wait("trackEnd", lambda event: event.get("playId") == "unique_play_id", timeout=30)
        await client.send("mark", name="alive")
        await client.wait("mark")
        # example.com is nowhere in a test, and tencent is not configured: the only errors there may be,
        # but for candidates where there is no WebRTC.
        strange = {"command"} if (route, example["command"]) == ("/call", "candidate") else set()
        assert {event["sender"] for event in client.all("error")} <= {"play", "tts"} | strange
        await client.hang_up()


@contextlib.asynccontextmanager
async def busy(switch: Switch, files: Files) -> AsyncIterator[Client]:
    """Run a call in which everything of the document happens."""
    said = await switch.spoken(
        "Hello, I would like to talk to the sales department about my last order, please."
    )
    url = files.put("a.wav", sound.wav(sound.tone(500, 9)))
    option: dict[str, Any] = {"binaryEvents": True, "inbandDtmf": True, "asr": {"provider": "builtin"}}
    async with switch.client(id=(name := uuid.uuid4().hex)) as client:
        await client.invite(**option)
        await client.send("tts", text="A sentence that ends.", playId="p", endOfStream=True)
        await client.wait("trackEnd", lambda event: event.get("playId") == "p")
        await client.send("play", url=url)
        await client.wait("trackStart", lambda event: event.get("playId") == url)
        await client.send("interrupt")
        await client.wait("interruption")
        await client.send("nonsense")
        await client.wait("error")
        await client.speak(sound.join(sound.silence(0.4), said, sound.silence(1.5)))
        await client.wait("asrFinal", timeout=30)
        await press(client, "1")
        await client.until(lambda: client.count("dtmf") > 0)
        await client.hang_up()
        assert client.events[0]["trackId"] == name
        yield client


OF_TELEPHONES = ("incoming", "ringing")
"""Events of `/call/sip` alone; test_sip.py looks at them."""


async def test_events_have_the_keys_and_types_of_the_document(switch: Switch, files: Files) -> None:
    wanted = {example["event"]: example for example in EVENTS if example["event"] not in OF_TELEPHONES}
    async with busy(switch, files) as client:
        missing = wanted.keys() - set(client.names()) - {"metrics"}
        assert not missing
        for name, example in wanted.items():
            assert client.count(name), name
            for event in client.all(name):
                for key, value in example.items():
                    assert key in event, f"{name} has no {key}: {event}"
                    assert isinstance(event[key], type(value)), f"{name}.{key} is {event[key]!r}"


def test_events_that_come_later_are_known_to_our_check() -> None:
    for example in EVENTS:
        for key, value in example.items():
            kind = REQUIRED[example["event"]].get(key)
            assert key in {"event", "timestamp", "code"} or kind is None or isinstance(value, kind)


async def test_list_has_the_keys_and_types_of_the_document(
    switch: Switch, http: aiohttp.ClientSession
) -> None:
    [example] = [one for one in examples() if isinstance(one, dict) and "calls" in one]
    async with switch.rtc(id=(name := uuid.uuid4().hex)) as client:
        await client.call(caller="1234567890", callee="0987654321")
        async with http.get(switch.url("/call/lists")) as response:
            body = await response.json()
        [call] = [one for one in body["calls"] if one["id"] == name]
        for key, value in example["calls"][0].items():
            assert isinstance(call[key], type(value)), key
        for key, value in example["calls"][0]["option"].items():
            assert isinstance(call["option"][key], type(value)), key
        await client.hang_up()


async def test_kill_answers_as_in_the_document(switch: Switch, http: aiohttp.ClientSession) -> None:
    async with switch.client(id=(name := uuid.uuid4().hex)) as client:
        await client.invite()
        async with http.post(switch.url(f"/call/kill/{name}")) as response:
            assert (await response.text()).strip() == "true"
        await client.wait("hangup")


async def test_ice_servers_have_the_keys_and_types_of_the_document_without_its_nulls(
    start_switch: StartSwitch, http: aiohttp.ClientSession
) -> None:
    [example] = [one for one in examples() if isinstance(one, list)]
    servers = [{key: value for key, value in server.items() if value is not None} for server in example]
    switch = start_switch({"ice": {"host_addresses": ["127.0.0.1"], "server": servers}})
    async with http.get(switch.url("/iceservers")) as response:
        assert await response.json() == servers
    await asyncio.sleep(0)
