"""What a switch has of threads, sockets and Redis, replaced for simulations."""

import asyncio
import functools
import math
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any, ClassVar, Self
from unittest.mock import patch

from softswitch.media.engine import tick_thread
from softswitch.media.engine.clock import Histogram
from softswitch.media.messages import Output
from softswitch.store import writer
from softswitch.store.database_store import DatabaseStore
from tests.support.simulated.clock import SimLoop
from tests.support.simulated.network import SimTransports, SipNetwork
from tests.support.simulated.redis import SimRedis, SimRedisClient

STEP_S = 0.1
"""Time between two ticks of the engine, in seconds: audio has a fifth of its pace, and costs a fifth."""


class Stepped:
    """The thread of the engine as a timer of the simulated loop: it ticks while the engine is busy."""

    loop: ClassVar[SimLoop]

    def __init__(
        self, tick: Callable[[float], Output], is_idle: Callable[[], bool], counters: dict[str, int], **_: Any
    ) -> None:
        self.seconds = Histogram()
        self._tick, self._is_idle, self._counters = tick, is_idle, counters
        self._emit: Callable[[Output], None] | None = None
        self._timer: Any = None
        self._number = 0

    def start(self, emit: Callable[[Output], None], on_died: Callable[[], None] | None = None) -> None:
        """Begin."""
        self._emit = emit
        self.wake()

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._is_idle = lambda: True

    def wake(self) -> None:
        """Tick at the next step."""
        if self._emit is not None and self._timer is None and not self._is_idle():
            self._number = max(self._number + 1, math.ceil(self.loop.time() / STEP_S))
            self._timer = self.loop.call_at(self._number * STEP_S, self._once)

    def age_s(self) -> float:
        """Tell that the engine lives."""
        return 0.0

    def _once(self) -> None:
        self._timer = None
        self._counters["ticks"] += 1
        self.hand_out(self._tick(self.loop.time()))
        self.wake()

    hand_out: Any = tick_thread.TickThread.hand_out


class InlineWriter(writer.Writer[Any]):
    """The writer of the store, without its thread: it writes at once."""

    def start(self) -> None:
        """Begin to take items."""
        self._thread = True  # type: ignore[assignment]

    def put(self, item: Any, *, cost: int = 0, future: Any = None) -> bool:
        """Write an item."""
        if not super().put(item, cost=cost, future=None):
            return False
        job = self._queue.get_nowait()
        assert job is not None
        (kept,) = self._write([job.item])
        self._bytes_out += job.cost
        if future is not None:
            future.set_result(kept)
        return True

    async def close(self) -> None:
        """End."""
        self._thread = None


class _NoExecutor:
    """Stands for an executor; the loop does the work itself."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def shutdown(self, *_: object, **__: object) -> None:
        pass


class _NoChanges:
    """The addresses of a machine that do not change."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def wait(self) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()


class _NoThread:
    def __init__(self, **_: object) -> None:
        pass

    def start(self) -> None:
        pass


@contextmanager
def patched(loop: SimLoop, sip: SipNetwork, servers: dict[str, SimRedis]) -> Iterator[None]:
    """Replace threads, sockets and Redis while simulated switches are built and run."""
    Stepped.loop = loop

    def transports(receiver: Any, *_: object, **__: object) -> SimTransports:
        return SimTransports(sip, Owner.name, receiver)

    def redis_client(url: str, **_: object) -> SimRedisClient:
        world, node = url.removeprefix("redis://").split("/")
        return SimRedisClient(servers[world], node)

    def store(settings: Any, member: Any) -> DatabaseStore:
        return DatabaseStore(
            settings.paths.root(),
            node=member.bus.node if member else "",
            is_shared=member is not None,
            is_cluster=bool(member and member.address),
        )

    with ExitStack() as stack:
        replaced: list[tuple[str, Any]] = [
            # Reading the authorities of the system takes most of the time to build a switch.
            ("ssl.create_default_context", functools.cache(ssl.create_default_context)),
            ("softswitch.media.engine.engine.TickThread", Stepped),
            ("softswitch.store.write_queue.Writer", InlineWriter),
            ("softswitch.store.store_thread.ThreadPoolExecutor", _NoExecutor),
            ("softswitch.app.build._store", store),
            ("softswitch.web.readiness.threading.Thread", _NoThread),
            ("softswitch.legs.sip.server.Transports", transports),
            ("softswitch.legs.sip.address_moves.NetworkChanges", _NoChanges),
            ("softswitch.legs.address_watch.NetworkChanges", _NoChanges),
            ("redis.asyncio.Redis", SimpleNamespace(from_url=redis_client)),
        ]
        for target, made in replaced:
            stack.enter_context(patch(target, made))
        yield


class Owner:
    """Name of the node whose parts are being built or run."""

    name: ClassVar[str] = ""
