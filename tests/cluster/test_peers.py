"""What a node knows of the others."""

import msgspec
import pytest

from softswitch.bus.bus import BusError
from softswitch.cluster.peers import NodeView, Peers
from softswitch.cluster.signing import Signer
from tests.bus.buses import Hubs, until


async def made(*names):
    world = Hubs()
    buses = [await world.join(name) for name in names]
    own = buses[0]
    signer = Signer("secret", own.node, lambda: 0.0, bytes)
    await until(lambda: len(own.nodes()) == len(names))
    for bus in buses[1:]:
        view = NodeView(bus.node.rpartition(".")[0], f"/run/{bus.node}.sock", "", "127.0.0.1:5070")
        await bus.put(f"node:{bus.node}", msgspec.msgpack.encode(view))
    return world, buses, Peers(own, "a", signer)


async def test_one_node_stands_for_each_other_machine():
    _, _, peers = await made("a.1", "a.2", "b.1", "b.2", "c.1")
    assert await peers.machines() == ["b.1", "c.1"]
    assert peers.others() == ["a.2", "b.1", "b.2", "c.1"]


async def test_a_view_is_read_once_and_forgotten_with_its_node():
    world, buses, peers = await made("a.1", "b.1")
    assert (await peers.view("b.1")).host == "b"
    assert peers.sip_of("b.1") == "127.0.0.1:5070"
    await world.lose(buses[1])
    await until(lambda: not peers.sip_of("b.1"))
    with pytest.raises(BusError, match="not there"):
        await peers.view("b.1")


async def test_a_node_of_this_machine_is_asked_over_its_unix_socket(tmp_path):
    _, _, peers = await made("a.1", "a.2", "b.1")
    try:
        assert (await peers.session("a.2"))[1] == "http://node"
        peers.learn("b.1", NodeView("b", "/elsewhere.sock", "10.0.0.2:8190"))
        assert (await peers.session("b.1"))[1] == "http://10.0.0.2:8190"
        assert not await peers.answers("a.2"), "nothing listens there"
        with pytest.raises(BusError, match="reached"):
            await peers.request("a.2", "GET", "/healthz")
        assert (peers.asked, peers.failed) == (1, 1)
    finally:
        await peers.close()
