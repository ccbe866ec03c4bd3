"""The MCP server with the SDK's own client: in this process, over stdio and over HTTP."""

import asyncio
import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("mcp", reason="the extra [mcp] is not installed")

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver.exceptions import ToolError

from softswitch.mcp_server import server as server_module
from softswitch.mcp_server.server import Telephones, make_server
from softswitch.mcp_server.telephone import TelephoneError
from tests.support.ports import free_port
from tests.support.switch import SwitchThread

KEYS = [
    "alice:alice-secret-key:call",
    "bob:bob-secret-key:call",
    "boss:boss-secret-key",
    "rooms:rooms-secret-key:rooms",
]
TOOLS = {"place_call", "say", "listen", "press_keys", "transfer", "hang_up", "list_calls"}


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    sections = {"auth": {"api_keys": KEYS}}
    with SwitchThread(
        tmp_path_factory.mktemp("mcp") / "data", sections, {"token": "boss-secret-key"}
    ) as running:
        yield running
        running.check()


def place(switch) -> str:
    return f"http://127.0.0.1:{switch.port}"


async def use(client, name, **arguments):
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result
    return result.structured_content


async def test_a_whole_call(switch):
    async with Client(make_server(place(switch), "alice-secret-key")) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
        placed = await use(client, "place_call", to="echo")
        assert placed["answered"] is True
        call = placed["call"]
        said = await use(client, "press_keys", call=call, digits="42#")
        assert said == {"pressed": "42#"}
        listed = await use(client, "list_calls")
        assert [one["call"] for one in listed["placed"]] == [call]
        assert await use(client, "listen", call=call, seconds=0.1) in (
            {"heard": ""},
            {"key": "4"},
            {"key": "2"},
        )
        assert (await use(client, "transfer", call=call, to="tone"))["connected"] is True
        assert await use(client, "hang_up", call=call) == {"ended": call}
        assert (await use(client, "list_calls"))["placed"] == []


async def test_party_hears_what_is_said(switch):
    async with Client(make_server(place(switch), "alice-secret-key")) as client:
        placed = await use(client, "place_call", to="tone", say="Good day.")
        assert placed["said"]
        await use(client, "hang_up", call=placed["call"])


async def test_errors_are_told_to_the_model(switch):
    async with Client(make_server(place(switch), "alice-secret-key")) as client:
        result = await client.call_tool("say", {"call": "unknown", "text": "x"})
        assert result.is_error
        assert "no call 'unknown'" in str(result.content[0])
        refused = await use(client, "place_call", to="user:unknown")
        assert refused["answered"] is False
        assert refused["reason"]


async def test_rights_are_those_of_the_key(switch):
    for key in ("wrong", "rooms-secret-key", None):
        async with Client(make_server(place(switch), key)) as client:
            refused = await use(client, "place_call", to="echo")
            assert refused["answered"] is False
            assert "the switch answered 40" in refused["reason"]
    async with Client(make_server(place(switch), "alice-secret-key")) as client:
        placed = await use(client, "place_call", to="echo")
        # Calls of the switch are for administrators.
        assert "403" in (await use(client, "list_calls"))["note"]
        await use(client, "hang_up", call=placed["call"])


def context_of(key: str) -> Any:
    """Return what a request over HTTP brings, as far as the server looks at it."""
    return SimpleNamespace(headers={"authorization": f"Bearer {key}"})


async def test_calls_of_another_key_are_out_of_reach(switch):
    """Over HTTP all clients share one server."""
    telephones = Telephones(place(switch), None, per_request=True)
    alice, bob = (telephones.of(context_of(f"{name}-secret-key")) for name in ("alice", "bob"))
    try:
        placed = await alice.place("echo")
        assert [one["call"] for one in (await alice.list())["placed"]] == [placed["call"]]
        assert (await bob.list())["placed"] == []
        for work in (bob.hang_up(placed["call"]), bob.transfer(placed["call"], "tone")):
            with pytest.raises(TelephoneError, match="was placed here"):
                await work
        assert await alice.hang_up(placed["call"]) == {"ended": placed["call"]}
    finally:
        await telephones.close()


async def test_keys_without_calls_give_their_place_up(switch, monkeypatch):
    monkeypatch.setattr(server_module, "MOST_KEYS", 3)
    telephones = Telephones(place(switch), None, per_request=True)
    try:
        held = telephones.of(context_of("alice-secret-key"))
        await held.place("echo")
        for number in range(20):
            telephones.of(context_of(f"wrong-{number}"))
        assert telephones.of(context_of("alice-secret-key")) is held
        monkeypatch.setattr(server_module, "MOST_KEYS", 1)
        with pytest.raises(ToolError, match="too many keys"):
            telephones.of(context_of("bob-secret-key"))
    finally:
        await telephones.close()


async def test_calls_end_with_the_server(switch):
    async with Client(make_server(place(switch), "alice-secret-key")) as client:
        await use(client, "place_call", to="echo")
        assert switch.calls_now() == 1
    async with asyncio.timeout(60):
        while switch.calls_now():
            await asyncio.sleep(0.02)


async def test_over_stdio(switch):
    environment = {**os.environ, "SOFTSWITCH_KEY": "alice-secret-key"}
    arguments = ["-m", "softswitch", "mcp", "--switch", place(switch)]
    async with Client(
        StdioServerParameters(command=sys.executable, args=arguments, env=environment)
    ) as client:
        placed = await use(client, "place_call", to="echo")
        await use(client, "hang_up", call=placed["call"])


async def test_over_http_with_the_key_of_each_client(switch):
    port = free_port()
    arguments = ["-m", "softswitch", "mcp", "--switch", place(switch), "--http", "--port", str(port)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                except ConnectionError:
                    await asyncio.sleep(0.1)
        for key, answered in (("alice-secret-key", True), ("wrong", False)):
            async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http:
                transport = streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http)
                async with Client(transport) as client:
                    placed = await use(client, "place_call", to="echo")
                    assert placed["answered"] is answered, placed
    finally:
        process.terminate()
        await process.wait()
