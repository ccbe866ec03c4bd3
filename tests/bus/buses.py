"""Every kind of bus with several nodes, for one suite: the hub of workers, and Redis."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from softswitch.bus.bus import Bus
from softswitch.bus.hub import Hub
from softswitch.bus.hub_bus import HubBus
from softswitch.bus.redis_bus import RedisBus

TTL_S = 1.0


class Hubs:
    """Nodes at one hub, whose frames pass through the loop."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.cut: set[str] = set()

    async def join(self, node: str) -> Bus:
        """Add a node."""
        loop = asyncio.get_running_loop()

        def up(data: bytes) -> bool:
            if node in self.cut:
                return False
            loop.call_soon(self.hub.receive, node, data)
            return True

        bus = HubBus(node, up)
        self.hub.add(node, lambda data: bool(loop.call_soon(bus.receive, data)))
        await bus.known.wait()
        return bus

    async def lose(self, bus: Any) -> None:
        """End a node without a word."""
        self.cut.add(bus.node)
        self.hub.remove(bus.node)

    async def close(self) -> None:
        """End all."""


class Redises:
    """Nodes at one Redis server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._buses: list[RedisBus] = []

    async def join(self, node: str) -> Bus:
        """Add a node."""
        bus = RedisBus(self._url, node, TTL_S)
        self._buses.append(bus)
        await bus.start()
        return bus

    async def lose(self, bus: Any) -> None:
        """End a node without a word."""
        bus._tasks.cancel()

    async def close(self) -> None:
        """End all."""
        for bus in self._buses:
            await bus.stop()


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def nodes(kind: str, url: str, *names: str) -> AsyncIterator[tuple[Any, list[Any]]]:
    """Run a bus with some nodes, which all know each other; yield it with them."""
    world: Any = Hubs() if kind == "hub" else Redises(url)
    joined = [await world.join(name) for name in names]
    try:
        await until(lambda: all(set(names) <= set(bus.nodes()) for bus in joined))
        yield world, joined
    finally:
        await world.close()
