"""`/api/v1`: every example of the document, and what stands beside it on the wire page."""

import re
from typing import Any

import aiohttp
import pytest

from tests.conformance.conftest import Switch
from tests.support.rooms import Rest, Socket
from tests.support.switch import SwitchThread

pytestmark = pytest.mark.conformance
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
EXAMPLE: dict[str, Any] = {
    "name": "Agent Conversation",
    "settings": {"max_participants": 2, "voice": {"codec": "opus", "bitrate": 64000}},
}


@pytest.mark.row("create", "echoed", "one-port")
async def test_create_answers_as_the_document_shows(rest: Rest) -> None:
    status, room = await rest.ask("POST", "/rooms", EXAMPLE)
    assert status == 201
    assert set(room) == {"id", "name", "status", "settings", "created_at", "updated_at"}
    assert UUID.fullmatch(room["id"])
    assert room["status"] == "created"
    assert (room["name"], room["settings"]) == (EXAMPLE["name"], EXAMPLE["settings"])
    assert INSTANT.fullmatch(room["created_at"])
    assert INSTANT.fullmatch(room["updated_at"])


@pytest.mark.row("get", "room-states")
async def test_get_shows_how_many_are_there(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create()
    room = await rest.room(room_id)
    assert set(room) == {
        "id", "name", "status", "participants_count", "settings", "created_at", "updated_at",
    }  # fmt: skip
    assert (room["status"], room["participants_count"], room["settings"]) == ("created", 0, {})
    async with Socket(switch) as a, Socket(switch) as b:
        await a.join(room_id, "a")
        room = await rest.room(room_id)
        assert (room["status"], room["participants_count"]) == ("waiting", 1)
        await b.join(room_id, "b")
        room = await rest.room(room_id)
        assert (room["status"], room["participants_count"]) == ("active", 2)
        await b.say("room:leave")
        await a.wait("room:participant-left")
        assert (await rest.room(room_id))["status"] == "waiting"
        await a.say("room:leave")
        await a.wait("room:closed")
    room = await rest.room(room_id)
    assert (room["status"], room["participants_count"]) == ("closed", 0)


@pytest.mark.row("list", "status-filter", "closed-listable")
async def test_list_pages_the_newest_first(rest: Rest) -> None:
    made = [await rest.create(f"room {number}") for number in range(12)]
    await rest.ask("DELETE", f"/rooms/{made[0]}")
    status, page = await rest.ask("GET", "/rooms")
    assert status == 200
    assert page["pagination"]["limit"] == 10
    assert page["pagination"]["offset"] == 0
    assert page["pagination"]["total"] >= 12
    assert [room["id"] for room in page["data"]] == made[:1:-1]
    assert set(page["data"][0]) == {"id", "name", "status", "participants_count", "created_at"}
    _, page = await rest.ask("GET", "/rooms", status="closed", limit=100)
    assert all(room["status"] == "closed" for room in page["data"])
    assert made[0] in [room["id"] for room in page["data"]]
    _, page = await rest.ask("GET", "/rooms", status="created", limit=3, offset=2)
    assert [room["id"] for room in page["data"]] == made[-3:-6:-1]


@pytest.mark.row("page-bounds", "http-422")
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"), ({"limit": "101"}, "limit"), ({"limit": "x"}, "limit"),
        ({"offset": "-1"}, "offset"), ({"status": "open"}, "status"), ({"limit": "9" * 30}, "limit"),
    ],
)  # fmt: skip
async def test_list_refuses_what_is_no_page(rest: Rest, query: dict[str, str], field: str) -> None:
    status, body = await rest.ask("GET", "/rooms", **query)
    assert status == 422
    assert body["error"]["code"] == "INVALID_REQUEST"
    assert field in body["error"]["message"]


@pytest.mark.row("update", "patch-deep")
async def test_patch_merges_deeply_and_answers_with_the_whole_room(rest: Rest) -> None:
    _, room = await rest.ask("POST", "/rooms", EXAMPLE)
    status, changed = await rest.ask(
        "PATCH",
        f"/rooms/{room['id']}",
        {
            "name": "Updated Room Name",
            "settings": {"recording": {"enabled": True}, "voice": {"bitrate": 32000}},
        },
    )
    assert status == 200
    assert changed["name"] == "Updated Room Name"
    assert changed["settings"] == {
        "max_participants": 2,
        "voice": {"codec": "opus", "bitrate": 32000},
        "recording": {"enabled": True},
    }
    assert set(changed) == set(await rest.room(room["id"]))
    assert changed["updated_at"] > room["updated_at"]


