"""Queues of several nodes: one line, each user rung once, and what stays when nodes die (simulated)."""

import asyncio
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from softswitch.cluster.queues import TTL_S, ClusterQueues
from softswitch.settings import Route, Settings, User
from softswitch.settings.queue import Queue
from softswitch.sip.events import Answered, Cancelled, Ended, Invited
from softswitch.web.keys import CLUSTER, QUEUES, SIP
from tests.conformance.test_any_node import BOB, KEY, Nodes, configured
from tests.support.simulated.phones import SimPhone
from tests.support.simulated.world import Room, World

QUEUE = Queue("sales", ("alice", "carol"), position="", music="", rest_s=5.0, ring_s=10.0, timeout_s=0.0)
USERS = tuple(User(name=name, password=f"secret-{name[0]}") for name in ("alice", "bob", "carol", "dave"))


def with_queues(folder: str, *, queues: tuple[Queue, ...] = (QUEUE,)) -> Settings:
    """Return the settings of every node."""
    return msgspec.structs.replace(
        configured(folder),
        user=USERS,
        queue=queues,
        route=(Route(match="600", to="queue:sales"), Route(match="alice", to="user:alice")),
    )


class Office(Nodes):
    """Three nodes with queues, their callers and phones."""

    def __init__(self, room: Room, world: World) -> None:
        super().__init__(room, world)
        self.phones: list[SimPhone] = []

    def phone(self) -> SimPhone:
        """Start a phone."""
        phone = SimPhone(self.room.sip)
        self.room.run(phone.start())
        self.phones.append(phone)
        return phone

    def port(self, node: int) -> int:
        """Return the port of SIP of a node."""
        side: Any = self.world.apps[self.world.nodes[node]][SIP]
        port: int = side.sip.port
        return port

    def agent(self, name: str, node: int = 0) -> SimPhone:
        """Register the phone of a user."""
        phone = self.phone()
        assert self.room.run(phone.register(self.port(node), name, f"secret-{name[0]}")) == 200
        return phone

    def caller(self, node: int, callee: str = "queue:sales") -> str:
        """Have a client call a queue by way of a node; return the id of its call."""
        name = f"call-{next(self._numbers)}"
        socket = self.room.run(self.world.socket(node, f"/call?id={name}", KEY))
        self.room.run(socket.send(command="invite", option={"callee": callee, "caller": name}))
        self.settle()
        return name

    def places(self, node: int) -> list[tuple[str, int, str]]:
        """Return id, place and ringing user of all callers, as a node shows them."""
        status, shown = self.ask(node, "GET", "/queues")
        assert status == 200
        (queue, *_) = shown["queues"]
        assert queue["waiting"] == len(queue["callers"])
        return [(one["id"], one["place"], one["ringing"]) for one in queue["callers"]]

    def do(self, phone: SimPhone, verb: str, session: str, *arguments: Any) -> None:
        """Have a phone do something."""

        async def work() -> None:
            phone.do(verb, session, *arguments)

        self.room.run(work())

    def invite(self, phone: SimPhone, port: int, callee: str, offer: str) -> str:
        """Have a phone call; return the session."""

        async def work() -> str:
            return phone.invite(port, callee, offer, **BOB)

        session: str = self.room.run(work())
        return session

    def queues(self, node: str) -> ClusterQueues:
        """Return what a node shares of its queues."""
        cluster = self.world.apps[node][CLUSTER]
        assert cluster is not None
        assert cluster.queues is not None
        return cluster.queues

    def holder(self) -> list[str]:
        """Return the nodes that decide."""
        return [
            node
            for node in self.world.nodes
            if node not in self.world.gone and self.queues(node)._lease is not None
        ]

    def invited(self, phone: SimPhone) -> int:
        """Return how often a phone was rung."""
        return sum(isinstance(one, Invited) for one in phone.happenings)

    async def stop(self) -> None:
        for phone in self.phones:
            await phone.stop()


def run_office(tmp_path: Path, settings: Any = with_queues, *, workers: bool = False) -> Iterator[Office]:
    with Room(seed=9) as room:
        world = World(room, "w", tmp_path, 3, settings, workers=workers)
        room.run(world.start())
        office = Office(room, world)
        try:
            yield office
        finally:
            room.run(office.stop())


@pytest.fixture(params=["workers", "machines"])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    """Run three nodes."""
    yield from run_office(tmp_path, workers=request.param == "workers")


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Office]:
    """Run three machines."""
    yield from run_office(tmp_path)


