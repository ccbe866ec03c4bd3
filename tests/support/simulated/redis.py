"""A Redis server in memory, as far as the bus uses one: seeded delays, connections that can be cut."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self

from redis.exceptions import ConnectionError as RedisConnectionError

from softswitch.bus import redis_bus
from tests.support.simulated.clock import Ordered

Key = str
Value = bytes


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


class SimRedis:
    """The server: keys, hashes, one sorted set and topics."""

    def __init__(self, clock: Callable[[], float], delay: Callable[[], float]) -> None:
        """Start empty.

        Args:
            clock: epoch seconds.
            delay: returns how long a command or message is under way, in seconds.
        """
        self.clock = clock
        self.delay = delay
        self.away = False
        """Whether the server answers none."""
        self.cut: set[str] = set()
        """Nodes that do not reach it."""
        self._keys: dict[Key, Value] = {}
        self._ends: dict[Key, float] = {}
        self._hashes: dict[Key, dict[str, Value]] = {}
        self._sets: dict[Key, dict[str, float]] = {}
        self._readers: list[_Topics] = []

    def lose_all(self) -> None:
        """Forget everything, as a server without a disk does that starts anew."""
        for table in (self._keys, self._ends, self._hashes, self._sets):
            table.clear()

    def reaches(self, node: str) -> bool:
        """Tell whether a node reaches the server."""
        return not self.away and node not in self.cut

    def drop_readers(self) -> None:
        """Cut the topics of nodes that do not reach the server."""
        for reader in list(self._readers):
            if not self.reaches(reader.node):
                reader.fail()

    def holders(self, prefix: str) -> dict[str, str]:
        """Return the owner of each key of the bus with a prefix."""
        start = f"{redis_bus.PREFIX}key:{prefix}"
        return {
            key.removeprefix(f"{redis_bus.PREFIX}key:"): owner.decode()
            for key, owner in self._keys.items()
            if key.startswith(start)
        }

    # --- commands -----------------------------------------------------------------------------

    def get(self, key: Key) -> Value | None:
        if self._ends.get(key, self.clock() + 1) <= self.clock():
            self._keys.pop(key, None)
            self._ends.pop(key, None)
        return self._keys.get(key)

    def set(self, key: Key, value: object, *, ex: float) -> bool:
        self._set(key, value, ex * 1000)
        return True

    def delete(self, key: Key) -> int:
        return 0 if self._keys.pop(key, None) is None else 1

    def _set(self, key: Key, value: object, ttl_ms: float = 0) -> None:
        self._keys[key] = _bytes(value)
        self._ends.pop(key, None)
        if ttl_ms:
            self._ends[key] = self.clock() + ttl_ms / 1000

    def hget(self, key: Key, name: str) -> Value | None:
        return self._hashes.get(key, {}).get(name)

    def hgetall(self, key: Key) -> dict[bytes, Value]:
        return {name.encode(): value for name, value in self._hashes.get(key, {}).items()}

    def zadd(self, key: Key, members: dict[str, float]) -> int:
        self._sets.setdefault(key, {}).update(members)
        return 1

    def zrem(self, key: Key, member: str) -> int:
        return 0 if self._sets.get(key, {}).pop(member, None) is None else 1

    def zscore(self, key: Key, member: str) -> float | None:
        return self._sets.get(key, {}).get(member)

    def zrange(self, key: Key, first: int, last: int, *, withscores: bool) -> list[tuple[bytes, float]]:
        members = sorted(self._sets.get(key, {}).items(), key=lambda one: (one[1], one[0]))
        return [(name.encode(), score) for name, score in members]

    def time(self) -> tuple[int, int]:
        now = self.clock()
        return int(now), int(now % 1 * 1_000_000)

    def publish(self, topic: str, data: bytes) -> int:
        for reader in list(self._readers):
            if topic in reader.topics and self.reaches(reader.node):
                reader.take(data)
        return len(self._readers)

    def eval(self, script: str, count: int, *words: Any) -> object:
        """Run one of the scripts of the bus, which tests/bus run on a real server as well."""
        keys, arguments = words[:count], words[count:]
        return _SCRIPTS[script](self, keys, arguments)


def _put(server: SimRedis, keys: Any, words: Any) -> int:
    node, key, only_new, prefix, value = words
    owner = (server.get(keys[0]) or b"").decode()
    if only_new == "1" and owner and owner != node and server.zscore(keys[2], owner) is not None:
        return 0
    if owner and owner != node:
        server._hashes.get(prefix + owner, {}).pop(key, None)
    server._set(keys[0], node)
    server._hashes.setdefault(keys[1], {})[key] = value
    return 1


def _delete(server: SimRedis, keys: Any, words: Any) -> int:
    node, key = words
    if server.get(keys[0]) == node.encode():
        server._keys.pop(keys[0])
    return 0 if server._hashes.get(keys[1], {}).pop(key, None) is None else 1


def _lease(server: SimRedis, keys: Any, words: Any) -> int:
    node, ttl_ms = words
    held = server.get(keys[0])
    if held is not None:
        holder, _, fence = held.decode().rpartition(" ")
        if holder != node:
            return 0
        server._set(keys[0], held, float(ttl_ms))
        return int(fence)
    fence = str(int(server.get(keys[1]) or 0) + 1)
    server._set(keys[1], fence)
    server._set(keys[0], f"{node} {fence}", float(ttl_ms))
    return int(fence)


def _release(server: SimRedis, keys: Any, words: Any) -> int:
    held = server.get(keys[0])
    if held is not None and held.decode().rpartition(" ")[2] == words[0]:
        server._keys.pop(keys[0])
    return 1


def _clear(server: SimRedis, keys: Any, words: Any) -> int:
    node, prefix = words
    for key in server._hashes.pop(keys[0], {}):
        if server.get(prefix + key) == node.encode():
            server._keys.pop(prefix + key)
    return 1


_SCRIPTS = {
    redis_bus._PUT: _put,
    redis_bus._DELETE: _delete,
    redis_bus._LEASE: _lease,
    redis_bus._RELEASE: _release,
    redis_bus._CLEAR: _clear,
}


class _Topics:
    """The subscription of one node, as an asynchronous context."""

    def __init__(self, server: SimRedis, node: str) -> None:
        self._server = server
        self.node = node
        self.topics: set[str] = set()
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._order = Ordered(asyncio.get_running_loop(), server.delay)

    async def __aenter__(self) -> Self:
        if not self._server.reaches(self.node):
            raise RedisConnectionError("away")
        self._server._readers.append(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server._readers.remove(self)

    async def subscribe(self, *topics: str) -> None:
        self.topics |= set(topics)

    def take(self, data: bytes) -> None:
        self._order.deliver(lambda: self._queue.put_nowait(data))

    def fail(self) -> None:
        self._queue.put_nowait(None)

    async def listen(self) -> AsyncIterator[dict[str, bytes]]:
        while True:
            data = await self._queue.get()
            if data is None:
                raise RedisConnectionError("cut")
            yield {"data": data}


class SimRedisClient:
    """The connections of one node, in place of redis-py's client."""

    def __init__(self, server: SimRedis, node: str) -> None:
        self._server = server
        self._node = node

    def __getattr__(self, name: str) -> Callable[..., Any]:
        command = getattr(self._server, name)

        async def ask(*words: Any, **options: Any) -> Any:
            await self._trip()
            answer = command(*words, **options)
            await self._trip()
            return answer

        return ask

    def pubsub(self, *, ignore_subscribe_messages: bool) -> _Topics:
        return _Topics(self._server, self._node)

    async def aclose(self) -> None:
        """Close."""

    async def _trip(self) -> None:
        if self._server.reaches(self._node):
            await asyncio.sleep(self._server.delay() / 2)
        if not self._server.reaches(self._node):
            raise RedisConnectionError("away")
