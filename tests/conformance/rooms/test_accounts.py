"""Rooms of several accounts: whose they are, what tokens grant, and what a command in a room may reach."""

import asyncio
import time
from collections.abc import Iterator

import aiohttp
import jwt
import pytest

from tests.conformance.conftest import Switch
from tests.support.rooms import Browser, Rest, Socket, tones
from tests.support.switch import SwitchThread

pytestmark = pytest.mark.conformance

SECRET = "a secret of more than thirty-two bytes"
SHOP, BANK, OPS, BOTH = "key-of-the-shop", "key-of-the-bank", "key-of-the-operator", "key-of-the-studio"
CALLER = "key-of-a-caller"


@pytest.fixture(scope="module")
def _tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchThread]:
    keys = [
        f"shop:{SHOP}:rooms",
        f"bank:{BANK}:rooms",
        f"ops:{OPS}:admin+rooms+call",
        f"studio:{BOTH}:rooms+call",
        f"caller:{CALLER}:call",
    ]
    sections = {
        "auth": {"api_keys": keys, "jwt_secret": SECRET},
        "rooms": {"rooms_per_account": 5},
        "trunk": [{"name": "carrier", "servers": ["127.0.0.1:9"]}],
    }
    with SwitchThread(tmp_path_factory.mktemp("tenants") / "data", sections) as running:
        yield running


@pytest.fixture
def tenants(_tenants: SwitchThread) -> Iterator[Switch]:
    """Give a switch with keys of several accounts."""
    _tenants.faults.lines.clear()
    yield _tenants
    _tenants.check()


@pytest.fixture
def as_key(tenants: Switch, http: aiohttp.ClientSession):
    """Give what makes plain requests with a key or token."""
    return lambda key: Rest(tenants, http, Authorization=f"Bearer {key}")


def token(sub: str = "anna", account: str = "shop", **claims: object) -> str:
    """Return a token."""
    body = {"sub": sub, "account": account, "exp": time.time() + 60, **claims}
    return jwt.encode(body, SECRET, algorithm="HS256")


async def close(as_key, room_id: str) -> None:
    """Delete a room of any account."""
    await as_key(OPS).ask("DELETE", f"/rooms/{room_id}")


