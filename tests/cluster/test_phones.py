"""Phones of another machine, as they are found."""

from types import SimpleNamespace
from typing import Any, cast

from softswitch.cluster.peers import NodeView, Peers
from softswitch.cluster.phones import ClusterPhones
from softswitch.cluster.signing import Signer
from tests.bus.buses import Hubs, until


async def test_phones_are_found_at_any_node_of_their_machine_that_is_known():
    world = Hubs()
    own, *_ = [await world.join(name) for name in ("a.1", "b.1", "b.2")]
    await until(lambda: len(own.nodes()) == 3)
    peers = Peers(own, "a", Signer("secret", own.node, lambda: 0.0, bytes))
    legs: Any = SimpleNamespace(signed=lambda destination, said: {"Leg": destination})
    phones = ClusterPhones(cast("Any", None), peers, legs)
    assert phones.find("b", "alice") is None, "where its nodes take legs is not known yet"
    peers.learn("b.2", NodeView("b", sip="[fd00::2]:5070"))
    found = phones.find("b", "alice")
    assert found is not None
    assert (found.host, found.port, found.headers) == ("fd00::2", 5070, {"Leg": "user:alice"})
    assert phones.find("c", "alice") is None
