"""Every route that names a call, a room or a file answers alike at every node: of workers, and of machines.

Each request is sent to the node that has what it names and, with a new call and room, to another one. Status
and body have to be the same.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from softswitch.app import SWITCH
from softswitch.settings import Auth, Limits, Paths, Route, Rtp, Settings, Sip, Speech, User
from softswitch.sip.events import Answered, Ended, Invited, Rejected
from softswitch.sip.security.digest import Credentials
from softswitch.web.application import ROUTES
from softswitch.web.keys import CLUSTER, SIP
from tests.support.simulated.phones import SimPhone
from tests.support.simulated.world import Names, Room, World, differences

KEY = "key-of-the-bot-0123456789"
STREAM = {"stream_url": "wss://192.0.2.1/x", "stream_type": "oneway", "stream_channel": "inbound"}
CALL_BODIES: dict[str, Any] = {
    "POST /command/{id}": {"command": "mark", "name": "here"},
    "PATCH /{id}": {"tag": "blue"},
    "POST /{id}/answer": {},
    "POST /{id}/tool-results": {"tool_call_id": "t", "output": "done"},
    "POST /{id}/streams": STREAM,
    "POST /{id}/play": {"audio_file": "https://192.0.2.1/x.wav"},
    "POST /{id}/tts": {"text": ""},
    "POST /{id}/recording": {"action": "pause"},
    "POST /{id}/transfer": {"to": "sip:x@192.0.2.1"},
    "POST /{id}/collect": {"max_digits": 0},
}
"""Bodies of routes of one call; some are refused: alike by all nodes."""
ROOM_BODIES: dict[str, Any] = {
    "PATCH /api/v1/rooms/{id}": {"name": "other"},
    "POST /api/v1/rooms/{id}/participants": {"agent_id": "guest"},
    "POST /api/v1/rooms/{id}/commands": {"command": "nonsense"},
    "POST /api/v1/rooms/{id}/streams": STREAM,
}
SHARED = {
    # The store, which all nodes share, has these; without a record they are unknown everywhere.
    "GET /calls/{id}", "GET /v1/cdrs/{id}", "PUT /v1/cdrs/{id}/retranscribe",
    "GET /v1/cdrs/{id}/transcription",
    "GET /v1/cdrs/{id}/transcriptions", "GET /v1/recordings/{id}", "GET /v1/recordings/{id}/file",
    "DELETE /v1/recordings/{id}", "GET /api/v1/sessions/{id}",
}  # fmt: skip
BOB: dict[str, Any] = {
    "from_": "<sip:bob@127.0.0.1>",
    "credentials": Credentials("bob", "secret-b"),
}
FILES = {"/recordings/{name}", "/dumps/{id}"}
ENTRIES = "/admin/"
"""Routes of entries, which the store has."""


def configured(folder: str) -> Settings:
    """Return the settings of every node."""
    return Settings(
        auth=Auth(api_keys=(f"bot:{KEY}",)),
        rtp=Rtp(port_min=20_000, port_max=20_999),
        sip=Sip(allow=("127.0.0.0/8",)),
        paths=Paths(data=folder),
        speech=Speech(preload=False),
        limits=Limits(
            overload=False, calls=900, calls_per_key=0, calls_per_ip=0, memory_mb=0, memory_key_mb=0
        ),
        user=(
            User(name="alice", password="secret-a"),
            User(name="bob", password="secret-b"),
            User(name="carol", password="secret-c"),
        ),
        route=(
            Route(match="100", to="echo"),
            Route(match="alice", to="user:alice"),
            Route(match="carol", to="user:carol"),
        ),
    )


def routes_of(kind: str) -> Iterator[tuple[str, str]]:
    """Return method and path of the routes that name a call ("call"), a room ("room") or a file ("file")."""
    for route in ROUTES:
        name = f"{route.method} {route.path}"
        if "{" not in route.path or route.path.startswith(ENTRIES) or name in SHARED:
            continue
        found = "file" if route.path in FILES else "room" if "/rooms/" in route.path else "call"
        if found == kind:
            yield route.method, route.path


def body_of(method: str, path: str) -> Any:
    """Return the body for a route."""
    short = path.replace("/v1/calls", "").replace("/v1/call", "") if path.startswith("/v1/") else path
    return {**CALL_BODIES, **ROOM_BODIES}.get(f"{method} {short}")


class Nodes:
    """Two nodes of one switch, in a simulation."""

    def __init__(self, room: Room, world: World) -> None:
        self.room, self.world = room, world
        self._numbers = iter(range(1, 1000))

    def ask(self, node: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request to a node."""
        answer: tuple[int, Any] = self.room.run(self.world.ask(node, method, path, KEY, body))
        return answer

    def settle(self, seconds: float = 0.5) -> None:
        """Let time pass."""
        self.room.run(asyncio.sleep(seconds))

    def call(self, node: int = 0) -> str:
        """Set up a call at a node; return its id."""
        name = f"call-{next(self._numbers)}"
        socket = self.room.run(self.world.socket(node, f"/call?id={name}", KEY))
        self.room.run(socket.send(command="invite", option={}))
        self.settle()
        return name

    def make_room(self, node: int = 0, **settings: Any) -> tuple[str, str]:
        """Make a room with a participant at a node; return both ids."""
        _, room = self.ask(node, "POST", "/api/v1/rooms", {"name": "r", "settings": settings})
        _, one = self.ask(node, "POST", f"/api/v1/rooms/{room['id']}/participants", {"agent_id": "first"})
        self.settle()
        return room["id"], one["participant_id"] if "participant_id" in one else one["id"]


