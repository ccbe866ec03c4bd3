"""Feeds and webhooks of several nodes."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from softswitch.cluster.webhooks import ClusterWebhooks
from tests.bus.buses import Hubs, until


class FakeWebhooks(SimpleNamespace):
    """Webhooks that remember what reaches their feeds, and how often they were read."""

    def __init__(self):
        super().__init__(feeds=0, heard=[], read=0)

    def feed_here(self, owner, *, waits, body):
        self.heard.append((owner, waits, body))

    async def start(self):
        self.read += 1


async def made(*names):
    world = Hubs()
    buses = [await world.join(name) for name in names]
    await until(lambda: all(len(bus.nodes()) == len(names) for bus in buses))
    fakes = [FakeWebhooks() for _ in buses]
    for bus, fake in zip(buses, fakes, strict=True):
        ClusterWebhooks(bus, cast("Any", fake))
    return world, buses, fakes


async def test_a_message_goes_to_the_nodes_while_one_of_them_has_a_feed():
    world, buses, (one, two) = await made("a.1", "a.2")
    one.on_feed("bot", False, b"lost")
    two.feeds = 1
    two.on_feeds()
    await until(lambda: one.far_feeds() == 1)
    one.on_feed("bot", True, b"heard")
    await until(lambda: two.heard)
    assert two.heard == [("bot", True, b"heard")]
    await world.lose(buses[1])
    await until(lambda: one.far_feeds() == 0)


async def test_a_change_is_read_by_the_others():
    _, _, (one, two) = await made("a.1", "a.2")
    one.on_changed()
    await until(lambda: two.read)
    assert one.read == 0


async def test_a_new_node_is_told_of_feeds():
    _, buses, (one, two) = await made("a.1", "a.2")
    two.feeds = 2
    buses[0].publish("hello", b"")
    await until(lambda: one.far_feeds() == 2)
    await asyncio.sleep(0)