WAYS = [
    ("GET", "/rooms/{}", None),
    ("PATCH", "/rooms/{}", {"name": "mine now"}),
    ("DELETE", "/rooms/{}", None),
    ("POST", "/rooms/{}/participants", {"agent_id": "thief"}),
    ("GET", "/rooms/{}/participants", None),
    ("DELETE", "/rooms/{}/participants/{}", None),
    ("POST", "/rooms/{}/commands", {"command": "tts", "text": "hello"}),
    ("POST", "/rooms/{}/commands", {"command": "refer", "callee": "+4930123"}),
    ("POST", "/rooms/{}/streams", {"stream_url": "wss://thief.example.org", "stream_type": "twoway"}),
    ("DELETE", "/rooms/{}/streams/x", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WAYS)
async def test_a_foreign_room_answers_like_one_that_is_not_there(as_key, method, path, body) -> None:
    room_id = await as_key(SHOP).create(topology="mix")
    _, seat = await as_key(SHOP).ask("POST", f"/rooms/{room_id}/participants", {"agent_id": "a"})
    foreign = await as_key(BANK).ask(method, path.format(room_id, seat["id"]), body)
    absent = await as_key(BANK).ask(method, path.format("0-0", seat["id"]), body)
    assert foreign == absent
    assert foreign[0] == 404
    assert len(await as_key(SHOP).people(room_id)) == 1
    assert (await as_key(SHOP).room(room_id))["name"] == "a room"
    await close(as_key, room_id)


async def test_lists_show_what_belongs_to_the_account_and_all_to_the_administrator(as_key) -> None:
    mine, other = await as_key(SHOP).create(), await as_key(BANK).create()

    async def listed(key: str, **query: object) -> tuple[set[str], int]:
        _, page = await as_key(key).ask("GET", "/rooms", limit=100, **query)
        return {room["id"] for room in page["data"]}, page["pagination"]["total"]

    for query in ({}, {"status": "created"}):
        rooms, total = await listed(SHOP, **query)
        assert mine in rooms
        assert other not in rooms
        assert total == len(rooms)
        assert {mine, other} <= (await listed(OPS, **query))[0]
    await close(as_key, mine)
    await close(as_key, other)


async def test_sessions_belong_to_the_account_of_their_room(as_key) -> None:
    room_id = await as_key(SHOP).create(topology="mix")
    _, seat = await as_key(SHOP).ask("POST", f"/rooms/{room_id}/participants", {"agent_id": "a"})
    (session,) = await as_key(SHOP).sessions(room_id)
    for running in (True, False):
        for key, status in ((SHOP, 200), (OPS, 200), (BANK, 404)):
            assert (await as_key(key).ask("GET", f"/sessions/{session['id']}"))[0] == status, (key, running)
        assert await as_key(BANK).sessions(room_id) == []
        assert len(await as_key(OPS).sessions(room_id)) == 1
        await close(as_key, room_id)
    assert (await as_key(BANK).ask("GET", "/sessions"))[1]["pagination"]["total"] == 0
    assert seat


async def test_a_foreign_room_is_not_joined_by_socket(tenants: Switch, as_key) -> None:
    room_id = await as_key(SHOP).create(topology="mix")
    async with Socket(tenants, token=BANK) as thief:
        await thief.say("room:join", roomId=room_id, agentId="thief")
        await thief.error("ROOM_NOT_FOUND")
    await close(as_key, room_id)


@pytest.mark.parametrize("key", [CALLER, BOTH])
async def test_a_call_does_not_enter_a_foreign_room(tenants: Switch, as_key, key: str) -> None:
    room_id = await as_key(SHOP).create(topology="mix")
    async with tenants.client(token=key) as thief:
        await thief.send("invite", option={"callee": f"room:{room_id}", "vad": False})
        refused = await thief.wait("error")
        assert "ROOM_NOT_FOUND" in refused["error"]
        await thief.invite(vad=False)
        await thief.send("refer", callee=f"room:{room_id}")
        refused = await thief.wait("reject")
        assert "ROOM_NOT_FOUND" in refused["reason"]
        await thief.hang_up()
    assert await as_key(SHOP).people(room_id) == []
    await close(as_key, room_id)


@pytest.mark.parametrize(("key", "seated"), [(BOTH, False), (OPS, True)])
async def test_an_originated_call_does_not_enter_a_foreign_room(
    tenants: Switch, http: aiohttp.ClientSession, as_key, key: str, seated: bool
) -> None:
    room_id = await as_key(SHOP).create(topology="mix")
    url = tenants.url("/v1/call", token=key)
    async with http.post(url, json={"from": "bot", "to": f"room:{room_id}"}) as answer:
        if not seated:
            assert answer.status == 404
            assert await as_key(SHOP).people(room_id) == []
            return
        call = (await answer.json())["uuid"]

    async def outcome() -> bool:
        """Tell whether it has a seat, or is over without one."""
        async with http.get(tenants.url(f"/v1/call/{call}", token=key)) as shown:
            # Between the end of the call and its record there is nothing to be shown.
            over = shown.status == 404 or (await shown.json())["call"]["call_finished"] is not None
        return over or bool(await as_key(SHOP).people(room_id))

    async with asyncio.timeout(60):
        while not await outcome():
            await asyncio.sleep(0.05)
    assert bool(await as_key(SHOP).people(room_id)) == seated
    await close(as_key, room_id)


async def test_a_command_in_a_room_makes_no_calls_without_the_scope_for_calls(as_key) -> None:
    room_id = await as_key(SHOP).create(topology="mix")
    for command in (
        {"command": "refer", "callee": "+4930123"},
        {"command": "bridge", "targetSessionId": "x"},
    ):
        status, body = await as_key(SHOP).ask("POST", f"/rooms/{room_id}/commands", command)
        assert (status, body["error"]["code"]) == (403, "FORBIDDEN")
        assert "the scope 'call' is required" in body["error"]["message"]
    await close(as_key, room_id)


async def test_a_room_is_not_bridged_with_a_call_of_another_account(tenants: Switch, as_key) -> None:
    room_id = await as_key(BOTH).create(topology="mix")
    async with tenants.client(token=CALLER, id="private") as private:
        await private.invite(vad=False)
        status, foreign = await as_key(BOTH).ask(
            "POST", f"/rooms/{room_id}/commands", {"command": "bridge", "targetSessionId": "private"}
        )
        assert status == 404
        _, absent = await as_key(BOTH).ask(
            "POST", f"/rooms/{room_id}/commands", {"command": "bridge", "targetSessionId": "no-such-call"}
        )
        assert foreign["error"]["message"].replace("private", "") == absent["error"]["message"].replace(
            "no-such-call", ""
        )
        async with tenants.client(token=BOTH) as thief:
            await thief.invite(vad=False)
            await thief.send("bridge", targetSessionId="private")
            assert (await thief.wait("error"))["code"] == 404
            await thief.hang_up()
        await private.hang_up()
    await close(as_key, room_id)


async def test_the_call_inside_a_room_belongs_to_its_account_and_not_to_its_first_user(
    tenants: Switch, http: aiohttp.ClientSession, as_key
) -> None:
    room_id = await as_key(SHOP).create(topology="mix")
    async with Socket(tenants, token=SHOP) as a:
        await a.join(room_id, "a")
        say = {"command": "tts", "text": "Good morning."}
        assert (await as_key(OPS).ask("POST", f"/rooms/{room_id}/commands", say))[0] == 200
        assert (await as_key(SHOP).ask("POST", f"/rooms/{room_id}/commands", say))[0] == 200
        async with http.get(tenants.url("/v1/call", token=BOTH)) as answer:
            assert (await answer.json())["calls"] == []
    await close(as_key, room_id)


# --- tokens that name rooms -------------------------------------------------------------------


async def test_a_token_for_one_room_is_for_that_room_alone(tenants: Switch, as_key) -> None:
    mine, other = await as_key(SHOP).create(topology="mix"), await as_key(SHOP).create(topology="mix")
    guest = token(rooms={mine: ["join", "speak", "hear"]})
    rest = as_key(guest)
    assert (await rest.ask("GET", f"/rooms/{mine}"))[0] == 200
    assert (await rest.ask("GET", f"/rooms/{other}"))[0] == 404
    _, page = await rest.ask("GET", "/rooms")
    assert [room["id"] for room in page["data"]] == [mine]
    assert (await rest.ask("POST", "/rooms", {"name": "more"}))[0] == 403
    assert (await rest.ask("DELETE", f"/rooms/{mine}"))[0] == 403
    assert (await rest.ask("PATCH", f"/rooms/{mine}", {"settings": {"recording": {"enabled": True}}}))[
        0
    ] == 403
    assert (await rest.ask("GET", "/sessions"))[0] == 403
    assert (await rest.ask("GET", "/sessions", room_id=mine))[0] == 200
    async with Socket(tenants, token=guest) as a:
        await a.say("room:join", roomId=other, agentId="a")
        await a.error("ROOM_NOT_FOUND")
        await a.join(mine, "a")
        _, seat = await as_key(SHOP).ask("POST", f"/rooms/{mine}/participants", {"agent_id": "b"})
        assert (await rest.ask("DELETE", f"/rooms/{mine}/participants/{seat['id']}"))[0] == 403
        assert (await rest.ask("DELETE", f"/rooms/{mine}/participants/{a.id}"))[0] == 204
    for room in (mine, other):
        await close(as_key, room)


async def test_a_token_for_a_room_of_another_account_opens_nothing(as_key) -> None:
    room_id = await as_key(SHOP).create(topology="mix")
    rest = as_key(token(account="bank", rooms={room_id: ["join", "hear", "speak", "administer"]}))
    assert (await rest.ask("GET", f"/rooms/{room_id}"))[0] == 404
    await close(as_key, room_id)


async def test_a_guest_without_the_grant_to_speak_is_not_heard(tenants: Switch, as_key) -> None:
    room_id = await as_key(SHOP).create(topology="mix")
    async with (
        Browser(tenants, token=SHOP) as host,
        Browser(tenants, token=token(rooms={room_id: ["join", "hear"]})) as guest,
    ):
        await host.join(room_id, "host")
        await guest.join(room_id, "guest")
        host.hum(440)
        guest.hum(1000)
        await host.talk()
        await guest.talk()
        await guest.say("room:mute", muted=False)
        await guest.error("FORBIDDEN")
        await host.hear(1)
        assert tones(await guest.hear(1), (440.0, 1000.0), 48000) == {440.0}
        assert tones(await host.hear(1), (440.0, 1000.0), 48000) == set()
    await close(as_key, room_id)


@pytest.mark.parametrize(
    ("grants", "topology"), [(["join"], "mix"), (["hear"], "mix"), (["join", "hear"], "p2p")]
)
async def test_a_seat_needs_its_grants(tenants: Switch, as_key, grants: list[str], topology: str) -> None:
    room_id = await as_key(SHOP).create(topology=topology)
    async with Socket(tenants, token=token(rooms={room_id: grants})) as guest:
        await guest.say("room:join", roomId=room_id, agentId="guest")
        await guest.error("FORBIDDEN")
    assert await as_key(SHOP).people(room_id) == []
    await close(as_key, room_id)


async def test_the_grant_to_record_changes_the_recording_alone(as_key) -> None:
    room_id = await as_key(SHOP).create(topology="mix")
    rest = as_key(token(rooms={room_id: ["record"]}))
    change = {"settings": {"recording": {"enabled": True}}}
    assert (await rest.ask("PATCH", f"/rooms/{room_id}", change))[0] == 200
    assert (await rest.ask("PATCH", f"/rooms/{room_id}", {"name": "other"}))[0] == 403
    both = {"name": "other", "settings": {"recording": {"enabled": False}}}
    assert (await rest.ask("PATCH", f"/rooms/{room_id}", both))[0] == 403
    assert (await as_key(SHOP).room(room_id))["name"] == "a room"
    await close(as_key, room_id)


async def test_recordings_belong_to_the_account_of_their_room(
    tenants: Switch, http: aiohttp.ClientSession, as_key
) -> None:
    room_id = await as_key(SHOP).create(topology="mix", recording={"enabled": True})
    async with Browser(tenants, token=SHOP) as a:
        await a.join(room_id, "a")
        a.hum(440)
        await a.talk()
        await a.hear(1)
        await a.say("room:leave")
        await a.wait("room:closed")
    path = f"/rooms/{room_id}/recordings"
    async with asyncio.timeout(60):
        while len((await as_key(SHOP).ask("GET", path))[1]["data"]) < 2:
            await asyncio.sleep(0.05)
    name = (await as_key(SHOP).ask("GET", path))[1]["data"][0]["name"]
    other = await as_key(BANK).create(topology="mix")
    speaker = token(rooms={room_id: ["join", "speak", "hear"]})
    recorder = token(rooms={room_id: ["record"]})
    for key, where, status in (
        (BANK, path, 404), (BANK, f"{path}/{name}", 404), (BANK, f"/rooms/{other}/recordings/{name}", 404),
        (speaker, path, 403), (speaker, f"{path}/{name}", 403), (recorder, path, 200),
        (SHOP, f"{path}/nothing.wav", 404), (OPS, path, 200),
    ):  # fmt: skip
        assert (await as_key(key).ask("GET", where))[0] == status, (key, where)
    async with http.get(tenants.url(f"/api/v1{path}/{name}", token=recorder)) as answer:
        assert (answer.status, (await answer.read())[:4]) == (200, b"RIFF")
    assert (await as_key(BANK).ask("DELETE", f"{path}/{name}"))[0] == 404
    assert (await as_key(SHOP).ask("DELETE", f"{path}/{name}"))[0] == 204
    assert len((await as_key(SHOP).ask("GET", path))[1]["data"]) == 1
    await close(as_key, other)


# --- bounds ------------------------------------------------------------------------------------


async def test_one_account_cannot_take_the_rooms_of_the_others(as_key) -> None:
    made = [await as_key(BANK).create() for _ in range(5)]
    status, body = await as_key(BANK).ask("POST", "/rooms", {"name": "one more"})
    assert (status, body["error"]["code"]) == (429, "TOO_MANY_ROOMS")
    assert "rooms_per_account" in body["error"]["message"]
    made.append(await as_key(SHOP).create())
    await close(as_key, made[0])
    made.append(await as_key(BANK).create())
    for room_id in made:
        await close(as_key, room_id)
