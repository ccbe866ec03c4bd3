"""The bus of several machines: Redis or Valkey, with the extra [redis].

Entries are a hash for each node, and a key for each entry that names its node. Nodes are a sorted set by the
end of their life, which each node extends. Without Redis everything fails at once with `BusError`, and calls
go on.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from softswitch.bus.bus import BusError, Entry, Fenced, OnMessage, OnRequest
from softswitch.bus.frames import Frame, pack, unpack
from softswitch.bus.hub_bus import ANSWER_S, HubBus
from softswitch.errors import UnavailableError
from softswitch.log.tasks import Tasks

logger = logging.getLogger(__name__)

PREFIX = "softswitch:"
MOST_QUEUED = 20_000
"""Messages that wait for Redis; then the oldest is dropped and counted."""
FENCED_S = 86_400
"""Time in which a node that was declared lost learns it when it is back, in seconds."""
RETRY_S = 0.5
"""Pause after a failure of Redis, in seconds."""

_PUT = """
local owner = redis.call('GET', KEYS[1])
if ARGV[3] == '1' and owner and owner ~= ARGV[1] then
  local alive = redis.call('ZSCORE', KEYS[3], owner)
  if alive then return 0 end
end
if owner and owner ~= ARGV[1] then redis.call('HDEL', ARGV[4] .. owner, ARGV[2]) end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[5])
return 1
"""
_DELETE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return redis.call('HDEL', KEYS[2], ARGV[2])
"""
_LEASE = """
local held = redis.call('GET', KEYS[1])
if held then
  local node, fence = string.match(held, '^(.*) (%d+)$')
  if node ~= ARGV[1] then return 0 end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return tonumber(fence)
end
local fence = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. fence, 'PX', ARGV[2])
return fence
"""
_RELEASE = """
local held = redis.call('GET', KEYS[1])
if held and string.match(held, ' (%d+)$') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
_CLEAR = """
for _, key in ipairs(redis.call('HKEYS', KEYS[1])) do
  if redis.call('GET', ARGV[2] .. key) == ARGV[1] then redis.call('DEL', ARGV[2] .. key) end
