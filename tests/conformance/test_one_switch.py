"""One switch, whether of one process or of three nodes: clients see the same of both.

The same random commands go to a switch of one process and to one of three nodes on a Redis bus. Everything is
simulated: the clock, HTTP, WebSockets, SIP and Redis; the engine is stepped. Seeded faults slow the bus down,
cut nodes off, and let two nodes have one call. `SOFTSWITCH_TEST_MODEL=200` runs as many sequences with other
seeds; `SOFTSWITCH_TEST_MODEL_STEPS` is their length.
"""

import asyncio
import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from softswitch.app import SWITCH
from softswitch.settings import Auth, Limits, Paths, Route, Rtp, Settings, Sip, Speech, User
from softswitch.settings.queue import Queue
from tests.support.simulated.phones import SimPhone
from tests.support.simulated.world import TTL_S, Names, Room, Socket, World, differences

KEYS = {"bot": "key-of-the-bot-0123456789", "other": "key-of-another-0123456789"}
CALLS = ("a", "b", "c", "d", "e")
SETTLE_S = 0.6
"""Time after each command, in seconds: longer than the counts of calls and the slowest bus take."""
SLOW_S = 0.15
"""Longest delay of a message of a slow bus, in seconds."""
GONE_S = 6 * TTL_S
"""Time after which a lost node is cleared, in seconds."""
COUNT = int(os.environ.get("SOFTSWITCH_TEST_MODEL", "0"))
STEPS = int(os.environ.get("SOFTSWITCH_TEST_MODEL_STEPS", "20"))

NODES = st.integers(0, 2)
NAMES = st.sampled_from(CALLS)
COMMANDS = st.sampled_from(
    [
        {"command": "mark", "name": "here"},
        {"command": "mute"},
        {"command": "unmute"},
        {"command": "dtmf", "digits": "12"},
        {"command": "interrupt"},
        {"command": "history", "speaker": "bot", "text": "so"},
        {"command": "bridge", "targetSessionId": "unknown"},
        {"command": "unbridge"},
        {"command": "refer", "target": "sip:x@192.0.2.1"},
        {"command": "nonsense"},
    ]
)


def configured(folder: str) -> Settings:
    """Return the settings of every node."""
    return Settings(
        auth=Auth(
            api_keys=(f"bot:{KEYS['bot']}:call+admin+rooms", f"other:{KEYS['other']}:call+rooms"),
        ),
        sip=Sip(allow=("127.0.0.0/8",)),
        rtp=Rtp(port_min=20_000, port_max=20_999),
        paths=Paths(data=folder),
        speech=Speech(preload=False),
        limits=Limits(
            overload=False, calls=100, calls_per_key=4, calls_per_ip=50, memory_mb=0, memory_key_mb=0,
            media_timeout_start_s=36_000.0, media_timeout_s=36_000.0,
        ),
        route=(
            Route(match="100", to="echo"), Route(match="200", to="room:hall"),
            Route(match="300", to="reject:486"), Route(match="500", to="queue:sales"),
        ),
        user=(User(name="anna", password="secret"),),
        # Its user has no phone: callers wait, wherever they are.
        queue=(Queue(name="sales", users=("anna",), position="", timeout_s=60.0, most=200),),
    )  # fmt: skip


class Both:
    """One thing of a client in both worlds."""

    def __init__(self, one: Any, many: Any) -> None:
        self.one, self.many = one, many
        self.name = self.key = self.node = self.number = ""
        self.room: Any = None
        self.compared = True
        """Whether what it is told is compared: not once a fault has hit it."""

    def __iter__(self) -> Any:
        return iter((self.one, self.many))


