"""The bus through Redis on a simulated clock: who lives, who is lost, and what happens without Redis."""

import asyncio
from collections.abc import Iterator
from functools import partial

import pytest

from softswitch.bus.bus import BusError
from softswitch.bus.frames import Frame, pack
from softswitch.bus.redis_bus import RedisBus
from tests.support.simulated.redis import SimRedis
from tests.support.simulated.world import Room

TTL_S = 2.0


class Machines:
    """Two nodes at one simulated Redis."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.server = room.servers["w"] = SimRedis(room.clock.time, room.bus_delay)
        self.lost: list[tuple[str, str]] = []
        self.fenced: list[str] = []
        self.answering = True
        self.buses = [RedisBus(f"redis://w/{name}", f"{name}.0", TTL_S) for name in ("a", "b")]
        for bus in self.buses:
            bus.on_lost(partial(self._note_lost, bus.node))
            bus.on_fenced = partial(self.fenced.append, bus.node)
            bus.probe = self.probe

    def _note_lost(self, by: str, node: str) -> None:
        self.lost.append((by, node))

    async def probe(self, node: str) -> bool:
        return self.answering

    async def start(self) -> None:
        for bus in self.buses:
            await bus.start()
        await asyncio.sleep(3 * TTL_S)

    async def stop(self) -> None:
        for bus in self.buses:
            await bus.stop()


@pytest.fixture
def machines() -> Iterator[Machines]:
    with Room(seed=3) as room:
        made = Machines(room)
        room.run(made.start())
        yield made
        room.run(made.stop())


def test_a_node_that_answers_directly_is_not_lost(machines):
    machines.server.cut.add("b")
    machines.room.run(asyncio.sleep(10 * TTL_S))
    assert machines.lost == []
    assert machines.buses[0].nodes() == ["a.0", "b.0"]


def test_a_node_that_is_declared_lost_is_fenced_when_it_is_back(machines):
    machines.answering = False
    machines.server.cut.add("b")
    machines.room.run(asyncio.sleep(4 * TTL_S))
    assert machines.lost == [("a.0", "b.0")]
    assert machines.fenced == []
    machines.server.cut.discard("b")
    machines.room.run(asyncio.sleep(2 * TTL_S))
    assert machines.fenced == ["b.0"]
    assert machines.buses[0].nodes() == ["a.0", "b.0"]


def test_nobody_is_lost_before_redis_was_back_for_two_lives(machines):
    machines.answering = False
    machines.server.away = True
    machines.room.run(asyncio.sleep(5 * TTL_S))
    machines.server.cut.add("b")
    machines.server.away = False
    machines.room.run(asyncio.sleep(1.5 * TTL_S))
    assert machines.lost == []
    machines.room.run(asyncio.sleep(4 * TTL_S))
    assert machines.lost == [("a.0", "b.0")]


def test_without_redis_questions_fail_and_messages_are_counted(machines):
    one, _ = machines.buses
    backs = []
    one.on_back = lambda: backs.append(1)
    machines.server.away = True
    with pytest.raises(BusError):
        machines.room.run(one.put("call:a", b""))
    one.publish("topic", b"")
    machines.room.run(asyncio.sleep(1))
    assert (one.is_up, one.dropped) == (False, 1)
    machines.server.away = False
    machines.room.run(asyncio.sleep(TTL_S))
    assert one.is_up
    assert backs == [1]


def test_a_node_that_leaves_is_gone_at_once(machines):
    one, two = machines.buses
    machines.room.run(two.stop())
    machines.room.run(asyncio.sleep(0.1))
    assert one.nodes() == ["a.0"]
    assert machines.lost == [("a.0", "b.0")]


def test_a_lease_that_ran_out_has_a_higher_fence_for_the_next_holder(machines):
    one, two = machines.buses
    first = machines.room.run(one.lease("clear:x", 1.0))
    assert machines.room.run(two.lease("clear:x", 1.0)) is None
    machines.room.run(asyncio.sleep(1.5))
    second = machines.room.run(two.lease("clear:x", 1.0))
    assert second.fence > first.fence
    machines.room.run(one.release(first))
    assert machines.room.run(one.lease("clear:x", 1.0)) is None, "an old fence releases nothing"


def test_a_lost_node_is_told_although_a_round_had_missed_it_before(machines):
    """The set of nodes may be read between the removal of a lost node and the message that tells it."""
    one, other = machines.buses

    async def run() -> None:
        one._tasks.cancel()
        await other._redis.zrem("softswitch:nodes", one.node)
        await other._round()
        assert other.nodes() == [other.node]
        assert machines.lost == []
        other._heard(pack(Frame("publish", key="lost", value=one.node.encode(), node="c.0")))
        other._heard(pack(Frame("publish", key="lost", value=one.node.encode(), node="c.0")))

    machines.room.run(run())
    assert machines.lost == [(other.node, one.node)]
