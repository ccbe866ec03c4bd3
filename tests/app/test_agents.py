"""Agents as callees of a running switch, with a scripted model."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from tests.support import sound
from tests.support.chat import ScriptedModel, last_user
from tests.support.client import Client
from tests.support.switch import SwitchThread

SALES = "I would like to talk to sales, please."
STORY = (
    "We have many departments. There is sales for orders. There is the workshop for repairs. "
    "There is the office for everything else. There is also the canteen, which is open at noon."
)


def script(messages: list[dict[str, Any]]) -> list[Any]:
    """Return what the receptionist does."""
    if messages[-1]["role"] == "tool":
        return [f"It said {messages[-1]['content']}."]
    heard = last_user(messages)
    if "sales" in heard:
        return ["I connect ", "you. ", {"name": "transfer", "to": "sales"}]
    if "bye" in heard:
        return ["Goodbye then.", {"name": "end_call"}]
    if "department" in heard:
        return [*(f"{word} " for word in STORY.split()), 0.0]
    return ["Pardon?"]


def agent_file(folder: Path, url: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "agent.toml"
    path.write_text(
        f'prompt = "You are a receptionist."\ngreeting = "Example Company."\nfallback = "sales"\n'
        f'[model]\nurl = "{url}"\nmodel = "scripted"\nkey = "model-secret"\n'
        '[transfer.sales]\ncallee = "echo"\n'
    )
    return path


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel(script) as running:
        yield running


def sections(folder: Path, model: ScriptedModel) -> dict[str, Any]:
    """Return settings with two agents and the keys of two accounts."""
    rows = [
        {"name": "receptionist", "file": str(agent_file(folder / "one", model.url)), "max_calls": 1},
        {"name": "private", "file": str(agent_file(folder / "two", model.url)), "accounts": ["alice"]},
    ]
    keys = ["alice:alice-secret-key:call", "bob:bob-secret-key:call", "boss:boss-secret-key"]
    return {"agent": rows, "auth": {"api_keys": keys}}


@pytest.fixture
def switch(tmp_path, model):
    # An utterance that comes before its model is loaded is not understood.
    more = sections(tmp_path, model) | {"speech": {"preload": True}}
    with SwitchThread(tmp_path / "data", more, {"token": "alice-secret-key"}) as running:
        yield running
        running.check()


@pytest.fixture
def plain(tmp_path, model):
    """Give a switch for tests without speech: it starts without the models of speech."""
    with SwitchThread(tmp_path / "data", sections(tmp_path, model), {"token": "alice-secret-key"}) as running:
        yield running
        running.check()


async def spoken(switch: SwitchThread, text: str) -> np.ndarray:
    return np.concatenate([await switch.spoken(text), sound.silence(1.0)])


async def greeted(client: Client, name: str = "receptionist") -> None:
    await client.invite(callee=f"agent:{name}", caller="Anna")
    await client.until(lambda: sound.loud_ms(client.heard(), threshold=500) > 500, timeout=30)


async def test_agent_greets_understands_and_transfers(switch, model):
    words = await spoken(switch, SALES)
    async with switch.client() as client:
        await greeted(client)
        await asyncio.sleep(1.0)
        await client.speak(words)
        async with asyncio.timeout(60):
            while not [m for r in model.requests for m in r["messages"] if "sales" in str(m.get("content"))]:
                await asyncio.sleep(0.05)
            while "agent_transfers_total 1" not in await metrics(switch):
                await asyncio.sleep(0.1)
        # The echo is the colleague: the caller hears itself, and the agent is silent.
        before = len(model.requests)
        silent = client.heard().size
        await client.speak(sound.tone(440, 1.0))
        await client.until(lambda: sound.loud_ms(client.heard()[silent:], threshold=500) > 500)
        assert abs(sound.pitch(_loud(client.heard()[silent:])) - 440) < 15
        assert len(model.requests) == before
        await client.hang_up()
    first = model.requests[0]
    assert first["messages"][0] == {
        "role": "system",
        "content": "You are a receptionist.\n\nThe caller's number or name: Anna",
    }
    assert {"role": "assistant", "content": "Example Company."} in first["messages"]
    assert {tool["function"]["name"] for tool in first["tools"]} == {"transfer", "take_number", "end_call"}
    assert model.keys[0] == "Bearer model-secret"


async def metrics(switch: SwitchThread) -> str:
    headers = {"Authorization": "Bearer boss-secret-key"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"http://127.0.0.1:{switch.port}/metrics") as response,
    ):
        return await response.text()


def _loud(pcm: np.ndarray) -> np.ndarray:
    places = np.flatnonzero(np.abs(pcm) > 1000)
    return pcm[places[0] : places[-1]]


async def test_model_believes_that_it_said_what_the_caller_heard(switch, model):
    words, stop = await spoken(switch, "Which departments do you have?"), await spoken(switch, SALES)
    async with switch.client() as client:
        await greeted(client)
        await asyncio.sleep(1.0)
        begin = client.heard().size
        await client.speak(words)
        await client.until(lambda: sound.loud_ms(client.heard()[begin:], threshold=500) > 1500, timeout=30)
        await client.speak(stop)
        async with asyncio.timeout(60):
            while "sales" not in last_user(model.requests[-1]["messages"]):
                await asyncio.sleep(0.05)
        await client.hang_up()
    said = [m["content"] for m in model.requests[-1]["messages"] if m["role"] == "assistant"]
    assert said[0] == "Example Company."
    # Something was heard, and not all: whole words of the beginning.
    assert STORY.startswith(said[1])
    assert 3 <= len(said[1].split()) < 25, said[1]


async def test_agent_says_goodbye_before_it_hangs_up(switch):
    words = await spoken(switch, "Thank you, goodbye.")
    async with switch.client() as client:
        await greeted(client)
        await asyncio.sleep(1.0)
        begin = client.heard().size
        await client.speak(words)
        await client.wait("hangup", timeout=30)
        assert sound.loud_ms(client.heard()[begin:], threshold=500) > 400


async def test_model_that_fails_costs_no_caller(switch, model):
    words = await spoken(switch, "Are you still there?")
    async with switch.client() as client:
        await greeted(client)
        await asyncio.sleep(1.0)
        model.status = 500
        await client.speak(words)
        async with asyncio.timeout(60):
            while "agent_transfers_total 0" in (text := await metrics(switch)) or "models_failed" not in text:
                await asyncio.sleep(0.1)
        await client.hang_up()


async def test_agent_has_its_bound_and_its_accounts(plain):
    async with plain.client() as one, plain.client() as two:
        await one.invite(callee="agent:receptionist")
        await two.send("invite", option={"callee": "agent:receptionist"})
        assert "max_calls" in (await two.wait("error"))["error"]
        await two.send("invite", option={"callee": "agent:unknown"})
        assert "no [[agent]] named 'unknown'" in (await two.wait("error"))["error"]
    async with Client(f"ws://127.0.0.1:{plain.port}/call?token=bob-secret-key") as stranger:
        await stranger.send("invite", option={"callee": "agent:private"})
        assert "no [[agent]] named 'private'" in (await stranger.wait("error"))["error"]


async def inner_call(switch: SwitchThread) -> str:
    """Return the id of the call that an agent controls, as the operator sees it."""
    headers = {"Authorization": "Bearer boss-secret-key"}
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.timeout(30):
        while True:
            async with session.get(f"http://127.0.0.1:{switch.port}/call/lists") as response:
                calls = (await response.json())["calls"]
            if inner := [call["id"] for call in calls if call["call_type"] == "agent"]:
                return str(inner[0])
            await asyncio.sleep(0.05)


async def kill(switch: SwitchThread, call: str, key: str) -> int:
    """Try to end a call with a key; return the status of the answer."""
    headers = {"Authorization": f"Bearer {key}"}
    url = f"http://127.0.0.1:{switch.port}/v1/call/{call}"
    async with aiohttp.ClientSession(headers=headers) as session, session.delete(url) as response:
        return response.status


async def test_call_of_an_agent_belongs_to_the_account_of_its_caller(plain):
    async with plain.client() as client:
        await client.invite(callee="agent:receptionist")
        call = await inner_call(plain)
        assert await kill(plain, call, "bob-secret-key") == 404
        assert await kill(plain, call, "alice-secret-key") == 200
        await client.wait("hangup")


async def test_transfer_to_an_agent_obeys_its_accounts(plain):
    """As an agent's own transfer does: it is carried out under the account of the call."""
    for key, connected in (("bob-secret-key", False), ("alice-secret-key", True)):
        async with Client(f"ws://127.0.0.1:{plain.port}/call?token={key}") as client:
            await client.invite(vad=False)
            await client.send("refer", callee="agent:private")
            if connected:
                await client.wait("answer", lambda event: bool(event.get("refer")))
            else:
                assert "no [[agent]] named 'private'" in str(await client.wait("reject"))
            await client.hang_up()
