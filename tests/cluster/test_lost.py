"""What is done for a lost node, once and under a lease."""

import pytest

from softswitch.bus.bus import BusError, Fenced
from softswitch.cluster import lost as module
from softswitch.cluster.lost import LostNodes
from tests.bus.buses import Hubs, until


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(module, "WAIT_S", 0.0)


async def test_one_node_acts_on_the_entries_of_a_lost_one():
    world = Hubs()
    one, two, gone = [await world.join(name) for name in ("a.1", "a.2", "a.3")]
    await gone.put("call:x", b"1")
    acted = []

    async def act(node, entries):
        acted.append((node, entries))

    watching = [LostNodes(one), LostNodes(two)]
    for each in watching:
        each.acts.append(act)
    await world.lose(gone)
    await until(lambda: sum(each.cleared for each in watching))
    await until(lambda: not world.hub.table.uncleared())
    assert [entry for entry in acted if entry[1]] == [("a.3", {"call:x": b"1"})]


async def test_a_node_that_lost_its_lease_meanwhile_clears_nothing(monkeypatch):
    world = Hubs()
    one, gone = await world.join("a.1"), await world.join("a.3")
    await gone.put("call:x", b"1")
    fences = iter([1, 2, 3, 4, 5, 6])

    async def lease(key, ttl_s):
        return Fenced(key, next(fences))

    monkeypatch.setattr(one, "lease", lease)
    watching = LostNodes(one)
    with pytest.raises(BusError, match="lease"):
        await watching._clear_once("a.3")
    assert watching.cleared == 0
    watching.stop()


async def test_what_fails_is_tried_again(monkeypatch):
    world = Hubs()
    one, gone = await world.join("a.1"), await world.join("a.3")
    await gone.put("call:x", b"1")
    real, failures = one.tombstones, iter([True, False])

    async def tombstones(node):
        if next(failures):
            raise BusError("away")
        return await real(node)

    monkeypatch.setattr(one, "tombstones", tombstones)
    monkeypatch.setattr(module, "TRIES", 2)
    watching = LostNodes(one)
    await world.lose(gone)
    await until(lambda: watching.cleared)
