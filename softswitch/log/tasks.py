"""Background tasks: those that run outside a call's TaskGroup. All packages above this one start them here.

A bare `loop.create_task` may be collected while it runs, and its exception is reported when the task is
collected, without the call it belonged to. Tasks that are started here are kept, a failure is logged at once
with its owner, its name and the id of the call (fields `owner`, `task`, `call`), and failures are counted by
package (`softswitch_background_tasks_failed_total`).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from softswitch.log.lines import call_id

logger = logging.getLogger(__name__)

FAILED: Counter[str] = Counter(
    dict.fromkeys(("agent", "egress", "legs", "speech", "switch", "web", "webhooks"), 0)
)
"""Background tasks of this process that ended with an exception, by package; alarms need the zeros."""
RUNNING: set[asyncio.Task[Any]] = set()
"""Background tasks of this process that have not ended."""

Work = Coroutine[Any, Any, Any]
OnFailure = Callable[[BaseException], object]


def spawn(
    work: Work,
    *,
    package: str,
    owner: str = "",
    name: str = "",
    call: str = "",
    on_failure: OnFailure | None = None,
    among: set[asyncio.Task[Any]] | None = None,
) -> asyncio.Task[Any]:
    """Start a task that nothing waits for; log and count its failure.

    Args:
        work: Coroutine to run.
        package: Package that starts it: the label of the metric, so one of a few fixed words.
        owner: Part of the package that starts it, for the log: "sip driver"; empty: the package.
        name: What the task does, for the log: "webhook", "call record".
        call: Id of the call or room it works for, for the log; empty: that of the current context.
        on_failure: Called with the exception after it was logged. It must not raise.
        among: Set of tasks that has this one until it has ended.
    """
    task = asyncio.get_running_loop().create_task(work, name=name or package)
    RUNNING.add(task)
    if among is not None:
        among.add(task)
    call = call or call_id.get()

    def ended(done: asyncio.Task[Any]) -> None:
        RUNNING.discard(done)
        if among is not None:
            among.discard(done)
        if done.cancelled() or (error := done.exception()) is None:
            return
        FAILED[package] += 1
        extra = {"owner": owner or package, "task": done.get_name(), **({"call": call} if call else {})}
        logger.error("a background task failed", exc_info=error, extra=extra)
        if on_failure is not None:
            on_failure(error)

    task.add_done_callback(ended)
    return task


class Tasks:
    """Background tasks of one object, which it waits for or cancels when it ends."""

    def __init__(self, package: str, owner: str = "") -> None:
        """Start without tasks; see :func:`spawn` for ``package`` and ``owner``."""
        self._package = package
        self._owner = owner
        self._tasks: set[asyncio.Task[Any]] = set()
        self.failures = 0
        """Tasks that ended with an exception."""

    def __len__(self) -> int:
        """Return how many tasks are running."""
        return len(self._tasks)

    def spawn(
        self, work: Work, *, name: str = "", call: str = "", on_failure: OnFailure | None = None
    ) -> asyncio.Task[Any]:
        """Start a task; see :func:`spawn`."""

        def failed(error: BaseException) -> None:
            self.failures += 1
            if on_failure is not None:
                on_failure(error)

        return spawn(
            work,
            package=self._package,
            owner=self._owner,
            name=name,
            call=call,
            on_failure=failed,
            among=self._tasks,
        )

    async def join(self, timeout_s: float | None = None) -> None:
        """Wait until all tasks have ended, for at most ``timeout_s`` seconds if given; cancel none."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout_s)

    def cancel(self) -> None:
        """Cancel all tasks."""
        for task in list(self._tasks):
            task.cancel()

    async def stop(self, timeout_s: float = 0.0) -> None:
        """Wait ``timeout_s`` seconds for the tasks; cancel those left, and wait until they have ended."""
        if timeout_s:
            await self.join(timeout_s)
        self.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))