end
return redis.call('DEL', KEYS[1])
"""

Probe = Callable[[str], Awaitable[bool]]
"""Tells whether a node answers directly, without the bus."""


class RedisBus:
    """The bus of one node through Redis (a `Bus`)."""

    def __init__(self, url: str, node: str, ttl_s: float) -> None:
        """Prepare; `start` comes next.

        Args:
            url: URL of Redis.
            node: Name of this node.
            ttl_s: Lifetime of a node without a sign of life, in seconds.

        Raises:
            UnavailableError: The extra [redis] is not installed.
        """
        try:
            # Only here: the library takes 6 MB.
            from redis.asyncio import Redis  # noqa: PLC0415
            from redis.exceptions import RedisError  # noqa: PLC0415
        except ImportError as error:
            raise UnavailableError("redis is not installed: pip install softswitch[redis]") from error
        self._faults = RedisError, OSError
        self.node = node
        self._ttl_s = ttl_s
        self._redis: Any = Redis.from_url(
            url, socket_connect_timeout=1.0, socket_timeout=ANSWER_S, health_check_interval=5
        )
        self._listening: Any = Redis.from_url(url, socket_connect_timeout=1.0)
        self._inner = HubBus(node, self._queue)
        """Questions to other nodes and their answers, and the topics."""
        self._outgoing: deque[bytes] = deque(maxlen=MOST_QUEUED)
        self._wake = asyncio.Event()
        self._tasks = Tasks("bus")
        self._nodes = [node]
        self._seen = {node}
        """Nodes whose end was not heard of yet: a round may miss a node before it hears that it is lost."""
        self._lost: list[Callable[[str], None]] = []
        self._up_since = 0.0
        self._joined = False
        self.probe: Probe = _silent
        """Asks a node directly before it is declared lost."""
        self.on_back: Callable[[], None] = lambda: None
        """Called when Redis is back: it may have lost everything."""
        self.on_fenced: Callable[[], None] = lambda: None
        """Called when the other nodes have declared this one lost: it ends its calls."""
        self.dropped = 0
        """Messages that were dropped while Redis was away."""
        self.failures = 0
        """Failures of Redis."""

    @property
    def is_up(self) -> bool:
        """Whether Redis answered last."""
        return bool(self._up_since)

    async def start(self) -> None:
        """Join; without Redis the node begins alone, and joins when Redis is there."""
        try:
            await self._call(self._forget_former())
            await self._round()
        except BusError as error:
            logger.error("the bus is away: beginning alone", extra={"error": str(error)})
        self._tasks.spawn(self._live(), name="sign of life")
        self._tasks.spawn(self._send_queued(), name="bus messages")
        self._tasks.spawn(self._listen(), name="bus topics")

    async def stop(self) -> None:
        """Leave: the others need not wait for the end of this node's life."""
        self._tasks.cancel()
        with contextlib.suppress(BusError):
            await self._call(self._redis.zrem(f"{PREFIX}nodes", self.node))
            await self._call(self._publish("gone", self.node.encode()))
        for client in (self._redis, self._listening):
            with contextlib.suppress(*self._faults):
                await client.aclose()
        self._inner.close()

    # --- entries ------------------------------------------------------------------------------

    async def put(self, key: str, value: bytes, *, only_new: bool = False) -> bool:
        """Put an entry."""
        keys = (f"{PREFIX}key:{key}", f"{PREFIX}of:{self.node}", f"{PREFIX}nodes")
        arguments = (self.node, key, "1" if only_new else "0", f"{PREFIX}of:", value)
        return bool(await self._call(self._redis.eval(_PUT, len(keys), *keys, *arguments)))

    async def get(self, key: str) -> Entry | None:
        """Return an entry of a live node."""
        owner = await self._call(self._redis.get(f"{PREFIX}key:{key}"))
        if owner is None or owner.decode() not in {*self._nodes, self.node}:
            return None
        value = await self._call(self._redis.hget(f"{PREFIX}of:{owner.decode()}", key))
        return Entry(key, value, owner.decode()) if value is not None else None

    async def delete(self, key: str) -> None:
        """Delete an entry of this node."""
        keys = (f"{PREFIX}key:{key}", f"{PREFIX}of:{self.node}")
        await self._call(self._redis.eval(_DELETE, len(keys), *keys, self.node, key))

    async def scan(self, prefix: str) -> list[Entry]:
        """Return the entries of live nodes whose key begins with a text."""
        return [
            entry
            for node in self._nodes
            for entry in await self._entries(node)
            if entry.key.startswith(prefix)
        ]

    async def tombstones(self, node: str) -> list[Entry]:
        """Return the entries of a lost node."""
        return await self._entries(node)

    async def clear(self, node: str) -> None:
        """Delete the entries of a lost node."""
        await self._call(self._redis.eval(_CLEAR, 1, f"{PREFIX}of:{node}", node, f"{PREFIX}key:"))

    async def lease(self, key: str, ttl_s: float) -> Fenced | None:
        """Take or renew a lease."""
        keys = (f"{PREFIX}lease:{key}", f"{PREFIX}fence")
        fence = await self._call(
            self._redis.eval(_LEASE, len(keys), *keys, self.node, str(int(ttl_s * 1000)))
        )
        return Fenced(key, int(fence)) if fence else None

    async def release(self, lease: Fenced) -> None:
        """Give a lease back."""
        await self._call(self._redis.eval(_RELEASE, 1, f"{PREFIX}lease:{lease.key}", str(lease.fence)))

    async def _entries(self, node: str) -> list[Entry]:
        found = await self._call(self._redis.hgetall(f"{PREFIX}of:{node}"))
        return [Entry(key.decode(), value, node) for key, value in found.items()]

    # --- messages -----------------------------------------------------------------------------

    def publish(self, topic: str, data: bytes) -> None:
        """Send a message to all other nodes."""
        self._inner.publish(topic, data)

    def subscribe(self, topic: str, on_message: OnMessage) -> None:
        """Receive the messages of a topic."""
        self._inner.subscribe(topic, on_message)

    async def request(self, node: str, data: bytes, timeout_s: float = 2.0) -> bytes:
        """Ask another node."""
        return await self._inner.request(node, data, timeout_s)

    def serve(self, on_request: OnRequest) -> None:
        """Answer requests."""
        self._inner.serve(on_request)

    def nodes(self) -> list[str]:
        """Return the live nodes."""
        return list(self._nodes)

    def on_lost(self, lost: Callable[[str], None]) -> None:
        """Have a function called with each node that is lost."""
        self._lost.append(lost)

    def _queue(self, data: bytes) -> bool:
        """Queue a frame of `HubBus`; the sender drops what Redis does not take."""
        if len(self._outgoing) >= MOST_QUEUED:
            self.dropped += 1
        self._outgoing.append(data)
        self._wake.set()
        return True

    async def _send_queued(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outgoing:
                frame = unpack(self._outgoing.popleft())
                try:
                    if frame.kind == "publish":
                        await self._call(self._publish(frame.key, frame.value))
                    else:
                        to = frame.node
                        frame.node = self.node
                        await self._call(self._redis.publish(f"{PREFIX}to:{to}", pack(frame)))
                except BusError:
                    self.dropped += 1

    async def _publish(self, topic: str, data: bytes) -> object:
        frame = Frame("publish", key=topic, value=data, node=self.node)
        return await self._redis.publish(f"{PREFIX}all", pack(frame))

    async def _listen(self) -> None:
        while True:
            try:
                async with self._listening.pubsub(ignore_subscribe_messages=True) as topics:
                    await topics.subscribe(f"{PREFIX}all", f"{PREFIX}to:{self.node}")
                    async for message in topics.listen():
                        self._heard(message["data"])
            except self._faults:
                await asyncio.sleep(RETRY_S)

    def _heard(self, data: bytes) -> None:
        try:
            frame = unpack(data)
        except msgspec.MsgspecError:
            self.failures += 1
            return
        if frame.node == self.node:
            return
        if frame.kind == "publish" and frame.key in ("gone", "lost"):
            self._gone(frame.value.decode())
            return
        self._inner.receive(data)

    # --- life and death -----------------------------------------------------------------------

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(self._ttl_s / 3)
            try:
                await self._round()
            except BusError:
                continue  # counted; the next round tries again

    async def _round(self) -> None:
        """Extend the life of this node, and see who else lives."""
        was_up = self.is_up
        seconds, micros = await self._call(self._redis.time())
        now = int(seconds) * 1000 + int(micros) // 1000
        if self._joined and await self._call(self._redis.get(f"{PREFIX}fenced:{self.node}")) is not None:
            # Not that its entry is missing: a Redis that was started anew has no entries at all.
            await self._call(self._redis.delete(f"{PREFIX}fenced:{self.node}"))
            logger.error("this node was declared lost: its calls are ended")
            self.on_fenced()
        await self._call(self._redis.zadd(f"{PREFIX}nodes", {self.node: now + int(self._ttl_s * 1000)}))
        self._joined = True
        if not was_up:
            self._up_since = time.monotonic()
            self.on_back()
        rows = await self._call(self._redis.zrange(f"{PREFIX}nodes", 0, -1, withscores=True))
        self._nodes = sorted({self.node, *(name.decode() for name, _ in rows)})
        self._seen.update(self._nodes)
        # Redis may have been away: no node is lost before all have had two lifetimes to come back.
        if time.monotonic() - self._up_since < 2 * self._ttl_s:
            return
        for name, until in rows:
            if until < now and name.decode() != self.node:
                await self._suspect(name.decode())

    async def _suspect(self, node: str) -> None:
        """Declare a node lost that gives no sign of life and does not answer directly."""
        if await self.probe(node):
            return
        if await self.lease(f"lost:{node}", self._ttl_s) is None:
            return
        await self._call(self._redis.set(f"{PREFIX}fenced:{node}", "1", ex=FENCED_S))
        if not await self._call(self._redis.zrem(f"{PREFIX}nodes", node)):
            return
        logger.error("a node is lost", extra={"node": node})
        await self._call(self._publish("lost", node.encode()))
        self._gone(node)

    def _gone(self, node: str) -> None:
        if node in self._seen and node != self.node:
            self._seen.discard(node)
            self._nodes = [name for name in self._nodes if name != node]
            for lost in self._lost:
                lost(node)

    async def _forget_former(self) -> object:
        """Delete what an earlier process of this name has put."""
        await self._redis.delete(f"{PREFIX}fenced:{self.node}")
        return await self._redis.eval(_CLEAR, 1, f"{PREFIX}of:{self.node}", self.node, f"{PREFIX}key:")

    async def _call(self, work: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await work
        except (*self._faults, TimeoutError) as error:
            self.failures += 1
            if self.is_up:
                logger.error("the bus is away: calls go on", extra={"error": type(error).__name__})
            self._up_since = 0.0
            raise BusError("Redis cannot be reached") from error


async def _silent(node: str) -> bool:
    """Tell that a node does not answer."""
    return False