class OneSwitch(RuleBasedStateMachine):
    """Commands of clients, and faults of nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="one-switch-"))
        self.sockets: dict[str, Both] = {}
        self.phones: list[Both] = []
        self.rooms: list[Both] = []
        self.seats: list[Both] = []
        self.numbers = itertools.count(1)
        self.hall_is_lost = False
        self.is_struck = False
        """Whether a fault has hit a node: its callers of queues, and their figures, are gone."""

    @initialize(seed=st.integers(0, 2**32 - 1))
    def build(self, seed: int) -> None:
        self.place = Room(seed)
        self.place.__enter__()
        self.one = World(self.place, "one", self.folder / "one", 1, configured)
        self.many = World(self.place, "many", self.folder / "many", 3, configured)
        self.worlds = (self.one, self.many)
        self.names = {world: Names() for world in self.worlds}
        self.run(asyncio.gather(self.one.start(), self.many.start()))

    def teardown(self) -> None:
        if hasattr(self, "place"):

            async def stop() -> None:
                for pair in self.phones:
                    for phone in pair:
                        await phone.stop()

            try:
                self.run(stop())
            finally:
                self.place.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- helpers ------------------------------------------------------------------------------

    def run(self, work: Any) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(120):
                return await work

        return self.place.run(bounded())

    def settle(self, seconds: float = SETTLE_S) -> None:
        self.run(asyncio.sleep(seconds))

    def ask(
        self, node: int, method: str, path: str | list[str], body: Any = None, key: str = "bot"
    ) -> tuple[int, Any]:
        """Send one request to both worlds; the answers have to be alike. Return that of the three nodes."""
        paths = [path, path] if isinstance(path, str) else path
        answers = self.run(
            asyncio.gather(
                *(
                    world.ask(node, method, own, KEYS[key], body)
                    for world, own in zip(self.worlds, paths, strict=True)
                )
            )
        )
        self.settle()
        self.alike(answers, f"{method} {path} {body}")
        answer: tuple[int, Any] = answers[1]
        return answer

    def alike(self, answers: Any, what: str) -> Any:
        plain = [self.names[world].plain(answer) for world, answer in zip(self.worlds, answers, strict=True)]
        self.equal(what, *plain)
        return answers

    def equal(self, what: str, one: Any, many: Any) -> None:
        """Make sure that both worlds said the same."""
        if found := differences(one, many):
            raise AssertionError("\n".join([what, *found]))

    def told(self, pair: Both) -> list[Any]:
        """Return what a WebSocket was told, in both worlds, in a form that can be compared."""
        return [
            [self.names[world].plain(list(said)) for said in socket.said]
            for world, socket in zip(self.worlds, pair, strict=True)
        ]

    @invariant()
    def clients_see_the_same(self) -> None:
        if not hasattr(self, "place"):
            return
        for kind in (self.sockets, dict(enumerate(self.seats))):
            for name, pair in kind.items():
                if pair.compared:
                    self.equal(f"the client {name}", *self.told(pair))
        for pair in self.phones:
            if pair.compared:
                self.equal("the phone", pair.one.seen(), pair.many.seen())

    # --- calls --------------------------------------------------------------------------------

    @rule(
        node=NODES, name=NAMES, room=st.integers(0, 3), keep=st.booleans(), key=st.sampled_from(sorted(KEYS))
    )
    def opens_a_call(self, node: int, name: str, room: int, keep: bool, key: str) -> None:
        label = f"{name}#{next(self.numbers)}"
        path = f"/call?id={name}" + ("&resume=60" if keep else "")
        opened = self.run(asyncio.gather(*(world.socket(node, path, KEYS[key]) for world in self.worlds)))
        pair = self.sockets[label] = Both(*opened)
        pair.name, pair.key, pair.room = name, key, None
        if all(socket.is_open for socket in pair):
            pair.room = self.rooms[room] if room < len(self.rooms) else None
            for socket, at in zip(pair, ("one", "many"), strict=True):
                option = {"callee": f"room:{getattr(pair.room, at)}"} if pair.room else {}
                self.run(socket.send(command="invite", option=option))
        self.settle()

    def open_sockets(self) -> list[Both]:
        return [
            pair for pair in self.sockets.values() if pair.compared and pair.many.is_open and pair.one.is_open
        ]

    @precondition(lambda self: self.open_sockets())
    @rule(which=st.integers(0, 20), command=COMMANDS)
    def says(self, which: int, command: dict[str, Any]) -> None:
        pair = self.open_sockets()[which % len(self.open_sockets())]
        self.run(asyncio.gather(*(socket.send(**command) for socket in pair)))
        self.settle()

    @precondition(lambda self: len(self.open_sockets()) > 1)
    @rule(left=st.integers(0, 20), right=st.integers(0, 20))
    def bridges(self, left: int, right: int) -> None:
        own, other = (self.open_sockets()[which % len(self.open_sockets())] for which in (left, right))
        self.run(
            asyncio.gather(*(socket.send(command="bridge", targetSessionId=other.name) for socket in own))
        )
        self.settle()

    @precondition(lambda self: self.open_sockets())
    @rule(which=st.integers(0, 20))
    def hangs_up(self, which: int) -> None:
        pair = self.open_sockets()[which % len(self.open_sockets())]
        self.run(asyncio.gather(*(socket.send(command="hangup") for socket in pair)))
        self.settle()

    @precondition(lambda self: self.open_sockets())
    @rule(which=st.integers(0, 20), node=NODES)
    def comes_back(self, which: int, node: int) -> None:
        pair = self.open_sockets()[which % len(self.open_sockets())]
        tokens = [
            next((event["resume"] for _, event in reversed(socket.said) if "resume" in event), "")
            if all(isinstance(event, dict) for _, event in socket.said)
            else ""
            for socket in pair
        ]
        if not all(tokens):
            return

        async def again(world: World, socket: Socket, token: str) -> Socket:
            await socket.socket.close()
            await asyncio.sleep(SETTLE_S)
            return await world.socket(node, f"/call?id={pair.name}&resume={token}&seq=0", KEYS[pair.key])

        back = self.run(asyncio.gather(*(again(*one) for one in zip(self.worlds, pair, tokens, strict=True))))
        made = self.sockets[f"{pair.name}#{next(self.numbers)}"] = Both(*back)
        made.name, made.key, made.room = pair.name, pair.key, pair.room
        self.settle()

    @rule(node=NODES, name=NAMES, command=COMMANDS)
    def commands(self, node: int, name: str, command: dict[str, Any]) -> None:
        if command["command"] == "bridge":
            # Whether another node has the other call is not known when the request is answered: 200, and an
            # event tells it.
            return
        self.ask(node, "POST", f"/command/{name}", command)

    @rule(node=NODES, name=NAMES)
    def looks(self, node: int, name: str) -> None:
        self.ask(node, "GET", f"/call/{name}")
        self.ask(node, "GET", f"/v1/call/{name}")

    @rule(node=NODES, name=NAMES, other=st.booleans())
    def kills(self, node: int, name: str, other: bool) -> None:
        self.ask(node, "POST", f"/call/kill/{name}", key="other" if other else "bot")

    @rule(node=NODES)
    def lists(self, node: int) -> None:
        self.ask(node, "GET", "/call/lists")
        self.ask(node, "GET", "/v1/call")
        self.ask(node, "GET", "/v1/call", key="other")

    @precondition(lambda self: not self.is_struck and not self.many.redis.cut and not self.many.redis.away)
    @rule(node=NODES)
    def shows_queues(self, node: int) -> None:
        self.ask(node, "GET", "/queues")

    @rule(node=NODES, name=NAMES)
    def follows(self, node: int, name: str) -> None:
        """Follow the events of a call, and have one happen."""

        async def follow(world: World) -> tuple[int, list[Any]]:
            client = world._clients[world.node(node)]
            path = f"http://127.0.0.1:8080/events/{name}"
            async with client.get(path, headers={"Authorization": f"Bearer {KEYS['bot']}"}) as answer:
                if answer.status != 200:
                    return answer.status, []
                await asyncio.sleep(SETTLE_S / 2)
                await world.ask(
                    node, "POST", f"/command/{name}", KEYS["bot"], {"command": "mark", "name": "f"}
                )
                lines: list[Any] = []
                async with asyncio.timeout(5):
                    while not (lines and '"mark"' in lines[-1] and '"f"' in lines[-1]):
                        line = (await answer.content.readline()).decode()
                        if not line:
                            break
                        if line.startswith("data:"):
                            lines.append(line)
                return 200, [msgspec.json.decode(line[5:]) for line in lines]

        answers = self.run(asyncio.gather(*(follow(world) for world in self.worlds)))
        self.settle()
        self.alike(answers, f"events of {name}")

    # --- telephones ---------------------------------------------------------------------------

    @rule(node=NODES, number=st.sampled_from(["100", "200", "300", "400", "500"]))
    def a_phone_calls(self, node: int, number: str) -> None:
        async def call(world: World) -> SimPhone:
            phone = SimPhone(self.place.sip)
            await phone.start()
            port = world.sip_port(node)
            phone.session = phone.invite(port, number, phone.offer)
            return phone

        pair = Both(*self.run(asyncio.gather(*(call(world) for world in self.worlds))))
        pair.node = self.many.node(node)
        pair.number = number
        self.phones.append(pair)
        self.settle()

    @precondition(lambda self: self.phones)
    @rule(which=st.integers(0, 20))
    def a_phone_hangs_up(self, which: int) -> None:
        pair = self.phones[which % len(self.phones)]
        if pair.compared and "Answered" in pair.one.seen() and "Ended" not in pair.one.seen():

            async def hang_up() -> None:
                for phone in pair:
                    phone.do("bye", phone.session)

            self.run(hang_up())
        self.settle()

    # --- rooms --------------------------------------------------------------------------------

    @precondition(lambda self: len(self.rooms) < 3)
    @rule(node=NODES, mixed=st.booleans(), key=st.sampled_from(sorted(KEYS)))
    def makes_a_room(self, node: int, mixed: bool, key: str) -> None:
        body = {"name": "r", "settings": {"topology": "mix"} if mixed else {}}
        name = f"room-{len(self.rooms)}"
        answers = self.run(
            asyncio.gather(
                *(world.ask(node, "POST", "/api/v1/rooms", KEYS[key], body) for world in self.worlds)
            )
        )
        for world, (status, room) in zip(self.worlds, answers, strict=True):
            assert status == 201
            self.names[world].give(room["id"], name)
        self.alike(answers, "POST /api/v1/rooms")
        self.rooms.append(Both(*(room["id"] for _, room in answers)))
        self.settle()

    @precondition(lambda self: self.rooms)
    @rule(node=NODES, which=st.integers(0, 2), key=st.sampled_from(sorted(KEYS)), gone=st.booleans())
    def looks_at_a_room(self, node: int, which: int, key: str, gone: bool) -> None:
        room = self.rooms[which % len(self.rooms)]
        if not room.compared:
            return
        for path in ("", "/participants"):
            self.ask(node, "GET", [f"/api/v1/rooms/{own}{path}" for own in room], key=key)
        if gone:
            self.ask(node, "DELETE", [f"/api/v1/rooms/{own}" for own in room], key=key)

    @rule(node=NODES, key=st.sampled_from(sorted(KEYS)))
    def lists_rooms(self, node: int, key: str) -> None:
        if all(room.compared for room in self.rooms) and not self.hall_is_lost:
            self.ask(node, "GET", "/api/v1/rooms", key=key)

    @precondition(lambda self: any(room.compared for room in self.rooms) and len(self.seats) < 4)
    @rule(node=NODES, which=st.integers(0, 2), key=st.sampled_from(sorted(KEYS)))
    def joins_a_room(self, node: int, which: int, key: str) -> None:
        rooms = [room for room in self.rooms if room.compared]
        room = rooms[which % len(rooms)]
        sockets = self.run(asyncio.gather(*(world.socket(node, "/ws", KEYS[key]) for world in self.worlds)))
        agent = f"agent-{len(self.seats)}"
        for socket, own in zip(sockets, room, strict=True):
            self.run(socket.send(type="room:join", roomId=own, agentId=agent))
        self.settle()
        pair = Both(*sockets)
        pair.room = room
        for world, socket in zip(self.worlds, pair, strict=True):
            for kind, message in socket.said:
                if kind == "room:joined":
                    self.names[world].give(message["participantId"], agent)
        self.seats.append(pair)

    @precondition(lambda self: self.seats)
    @rule(which=st.integers(0, 3), leaves=st.booleans())
    def talks_in_a_room(self, which: int, leaves: bool) -> None:
        pair = self.seats[which % len(self.seats)]
        if not pair.compared or not pair.many.is_open:
            return
        for socket, own in zip(pair, pair.room, strict=True):
            ids = [message["participantId"] for kind, message in socket.said if kind == "room:joined"]
            if ids:
                words = {"type": "room:leave"} if leaves else {"type": "room:mute", "muted": True}
                self.run(socket.send(roomId=own, participantId=ids[0], **words))
        self.settle()

    # --- faults -------------------------------------------------------------------------------

    @rule(slow=st.booleans())
    def the_bus_changes_its_pace(self, slow: bool) -> None:
        self.place.bus_delay_s = SLOW_S if slow else self.place.delay_s

    @rule(forgets=st.booleans(), seconds=st.sampled_from([0.5, 3.0, 8.0]))
    def redis_goes_away(self, forgets: bool, seconds: float) -> None:
        """Calls go on; the directory is whole again afterwards, also where Redis has lost everything."""
        self.many.redis.away = True
        self.many.redis.drop_readers()
        if forgets:
            self.many.redis.lose_all()
        for pair in self.open_sockets():
            self.run(asyncio.gather(*(socket.send(command="mark", name="alone") for socket in pair)))
        self.settle(seconds)
        self.many.redis.away = False
        self.settle(3 * TTL_S)

    @precondition(lambda self: len(self.many.live) == 3)
    @rule(which=NODES)
    def the_bus_of_a_node_is_cut(self, which: int) -> None:
        """A node that answers directly is not lost."""
        node = self.many.node(which)
        self.many.redis.cut.add(node)
        self.many.redis.drop_readers()
        self.settle(GONE_S)
        self.many.redis.cut.discard(node)
        self.settle(3 * TTL_S)

    @precondition(lambda self: len(self.many.live) > 1)
    @rule(which=NODES)
    def a_node_is_lost(self, which: int) -> None:
        """Its calls are ended, its records closed, and all others live on."""
        node = self.many.node(which)
        hit = self.strike(node, clients=True)
        waiting = self.left_alone(hit, node)
        self.many.lose(node)
        self.settle(GONE_S)
        for pair, told in waiting:
            assert len(pair.many.said) > told, f"{pair.name} still waits for a node that is lost"
        self.agree(hit)
        records = self.run(self.many.ask(0, "GET", "/calls?limit=100", KEYS["bot"]))[1]["calls"]
        reasons = {record["id"]: record["reason"] for record in records}
        for name in hit & set(CALLS):
            assert name in reasons, f"the record of {name} stays open"

    @precondition(lambda self: len(self.many.live) == 3)
    @rule(which=NODES, node=st.integers(0, 1))
    def a_call_has_two_owners(self, which: int, node: int) -> None:
        """A node that the others have declared lost, and that is back, ends its own calls."""
        cut = self.many.node(which)
        hit = self.strike(cut, clients=False)
        waiting = self.left_alone(hit, cut)
        own = [name for name, owner in self.many.calls().items() if owner == cut and name in CALLS]
        self.many.isolate(cut, clients=False)
        self.settle(GONE_S)
        for pair, told in waiting:
            assert len(pair.many.said) > told, f"{pair.name} still waits for a node that is lost"
        self.agree(hit, gone=cut)
        self.many.gone.add(cut)
        for name in own:
            self.opens_a_call(node, name, len(self.rooms), keep=False, key="bot")
        self.many.gone.discard(cut)
        self.many.heal(cut)
        self.settle(GONE_S)
        for name in own:
            assert self.many.calls()[name] != cut

    def strike(self, node: str, *, clients: bool) -> set[str]:
        """Stop comparing what a fault of a node hits; return the ids of the calls."""
        self.is_struck = True
        calls = self.many.calls()
        hit = {name for name, owner in calls.items() if owner == node}
        for name, owner in calls.items():
            conversation = self.many.apps[owner][SWITCH].find(name)
            if conversation is not None and conversation.bridged_with in hit and owner != node:
                hit.add(name)
        owners = self.many.redis.holders("room:")
        lost_rooms = {room for room, owner in owners.items() if owner == self.many.bus_name(node)}
        self.hall_is_lost |= "room:hall" in lost_rooms
        for room in self.rooms:
            room.compared &= f"room:{room.many}" not in lost_rooms
        for pair in self.sockets.values():
            in_lost = pair.room is not None and not pair.room.compared
            if pair.name in hit or in_lost or (clients and pair.many.node == node):
                if pair.many.is_open or pair.one.is_open:
                    hit.add(pair.name)
                pair.compared = False
        for phone in self.phones:
            phone.compared &= phone.node != node and not (phone.number == "200" and self.hall_is_lost)
        for seat in self.seats:
            seat.compared &= seat.room.compared and not (clients and seat.many.node == node)
        return hit

    def left_alone(self, hit: set[str], node: str) -> list[tuple[Both, int]]:
        """Return the clients of other nodes whose peer is on a node, with how much they were told."""
        owners = self.many.calls()
        return [
            (pair, len(pair.many.said))
            for pair in self.sockets.values()
            if pair.name in hit
            and not pair.compared
            and owners.get(pair.name, node) != node
            and pair.many.node != node
            and pair.many.is_open
        ]

    def agree(self, hit: set[str], gone: str = "") -> None:
        """End in both worlds what a fault has hit: whatever it was in the middle of."""
        nodes = [number for number, node in enumerate(self.many.live) if node != gone]

        async def end(world: World, ids: Any) -> None:
            for name in ids:
                await world.ask(
                    nodes[0] if world is self.many else 0, "POST", f"/call/kill/{name}", KEYS["bot"]
                )

        own = {
            name for pair in self.sockets.values() if not pair.compared for name in [pair.name] if name in hit
        }
        self.run(asyncio.gather(*(end(world, own) for world in self.worlds)))
        for pair in self.phones:
            if not pair.compared:
                self.run(self.end_phones(pair))
        for pair in [*self.sockets.values(), *self.seats]:
            if not pair.compared:
                self.run(asyncio.gather(*(socket.cut() for socket in pair)))
        self.settle()

    async def end_phones(self, pair: Both) -> None:
        for phone in pair:
            if "Answered" in phone.seen() and "Ended" not in phone.seen():
                phone.do("bye", phone.session)

    @invariant()
    def the_directory_is_right(self) -> None:
        """Each call has an entry, of the node that has it, and there are no others."""
        if hasattr(self, "place") and not self.many.redis.away:
            calls = {f"call:{name}": self.many.bus_name(node) for name, node in self.many.calls().items()}
            assert self.many.redis.holders("call:") == calls

    # --- time ---------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, 5.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.settle(seconds)


PROFILE = settings(
    max_examples=COUNT or 6,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize=not COUNT,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink) if COUNT else (Phase.generate,),
)


@pytest.mark.timeout(0 if COUNT else 300)
class TestOneSwitch(OneSwitch.TestCase):  # type: ignore[misc,valid-type]
    settings = PROFILE


def script(*steps: Any) -> None:
    """Do steps that the machine has found, each a function of the machine; clients have to see the same."""
    machine = OneSwitch()
    try:
        machine.build(seed=7)
        for step in steps:
            step(machine)
            machine.clients_see_the_same()
            machine.the_directory_is_right()
    finally:
        machine.teardown()


def opening(name: str, node: int, room: int = 3) -> Any:
    """Return the step that opens a call."""
    return lambda machine: machine.opens_a_call(node=node, name=name, room=room, keep=False, key="bot")


def test_calls_go_on_where_redis_has_lost_everything_in_a_moment():
    script(
        opening("a", 0),
        opening("b", 1),
        lambda machine: machine.redis_goes_away(forgets=True, seconds=0.5),
        lambda machine: machine.lists(node=2),
    )


def test_a_node_without_redis_that_answers_is_not_lost():
    script(
        opening("a", 2),
        lambda machine: machine.a_phone_calls(node=2, number="200"),
        lambda machine: machine.the_bus_of_a_node_is_cut(which=2),
    )


def test_bridges_and_calls_in_rooms_do_not_outlive_the_other_node():
    script(
        lambda machine: machine.makes_a_room(node=2, mixed=True, key="bot"),
        opening("a", 0),
        opening("b", 2),
        opening("c", 1, room=0),
        lambda machine: machine.bridges(left=0, right=1),
        lambda machine: machine.a_node_is_lost(which=2),
        lambda machine: machine.lists(node=0),
    )


def test_a_node_that_was_declared_lost_ends_its_calls_when_it_is_back():
    script(
        opening("a", 1),
        opening("b", 0),
        lambda machine: machine.a_call_has_two_owners(which=1, node=0),
        lambda machine: machine.kills(node=1, name="a", other=False),
    )


def test_refusals_have_the_same_words_at_every_node():
    script(
        lambda machine: machine.makes_a_room(node=0, mixed=False, key="bot"),
        opening("a", 1, room=0),
        opening("b", 2),
        lambda machine: machine.says(0, {"command": "bridge", "targetSessionId": "unknown"}),
        lambda machine: machine.says(0, {"command": "unbridge"}),
    )


def test_callers_of_a_queue_wait_in_one_line():
    script(
        lambda machine: machine.a_phone_calls(node=2, number="500"),
        lambda machine: machine.a_phone_calls(node=0, number="500"),
        lambda machine: machine.shows_queues(node=1),
        lambda machine: machine.a_phone_calls(node=1, number="500"),
        lambda machine: machine.a_phone_hangs_up(which=0),
        lambda machine: machine.shows_queues(node=2),
        lambda machine: machine.a_phone_calls(node=1, number="500"),
        lambda machine: machine.shows_queues(node=0),
    )
