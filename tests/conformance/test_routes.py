"""Section 1: routes, ids, dumps, lists, kill, ICE servers."""

import asyncio
import base64
import hashlib
import hmac
import json
import re
import time
import uuid
from typing import Any

import aiohttp
import pytest

from tests.conformance.conftest import StartSwitch, Switch
from tests.conftest import data_path
from tests.support.client import Client, calling, refusal

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.mark.row("1:call", "1:call-slash", "1:call-websocket", "1:webrtc-route")
@pytest.mark.parametrize("path", ["/call", "/call/", "/call/websocket", "/call/webrtc"])
async def test_route_upgrades_to_a_websocket(switch: Switch, path: str) -> None:
    async with switch.client(path) as client:
        assert not client.socket.closed


@pytest.mark.row("2:no-hello")
async def test_server_says_nothing_before_the_first_command(switch: Switch) -> None:
    async with switch.client() as client:
        await asyncio.sleep(0.3)
        assert client.events == []
        assert client.audio == []


@pytest.mark.row("1:no-upgrade")
@pytest.mark.parametrize("path", ["/call", "/call/webrtc"])
async def test_route_refuses_a_plain_get(switch: Switch, http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(switch.url(path)) as response:
        assert response.status in {400, 426}


@pytest.mark.row("1:id-new")
async def test_call_without_id_gets_a_uuid(switch: Switch) -> None:
    async with switch.client() as client:
        answer = await client.invite()
        assert str(uuid.UUID(answer["trackId"])) == answer["trackId"]


@pytest.mark.row("1:id-rule")
@pytest.mark.parametrize("name", ["a", "-rf", "_x.@:-", "x" * 128, "0"])
async def test_call_takes_a_good_id(switch: Switch, name: str) -> None:
    async with switch.client(id=name) as client:
        assert (await client.invite())["trackId"] == name


@pytest.mark.row("1:id-rule")
@pytest.mark.parametrize("name", ["..", ".a", "a/b", "a b", "x" * 129, "ü", "a\n"])
@pytest.mark.parametrize("path", ["/call", "/call/webrtc"])
async def test_call_refuses_a_bad_id_before_the_upgrade(switch: Switch, path: str, name: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with switch.client(path, id=name):
            pass
    assert caught.value.status == 400


@pytest.mark.row("1:id-rule")
async def test_ids_of_the_list_are_taken_or_refused_and_leave_no_file(
    switch: Switch, http: aiohttp.ClientSession
) -> None:
    cases = json.loads(data_path("api", "ids.json").read_text(encoding="utf-8"))
    before = {path for path in switch.data.parent.rglob("*") if "softswitch.db" not in path.name}
    made = set()
    for case in cases:
        name = case["id"]
        error = await refusal(switch.client(id=name))
        assert (error is None) == case["ok"], name
        if error is not None:
            assert error.status == 400
            continue
        async with switch.client(id=name) as client:
            assert (await client.invite())["trackId"] == name
            await client.hang_up()
        made.add(switch.data / "dumps" / f"{name}.jsonl")
    after = {path for path in switch.data.parent.rglob("*") if "softswitch.db" not in path.name}
    assert after - before <= made | {switch.data / "dumps"}


@pytest.mark.row("1:id-live")
async def test_call_refuses_an_id_in_use_and_leaves_its_call_alone(switch: Switch) -> None:
    name = uuid.uuid4().hex
    async with switch.client(id=name) as first:
        await first.invite()
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with switch.client(id=name):
                pass
        assert caught.value.status == 409
        await first.send("mark", name="still here")
        await first.wait("mark")
        await first.hang_up()
    async with switch.client(id=name) as again:
        await again.invite()


@pytest.mark.row("1:dump-file")
@pytest.mark.parametrize("flag", [None, "true", "1"])
async def test_dump_has_commands_and_events_as_lines(switch: Switch, flag: str | None) -> None:
    name = uuid.uuid4().hex
    query = {} if flag is None else {"dump": flag}
    async with switch.client(id=name, **query) as client:
        await client.invite(caller="alice")
        await client.hang_up()
    lines = await switch.dumped(name, "hangup")
    text = "\n".join(json.dumps(line) for line in lines)
    for word in ('"invite"', '"answer"', '"hangup"', "alice"):
        assert word in text


@pytest.mark.row("1:dump-off")
@pytest.mark.parametrize("flag", ["false", "0"])
async def test_dump_can_be_switched_off(switch: Switch, flag: str) -> None:
    name = uuid.uuid4().hex
    async with switch.client(id=name, dump=flag) as client:
        await client.invite()
        await client.hang_up()
    async with switch.client() as other:
        await other.invite()
        last = (await other.hang_up())["trackId"]
    await switch.dumped(last, "hangup")
    assert not (switch.data / "dumps" / f"{name}.jsonl").exists()


@pytest.mark.row("1:dump-off")
async def test_dump_takes_no_other_word(switch: Switch) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with switch.client(dump="perhaps"):
            pass
    assert caught.value.status == 400


@pytest.mark.row("1:dump-masked", "1:list-masked")
async def test_secrets_are_masked_in_dump_and_list(switch: Switch, http: aiohttp.ClientSession) -> None:
    name = uuid.uuid4().hex
    canary = "canary-" + uuid.uuid4().hex
    option: dict[str, Any] = {
        "asr": {
            "provider": "builtin",
            "secretKey": canary,
            "apiKey": canary,
            "secretId": canary,
            "token": canary,
        },
        "tts": {"provider": "builtin", "secretKey": canary},
        "sip": {"username": "u", "password": canary},
    }
    async with switch.client(id=name) as client:
        await client.invite(**option)
        async with http.get(switch.url("/call/lists")) as response:
            listed = await response.text()
        await client.hang_up()
    lines = await switch.dumped(name, "hangup")
    assert name in listed
    assert canary not in listed
    assert canary not in json.dumps(lines)
    assert canary not in json.dumps(client.events)


@pytest.mark.row("1:dump-bounded")
async def test_dump_stops_at_its_bound(start_switch: StartSwitch) -> None:
    switch = start_switch({"limits": {"dump_bytes": 5000}})
    async with switch.client(id="long") as client:
        await client.invite()
        for number in range(40):
            await client.send("history", speaker="user", text=f"{number} " + "x" * 400)
        await client.until(lambda: client.count("addHistory") == 40)
        await client.hang_up()
    await asyncio.sleep(0.3)
    assert 0 < (switch.data / "dumps" / "long.jsonl").stat().st_size <= 5000


@pytest.mark.row("1:lists", "1:list-alias", "1:list-shape", "1:list-additive")
@pytest.mark.parametrize("path", ["/call/lists", "/list"])
@pytest.mark.parametrize(("route", "kind"), [("/call", "websocket"), ("/call/webrtc", "webrtc")])
async def test_list_shows_a_running_call(
    switch: Switch, http: aiohttp.ClientSession, path: str, route: str, kind: str
) -> None:
    name = uuid.uuid4().hex
    option = {"caller": "1234567890", "callee": "0987654321"}
    async with switch.phone(route, id=name) as client:
        await client.call(**option)
        async with http.get(switch.url(path)) as response:
            assert response.status == 200
            body = await response.json()
        [call] = [one for one in body["calls"] if one["id"] == name]
        assert call["call_type"] == kind
        assert ISO.fullmatch(call["created_at"])
        assert call["option"]["caller"] == "1234567890"
        assert call["option"]["callee"] == "0987654321"
        assert ("offer" in call["option"]) == (kind == "webrtc")
        assert call["caller"] == "1234567890"
        assert call["callee"] == "0987654321"
        assert isinstance(call["state"], str)
        assert isinstance(call["duration"], int)
        await client.hang_up()
    async with http.get(switch.url(path)) as response:
        assert name not in await response.text()


@pytest.mark.row("1:kill", "1:kill-alias", "1:kill-true", "1:kill-hangup", "2:close-1000")
@pytest.mark.parametrize("path", ["/call/kill/", "/kill/"])
@pytest.mark.parametrize("route", ["/call", "/call/webrtc"])
async def test_kill_ends_a_call(switch: Switch, http: aiohttp.ClientSession, path: str, route: str) -> None:
    name = uuid.uuid4().hex
    async with switch.phone(route, id=name) as client:
        await client.call()
        async with http.post(switch.url(path + name)) as response:
            assert (response.status, await response.json()) == (200, True)
        hangup = await client.wait("hangup")
        assert (hangup["reason"], hangup["initiator"]) == ("killed", "system")
        assert await client.closed() == 1000


@pytest.mark.row("1:kill-unknown")
async def test_kill_of_an_unknown_call_is_false(switch: Switch, http: aiohttp.ClientSession) -> None:
    async with http.post(switch.url("/call/kill/unknown")) as response:
        assert (response.status, await response.json()) == (404, False)


@pytest.mark.row("1:kill-post-only")
@pytest.mark.parametrize("path", ["/call/kill/", "/kill/"])
async def test_kill_is_never_a_get(switch: Switch, http: aiohttp.ClientSession, path: str) -> None:
    async with switch.client() as client:
        name = (await client.invite())["trackId"]
        async with http.get(switch.url(path + name)) as response:
            assert response.status == 405
        await client.send("mark", name="alive")
        await client.wait("mark")


@pytest.mark.row("1:call-by-id")
async def test_call_can_be_looked_up_while_it_runs(switch: Switch, http: aiohttp.ClientSession) -> None:
    async with calling(switch.socket_url("/call", id="looked-up"), caller="x") as client:
        async with http.get(switch.url("/call/looked-up")) as response:
            assert response.status == 200
            body = await response.json()
        assert (body["id"], body["call_type"]) == ("looked-up", "websocket")
        await client.hang_up()
    async with http.get(switch.url("/call/never-was")) as response:
        assert response.status == 404


@pytest.mark.row("1:events-stream")
async def test_events_of_a_call_can_be_followed_as_a_stream(
    switch: Switch, http: aiohttp.ClientSession
) -> None:
    async with (
        calling(switch.socket_url("/call", id="followed")) as client,
        http.get(switch.url("/events/followed")) as response,
    ):
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        await client.send("history", speaker="user", text="told")
        await client.wait("addHistory")
        await client.hang_up()
        async with asyncio.timeout(60):
            text = (await response.content.read()).decode()
    told = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]
    names = [event["event"] for event in told]
    assert "addHistory" in names
    assert names[-1] == "hangup"
    assert [event for event in told if event["event"] == "addHistory"] == client.all("addHistory")
    async with http.get(switch.url("/events/unknown")) as response:
        assert response.status == 404


@pytest.mark.row("1:post-command")
async def test_command_can_be_posted(switch: Switch, http: aiohttp.ClientSession) -> None:
    async with calling(switch.socket_url("/call", id="posted")) as client:
        url = switch.url("/command/posted")
        async with http.post(
            url, json={"command": "history", "speaker": "user", "text": "by post"}
        ) as response:
            assert response.status == 200
        assert (await client.wait("addHistory"))["text"] == "by post"
        async with http.post(url, json={"command": "dance"}) as response:
            assert response.status == 400
            assert "dance" in await response.text()
        async with http.post(url, data=b"{") as response:
            assert response.status == 400
        async with http.post(url, json={"command": "hangup"}) as response:
            assert response.status == 200
        await client.wait("hangup")
    async with http.post(switch.url("/command/unknown"), json={"command": "hangup"}) as response:
        assert response.status == 404


@pytest.mark.row("1:iceservers")
async def test_ice_servers_are_an_empty_array_where_none_is_configured(
    switch: Switch, http: aiohttp.ClientSession
) -> None:
    async with http.get(switch.url("/iceservers")) as response:
        assert (response.status, await response.json()) == (200, [])


@pytest.mark.row("1:iceservers", "1:ice-no-null", "1:ice-turn-hmac")
async def test_ice_servers_carry_timed_credentials_and_no_nulls(
    start_switch: StartSwitch, http: aiohttp.ClientSession
) -> None:
    switch = start_switch(
        {
            "ice": {
                "host_addresses": ["127.0.0.1"],
                "stun": ["stun:127.0.0.1:3478"],
                "turn_urls": ["turn:127.0.0.1:3478?transport=udp"],
                "turn_secret": "a secret",
                "server": [
                    {"urls": ["turn:127.0.0.1:3479"], "username": "u", "credential": "c"},
                    {"urls": ["stun:127.0.0.1:3480"]},
                ],
            }
        }
    )
    async with http.get(switch.url("/iceservers")) as response:
        text = await response.text()
    assert "null" not in text
    servers = {tuple(server["urls"]): server for server in json.loads(text)}
    assert set(servers[("stun:127.0.0.1:3478",)]) == {"urls"}
    assert set(servers[("stun:127.0.0.1:3480",)]) == {"urls"}
    fixed = servers[("turn:127.0.0.1:3479",)]
    assert (fixed["username"], fixed["credential"]) == ("u", "c")
    timed = servers[("turn:127.0.0.1:3478?transport=udp",)]
    expiry = int(timed["username"].partition(":")[0])
    assert 3500 < expiry - time.time() <= 3601, "an hour; each ICE restart gets new ones"
    async with http.get(switch.url("/iceservers")) as response:
        again = {tuple(server["urls"]): server for server in await response.json()}
    names = [timed["username"], again[("turn:127.0.0.1:3478?transport=udp",)]["username"]]
    users = {name.partition(":")[2] for name in names}
    assert len(users) == 2, "coturn counts by this name: each call has one of its own"
    async with http.get(switch.url("/iceservers?call=call-7")) as response:
        named = {tuple(server["urls"]): server for server in await response.json()}
    assert named[("turn:127.0.0.1:3478?transport=udp",)]["username"].partition(":")[2] == "call-7"
    async with http.get(switch.url("/iceservers?call=a%20b")) as response:
        assert response.status == 400
    digest = hmac.new(b"a secret", timed["username"].encode(), hashlib.sha1).digest()
    assert timed["credential"] == base64.b64encode(digest).decode()


async def test_client_without_events_fails_its_check() -> None:
    """The check that every test here leans on does find faults."""
    client = Client("ws://127.0.0.1:1/")
    client.events = [{"event": "answer", "timestamp": 1.5, "sdp": None, "x": 1}]
    with pytest.raises(AssertionError, match="no seq"):
        client.check()


async def test_no_answer_names_versions(switch: Switch, http: aiohttp.ClientSession) -> None:
    for path in ("/healthz", "/no-such-path", "/static/index.html", "/calls?limit=x"):
        async with http.get(switch.url(path)) as response:
            assert response.headers["Server"] == "softswitch", path
    async with http.ws_connect(switch.socket_url("/call")) as socket:
        assert socket.get_extra_info("peername")
        assert socket._response.headers["Server"] == "softswitch"
    reader, writer = await asyncio.open_connection("127.0.0.1", switch.port)
    writer.write(b"GET / HTTP/1.1\r\nno header\r\n\r\n")
    answer = await reader.read(4096)
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.")
    assert b" 400 " in answer.splitlines()[0]
    assert b"ython" not in answer
    assert b"aiohttp" not in answer
