"""Registrations, trunks and logins of several nodes."""

import asyncio
from typing import Any, cast

import pytest

from softswitch.cluster import accounts as module
from softswitch.cluster.accounts import ClusterAccounts
from softswitch.cluster.owned import Shares
from tests.bus.buses import Hubs, until


class FakeAccounts:
    """Accounts that remember what they were told."""

    def __init__(self):
        self.learnt, self.held, self.failed, self.begun = [], {}, [], False
        self.pages = [(b"one", "m"), (b"two", "")]

    def begin(self):
        self.begun = True

    def learn(self, data, *, machine):
        self.learnt.append((data, machine))

    def page(self, after):
        return self.pages[1 if after else 0]

    def keep_alive(self, keeps):
        self.keeps = keeps

    def registering_trunks(self):
        return ["carrier"]

    def hold_trunk(self, name, *, held):
        self.held[name] = held

    def limit_trunks(self, elsewhere, share):
        self.share = share

    def login_failed(self, host):
        self.failed.append(host)


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(module, "ROUND_S", 0.01)


async def made(*names):
    world = Hubs()
    buses = [await world.join(name) for name in names]
    await until(lambda: all(len(bus.nodes()) == len(names) for bus in buses))
    fakes = [FakeAccounts() for _ in buses]
    found = [
        ClusterAccounts(bus, cast("Any", fake), Shares(bus)) for bus, fake in zip(buses, fakes, strict=True)
    ]
    for bus, accounts in zip(buses, found, strict=True):

        async def answer(data, node, accounts=accounts):
            return accounts.answer(data)

        bus.serve(answer)
    return world, buses, fakes, found


async def test_a_new_node_learns_the_pages_of_one_node_of_each_machine():
    _, _, fakes, found = await made("a.1", "b.1", "b.2", "a.2")
    await found[0].start()
    await found[0].stop()
    assert fakes[0].begun
    assert fakes[0].learnt == [(b"one", ""), (b"two", ""), (b"one", "b"), (b"two", "b")]


async def test_registrations_and_failed_logins_are_told_to_the_others():
    _, _, fakes, _ = await made("a.1", "b.1")
    fakes[0].on_registered(b"alice")
    fakes[0].on_failed_login("192.0.2.1")
    await until(lambda: fakes[1].failed)
    assert fakes[1].learnt == [(b"alice", "a")]
    assert (fakes[0].learnt, fakes[0].failed) == ([], [])


async def test_a_trunk_is_registered_by_one_node_and_by_another_when_that_is_lost():
    world, buses, fakes, found = await made("a.1", "a.2")
    for accounts in found:
        await accounts.start()
    await until(lambda: any(fake.held.get("carrier") for fake in fakes))
    holder = next(number for number, fake in enumerate(fakes) if fake.held.get("carrier"))
    assert not fakes[1 - holder].held.get("carrier")
    await world.lose(buses[holder])
    await until(lambda: fakes[1 - holder].held.get("carrier"))
    for accounts in found:
        accounts._tasks.cancel()


async def test_a_node_that_retires_leaves_its_trunks_to_another_and_takes_none_again():
    _, _, fakes, found = await made("a.1", "a.2")
    await found[0].start()
    await until(lambda: fakes[0].held.get("carrier"))
    await found[1].start()
    await found[0].retire()
    await until(lambda: fakes[1].held.get("carrier"))
    assert not fakes[0].held["carrier"]
    await found[1].retire()
    await asyncio.sleep(0.05)  # some rounds
    assert [fake.held["carrier"] for fake in fakes] == [False, False]
    await found[0].stop()


async def test_each_user_has_one_node_that_keeps_its_phones_awake():
    _, _, fakes, _ = await made("a.1", "a.2", "b.1")
    for name in ("alice", "bob", "carol"):
        assert sum(fake.keeps(name) for fake in fakes) == 1
    assert fakes[0].share() == pytest.approx(1 / 3)
