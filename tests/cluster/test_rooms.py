"""Calls into rooms of other nodes (on the simulated network)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.test_any_node import KEY, Nodes, configured
from tests.support.simulated.world import Room, World


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Run two machines."""
    with Room(seed=6) as room:
        world = World(room, "w", tmp_path, 2, configured)
        room.run(world.start())
        yield Nodes(room, world)


def told(nodes: Nodes, node: int, room: str) -> list[tuple[str, object]]:
    """Call a room at a node; return kinds and reasons of the events of the call."""
    socket = nodes.room.run(nodes.world.socket(node, f"/call?id=at-{node}-{room}", KEY))
    nodes.room.run(socket.send(command="invite", option={"callee": f"room:{room}"}))
    nodes.settle(3)
    return [(kind, event.get("reason") if isinstance(event, dict) else event) for kind, event in socket.said]


def test_a_refusal_has_the_words_of_the_room_at_every_node(nodes):
    room, _ = nodes.make_room(0)
    near, far = told(nodes, 0, room), told(nodes, 1, room)
    assert near == far
    assert any("peer to peer" in str(reason) for _, reason in near)


def test_a_call_sees_of_a_room_of_another_node_what_it_sees_of_its_own(nodes):
    room, _ = nodes.make_room(0, topology="mix")
    assert told(nodes, 0, room) == told(nodes, 1, room)


def test_a_room_is_unknown_everywhere_once_it_is_closed(nodes):
    room, _ = nodes.make_room(1, topology="mix")
    assert nodes.ask(0, "DELETE", f"/api/v1/rooms/{room}")[0] == 204
    nodes.settle(1)
    for node in (0, 1):
        assert nodes.ask(node, "GET", f"/api/v1/rooms/{room}")[1]["status"] == "closed"
