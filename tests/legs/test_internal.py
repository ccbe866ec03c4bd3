"""Internal legs: who may call, and what happens when a node is lost (on the simulated network)."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from softswitch.legs.internal import HEADER
from softswitch.sip.events import Rejected
from softswitch.web.keys import CLUSTER
from tests.conformance.test_any_node import Nodes, configured
from tests.support.simulated.phones import SimPhone
from tests.support.simulated.world import Room, World


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Run two machines."""
    with Room(seed=5) as room:
        world = World(room, "w", tmp_path, 2, configured)
        room.run(world.start())
        yield Nodes(room, world)


@pytest.mark.parametrize("value", ["", "call:x", "call:x w-1.0;1800000000000;00;;" + "0" * 64])
def test_a_call_without_a_valid_signature_is_refused(nodes, value):
    async def run() -> int:
        phone = SimPhone(nodes.room.sip)
        await phone.start()
        try:
            view = await nodes.world.apps["w-0"][CLUSTER].peers.view("w-1.1")
            port = int(view.sip.rpartition(":")[2])
            phone.invite(port, "leg", phone.offer, headers={HEADER: value} if value else {})
            return (await phone.until(Rejected)).code
        finally:
            await phone.stop()

    assert nodes.room.run(run()) == 403
    assert 'internal_legs_refused_total{worker="1"} 1.0' in nodes.ask(1, "GET", "/metrics")[1]


def test_bridges_end_with_the_node_of_the_other_call(nodes):
    room, world = nodes.room, nodes.world
    one, two = (
        room.run(world.socket(node, f"/call?id=c{node}", "key-of-the-bot-0123456789")) for node in (0, 1)
    )
    for socket in (one, two):
        room.run(socket.send(command="invite", option={}))
    nodes.settle(1)
    room.run(one.send(command="bridge", targetSessionId="c1"))
    nodes.settle(2)
    assert "bridged" in [kind for kind, _ in one.said]
    world.lose("w-1")
    room.run(asyncio.sleep(15))
    assert "unbridged" in [kind for kind, _ in one.said]
    assert one.is_open
