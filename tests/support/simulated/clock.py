"""The simulated clock, and an event loop that runs by it."""

import asyncio
import gc
import heapq
import selectors
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

EPOCH_S = 1_800_000_000.0
"""Wall-clock time at which simulations begin, in epoch seconds."""
START_S = 1000.0
"""Monotonic time at which simulations begin, in seconds."""


MOST_ROUNDS = 50_000
"""Rounds of the loop at one moment, after which it counts as stuck."""


class Stuck(AssertionError):
    """Everything waits, and nothing is due: the simulation would stand still for ever."""


class SimClock:
    """Time that passes only while nothing else is to be done."""

    def __init__(self) -> None:
        """Begin at `START_S`."""
        self.now = START_S

    def monotonic(self) -> float:
        """Return the monotonic time, as `time.monotonic`."""
        return self.now

    def time(self) -> float:
        """Return the wall-clock time, as `time.time`."""
        return EPOCH_S + self.now - START_S


class _Selector(selectors.DefaultSelector):
    """A selector that lets the time pass in place of waiting."""

    def __init__(self, clock: SimClock) -> None:
        super().__init__()
        self._clock = clock
        self._rounds = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # Each round takes a nanosecond, so that a timer that was rounded down is due in the next one.
        self._clock.now += 1e-9
        found = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            self._rounds += 1
            if self._rounds > MOST_ROUNDS:
                raise Stuck("the loop turns without end at one moment")
            return found
        self._rounds = 0
        if timeout is None:
            raise Stuck("nothing is due")
        self._clock.now += timeout
        return super().select(0)


class SimLoop(asyncio.SelectorEventLoop):
    """An event loop on a simulated clock. Work for other threads is done at once, in this one."""

    def __init__(self, clock: SimClock) -> None:
        """Begin at the clock's time."""
        super().__init__(_Selector(clock))
        self._sim_clock = clock
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Return the simulated time in seconds."""
        return self._sim_clock.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Call a function now; return its outcome as a future."""
        future: asyncio.Future[Any] = self.create_future()
        try:
            future.set_result(func(*args))
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            future.set_exception(error)
        return future

    async def sendfile(
        self, transport: Any, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool = True
    ) -> int:
        """Write a file to a transport."""
        file.seek(offset)
        data = file.read(-1 if count is None else count)
        transport.write(data)
        return len(data)


class Ordered:
    """Deliveries over one connection: each takes its own time, and none overtakes another."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: Callable[[], float]) -> None:
        """Deliver on a loop; `delay` returns seconds."""
        self._loop = loop
        self._delay = delay
        self._last = 0.0
        self._waiting: list[tuple[float, int, Callable[[], object]]] = []
        self._count = 0

    def deliver(self, work: Callable[[], object]) -> None:
        """Do something after a delay, and after all that was given before."""
        self._last = max(self._last, self._loop.time() + self._delay())
        self._count += 1
        heapq.heappush(self._waiting, (self._last, self._count, work))
        self._loop.call_at(self._last, self._next)

    def _next(self) -> None:
        if self._waiting:
            heapq.heappop(self._waiting)[2]()


def _functions() -> Iterator[types.FunctionType]:
    for one in gc.get_objects():
        if type(one) is types.FunctionType and str(one.__module__).startswith("softswitch"):
            yield one


@contextmanager
def simulated_time(clock: SimClock) -> Iterator[None]:
    """Have the whole process read a simulated clock, defaults of arguments of the switch included."""
    real = {time.monotonic: clock.monotonic, time.time: clock.time}
    changed: list[tuple[Any, str, Any]] = []

    def change(owner: Any, name: str, value: Any) -> None:
        changed.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def swap(value: Any) -> Any:
        return real.get(value, value) if isinstance(value, types.BuiltinFunctionType) else value

    for function in _functions():
        defaults, keywords = function.__defaults__, function.__kwdefaults__
        if defaults and any(swap(one) is not one for one in defaults):
            change(function, "__defaults__", tuple(swap(one) for one in defaults))
        if keywords and any(swap(one) is not one for one in keywords.values()):
            change(function, "__kwdefaults__", {name: swap(one) for name, one in keywords.items()})
    change(time, "monotonic", clock.monotonic)
    change(time, "time", clock.time)
    try:
        yield
    finally:
        for owner, name, value in reversed(changed):
            setattr(owner, name, value)
