"""The life of one leg, shared by the legs of SIP, WebRTC and pyVoIP: its job queue, its reports and its end.

A leg does what has to wait (negotiation, DNS, gathering) in one task, job after job, so that offers, answers
and commands keep their order. Whatever ends the leg goes through :meth:`LegLifecycle.end`, which acts once.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Literal

from softswitch.call.interfaces import LegRequest
from softswitch.call.vocabulary.reports import LegFailed, LegWarned, Report
from softswitch.flags import Flag

logger = logging.getLogger(__name__)

MAX_JOBS = 64
"""Jobs of one leg that may wait in its queue."""

LegKind = Literal["sip", "webrtc"]
Job = Callable[[], Coroutine[None, None, None]]
OnReport = Callable[[Report], None]


class LegLifecycle:
    """Job queue, reports and end of one leg.

    It drops its references to the leg at the end, so that an ended leg is freed without the garbage
    collector (docs/adr/0013).
    """

    def __init__(
        self,
        kind: LegKind,
        request: LegRequest,
        on_report: OnReport | None,
        release: Callable[[], None],
        *,
        on_stopped: Callable[[], Coroutine[None, None, None]] | None = None,
    ) -> None:
        """Make the lifecycle of a leg that does nothing yet.

        Args:
            kind: names the leg in the log, in its task and as the sender of internal errors.
            request: the request that the leg was made for.
            on_report: takes the leg's reports; None: the request of the call comes later, by `adopt`.
            release: called once by `end`, before the last report: frees what the leg holds.
            on_stopped: awaited as the last act of the task: releases what needs waiting.
        """
        self.request = request
        self._kind: LegKind = kind
        self._on_report = on_report
        self._release: Callable[[], None] | None = release
        self.is_over = False
        """Whether the leg has ended."""
        self._on_stopped = on_stopped
        self._jobs: deque[Job] = deque()
        self._wakening: asyncio.Future[None] | None = None
        """What the task awaits while there is no job."""
        self._task: asyncio.Task[None] | None = None
        self._stopped = Flag()
        """Set when the task has ended."""
        self._work: set[asyncio.Task[None]] = set()
        self._accepts_work = False
        self.is_started = False
        """Whether the task was started."""
        self._on_task_done: Callable[[], None] = _nothing

    # --- reports --------------------------------------------------------------------------

    @property
    def is_adopted(self) -> bool:
        """Tell whether reports have a receiver: false before the call of an incoming leg is known."""
        return self._on_report is not None

    def adopt(self, request: LegRequest, on_report: OnReport) -> None:
        """Take the request of the call that a pending incoming leg became part of."""
        self.request = request
        if not self.is_over:
            self._on_report = on_report

    def report(self, report: Report) -> None:
        """Report, unless the leg has ended."""
        if self._on_report is not None and not self.is_over:
            self._on_report(report)

    def warn(self, sender: str, error: str, code: int = 400) -> None:
        """Report a fault that does not end the leg."""
        self.report(LegWarned(self.request.leg, sender, error, code))

    # --- jobs -----------------------------------------------------------------------------

    def enqueue(self, job: Job) -> bool:
        """Let the leg's task do a job after all that wait already; False where the queue is full.

        A job of a leg that has ended is dropped.
        """
        if self.is_over:
            return True
        if len(self._jobs) >= MAX_JOBS:
            return False
        self._jobs.append(job)
        if self._wakening is not None and not self._wakening.done():
            self._wakening.set_result(None)
        return True

    def start(self, on_task_done: Callable[[], None] | None = None) -> None:
        """Start the task that does the jobs, unless it runs or the leg has ended.

        Args:
            on_task_done: called once when the task has ended and released everything.
        """
        if self.is_started or self.is_over:
            return
        self.is_started = self._accepts_work = True
        if on_task_done is not None:
            self._on_task_done = on_task_done
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._run(), name=f"{self._kind} {self.request.port}")
        self._task.add_done_callback(self._task_done)

    @property
    def accepts_work(self) -> bool:
        """Whether the leg's task runs, so that :meth:`spawn` may be called."""
        return self._accepts_work

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine beside the jobs; it is cancelled when the leg ends.

        Raises:
            RuntimeError: the leg's task does not run.
        """
        if not self._accepts_work:
            raise RuntimeError("the leg's task does not run")
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work_done)

    # --- the end --------------------------------------------------------------------------

    def end(self, report: Report | None) -> bool:
        """End the leg: release what it holds, cancel its task, then report why. Only the first call counts.

        Args:
            report: the last report; None where the call itself ended the leg.

        Returns:
            Whether this call ended the leg.
        """
        release, self._release = self._release, None
        if release is None:
            return False
        self.is_over = True
        on_report, self._on_report = self._on_report, None
        release()
        self._jobs.clear()
        if self._task is not None:
            self._task.cancel()
        else:
            self._on_stopped = None
        if report is not None and on_report is not None:
            on_report(report)
        return True

    async def closed(self) -> None:
        """Return when the task has ended."""
        if self._task is not None:
            await self._stopped.wait()

    async def _run(self) -> None:
        # Not a TaskGroup: up to Python 3.12 the exception that leaves one is part of a reference cycle.
        try:
            loop = asyncio.get_running_loop()
            while True:
                while not self._jobs:
                    self._wakening = loop.create_future()
                    await self._wakening
                await self._jobs.popleft()()
        finally:
            self._accepts_work = False
            work = set(self._work)
            for task in work:
                task.cancel()
            if work:
                await asyncio.wait(work)
            on_stopped, self._on_stopped = self._on_stopped, None
            if on_stopped is not None:
                await on_stopped()

    def _work_done(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        self._check(task)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        # The task keeps the traceback of its end, and that its frames: without this the leg would be a cycle.
        self._task = None
        self._on_stopped = None
        self._stopped.set()
        self._check(task)
        on_task_done, self._on_task_done = self._on_task_done, _nothing
        on_task_done()

    def _check(self, task: asyncio.Task[None]) -> None:
        """End the leg whose task failed; other legs and calls go on."""
        if not task.cancelled() and (error := task.exception()):
            logger.error(
                "a leg failed",
                extra={
                    "kind": self._kind,
                    "call": self.request.call,
                    "leg": self.request.leg,
                    "port": self.request.port,
                },
                exc_info=error,
            )
            self.end(LegFailed(self.request.leg, self._kind, "internal error", 500))


def _nothing() -> None:
    """Do nothing."""
