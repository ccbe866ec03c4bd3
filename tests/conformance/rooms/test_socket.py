"""`/ws`: every example of the document, and what the wire page says of a peer to peer room."""

import asyncio
import contextlib
import json
import time
from typing import Any

import aiohttp
import jwt
import pytest

from softswitch.switch.rooms import running as running_room
from tests.conformance.conftest import StartSwitch, Switch
from tests.support.rooms import Rest, Socket
from tests.support.switch import SwitchThread

pytestmark = pytest.mark.conformance
SDP = "v=0\r\no=- 123456789 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
OFFER = {"type": "offer", "sdp": SDP}
ANSWER = {"type": "answer", "sdp": SDP}
CANDIDATE = {
    "candidate": "candidate:1 1 udp 2113937151 192.168.1.100 54321 typ host",
    "sdpMid": "audio",
    "sdpMLineIndex": 0,
}
SECRET = "a secret of more than thirty-two bytes"


async def connect(a: Socket, b: Socket, room_id: str) -> None:
    """Join two and let them agree."""
    await a.join(room_id, "a")
    await b.join(room_id, "b")
    await a.say("webrtc:offer", offer=OFFER)
    await b.wait("webrtc:offer")
    await b.say("webrtc:answer", answer=ANSWER)
    await a.wait("webrtc:answer")


async def status(rest: Rest, room_id: str, participant: str) -> str:
    """Return the status of a participant."""
    return next(str(one["status"]) for one in await rest.people(room_id) if one["id"] == participant)


