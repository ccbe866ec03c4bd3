"""The processes of a model seen from the switch: one that loads it, and the workers forked from it.

The switch has threads and must not fork. The loading process has none, and its workers share the memory of
the model. It is started when it is needed and replaced when it has ended; its workers end with it.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from softswitch.errors import UnavailableError
from softswitch.speech.backoff import Backoff
from softswitch.speech.builtin import worker_wire as wire
from softswitch.speech.interface import SpeechUnavailableError

_LOAD_S = 60.0
"""Longest time to load a model: a cold disk is slow."""
_FORK_S = 10.0


class WorkerLostError(UnavailableError):
    """Say that a worker ended in the middle of its work."""


class _ClosedAtEof(asyncio.StreamReaderProtocol):
    """Close a socket when the process at its other end has ended, even where nothing reads or writes."""

    def eof_received(self) -> bool:
        """Tell the reader, and let the transport close (asyncio's own protocol keeps it half open)."""
        super().eof_received()
        return False


async def _open(local: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return both ends of a connected socket, as `asyncio.open_unix_connection` does.

    Raises:
        OSError: The socket cannot be read.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = _ClosedAtEof(reader, loop=loop)
    transport, _ = await loop.create_unix_connection(lambda: protocol, sock=local)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class WorkerProcess:
    """One worker and the socket to it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.pid = 0
        self.lost = False
        """Whether the process ended by itself."""

    @property
    def backlog(self) -> int:
        """Bytes that wait to be sent to it."""
        return self._writer.transport.get_write_buffer_size()

    def send(self, data: bytes) -> None:
        """Send packed messages."""
        self._writer.write(data)

    async def read(self) -> tuple[bytes, bytes]:
        """Return the letter and the body of the next message.

        Raises:
            WorkerLostError: the process has ended.
        """
        try:
            kind, size = wire.unpack_header(await self._reader.readexactly(wire.HEADER.size))
            return kind, await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError, ValueError) as error:
            self.lost = True
            raise WorkerLostError(f"the process {self.pid} of speech ended") from error

    def close(self) -> None:
        """Let the process end; messages that wait are dropped."""
        self._writer.transport.abort()


class ForkServer:
    """The process that loads a model and forks workers."""

    def __init__(
        self, name: str, command: Sequence[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin without a process.

        Args:
            name: of the model, for errors.
            command: module to run (`python -m`) and its arguments; the number of the control socket follows.
            clock: monotonic seconds.
        """
        self._name = name
        self._command = list(command)
        self._clock = clock
        self._backoff = Backoff()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = asyncio.Lock()
        self.about: dict[str, Any] = {}
        """What the model tells of itself, known once it is loaded."""

    @property
    def pid(self) -> int | None:
        """Id of the process; None before it is started."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> bool:
        """Load the model, unless it is loaded; tell whether that was necessary.

        Raises:
            SpeechUnavailableError: it cannot be loaded; it is tried again after a while.
        """
        async with self._starting:
            if self._process is not None and self._process.poll() is None:
                return False
            if wait_s := self._backoff.wait_s(self._clock()):
                raise SpeechUnavailableError(f"{self._name} did not start; tried again in {wait_s:.0f} s")
            await self.close()
            try:
                await self._load()
            except SpeechUnavailableError:
                self._backoff.failed(self._clock())
                await self.close()
                raise
            self._backoff.succeeded()
            return True

    async def fork(self) -> WorkerProcess:
        """Return a new worker; load the model first where that is necessary.

        Raises:
            SpeechUnavailableError: the model cannot be loaded, or no worker can be started.
        """
        await self.start()
        local, remote = socket.socketpair()
        try:
            with remote:
                if self._control is None:
                    raise SpeechUnavailableError(f"{self._name} is closed")
                socket.send_fds(self._control, [b"w"], [remote.fileno()])
            reader, writer = await _open(local)
        except OSError as error:
            local.close()
            raise SpeechUnavailableError(f"{self._name} cannot start a worker: {error}") from error
        worker = WorkerProcess(reader, writer)
        try:
            async with asyncio.timeout(_FORK_S):
                _, hello = await worker.read()
        except (WorkerLostError, TimeoutError) as error:
            worker.close()
            raise SpeechUnavailableError(f"{self._name} cannot start a worker") from error
        except BaseException:
            worker.close()
            raise
        worker.pid = int(json.loads(hello)["pid"])
        return worker

    async def close(self) -> None:
        """End the process; its workers end with it."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            await asyncio.get_running_loop().run_in_executor(None, self._process.wait)
            self._process = None

    async def _load(self) -> None:
        local, remote = socket.socketpair()
        with remote:
            # Its own session: Ctrl-C in a terminal is for the switch, which lets running calls finish.
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603  (our own program; some milliseconds, once)
                [sys.executable, "-m", *self._command, str(remote.fileno())],
                pass_fds=(remote.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
        local.setblocking(False)
        self._control = local
        kind, about = await self._hello(local)
        if kind != wire.READY:
            raise SpeechUnavailableError(f"{self._name}: {about.get('error', 'the model cannot be loaded')}")
        self.about = about

    async def _hello(self, control: socket.socket) -> tuple[bytes, dict[str, Any]]:
        """Return the first message of the process; an empty one where it ended without a message."""
        loop = asyncio.get_running_loop()
        data = b""
        try:
            async with asyncio.timeout(_LOAD_S):
                while piece := await loop.sock_recv(control, 65536):
                    data += piece
                    if len(data) >= wire.HEADER.size:
                        kind, size = wire.unpack_header(data[: wire.HEADER.size])
                        if len(data) >= wire.HEADER.size + size:
                            return kind, json.loads(data[wire.HEADER.size :])
        except (OSError, TimeoutError, ValueError) as error:
            raise SpeechUnavailableError(f"{self._name} does not start: {error!r}") from error
        return b"", {}


def _environment() -> dict[str, str]:
    """Return the environment of the process: import path, one thread for each library that computes."""
    path: Sequence[str] = [entry or str(Path.cwd()) for entry in sys.path]
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    return os.environ | threads | {"PYTHONPATH": os.pathsep.join(path)}