@pytest.mark.row("delete", "deleted", "ev-closed", "closed-join")
async def test_delete_closes_and_everybody_hears_it(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create()
    async with Socket(switch) as a, Socket(switch) as b:
        await a.join(room_id, "a")
        await b.join(room_id, "b")
        assert await rest.ask("DELETE", f"/rooms/{room_id}") == (204, None)
        for one in (a, b):
            closed = await one.wait("room:closed")
            assert closed == {"type": "room:closed", "roomId": room_id, "reason": "deleted"}
        await a.say("room:join", roomId=room_id, agentId="a")
        await a.error("ROOM_NOT_FOUND")
    assert (await rest.room(room_id))["status"] == "closed"


@pytest.mark.row("join", "list-participants", "cases")
async def test_join_answers_as_the_document_shows(rest: Rest) -> None:
    room_id = await rest.create()
    metadata = {"display_name": "Agent Alpha", "capabilities": ["opus", "dtmf"]}
    status, one = await rest.ask(
        "POST", f"/rooms/{room_id}/participants", {"agent_id": "agent-alpha-001", "metadata": metadata}
    )
    assert status == 201
    assert set(one) == {"id", "room_id", "agent_id", "status", "metadata", "joined_at"}
    assert (one["room_id"], one["agent_id"], one["status"]) == (room_id, "agent-alpha-001", "connecting")
    assert one["metadata"] == metadata
    assert UUID.fullmatch(one["id"])
    people = await rest.people(room_id)
    assert people == [
        {
            "id": one["id"],
            "agent_id": "agent-alpha-001",
            "status": "connecting",
            "display_name": "Agent Alpha",
            "joined_at": one["joined_at"],
        }
    ]


@pytest.mark.row("leave-rest", "left-reasons", "ev-participant-left")
async def test_leaving_by_rest_is_told_as_user_left(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create()
    async with Socket(switch) as a, Socket(switch) as b:
        await a.join(room_id, "a")
        await b.join(room_id, "b")
        assert await rest.ask("DELETE", f"/rooms/{room_id}/participants/{b.id}") == (204, None)
        expected = {"type": "room:participant-left", "participantId": b.id, "reason": "user_left"}
        assert await a.wait("room:participant-left") == expected
        assert await b.wait("room:participant-left") == expected
        await b.say("room:leave")
        await b.error("NOT_IN_ROOM")
    status, body = await rest.ask("DELETE", f"/rooms/{room_id}/participants/{b.id}")
    assert (status, body["error"]["code"]) == (404, "NOT_IN_ROOM")


@pytest.mark.row("http-errors", "e-room-not-found", "e-room-full", "e-already-joined", "p2p-two")
async def test_errors_have_the_codes_of_the_document(rest: Rest) -> None:
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/participants")):
        status, body = await rest.ask(method, f"/rooms/nowhere{path}", {} if method == "PATCH" else None)
        assert (status, body["error"]["code"]) == (404, "ROOM_NOT_FOUND")
    room_id = await rest.create()
    place = f"/rooms/{room_id}/participants"
    for agent in ("a", "b"):
        assert (await rest.ask("POST", place, {"agent_id": agent}))[0] == 201
    status, body = await rest.ask("POST", place, {"agent_id": "a"})
    assert (status, body["error"]["code"]) == (409, "ALREADY_JOINED")
    status, body = await rest.ask("POST", place, {"agent_id": "c"})
    assert status == 409
    assert body == {"error": {"code": "ROOM_FULL", "message": "Room has reached maximum participants"}}


@pytest.mark.row("http-422", "p2p-no-recording")
@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"max_participants": 0}, "max_participants"), ({"max_participants": "2"}, "max_participants"),
        ({"max_participants": True}, "max_participants"), ({"max_participants": 100000}, "max_participants"),
        ({"topology": "star"}, "topology"), ({"voice": 3}, "voice"), ({"voice": {"codec": "mp3"}}, "codec"),
        ({"voice": {"bitrate": 5}}, "bitrate"), ({"recording": {"enabled": "yes"}}, "enabled"),
        ({"recording": {"format": "mp3"}}, "format"), (3, "settings"),
        ({"topology": "p2p", "recording": {"enabled": True}}, "recording"),
        ({"topology": "p2p", "max_participants": 3}, "max_participants"),
    ],
)  # fmt: skip
async def test_fields_that_are_wrong_are_named(rest: Rest, settings: Any, field: str) -> None:
    status, body = await rest.ask("POST", "/rooms", {"name": "x", "settings": settings})
    assert status == 422
    assert body["error"]["code"] == "INVALID_REQUEST"
    assert field in body["error"]["message"]


@pytest.mark.row("http-422")
async def test_all_wrong_fields_are_named_together(rest: Rest) -> None:
    status, body = await rest.ask(
        "POST", "/rooms", {"name": 7, "settings": {"topology": "x", "voice": {"codec": "y"}}}
    )
    assert status == 422
    for field in ("name", "settings.topology", "settings.voice.codec"):
        assert field in body["error"]["message"]
    room_id = await rest.create()
    for join in ({}, {"agent_id": ""}, {"agent_id": "a", "metadata": []}, {"agent_id": "a\nb"}):
        assert (await rest.ask("POST", f"/rooms/{room_id}/participants", join))[0] == 422