@pytest.mark.row("ws-join", "ev-joined", "ev-participant-joined", "cases")
async def test_joining_is_confirmed_and_told_to_the_others(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create()
    async with Socket(switch) as a, Socket(switch) as b:
        joined = await a.join(room_id, "agent-alpha-001", display_name="Agent Alpha")
        assert joined == {
            "type": "room:joined",
            "roomId": room_id,
            "participantId": a.id,
            "status": "connecting",
        }
        await b.join(room_id, "agent-beta-001", display_name="Agent Beta")
        assert await a.wait("room:participant-joined") == {
            "type": "room:participant-joined",
            "participant": {
                "id": b.id,
                "agentId": "agent-beta-001",
                "display_name": "Agent Beta",
                "status": "connecting",
            },
        }
        assert [message["type"] for message in b.messages] == ["room:joined"]


@pytest.mark.row(
    "ws-offer", "ws-answer", "ws-candidate", "ev-offer", "ev-answer", "ev-candidate", "p2p-relays",
    "connected-when", "voice-p2p", "ev-stream-started", "participant-states",
)  # fmt: skip
async def test_p2p_relays_what_peers_say_to_each_other(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create()
    async with Socket(switch) as a, Socket(switch) as b:
        await a.join(room_id, "a")
        await b.join(room_id, "b")
        await a.say("webrtc:offer", offer=OFFER)
        offered = await b.wait("webrtc:offer")
        assert offered == {"type": "webrtc:offer", "fromParticipantId": a.id, "offer": OFFER}
        await a.say("webrtc:ice-candidate", candidate=CANDIDATE)
        assert await b.wait("webrtc:ice-candidate") == {
            "type": "webrtc:ice-candidate",
            "fromParticipantId": a.id,
            "candidate": CANDIDATE,
        }
        assert await status(rest, room_id, a.id) == "connecting"
        await b.say("webrtc:answer", answer=ANSWER)
        answered = await a.wait("webrtc:answer")
        assert answered == {"type": "webrtc:answer", "fromParticipantId": b.id, "answer": ANSWER}
        await b.say("webrtc:ice-candidate", candidate={"candidate": "", "sdpMid": "0"})
        assert (await a.wait("webrtc:ice-candidate"))["candidate"] == {"candidate": "", "sdpMid": "0"}
        assert [one["status"] for one in await rest.people(room_id)] == ["connected"] * 2
        started = {"type": "voice:stream-started", "participantId": a.id}
        assert started in b.messages
        assert {"type": "voice:stream-started", "participantId": b.id} in a.messages


@pytest.mark.row("p2p-relays")
async def test_what_a_peer_says_too_early_waits_for_the_other(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create()
    async with Socket(switch) as a, Socket(switch) as b:
        await a.join(room_id, "a")
        await a.say("webrtc:offer", offer=OFFER)
        await a.say("webrtc:ice-candidate", candidate=CANDIDATE)
        await a.say("room:mute", muted=False)
        await a.wait("room:muted")
        await b.join(room_id, "b")
        assert (await b.wait("webrtc:offer"))["offer"] == OFFER
        await b.wait("webrtc:ice-candidate")


@pytest.mark.row("ws-mute", "mute-p2p")
async def test_muting_is_told_to_both(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create()
    async with Socket(switch) as a, Socket(switch) as b:
        await connect(a, b, room_id)
        await a.say("room:mute", muted=True)
        expected = {"type": "room:muted", "participantId": a.id, "muted": True}
        assert await a.wait("room:muted") == expected
        assert await b.wait("room:muted") == expected


@pytest.mark.row("ws-leave", "ev-participant-left", "last-left", "ev-stream-stopped", "ev-closed")
async def test_the_last_to_leave_closes_the_room(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create()
    async with Socket(switch) as a, Socket(switch) as b:
        await connect(a, b, room_id)
        await a.say("room:leave")
        assert await b.wait("voice:stream-stopped") == {"type": "voice:stream-stopped", "participantId": a.id}
        left = await b.wait("room:participant-left")
        assert left == {"type": "room:participant-left", "participantId": a.id, "reason": "user_left"}
        await b.say("room:leave")
        closed = await b.wait("room:closed")
        assert closed == {"type": "room:closed", "roomId": room_id, "reason": "all_participants_left"}
    assert (await rest.room(room_id))["status"] == "closed"


@pytest.mark.row("ev-error", "e-room-not-found", "e-room-full", "e-already-joined", "joined-twice")
async def test_errors_of_joining(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create()
    async with Socket(switch) as a, Socket(switch) as b, Socket(switch) as c:
        await a.say("room:join", roomId="nowhere", agentId="a")
        await a.error("ROOM_NOT_FOUND")
        await a.join(room_id, "a")
        await a.say("room:join", roomId=room_id, agentId="a")
        await a.error("ALREADY_JOINED")
        await b.join(room_id, "b")
        await c.say("room:join", roomId=room_id, agentId="c")
        full = await c.wait("room:error")
        assert full == {
            "type": "room:error",
            "code": "ROOM_FULL",
            "message": "Room has reached maximum participants",
        }


@pytest.mark.row("e-not-in-room")
async def test_nobody_speaks_for_another(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create()
    async with Socket(switch) as a, Socket(switch) as b:
        await a.join(room_id, "a")
        await b.join(room_id, "b")
        for kind, fields in (
            ("room:leave", {}),
            ("room:mute", {"muted": True}),
            ("webrtc:offer", {"offer": OFFER}),
            ("webrtc:answer", {"answer": ANSWER}),
            ("webrtc:ice-candidate", {"candidate": CANDIDATE}),
        ):
            await b.say(kind, participantId=a.id, **fields)
            await b.error("NOT_IN_ROOM")
            await b.say(kind, roomId="another", **fields)
            await b.error("NOT_IN_ROOM")


@pytest.mark.row("e-webcrtc")
@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("webrtc:answer", {"answer": ANSWER}), ("webrtc:offer", {"offer": "v=0"}), ("webrtc:offer", {}),
        ("webrtc:offer", {"offer": ANSWER}), ("webrtc:offer", {"offer": {"type": "offer", "sdp": "hello"}}),
        ("webrtc:ice-candidate", {"candidate": "candidate:1"}),
        ("webrtc:ice-candidate", {"candidate": {"candidate": 5}}),
        ("webrtc:ice-candidate", {"candidate": {"candidate": "nonsense"}}),
        ("webrtc:ice-candidate", {"candidate": {"candidate": "", "sdpMLineIndex": "0"}}),
    ],
)  # fmt: skip
async def test_webrtc_that_is_refused_has_the_documents_spelling(
    switch: Switch, rest: Rest, kind: str, fields: dict[str, Any]
) -> None:
    room_id = await rest.create()
    async with Socket(switch) as a, Socket(switch) as b:
        await a.join(room_id, "a")
        await b.join(room_id, "b")
        await a.say(kind, **fields)
        await a.error("WEBCRTC_ERROR")


async def test_what_is_no_message_harms_nobody(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create()
    async with Socket(switch) as a:
        await a.join(room_id, "a")
        for text in (
            "", "{", "[]", '{"type": 5}', '{"type": "room:dance"}', '{"a":' * 500, '{"type": "room:join"}',
            json.dumps({"type": "room:join", "roomId": room_id, "agentId": "x", "metadata": 5}),
            json.dumps({"type": "room:mute", "roomId": room_id, "participantId": a.id, "muted": "yes"}),
        ):  # fmt: skip
            await a.raw(text)
            await a.error("INVALID_REQUEST")
        await a.say("room:mute", muted=True)
        await a.wait("room:muted")


@pytest.mark.row("bind-rest")
async def test_a_socket_takes_the_seat_that_rest_has_made(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create()
    _, one = await rest.ask(
        "POST", f"/rooms/{room_id}/participants", {"agent_id": "a", "metadata": {"display_name": "A"}}
    )
    async with Socket(switch) as a:
        joined = await a.join(room_id, "a", role="guest")
        assert joined["participantId"] == one["id"]
    [listed] = await rest.people(room_id)
    assert listed["display_name"] == "A"


@pytest.mark.row("state-message", "client-states")
async def test_a_peers_own_word_refines_its_state(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create()
    async with Socket(switch) as a, Socket(switch) as b:
        await connect(a, b, room_id)
        await a.say("state", state="reconnecting")
        await b.wait("voice:stream-stopped")
        assert await status(rest, room_id, a.id) == "connecting"
        await a.say("state", state="connected")
        await b.wait("voice:stream-started")
        assert await status(rest, room_id, a.id) == "connected"
        await a.say("state", state="happy")
        await a.error("INVALID_REQUEST")


@pytest.mark.row("stats-client")
async def test_p2p_sessions_have_the_figures_of_the_clients(switch: Switch, rest: Rest) -> None:
    room_id = await rest.create()
    figures = {
        "voicePacketsSent": 45000, "voicePacketsReceived": 44500, "bytesSent": 36000000,
        "bytesReceived": 35600000, "packetLossPercent": 0.3, "avgLatencyMs": 42,
    }  # fmt: skip
    async with Socket(switch) as a, Socket(switch) as b:
        await connect(a, b, room_id)
        await a.say("stats", stats={"voicePacketsSent": -1})
        await a.error("INVALID_REQUEST")
        await a.say("stats", stats=figures)
        await a.say("room:leave")
        await a.wait("room:participant-left")
    found = {session["participant_id"]: session for session in await rest.sessions(room_id)}
    assert found[a.id]["stats"] == {
        "voice_packets_sent": 45000, "voice_packets_received": 44500, "bytes_sent": 36000000,
        "bytes_received": 35600000, "packet_loss_percent": 0.3, "avg_latency_ms": 42, "source": "client",
    }  # fmt: skip
    assert found[b.id]["stats"]["source"] == "none"


@pytest.mark.row("grace", "come-back", "participant-states")
async def test_who_comes_back_in_time_keeps_the_seat(
    hasty: SwitchThread, http: aiohttp.ClientSession
) -> None:
    rest = Rest(hasty, http)
    room_id = await rest.create()
    async with Socket(hasty) as a:
        async with Socket(hasty) as b:
            await connect(a, b, room_id)
        await a.wait("voice:stream-stopped")
        assert await status(rest, room_id, b.id) == "disconnected"
        async with Socket(hasty) as again:
            joined = await again.join(room_id, "b")
            assert joined["participantId"] == b.id
            await a.say("webrtc:offer", offer=OFFER)
            await again.wait("webrtc:offer")
            await again.say("webrtc:answer", answer=ANSWER)
            await a.wait("webrtc:answer")
            assert "room:participant-left" not in [message["type"] for message in a.messages]


@pytest.mark.row("come-back", "left-reasons")
async def test_another_socket_takes_the_seat_of_one_that_still_seems_to_live(
    switch: Switch, rest: Rest
) -> None:
    room_id = await rest.create()
    async with Socket(switch) as a, Socket(switch) as b, Socket(switch) as again:
        await connect(a, b, room_id)
        assert (await again.join(room_id, "b"))["participantId"] == b.id
        left = await b.wait("room:participant-left")
        assert left == {"type": "room:participant-left", "participantId": b.id, "reason": "replaced"}
        assert await b.closed() == 1008
        await a.say("webrtc:offer", offer=OFFER)
        await again.wait("webrtc:offer")
        await again.say("webrtc:answer", answer=ANSWER)
        await a.wait("webrtc:answer")
        assert "room:participant-left" not in [message["type"] for message in a.messages]
    assert await status(rest, room_id, b.id) == "disconnected"


@pytest.mark.row("come-back")
async def test_socket_that_stands_for_others_stays_open_when_one_seat_is_taken(
    switch: Switch, rest: Rest
) -> None:
    first, second = await rest.create("first"), await rest.create("second")
    async with Socket(switch) as a, Socket(switch) as again:
        await a.join(first, "a")
        seat = a.id
        await a.join(second, "a")
        assert (await again.join(first, "a"))["participantId"] == seat
        assert (await a.wait("room:participant-left"))["participantId"] == seat
        await a.say("room:mute", muted=True)
        assert (await a.wait("room:muted"))["participantId"] == a.id


@pytest.mark.row("grace", "connection-lost", "left-reasons", "last-left")
async def test_who_does_not_come_back_has_left(hasty: SwitchThread, http: aiohttp.ClientSession) -> None:
    rest = Rest(hasty, http)
    room_id = await rest.create()
    async with Socket(hasty) as a:
        async with Socket(hasty) as b:
            await connect(a, b, room_id)
        left = await a.wait("room:participant-left")
        assert left == {
            "type": "room:participant-left",
            "participantId": b.id,
            "reason": "connection_lost",
        }
    async with asyncio.timeout(60):
        while (await rest.room(room_id))["status"] != "closed":
            await asyncio.sleep(0.05)


@pytest.mark.row("e-timeout")
async def test_who_is_not_connected_in_time_frees_the_seat(
    hasty: SwitchThread, http: aiohttp.ClientSession
) -> None:
    rest = Rest(hasty, http)
    room_id = await rest.create(topology="mix")
    async with Socket(hasty) as a:
        await a.join(room_id, "a")
        await a.error("CONNECTION_TIMEOUT")
        await a.wait("room:closed")
    assert await rest.people(room_id) == []
    room_id = await rest.create()
    await rest.ask("POST", f"/rooms/{room_id}/participants", {"agent_id": "never comes"})
    async with asyncio.timeout(60):
        while await rest.people(room_id):
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give a switch that wants to know who is there."""
    sections = {
        "auth": {
            "api_keys": ["desk:key-of-a-moderator:rooms", "caller:key-of-a-caller:call"],
            "jwt_secret": SECRET,
        },
        "rooms": {"auth_timeout_s": 0.5},
    }
    with SwitchThread(tmp_path_factory.mktemp("guarded") / "data", sections) as running:
        yield running


def token(life_s: float = 60, **claims: object) -> str:
    """Return a token for rooms."""
    body = {"sub": "person", "account": "desk", "scope": "rooms", "exp": time.time() + life_s, **claims}
    return jwt.encode(body, SECRET, algorithm="HS256")


@pytest.mark.row("ws-auth", "auth-required", "auth-key", "e-invalid-token")
@pytest.mark.parametrize("given", [token(600), "key-of-a-moderator"])
async def test_auth_comes_first(guarded: SwitchThread, http: aiohttp.ClientSession, given: str) -> None:
    rest = Rest(guarded, http, Authorization="Bearer key-of-a-moderator")
    room_id = await rest.create()
    async with Socket(guarded) as a:
        await a.say("auth", token=given)
        await a.join(room_id, "a")


@pytest.mark.row("auth-required", "e-invalid-token", "http-errors")
@pytest.mark.parametrize(
    "first",
    [
        {"type": "auth", "token": "wrong"}, {"type": "auth"},
        {"type": "room:join", "roomId": "x", "agentId": "a"},
        {"type": "auth", "token": "key-of-a-caller"}, {"type": "auth", "token": token(-10)},
        {"type": "auth", "token": token(scope="call")}, {"type": "nonsense"},
    ],
)  # fmt: skip
async def test_who_proves_nothing_is_shut_out(guarded: SwitchThread, first: dict[str, str]) -> None:
    async with Socket(guarded) as a:
        await a.raw(json.dumps(first))
        await a.error("INVALID_TOKEN")
        assert await a.closed() == 1008


@pytest.mark.row("auth-late")
async def test_who_says_nothing_is_shut_out(guarded: SwitchThread) -> None:
    async with Socket(guarded) as a:
        await a.error("INVALID_TOKEN")
        assert await a.closed() == 1008


@pytest.mark.row("auth-exp")
async def test_a_token_that_expires_ends_the_connection(
    guarded: SwitchThread, http: aiohttp.ClientSession
) -> None:
    rest = Rest(guarded, http, Authorization="Bearer key-of-a-moderator")
    room_id = await rest.create()
    async with Socket(guarded) as a:
        await a.say("auth", token=token(2))
        await a.join(room_id, "a")
        await a.error("INVALID_TOKEN")
        assert await a.closed() == 1008


@pytest.mark.row("http-errors", "e-invalid-token")
async def test_rest_without_a_token_is_refused_with_the_documents_code(
    guarded: SwitchThread, http: aiohttp.ClientSession
) -> None:
    for headers, expected in (
        ({}, (401, "INVALID_TOKEN")),
        ({"Authorization": f"Bearer {token(-10)}"}, (401, "INVALID_TOKEN")),
        ({"Authorization": "Bearer key-of-a-caller"}, (403, "FORBIDDEN")),
    ):
        status, body = await Rest(guarded, http, **headers).ask("POST", "/rooms", {"name": "x"})
        assert (status, body["error"]["code"]) == expected


@pytest.mark.row("come-back")
async def test_nobody_takes_the_seat_of_somebody_else(
    guarded: SwitchThread, http: aiohttp.ClientSession
) -> None:
    rest = Rest(guarded, http, Authorization="Bearer key-of-a-moderator")
    room_id = await rest.create()
    async with Socket(guarded, token=token(sub="thief")) as thief:
        async with Socket(guarded, token=token(sub="owner")) as owner:
            await owner.join(room_id, "a")
            await thief.say("room:join", roomId=room_id, agentId="a")
            await thief.error("ALREADY_JOINED")
        await thief.say("room:join", roomId=room_id, agentId="a")
        await thief.error("ALREADY_JOINED")


@pytest.mark.row("restart", "sessions")
async def test_sessions_and_idle_rooms_outlive_the_switch(tmp_path: Any, http: aiohttp.ClientSession) -> None:
    with SwitchThread(tmp_path / "data") as before:
        rest = Rest(before, http)
        used, idle, busy = [await rest.create(name) for name in ("used", "idle", "busy")]
        async with Socket(before) as a:
            await a.join(used, "a")
            await a.say("room:leave")
            await a.wait("room:closed")
        await rest.ask("POST", f"/rooms/{busy}/participants", {"agent_id": "b"})
        [session] = await rest.sessions(used)
    with SwitchThread(tmp_path / "data") as after:
        rest = Rest(after, http)
        assert await rest.ask("GET", f"/sessions/{session['id']}") == (200, session)
        states = {room: (await rest.room(room))["status"] for room in (used, idle, busy)}
        assert states == {used: "closed", idle: "created", busy: "closed"}
        [interrupted] = await rest.sessions(busy)
        assert interrupted["status"] == "completed"
        async with Socket(after) as a:
            await a.join(idle, "a")


async def test_a_flood_is_refused_and_then_ended(start_switch: StartSwitch) -> None:
    switch = start_switch({"limits": {"commands_per_second": 5}})
    async with Socket(switch) as a:
        for _ in range(40):
            await a.say("room:mute", muted=True)
        await a.wait("room:error", lambda error: "too many" in error["message"])


async def test_news_of_a_large_room_comes_in_several_rounds_and_in_its_order(
    switch: Switch, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_room, "MOST_SENT", 2)
    room = await rest.create(max_participants=20)
    async with contextlib.AsyncExitStack() as stack:
        people = [await stack.enter_async_context(Socket(switch)) for _ in range(9)]
        for number, one in enumerate(people):
            await one.join(room, f"agent-{number}")
        for number in range(40):
            await people[0].say("room:mute", muted=not number % 2)
        for _ in range(40):  # all are decided now; the last ones may still be on their way to others
            await people[1].wait("room:muted")
        status, _ = await rest.ask("DELETE", f"/rooms/{room}")
        assert status < 300
        for one in people:
            await one.wait("room:closed")
            told = [message for message in one.messages if "muted" in message]
            assert [message["muted"] for message in told] == [True, False] * 20