@pytest.fixture(params=["workers", "machines"])
def nodes(request: pytest.FixtureRequest) -> Iterator[Nodes]:
    """Run two nodes."""
    with tempfile.TemporaryDirectory() as folder, Room(seed=15) as room:
        is_apart = request.param == "machines"
        world = World(room, "w", Path(folder), 2, configured, workers=not is_apart, apart=is_apart)
        room.run(world.start())
        yield Nodes(room, world)


def alike(what: str, ids: list[str], *answers: tuple[int, Any]) -> None:
    """Make sure that nodes answered alike, but for the ids."""
    plain = []
    for answer, own in zip(answers, ids, strict=True):
        names = Names()
        names.give(own, "the one")
        plain.append(names.plain(answer))
    assert not differences(*plain), (what, *differences(*plain))


def test_every_route_of_a_call_answers_alike_at_every_node(nodes):
    for method, path in routes_of("call"):
        if path.startswith("/events"):
            continue
        own = [nodes.call(), nodes.call()]
        answers = [
            nodes.ask(
                number, method, path.replace("{id}", name).replace("{sid}", "none"), body_of(method, path)
            )
            for number, name in enumerate(own)
        ]
        alike(f"{method} {path}", own, *answers)
        assert answers[0][0] not in (405, 500, 502, 504), (method, path, answers[0])


def test_every_route_of_a_room_answers_alike_at_every_node(nodes):
    for method, path in routes_of("room"):
        own = [nodes.make_room(topology="mix"), nodes.make_room(topology="mix")]
        answers = []
        for number, (room, person) in enumerate(own):
            target = path.replace("{id}", room).replace("{pid}", person)
            target = target.replace("{sid}", "none").replace("{name}", "none.wav")
            answers.append(nodes.ask(number, method, target, body_of(method, path)))
        alike(f"{method} {path}", [room for room, _ in own], *answers)
        assert answers[0][0] not in (405, 500, 502, 504), (method, path, answers[0])


def test_files_are_served_and_deleted_by_way_of_every_node(nodes):
    for folder, name, path in (
        ("recordings", "a.wav", "/recordings/a.wav"),
        ("dumps", "a.jsonl", "/dumps/a"),
    ):
        for at in (0, 1):
            kept = nodes.world.folder_of(at) / folder / name
            kept.write_bytes(b"{}\n")
            for number in (0, 1):
                assert nodes.ask(number, "GET", path) == (200, "{}\n")
            assert nodes.ask(0, "DELETE", path)[0] == 200
            assert not kept.exists()
            assert nodes.ask(0, "GET", path)[0] == 404
            assert nodes.ask(1, "DELETE", path)[0] == 404
    (nodes.world.folder_of(1) / "dumps" / "b.jsonl").write_bytes(b"{}\n")
    for number in (0, 1):
        status, listed = nodes.ask(number, "GET", "/dumps")
        assert (status, [one["callId"] for one in listed["dumps"]]) == (200, ["b"])


def test_shared_records_are_unknown_alike(nodes):
    for route in sorted(SHARED):
        method, _, path = route.partition(" ")
        answers = [nodes.ask(number, method, path.replace("{id}", "1")) for number in (0, 1)]
        alike(route, ["-", "-"], *answers)


def test_events_are_followed_at_every_node(nodes):
    name = nodes.call()

    async def follow(node: int) -> dict[str, Any]:
        client = nodes.world._clients[nodes.world.node(node)]
        address = f"http://127.0.0.1:8080/events/{name}"
        async with (
            client.get(address, headers={"Authorization": f"Bearer {KEY}"}) as answer,
            asyncio.timeout(10),
        ):
            assert answer.status == 200
            mark = {"command": "mark", "name": "seen"}
            await nodes.world.ask(node, "POST", f"/command/{name}", KEY, mark)
            while b'"seen"' not in (line := await answer.content.readline()):
                assert line, "the stream ended"
            return msgspec.json.decode(line.removeprefix(b"data: "), type=dict[str, Any])

    for node in (0, 1):
        assert nodes.room.run(follow(node))["name"] == "seen"


