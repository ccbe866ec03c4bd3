"""Entries that a node keeps on its bus, and shares in limits, with a bus that fails at times."""

import asyncio
from collections import Counter

import pytest

from softswitch.bus.bus import BusError
from softswitch.cluster import owned as module
from softswitch.cluster.owned import Owned, Shares
from tests.bus.buses import Hubs, until


@pytest.fixture
async def pair():
    world = Hubs()
    return await world.join("a.1"), await world.join("b.1"), world


async def test_entries_are_put_again_until_the_bus_takes_them(pair, monkeypatch):
    one, two, _ = pair
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    failures = 3
    put = one.put

    async def failing(key, value, **options):
        nonlocal failures
        if failures:
            failures -= 1
            raise BusError("away")
        return await put(key, value, **options)

    monkeypatch.setattr(one, "put", failing)
    owned = Owned(one)
    owned.start()
    owned.put("call:a", b"1")
    await until(lambda: failures == 0)
    async with asyncio.timeout(60):
        while (entry := await two.get("call:a")) is None:
            await asyncio.sleep(0)
    assert entry.value == b"1"
    assert owned.failed == 3
    assert await Owned(two).owner("call:a") == "a.1"
    assert await owned.owner("call:a") == ""
    owned.delete("call:a")
    async with asyncio.timeout(60):
        while await two.get("call:a") is not None:
            await asyncio.sleep(0)
    owned.stop()


async def test_a_new_call_waits_until_other_nodes_can_find_it(pair, monkeypatch):
    one, two, _ = pair
    put, gate = one.put, asyncio.Event()

    async def slow(key, value, **options):
        await gate.wait()
        return await put(key, value, **options)

    monkeypatch.setattr(one, "put", slow)
    monkeypatch.setattr(module, "TOLD_S", 60.0)
    owned = Owned(one)
    owned.start()
    await owned.told("call:local")  # nothing to wait for
    owned.put("call:a", b"1")
    telling = asyncio.ensure_future(owned.told("call:a"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not telling.done()
    gate.set()
    await telling
    assert await Owned(two).owner("call:a") == "a.1"
    owned.stop()


async def test_a_new_call_does_not_wait_for_a_bus_that_is_away(pair, monkeypatch):
    one, _, _ = pair

    async def away(*_, **__):
        raise BusError("away")

    monkeypatch.setattr(one, "put", away)
    monkeypatch.setattr(module, "TOLD_S", 600.0)
    owned = Owned(one)
    owned.start()
    async with asyncio.timeout(60):
        for key in ("call:a", "call:b"):
            owned.put(key)
            await owned.told(key)
    owned.stop()


async def test_a_claim_has_one_winner_and_is_granted_while_the_bus_is_away(pair, monkeypatch):
    one, two, _ = pair
    assert await Owned(one).claim("call:a")
    assert not await Owned(two).claim("call:a")

    async def away(*_, **__):
        raise BusError("away")

    monkeypatch.setattr(two, "put", away)
    monkeypatch.setattr(two, "get", away)
    assert await Owned(two).claim("call:b")
    assert await Owned(two).owner("call:a") == ""


async def test_shares_are_added_up_and_go_with_their_node(pair):
    one, two, world = pair
    mine, far = Shares(one), Shares(two)
    mine.tell(Counter({"owner:x": 2, "trunk:t": 1}))
    await until(lambda: far.elsewhere("owner:x") == 2)
    mine.tell(Counter({"owner:x": 1}))
    await until(lambda: far.elsewhere("owner:x") == 1)
    assert far.elsewhere("trunk:t") == 0
    mine.tell_all()
    await asyncio.sleep(0.01)
    assert far.elsewhere("owner:x") == 1
    await world.lose(one)
    await until(lambda: far.elsewhere("owner:x") == 0)
