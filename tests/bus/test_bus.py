"""One suite for every kind of bus."""

import asyncio
from typing import Any

import pytest

from softswitch.bus.bus import MOST_BYTES, BusError, Entry
from tests.bus.buses import nodes, until
from tests.support.redis import redis_server

KINDS = ["hub", pytest.param("redis", marks=pytest.mark.client)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Run a Redis server."""
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running.url


@pytest.fixture(params=KINDS)
async def bus(request):
    """Run a bus with three nodes."""
    url = request.getfixturevalue("server") if request.param == "redis" else ""
    names = (f"{request.node.name[:40]}.{number}" for number in (1, 2, 3))
    async with nodes(request.param, url, *names) as (world, joined):
        joined[0].world = world
        yield joined


async def test_entries_are_found_by_all_until_they_are_deleted(bus):
    one, two, _ = bus
    assert await one.put("call:a", b"1")
    assert await two.get("call:a") == Entry("call:a", b"1", one.node)
    await two.delete("call:a")
    assert await two.get("call:a") is not None, "only its node deletes an entry"
    await one.delete("call:a")
    assert await two.get("call:a") is None


async def test_a_new_key_is_of_the_first_node(bus):
    one, two, _ = bus
    outcomes = await asyncio.gather(*(each.put("call:same", b"", only_new=True) for each in bus))
    assert sorted(outcomes) == [False, False, True]
    assert await one.put("call:other", b"1")
    assert not await two.put("call:other", b"2", only_new=True)
    assert await one.put("call:other", b"3", only_new=True), "its own key may be put again"


async def test_entries_are_listed_by_their_prefix(bus):
    one, two, three = bus
    for number in range(300):
        await one.put(f"room:{number}", b"x" * 1000)
    await two.put("room:last", b"")
    await two.put("user:no", b"")
    found = await three.scan("room:")
    assert len(found) == 301
    assert {entry.node for entry in found} == {one.node, two.node}


async def test_a_lease_has_one_holder_and_its_fence_grows(bus):
    one, two, _ = bus
    first = await one.lease("sweep", 0.3)
    assert first is not None
    assert await two.lease("sweep", 0.3) is None
    renewed = await one.lease("sweep", 0.3)
    assert renewed == first
    await asyncio.sleep(0.5)
    second = await two.lease("sweep", 5)
    assert second is not None
    assert second.fence > first.fence
    await one.release(first)
    assert await one.lease("sweep", 1) is None, "a former holder releases nothing"
    await two.release(second)
    assert await one.lease("sweep", 1) is not None


async def test_messages_reach_all_others_in_order(bus):
    one, two, three = bus
    heard: dict[str, list[Any]] = {two.node: [], three.node: [], one.node: []}
    for each in bus:
        each.subscribe("news", lambda data, node, each=each: heard[each.node].append((data, node)))
    for number in range(50):
        one.publish("news", str(number).encode())
    wanted = [(str(number).encode(), one.node) for number in range(50)]
    await until(lambda: heard[two.node] == wanted and heard[three.node] == wanted)
    assert heard[one.node] == []


async def test_a_node_answers_requests(bus):
    one, two, _ = bus

    async def answer(data, node):
        if data == b"fail":
            raise ValueError("on purpose")
        return data.upper() + node[-1:].encode()

    two.serve(answer)
    assert await one.request(two.node, b"ping") == b"PING1"
    with pytest.raises(BusError):
        await one.request(two.node, b"fail")
    with pytest.raises(BusError):
        await one.request("unknown.9", b"ping", 0.3)


async def test_a_lost_node_leaves_tombstones_that_are_cleared_once(bus):
    one, two, three = bus
    lost: list[str] = []
    one.on_lost(lost.append)
    await three.put("call:of-three", b"dialog")
    await three.put("call:also", b"")
    await one.world.lose(three)
    await until(lambda: lost == [three.node])
    assert three.node not in one.nodes()
    assert await one.get("call:of-three") is None
    assert {entry.key for entry in await two.tombstones(three.node)} == {"call:of-three", "call:also"}
    assert await two.put("call:of-three", b"new", only_new=True), "the key is free again"
    await one.clear(three.node)
    assert await one.tombstones(three.node) == []
    assert (await one.get("call:of-three")).value == b"new"


async def test_too_large_values_are_refused(bus):
    with pytest.raises(ValueError, match="at most"):
        bus[0].publish("news", b"x" * (MOST_BYTES + 1))