def test_lists_have_what_every_node_has(nodes):
    calls = [nodes.call(0), nodes.call(1)]
    rooms = [nodes.make_room(node)[0] for node in (0, 1)]
    for node in (0, 1):
        assert [one["id"] for one in nodes.ask(node, "GET", "/call/lists")[1]["calls"]] == calls
        assert [one["id"] for one in nodes.ask(node, "GET", "/list")[1]["calls"]] == calls
        assert [one["uuid"] for one in nodes.ask(node, "GET", "/v1/call")[1]["calls"]] == calls
        assert [one["uuid"] for one in nodes.ask(node, "GET", "/v1/calls")[1]["calls"]] == calls
        assert [one["id"] for one in nodes.ask(node, "GET", "/api/v1/rooms")[1]["data"]] == rooms[::-1]


def test_a_session_that_runs_is_shown_at_every_node(nodes):
    room, _ = nodes.make_room(topology="mix")
    socket = nodes.room.run(nodes.world.socket(0, f"/call?id=in-{room}", KEY))
    nodes.room.run(socket.send(command="invite", option={"callee": f"room:{room}"}))
    nodes.settle(2)
    listed = nodes.ask(0, "GET", f"/api/v1/sessions?room_id={room}")[1]["data"]
    assert listed
    answers = [nodes.ask(node, "GET", f"/api/v1/sessions/{listed[0]['id']}") for node in (0, 1)]
    alike("a session", [room, room], *answers)


@pytest.mark.parametrize(
    ("nodes", "connects"),
    # Workers have no connections of phones: their supervisor has.
    [("workers", False), ("machines", False), ("machines", True)],
    indirect=["nodes"],
)
def test_a_phone_is_called_by_way_of_every_node(nodes, connects):
    """A phone registers at one node; calls by SIP and by `/call/sip` to another one reach it."""
    room, world = nodes.room, nodes.world

    async def run() -> None:
        desk, caller = SimPhone(room.sip, connects=connects), SimPhone(room.sip)
        try:
            await desk.start()
            await caller.start()
            ports = [world.apps[node][SIP].sip.port for node in world.nodes]
            assert await desk.register(ports[0], "alice", "secret-a") == 200
            await asyncio.sleep(1)
            for number, node in enumerate((1, 0, 1), 1):
                session = caller.invite(ports[node], "alice", caller.offer, **BOB)
                invited = await desk.until(Invited, number)
                desk.do("ring", invited.session)
                desk.do("answer", invited.session, desk.offer)
                await caller.until(Answered, number)
                caller.do("bye", session)
                await desk.until(Ended, number)
                await asyncio.sleep(1)
            calls = [
                conversation
                for node in world.nodes
                for conversation in world.apps[node][SWITCH].conversations()
            ]
            assert not calls
        finally:
            await desk.stop()
            await caller.stop()

    room.run(run())


@pytest.mark.parametrize("nodes", ["machines"], indirect=True)
def test_a_phone_of_another_machine_is_shown_busy_as_it_says(nodes):
    """The refusal of a phone reaches the caller with its own code."""
    room, world = nodes.room, nodes.world

    async def run() -> None:
        desk, caller = SimPhone(room.sip, connects=True), SimPhone(room.sip)
        try:
            await desk.start()
            await caller.start()
            ports = [world.apps[node][SIP].sip.port for node in world.nodes]
            assert await desk.register(ports[0], "alice", "secret-a") == 200
            await asyncio.sleep(1)
            caller.invite(ports[1], "alice", caller.offer, **BOB)
            invited = await desk.until(Invited)
            desk.do("reject", invited.session, 486)
            assert (await caller.until(Rejected)).code == 486
        finally:
            await desk.stop()
            await caller.stop()

    room.run(run())


def test_an_attended_transfer_joins_calls_of_two_nodes(nodes):
    """The asker's calls to two phones run on different nodes; the phones go on with each other."""
    room, world = nodes.room, nodes.world

    async def run() -> None:
        asker, first, second = phones = [SimPhone(room.sip) for _ in range(3)]
        try:
            for phone in phones:
                await phone.start()
            ports = [world.apps[node][SIP].sip.port for node in world.nodes]
            assert await first.register(ports[0], "alice", "secret-a") == 200
            assert await second.register(ports[1], "carol", "secret-c") == 200
            await asyncio.sleep(1)
            sessions = []
            for port, name, phone in ((ports[0], "alice", first), (ports[1], "carol", second)):
                sessions.append(asker.invite(port, name, asker.offer, **BOB))
                invited = await phone.until(Invited)
                phone.do("answer", invited.session, phone.offer)
                await asker.until(Answered, len(sessions))
            asker.do("refer", sessions[0], f"sip:carol@127.0.0.1:{ports[1]}", replaces=sessions[1])
            await asker.until(Ended, 2)
            await asyncio.sleep(5)
            for phone in (first, second):
                assert "Ended" not in phone.seen()
            assert [len(world.apps[node][CLUSTER].bridges) for node in world.nodes] == [1, 1]
            first.do("bye", (await first.until(Invited)).session)
            await second.until(Ended)
            await asyncio.sleep(1)
            calls = [one for node in world.nodes for one in world.apps[node][SWITCH].conversations()]
            assert not calls
        finally:
            for phone in phones:
                await phone.stop()

    room.run(run())