@pytest.mark.row("http-422")
async def test_each_kind_of_wrong_body_has_one_status(rest: Rest) -> None:
    bodies = {
        b"{": 400,
        b"\xff": 400,
        b'{"a":' * 3000: 400,
        b'{"name": NaN}': 400,
        b"[]": 422,
        b'{"name": "' + b"x" * 70_000 + b'"}': 422,
        b'{"name": "' + b"x" * 300_000 + b'"}': 413,
    }
    seen = {(body[:20], len(body)): (await rest.ask("POST", "/rooms", body))[0] for body in bodies}
    assert seen == {(body[:20], len(body)): status for body, status in bodies.items()}


@pytest.mark.row("p2p-no-recording")
async def test_patch_cannot_record_an_explicit_p2p_room(rest: Rest) -> None:
    room_id = await rest.create(topology="p2p")
    status, body = await rest.ask(
        "PATCH", f"/rooms/{room_id}", {"settings": {"recording": {"enabled": True}}}
    )
    assert status == 422
    assert "recording" in body["error"]["message"]
    assert (await rest.room(room_id))["settings"] == {"topology": "p2p"}


@pytest.mark.row("topology-default", "record-idle", "mix-cap", "cap-absent")
@pytest.mark.parametrize(
    ("settings", "seats", "topology"),
    [
        ({}, 2, "p2p"), ({"max_participants": 2}, 2, "p2p"), ({"topology": "p2p"}, 2, "p2p"),
        ({"max_participants": 1}, 1, "p2p"), ({"max_participants": 3}, 3, "mix"),
        ({"topology": "mix"}, 5, "mix"), ({"recording": {"enabled": True}}, 5, "mix"),
        ({"recording": {"enabled": True}, "max_participants": 2}, 2, "mix"),
    ],
)  # fmt: skip
async def test_topology_and_seats_follow_from_the_settings(
    hasty: SwitchThread, http: aiohttp.ClientSession, settings: dict[str, Any], seats: int, topology: str
) -> None:
    rest = Rest(hasty, http)
    room_id = await rest.create(**settings)
    async with http.get(hasty.url(f"/api/v1/rooms/{room_id}")) as answer:
        assert answer.headers["Softswitch-Topology"] == topology
    for number in range(seats):
        status, _ = await rest.ask("POST", f"/rooms/{room_id}/participants", {"agent_id": f"a{number}"})
        assert status == 201
    status, body = await rest.ask("POST", f"/rooms/{room_id}/participants", {"agent_id": "one more"})
    assert (status, body["error"]["code"]) == (409, "ROOM_FULL")


@pytest.mark.row("record-idle", "record-running-p2p")
async def test_recording_switched_on_makes_an_idle_room_mix_and_leaves_a_running_one(
    switch: Switch, rest: Rest, http: aiohttp.ClientSession
) -> None:
    change = {"settings": {"recording": {"enabled": True}}}

    async def topology(room_id: str) -> str:
        async with http.get(switch.url(f"/api/v1/rooms/{room_id}")) as answer:
            return answer.headers["Softswitch-Topology"]

    idle, running = await rest.create(), await rest.create()
    assert (await rest.ask("PATCH", f"/rooms/{idle}", change))[0] == 200
    assert await topology(idle) == "mix"
    await rest.ask("POST", f"/rooms/{running}/participants", {"agent_id": "a"})
    status, room = await rest.ask("PATCH", f"/rooms/{running}", change)
    assert (status, room["settings"]) == (200, {"recording": {"enabled": True}})
    assert await topology(running) == "p2p"


@pytest.mark.row("get-session", "sessions", "stats-none", "sessions-of-room")
async def test_session_is_as_the_document_shows(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create()
    async with Socket(switch) as a:
        await a.join(room_id, "a")
        [running] = await rest.sessions(room_id)
        assert running["status"] == "active"
        assert "end_time" not in running
        await a.say("room:leave")
        await a.wait("room:closed")
    [listed] = await rest.sessions(room_id)
    status, session = await rest.ask("GET", f"/sessions/{listed['id']}")
    assert status == 200
    assert set(session) == {
        "id", "room_id", "participant_id", "start_time", "end_time", "duration", "status", "stats",
    }  # fmt: skip
    assert (session["room_id"], session["participant_id"]) == (room_id, a.id)
    assert session["status"] == "completed"
    assert session["end_time"] >= session["start_time"]
    assert isinstance(session["duration"], int)
    assert session["stats"] == {
        "voice_packets_sent": 0, "voice_packets_received": 0, "bytes_sent": 0, "bytes_received": 0,
        "packet_loss_percent": 0.0, "avg_latency_ms": 0, "source": "none",
    }  # fmt: skip
    status, body = await rest.ask("GET", "/sessions/nothing")
    assert (status, body["error"]["code"]) == (404, "SESSION_NOT_FOUND")
