"""Webhooks and event feeds of all nodes: what one adds, all use; a feed hears of the calls of every node."""

import secrets

import msgspec

from softswitch.bus.bus import Bus
from softswitch.errors import UnavailableError
from softswitch.log.tasks import Tasks
from softswitch.switch.notify.webhooks import Webhooks


class FeedMessage(msgspec.Struct, frozen=True, array_like=True):
    """A message about a call, for the feeds of other nodes."""

    owner: str
    waits: bool
    body: bytes


class ClusterWebhooks:
    """The webhooks and feeds of this node among those of all."""

    def __init__(self, bus: Bus, webhooks: Webhooks) -> None:
        """Tell the others, and listen to them."""
        self._bus = bus
        self._webhooks = webhooks
        self._tasks = Tasks("cluster")
        self._far: dict[str, int] = {}
        """Number of feeds of each other node that has some."""
        webhooks.on_changed = lambda: bus.publish("webhooks", b"")
        webhooks.on_feeds = self._tell
        webhooks.far_feeds = lambda: sum(self._far.values())
        webhooks.on_feed = self._send
        # Nodes that count on would give one id twice.
        webhooks.new_id = lambda: secrets.randbelow(2**31 - 1) + 1
        bus.subscribe("webhooks", lambda data, node: self._reload())
        bus.subscribe("feeds", self._heard_count)
        bus.subscribe("feed", self._heard)
        bus.subscribe("hello", lambda data, node: self._tell())
        bus.on_lost(self._lost)

    def _tell(self) -> None:
        self._bus.publish("feeds", str(self._webhooks.feeds).encode())

    def _heard_count(self, data: bytes, node: str) -> None:
        if count := int(data):
            self._far[node] = count
        else:
            self._far.pop(node, None)

    def _lost(self, node: str) -> None:
        self._far.pop(node, None)

    def _send(self, owner: str, waits: bool, body: bytes) -> None:
        if self._far:
            self._bus.publish("feed", msgspec.msgpack.encode(FeedMessage(owner, waits, body)))

    def _heard(self, data: bytes, node: str) -> None:
        message = msgspec.msgpack.decode(data, type=FeedMessage)
        self._webhooks.feed_here(message.owner, waits=message.waits, body=message.body)

    def _reload(self) -> None:
        self._tasks.spawn(self._read(), name="webhooks of all nodes")

    async def _read(self) -> None:
        try:
            await self._webhooks.start()
        except UnavailableError:
            return  # the next change reads them
