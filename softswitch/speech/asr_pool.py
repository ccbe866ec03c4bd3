"""The recogniser's processes seen from the switch: started when needed, lent for one utterance, replaced."""

import asyncio
import importlib.util
import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from softswitch.speech import asr_wire as wire
from softswitch.speech.backoff import Backoff
from softswitch.speech.interface import SpeechBusyError, SpeechUnavailableError

logger = logging.getLogger(__name__)

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
_LOAD_S = 60.0
"""Longest time to load the model: a cold disk is slow."""
_FORK_S = 10.0
_SEND_BYTES = 30 * 2 * wire.RATE
"""Audio that may wait for a worker that is behind: 30 seconds."""


class WorkerLostError(Exception):
    """Say that a worker ended in the middle of its work."""


class Worker:
    """One process, lent to one utterance."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pid: int) -> None:
        self._reader = reader
        self._writer = writer
        self.pid = pid
        self.lost = False
        """Whether the process ended by itself."""

    def begin(self, option: dict[str, Any]) -> None:
        """Begin an utterance; see `asr_worker.Recogniser.begin`."""
        self._writer.write(wire.pack_json(wire.BEGIN, option))

    def audio(self, pcm: bytes) -> bool:
        """Send PCM16 at 16 kHz; return False, and drop it, when the worker is far behind."""
        if self._writer.transport.get_write_buffer_size() > _SEND_BYTES:
            return False
        self._writer.write(wire.pack(wire.AUDIO, pcm))
        return True

    def end(self) -> None:
        """End the utterance: a final will come."""
        self._writer.write(wire.pack(wire.END))

    async def read(self) -> tuple[bytes, dict[str, Any]]:
        """Return the next result.

        Raises:
            WorkerLostError: the process is no more.
        """
        try:
            kind, size = wire.unpack_header(await self._reader.readexactly(wire.HEADER.size))
            return kind, json.loads(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, OSError, ValueError) as error:
            self.lost = True
            raise WorkerLostError(f"the recogniser's process {self.pid} ended") from error

    def close(self) -> None:
        """Let the process end; what is on its way to it is forgotten."""
        self._writer.transport.abort()


class RecogniserPool:
    """At most `workers` processes; each utterance borrows one, the others wait in order."""

    def __init__(self, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without processes.

        Args:
            workers: how many there may be; each takes some 40 MB, most of it shared.
            clock: monotonic seconds.
        """
        self._clock = clock
        self._backoff = Backoff()
        self._free = asyncio.Semaphore(max(workers, 1))
        self._idle: list[Worker] = []
        self._lent: set[Worker] = set()
        self._control: socket.socket | None = None
        self._mother: subprocess.Popen[bytes] | None = None
        self._starting = asyncio.Lock()
        self._closed = False
        self.waiting = 0
        self.counters = dict.fromkeys(COUNTERS, 0)

    async def start(self) -> None:
        """Load the model and one worker.

        Raises:
            SpeechUnavailableError: the recogniser is not installed or does not start.
        """
        async with self._starting:
            if self._mother is not None and self._mother.poll() is None:
                return
            if importlib.util.find_spec("pocketsphinx") is None:
                raise SpeechUnavailableError("pocketsphinx is not installed (pip package pocketsphinx)")
            if wait_s := self._backoff.wait_s(self._clock()):
                raise SpeechUnavailableError(f"the recogniser did not start; tried again in {wait_s:.0f} s")
            await self._restart()
        if not self._idle:
            self._idle.append(await self._fork())

    async def _restart(self) -> None:
        await self._end_mother()
        try:
            await self._load()
        except SpeechUnavailableError:
            self._backoff.failed(self._clock())
            await self._end_mother()
            raise
        self._backoff.succeeded()

    async def _load(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # Its own session: Ctrl-C in a terminal is for the switch, which lets running calls finish.
            self._mother = subprocess.Popen(  # noqa: ASYNC220, S603  (our own program; some milliseconds, once)
                [sys.executable, "-m", "softswitch.speech.asr_worker", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=os.environ
                | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
                start_new_session=True,
            )
        ours.setblocking(False)
        self._control = ours
        try:
            async with asyncio.timeout(_LOAD_S):
                answer = await asyncio.get_running_loop().sock_recv(ours, 1)
        except (OSError, TimeoutError) as error:
            raise SpeechUnavailableError(f"the recogniser does not start: {error}") from error
        if answer != wire.READY:
            raise SpeechUnavailableError("the recogniser's model cannot be loaded")

    async def _fork(self) -> Worker:
        """Ask for a new worker."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                if self._control is None:
                    raise SpeechUnavailableError("the recogniser is closed")
                socket.send_fds(self._control, [b"w"], [theirs.fileno()])
            reader, writer = await asyncio.open_unix_connection(sock=ours)
        except OSError as error:
            ours.close()
            raise SpeechUnavailableError(f"the recogniser cannot start a worker: {error}") from error
        worker = Worker(reader, writer, 0)
        try:
            async with asyncio.timeout(_FORK_S):
                _, hello = await worker.read()
        except (WorkerLostError, TimeoutError) as error:
            worker.close()
            raise SpeechUnavailableError("the recogniser cannot start a worker") from error
        worker.pid = int(hello["pid"])
        self.counters["asr_workers_started"] += 1
        return worker

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

    async def _end_mother(self) -> None:
        """Let the processes end: the workers die with their mother."""
        for worker in self._idle:
            worker.close()
        self._idle.clear()
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._mother is not None:
            self._mother.kill()
            await asyncio.get_running_loop().run_in_executor(None, self._mother.wait)
            self._mother = None

    async def close(self) -> None:
        """End all processes."""
        self._closed = True
        for worker in tuple(self._lent):
            worker.close()
        await self._end_mother()
