"""The processes of a model seen from the switch: started when needed, given jobs in a fair order, replaced.

A pool holds the jobs that wait, those of lower rank first and equals in the order in which they came. A job
that would have to wait for longer than its caller can bear is refused at once.
"""

import asyncio
import heapq
import itertools
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from softswitch.errors import UnavailableError
from softswitch.speech.builtin import worker_wire as wire
from softswitch.speech.builtin.fork_server import ForkServer, WorkerLostError, WorkerProcess
from softswitch.speech.interface import SpeechBusyError, SpeechUnavailableError

logger = logging.getLogger(__name__)

MAX_WAITING = 512
"""Jobs that may wait in one pool."""
_JOB_S = 30.0
"""Longest time for one job; a worker that takes longer is replaced."""
_LEARN = 0.1
"""Weight of the newest job in the mean speed."""


class JobFailedError(UnavailableError):
    """Say that an engine could not do a job."""


@dataclass(slots=True, eq=False)
class _Job:
    request: dict[str, Any]
    body: bytes
    cost: float
    replies: "asyncio.Queue[bytes | dict[str, Any] | Exception]" = field(default_factory=asyncio.Queue)
    """Pieces, then the result or what went wrong."""
    began: bool = False
    unwanted: bool = False
    tries: int = 0


class WorkerPool:
    """At most `workers` processes with one model."""

    def __init__(
        self,
        name: str,
        engine: str,
        workers: int,
        *,
        speed: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin without processes.

        Args:
            name: for counters and errors, such as ``tts``.
            engine: module with a function ``load``; see :class:`softswitch.speech.builtin.worker.Engine`.
            workers: how many processes there may be.
            speed: cost of jobs that one process works off in a second, before that is measured.
            clock: monotonic seconds.
        """
        self._name = name
        self._server = ForkServer(name, ["softswitch.speech.builtin.worker", engine], clock)
        self._workers = max(workers, 1)
        self._speed = speed
        self._clock = clock
        self._heap: list[tuple[float, int, _Job]] = []
        self._order = itertools.count()
        self._to_do = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False
        self._under_way = 0.0
        self.counters: dict[str, float] = dict.fromkeys(
            (f"{name}_jobs", f"{name}_busy", f"{name}_workers_started", f"{name}_workers_lost"), 0
        )

    @property
    def about(self) -> dict[str, Any]:
        """What the engine tells of itself, known once it is loaded."""
        return self._server.about

    @property
    def idle(self) -> bool:
        """Whether a process has nothing to do."""
        return not self._heap and self._under_way < 1.0

    def wait_s(self, rank: float) -> float:
        """Return the seconds that a job of `rank` would wait for its turn, as far as can be foreseen."""
        ahead = sum(job.cost for other, _, job in self._heap if other <= rank and not job.unwanted)
        return ahead / (self._speed * self._workers)

    async def start(self) -> None:
        """Load the model, unless it is loaded.

        Raises:
            SpeechUnavailableError: it cannot be loaded; it is tried again after a while.
        """
        if self._closed:
            raise SpeechUnavailableError(f"{self._name}: the switch is closing")
        await self._server.start()
        if not self._tasks:
            loop = asyncio.get_running_loop()
            # Owned by the pool, which cancels them; what fails in one is told to the job it is at.
            self._tasks = [loop.create_task(self._serve()) for _ in range(self._workers)]

    async def run(
        self, request: dict[str, Any], body: bytes = b"", *, rank: float, cost: float, patience_s: float
    ) -> AsyncGenerator[bytes | dict[str, Any], None]:
        """Yield the pieces of a job, then its result; closing the generator early withdraws the job.

        Args:
            request: what the engine is asked, as JSON.
            body: data for it.
            rank: jobs of a lower one go first.
            cost: of the job, in the unit of the pool's speed.
            patience_s: the job is refused where it would have to wait for longer.

        Raises:
            SpeechBusyError: it would, or too many wait.
            SpeechUnavailableError: the model cannot be loaded.
            WorkerLostError: the process ended, twice where nothing had come yet.
            JobFailedError: the engine could not do it.
        """
        await self.start()
        wait_s = self.wait_s(rank)
        if len(self._heap) >= MAX_WAITING or wait_s > patience_s:
            self.counters[f"{self._name}_busy"] += 1
            raise SpeechBusyError(f"busy: {len(self._heap)} jobs wait, {wait_s:.1f} s of work")
        job = _Job(request, body, cost)
        self.counters[f"{self._name}_jobs"] += 1
        heapq.heappush(self._heap, (rank, next(self._order), job))
        self._to_do.set()
        try:
            while True:
                reply = await job.replies.get()
                if isinstance(reply, Exception):
                    raise reply
                yield reply
                if isinstance(reply, dict):
                    return
        finally:
            job.unwanted = True

    async def result(self, request: dict[str, Any], body: bytes = b"", **bounds: float) -> dict[str, Any]:
        """Return the result of a job without pieces; raises as :meth:`run` does."""
        async with aclosing(
            self.run(request, body, rank=bounds["rank"], cost=bounds["cost"], patience_s=bounds["patience_s"])
        ) as replies:
            async for reply in replies:
                if isinstance(reply, dict):
                    return reply
        raise JobFailedError(f"{self._name}: no result")

    async def close(self) -> None:
        """End all processes; jobs under way fail."""
        self._closed = True
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _, _, job in self._heap:
            job.replies.put_nowait(SpeechUnavailableError(f"{self._name}: the switch is closing"))
        self._heap.clear()
        await self._server.close()

    # --- workers ------------------------------------------------------------------

    async def _serve(self) -> None:
        """Be one worker: take the next job, do it, and replace the process where it ends."""
        line: WorkerProcess | None = None
        try:
            while True:
                job = await self._next()
                self._under_way += 1.0 / self._workers
                try:
                    line = await self._do(line, job)
                finally:
                    self._under_way -= 1.0 / self._workers
        finally:
            if line is not None:
                line.close()

    async def _next(self) -> _Job:
        while True:
            while self._heap:
                _, _, job = heapq.heappop(self._heap)
                if not job.unwanted:
                    return job
            self._to_do.clear()
            await self._to_do.wait()

    async def _do(self, line: WorkerProcess | None, job: _Job) -> WorkerProcess | None:
        """Do a job; return the line to use for the next one."""
        try:
            if line is None:
                line = await self._server.fork()
                self.counters[f"{self._name}_workers_started"] += 1
            begin = self._clock()
            line.send(wire.pack_json(wire.JOB, job.request) + wire.pack(wire.BODY, job.body))
            async with asyncio.timeout(_JOB_S):
                await self._answers(line, job)
        except (WorkerLostError, TimeoutError) as error:
            self.counters[f"{self._name}_workers_lost"] += 1
            if line is not None:
                line.close()
            self._again(job, error)
            return None
        except SpeechUnavailableError as error:
            job.replies.put_nowait(error)
            return None
        except BaseException:
            if line is not None:
                line.close()
            job.replies.put_nowait(SpeechUnavailableError(f"{self._name}: the switch is closing"))
            raise
        elapsed_s = max(self._clock() - begin, 1e-3)
        self._speed += _LEARN * (job.cost / elapsed_s - self._speed)
        return line

    async def _answers(self, line: WorkerProcess, job: _Job) -> None:
        """Pass on what a worker answers; a job that became unwanted is worked to its end, which is near."""
        while True:
            kind, body = await line.read()
            job.began = True
            if kind == wire.PIECE:
                if not job.unwanted:
                    job.replies.put_nowait(body)
            elif kind == wire.DONE:
                job.replies.put_nowait(json.loads(body))
                return
            elif kind == wire.FAILED:
                job.replies.put_nowait(JobFailedError(str(json.loads(body)["error"])))
                return

    def _again(self, job: _Job, error: Exception) -> None:
        """Try a job once more whose process ended before it said anything: the fault may not be the job's."""
        job.tries += 1
        logger.warning("a process of speech was lost", extra={"pool": self._name, "error": str(error)})
        if job.began or job.tries > 1 or isinstance(error, TimeoutError):
            text = str(error) or f"{self._name}: no answer within {_JOB_S:.0f} s"
            job.replies.put_nowait(WorkerLostError(text))
        else:
            heapq.heappush(self._heap, (-1.0, next(self._order), job))
            self._to_do.set()
