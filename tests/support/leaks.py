"""Counts of what a test may leave behind, and cancellation at every step of a coroutine."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

Result = TypeVar("Result")


def descriptors() -> int:
    """Return how many file descriptors this process has open (the look itself among them)."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def others() -> set["asyncio.Task[Any]"]:
    """Return all tasks but the one that asks."""
    current = asyncio.current_task()
    return {task for task in asyncio.all_tasks() if task is not current}


async def steps(count: int) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


async def settled(condition: Callable[[], bool], limit_s: float = 60.0) -> bool:
    """Wait until something is so, and tell whether it is."""
    end = asyncio.get_running_loop().time() + limit_s
    while not condition():
        if asyncio.get_running_loop().time() > end:
            return False
        await asyncio.sleep(0.001)
    return True


class _Stepped(Generic[Result]):
    """A coroutine whose task is cancelled at its n-th suspension: as it begins to wait, or as that ends.

    A late cancellation comes when the future is done and the task not yet awake: its result is lost then.
    """

    def __init__(self, work: Coroutine[Any, Any, Result], at: int, *, late: bool) -> None:
        self._work = work
        self._at = at
        self._late = late
        self.taken = 0

    def __await__(self) -> Generator[Any, Any, Result]:
        inner = self._work.__await__()
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                future = inner.throw(error) if error is not None else inner.send(value)
            except StopIteration as stop:
                return cast("Result", stop.value)
            error = None
            if self.taken == self._at:
                task = asyncio.current_task()
                assert task is not None
                if self._late and future is not None:
                    future.add_done_callback(partial(_cancel, task))
                else:
                    task.cancel()  # delivered at this very suspension
            self.taken += 1
            try:
                value = yield future
            except BaseException as thrown:  # noqa: BLE001  (handed on to the coroutine)
                error = thrown


def _cancel(task: "asyncio.Task[Any]", _: "asyncio.Future[Any]") -> None:
    task.cancel()


async def cancelled_at(
    work: Coroutine[Any, Any, Result], at: int, *, late: bool = False
) -> Result | BaseException:
    """Run a coroutine, cancel it at its n-th suspension, and return its result or what it raised."""
    stepped = _Stepped(work, at, late=late)

    async def drive() -> Result:
        return await stepped

    task = asyncio.ensure_future(drive())
    await asyncio.wait([task])
    if task.cancelled():
        return asyncio.CancelledError()
    return task.exception() or task.result()


async def cancelled_everywhere(
    make: Callable[[], Coroutine[Any, Any, Result]],
    release: Callable[[Result], Awaitable[None]],
    check: Callable[[int], Awaitable[None]],
    most: int = 500,
) -> int:
    """Cancel a coroutine at its suspension 0, 1, 2, ..., early and late, until it completes both times.

    Returns how many suspensions there were.

    Args:
        make: makes the coroutine anew.
        release: gives back what a completed one returned.
        check: asserts that nothing is left; is told the step.
        most: suspensions beyond which the test fails.
    """
    for at in range(most):
        done = 0
        for late in (False, True):
            outcome = await cancelled_at(make(), at, late=late)
            if not isinstance(outcome, BaseException):
                done += 1
                await release(outcome)
            await check(at)
        if done == 2:
            return at
    raise AssertionError(f"it does not complete within {most} steps")