def test_callers_of_all_nodes_stand_in_one_line_and_are_served_in_their_order(office: Office) -> None:
    calls = [office.caller(node) for node in (2, 0, 1, 0)]
    for node in range(3):
        assert office.places(node) == [(name, place, "") for place, name in enumerate(calls, 1)]
    assert len(office.holder()) == 1
    alice = office.agent("alice", 1)
    office.settle(2)
    assert office.places(0) == [
        (calls[0], 1, "alice"),
        *((name, n, "") for n, name in enumerate(calls[1:], 2)),
    ]
    carol = office.agent("carol", 0)
    office.settle(2)
    assert [ringing for _, _, ringing in office.places(2)] == ["alice", "carol", "", ""]
    assert (office.invited(alice), office.invited(carol)) == (1, 1)
    for number, phone in enumerate((alice, carol, alice, carol)):
        rung = office.room.run(phone.until(Invited, number // 2 + 1))
        office.do(phone, "answer", rung.session, phone.offer)
        office.settle(2)
        assert [name for name, _, _ in office.places(number % 3)] == calls[number + 1 :]
        office.do(phone, "bye", rung.session)
        office.settle(2)
    assert office.places(1) == []
    assert office.holder() == []
    (shown,) = office.ask(1, "GET", "/queues")[1]["queues"]
    assert (shown["entered"], shown["answered"], shown["waiting"]) == (4, 4, 0)


def test_user_who_talks_by_way_of_one_node_is_not_rung_by_another(office: Office) -> None:
    alice, desk = office.agent("alice", 1), office.phone()
    office.settle(1)
    office.invite(desk, office.port(2), "alice", desk.offer)
    rung = office.room.run(alice.until(Invited))
    office.do(alice, "answer", rung.session, alice.offer)
    office.settle(2)
    office.caller(0)
    office.caller(2)
    office.settle(5)
    before = office.invited(alice)
    assert office.ask(0, "GET", "/queues")[1]["queues"][0]["free"] == []
    office.settle(10)
    assert office.invited(alice) == before, "rung while it talks"
    office.do(alice, "bye", rung.session)
    office.settle(3)
    assert office.invited(alice) == before + 1
    assert [ringing for _, _, ringing in office.places(1)] == ["alice", ""]


def test_user_who_does_not_answer_rests_for_the_callers_of_all_nodes(office: Office) -> None:
    alice = office.agent("alice")
    office.settle(1)
    first, second = office.caller(1), office.caller(2)
    rung = office.room.run(alice.until(Invited))
    office.do(alice, "reject", rung.session, 486)
    office.settle(3)
    assert office.places(0) == [(first, 1, ""), (second, 2, "")]
    assert office.invited(alice) == 1
    office.settle(4)
    assert office.places(0) == [(first, 1, "alice"), (second, 2, "")]


def test_callers_stay_in_the_line_when_the_node_that_decides_dies(machines: Office) -> None:
    office = machines
    calls = [office.caller(node) for node in (0, 1, 2, 1)]
    (holder,) = office.holder()
    dead = office.world.nodes.index(holder)
    left = [name for name, node in zip(calls, (0, 1, 2, 1), strict=True) if node != dead]
    office.world.lose(holder)
    office.settle(TTL_S + 4)
    (other,) = office.holder()
    assert other != holder
    alive = [node for node in range(3) if node != dead]
    alice = office.agent("alice", alive[0])
    office.settle(5)
    rung = office.room.run(alice.until(Invited))
    assert office.places(alive[1]) == [(name, n, "alice" if n == 1 else "") for n, name in enumerate(left, 1)]
    for number in range(1, len(left) + 1):
        rung = office.room.run(alice.until(Invited, number))
        office.do(alice, "answer", rung.session, alice.offer)
        office.settle(2)
        office.do(alice, "bye", rung.session)
        office.settle(2)
    assert office.places(alive[0]) == []


def test_every_node_serves_its_own_callers_while_the_bus_is_away(machines: Office) -> None:
    office = machines
    alice, carol = office.agent("alice"), office.agent("carol")
    office.settle(1)
    for name in office.world.nodes:
        office.world.redis.cut.add(name)
    office.world.redis.drop_readers()
    office.settle(3)
    for node in (0, 1):
        office.caller(node)
    office.settle(5)
    assert office.holder() == []
    # Each rings a user for its caller; it may be the same one, who then is busy.
    assert office.invited(alice) + office.invited(carol) >= 2
    for name in office.world.nodes:
        office.world.redis.cut.discard(name)
    office.settle(10)
    assert len(office.holder()) == 1
    assert [place for _, place, _ in office.places(2)] == [1, 2]


def test_bound_of_a_queue_holds_for_all_nodes(tmp_path: Path) -> None:
    full = msgspec.structs.replace(QUEUE, most=2)
    for office in run_office(tmp_path, partial(with_queues, queues=(full,))):
        office.caller(0)
        office.caller(1)
        office.caller(2)
        assert len(office.places(0)) == 2
        (shown,) = office.ask(0, "GET", "/queues")[1]["queues"]
        assert shown["entered"] == 2


def test_user_of_two_queues_is_rung_for_one_caller(tmp_path: Path) -> None:
    other = msgspec.structs.replace(QUEUE, name="support")
    for office in run_office(tmp_path, partial(with_queues, queues=(QUEUE, other))):
        office.caller(0, "queue:support")
        office.caller(1, "queue:sales")
        office.settle(1)
        alice = office.agent("alice", 2)
        office.settle(5)
        assert office.invited(alice) == 1
        shown = office.ask(2, "GET", "/queues")[1]["queues"]
        ringing = {queue["name"]: queue["callers"][0]["ringing"] for queue in shown}
        assert ringing == {"sales": "", "support": "alice"}, "the caller who came first is served"


def test_nothing_is_told_while_none_waits(machines: Office) -> None:
    office = machines
    told: list[bytes] = []
    queues = [office.queues(node) for node in office.world.nodes]
    queues[0]._bus.subscribe("queues", lambda data, node: told.append(data))
    alice, desk = office.agent("alice"), office.phone()
    office.settle(1)
    office.invite(desk, office.port(1), "alice", desk.offer)
    rung = office.room.run(alice.until(Invited))
    office.do(alice, "answer", rung.session, alice.offer)
    office.settle(3)
    office.do(alice, "bye", rung.session)
    office.settle(3)
    assert told == []
    assert not any(one._running for one in queues)


def test_a_process_that_is_alone_has_no_dispatcher(tmp_path: Path) -> None:
    with Room(seed=9) as room:
        world = World(room, "w", tmp_path, 1, with_queues)
        room.run(world.start())
        assert world.apps["w-0"][QUEUES].dispatcher is None


def test_caller_and_user_are_connected_across_nodes(office: Office) -> None:
    alice, desk = office.agent("alice", 0), office.phone()
    office.settle(1)
    session = office.invite(desk, office.port(2), "600", desk.offer)
    office.room.run(desk.until(Answered))
    rung = office.room.run(alice.until(Invited))
    office.do(alice, "answer", rung.session, alice.offer)
    office.settle(2)
    assert office.places(1) == []
    office.do(desk, "bye", session)
    office.room.run(alice.until(Ended))
    office.room.run(asyncio.sleep(1))


class Desk:
    """The phone of a user, with the calls that it has."""

    def __init__(self, office: Office, name: str, node: int) -> None:
        self.office, self.phone = office, office.agent(name, node)
        self.answered: set[str] = set()
        self.closed: set[str] = set()
        """Sessions that the phone itself has ended, or whose node has died."""

    def open(self) -> list[str]:
        """Return the sessions that ring or talk."""
        ended = {one.session for one in self.phone.happenings if isinstance(one, Ended | Cancelled)}
        rung = [one.session for one in self.phone.happenings if isinstance(one, Invited)]
        return [session for session in rung if session not in ended | self.closed]

    def node_died(self, port: int) -> None:
        """Forget the calls of a node."""
        invited = [one for one in self.phone.happenings if isinstance(one, Invited)]
        self.closed |= {one.session for one in invited if one.flow.port == port}

    def act(self, verb: str) -> None:
        """Answer, refuse or end a call."""
        for session in self.open():
            if session in self.answered:
                self.phone.do("bye", session)
                self.closed.add(session)
            elif verb == "answer":
                self.phone.do("answer", session, self.phone.offer)
                self.answered.add(session)
            else:
                self.phone.do("reject", session, 486)
                self.closed.add(session)


def random_calls(office: Office, queues: tuple[Queue, ...], dice: random.Random) -> int:
    """Let callers come and users act at random; return the most calls that a user has had at once."""
    office.room.bus_delay_s = 0.15
    desks = [Desk(office, name, number) for number, name in enumerate(("alice", "carol", "dave"))]
    office.settle(2)
    alive, most, callers = [0, 1, 2], 0, 0

    async def live(seconds: float, verbs: tuple[str, ...]) -> None:
        nonlocal most
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.05)
            most = max(most, *(len(desk.open()) for desk in desks))
            if dice.random() < 0.1:
                dice.choice(desks).act(dice.choice(verbs))

    for step in range(40):
        if step == 20:
            (dead, *_) = [*office.holder(), "w-1"]
            number = office.world.nodes.index(dead)
            port = office.port(number)
            office.world.lose(dead)
            alive.remove(number)
            for desk in desks:
                desk.node_died(port)
        if callers < 25 and dice.random() < 0.6:
            callers += 1
            office.caller(dice.choice(alive), f"queue:{dice.choice(queues).name}")
        office.room.run(live(dice.choice((0.05, 0.5, 2.0)), ("answer", "answer", "reject")))
    running = [office.world.apps[office.world.nodes[node]][QUEUES] for node in alive]

    async def until_all_are_served() -> None:
        async with asyncio.timeout(1000):
            while any(queue.waits() for queue in running):
                await live(1.0, ("answer",))

    office.room.run(until_all_are_served())
    return most


@pytest.mark.parametrize("seed", [1, 5])
def test_users_are_rung_once_and_all_callers_are_served_whatever_happens(tmp_path: Path, seed: int) -> None:
    """Random callers and users on a slow bus; the node that decides dies in the middle."""
    common = {"position": "", "music": "", "rest_s": 0.5, "ring_s": 4.0, "timeout_s": 0.0, "most": 50}
    queues = tuple(
        Queue(name, users, **common)  # type: ignore[arg-type]
        for name, users in (("sales", ("alice", "carol")), ("support", ("carol", "dave")))
    )
    for office in run_office(tmp_path, partial(with_queues, queues=queues)):
        assert random_calls(office, queues, random.Random(seed)) == 1
