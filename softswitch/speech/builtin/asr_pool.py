"""Workers that hear an utterance as it comes: lent for one utterance, replaced when they have ended."""

import asyncio
import importlib.util
import json
import time
from collections.abc import Callable
from typing import Any

from softswitch.speech.builtin import worker_wire as wire
from softswitch.speech.builtin.fork_server import ForkServer, WorkerProcess
from softswitch.speech.interface import SpeechBusyError, SpeechUnavailableError

COUNTERS = (
    "asr_utterances",
    "asr_utterances_dropped",
    "asr_pieces_dropped",
    "asr_outputs_dropped",
    "asr_workers_started",
    "asr_workers_lost",
)
MAX_WAITING = 64
"""Utterances that may wait for a worker."""
_SEND_BYTES = 30 * 2 * wire.RATE
"""Audio that may wait for a worker that is behind: 30 seconds."""


class Worker:
    """One process, lent to one utterance."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @property
    def lost(self) -> bool:
        """Whether the process ended by itself."""
        return self._process.lost

    def begin(self, option: dict[str, Any]) -> None:
        """Begin an utterance; see `asr_worker.Recogniser.begin`."""
        self._process.send(wire.pack_json(wire.BEGIN, option))

    def audio(self, pcm: bytes) -> bool:
        """Send PCM16 at 16 kHz; return False, and drop it, when the worker is far behind."""
        if self._process.backlog > _SEND_BYTES:
            return False
        self._process.send(wire.pack(wire.AUDIO, pcm))
        return True

    def end(self) -> None:
        """End the utterance: a final will come."""
        self._process.send(wire.pack(wire.END))

    async def read(self) -> tuple[bytes, dict[str, Any]]:
        """Return the next result.

        Raises:
            WorkerLostError: the process has ended.
        """
        kind, body = await self._process.read()
        return kind, json.loads(body)

    def close(self) -> None:
        """Let the process end; messages that wait are dropped."""
        self._process.close()


class RecogniserPool:
    """At most `workers` processes; each utterance borrows one, the others wait in order."""

    def __init__(self, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without processes.

        Args:
            workers: how many there may be; each takes some 40 MB, most of it shared.
            clock: monotonic seconds.
        """
        self._server = ForkServer("the recogniser", ["softswitch.speech.builtin.asr_worker"], clock)
        self._free = asyncio.Semaphore(max(workers, 1))
        self._idle: list[Worker] = []
        self._lent: set[Worker] = set()
        self._closed = False
        self.waiting = 0
        self.counters = dict.fromkeys(COUNTERS, 0)

    @property
    def server_pid(self) -> int | None:
        """Id of the process that forks the workers; None before it is started."""
        return self._server.pid

    async def start(self) -> None:
        """Load the model and one worker.

        Raises:
            SpeechUnavailableError: the recogniser is not installed or does not start.
        """
        if importlib.util.find_spec("pocketsphinx") is None:
            raise SpeechUnavailableError("pocketsphinx is not installed (pip package pocketsphinx)")
        if self._closed:
            raise SpeechUnavailableError("the recogniser is closed")
        if await self._server.start():
            self._drop_idle()  # They ended with the process before.
        if not self._idle:
            self._idle.append(await self._fork())

    async def borrow(self) -> Worker:
        """Return a worker, as soon as one is free.

        Raises:
            SpeechBusyError: too many utterances wait already.
            SpeechUnavailableError: no worker can be started.
        """
        if self._free.locked() and self.waiting >= MAX_WAITING:
            raise SpeechBusyError(f"busy: {self.waiting} utterances wait for the recogniser")
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        try:
            if not self._idle:
                await self.start()
            worker = self._idle.pop() if self._idle else await self._fork()
        except BaseException:
            self._free.release()
            raise
        self._lent.add(worker)
        self.counters["asr_utterances"] += 1
        return worker

    def give_back(self, worker: Worker, *, usable: bool) -> None:
        """Take a worker back; one in the middle of an utterance is not usable, and let go."""
        self._lent.discard(worker)
        self._free.release()
        self.counters["asr_workers_lost"] += worker.lost
        if usable and not self._closed:
            self._idle.append(worker)
        else:
            worker.close()

    async def close(self) -> None:
        """End all processes."""
        self._closed = True
        for worker in tuple(self._lent):
            worker.close()
        self._drop_idle()
        await self._server.close()

    async def _fork(self) -> Worker:
        worker = Worker(await self._server.fork())
        self.counters["asr_workers_started"] += 1
        return worker

    def _drop_idle(self) -> None:
        for worker in self._idle:
            worker.close()
        self._idle.clear()
