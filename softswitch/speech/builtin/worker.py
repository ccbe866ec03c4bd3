"""The processes in which models work: one that loads a model, and the workers forked from it.

Run as ``python -m softswitch.speech.builtin.worker ENGINE FD``. The switch has threads and must not fork;
this process has none, and its workers share the memory of the model. For each worker the switch sends one end
of a socket pair over the control socket. When the switch goes, however it goes, the control socket closes,
this process ends and the kernel kills the workers. They run at lower priority than the switch, whose audio
may not wait, and may not use the network: a model that is not on the disk is an error, never a download.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from softswitch.speech.builtin import worker_wire as wire

NICENESS = 5
"""Below the switch, which has 0, and above what an operator calls idle."""
AUTOGROUP = Path("/proc/self/autogroup")
_DEATH_SIGNAL = 1
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind")

Emit = Callable[[bytes], None]
"""Send a piece of the result."""


class Loaded(Protocol):
    """A loaded model, whatever its workers do."""

    def about(self) -> dict[str, Any]:
        """Return what the switch is told once a worker is there."""


class Engine(Loaded, Protocol):
    """A loaded model that does jobs."""

    def work(self, job: dict[str, Any], body: bytes, emit: Emit) -> dict[str, Any]:
        """Do a job; return what is told at its end.

        Args:
            job: what to do.
            body: the data to do it with.
            emit: takes pieces of the result while they are made.
        """


Model = TypeVar("Model", bound=Loaded)
Serve = Callable[[socket.socket, Model], None]
"""Serve one switch until it closes the socket."""


def give_way() -> None:
    """Let the switch go first.

    Where Linux groups processes by session (autogroup), niceness counts only inside of one: this process has
    a session of its own, whose niceness is a second one.
    """
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        AUTOGROUP.write_text(str(NICENESS))


def forbid_network(event: str, _arguments: object) -> None:
    """Refuse the network (an audit hook): the only sockets here are the pairs that the switch made."""
    if event in _NETWORK:
        raise PermissionError(f"a process of speech may not use the network ({event})")


def greet(line: socket.socket, model: Loaded) -> None:
    """Tell the switch that a worker is there."""
    line.sendall(wire.pack_json(wire.READY, {"pid": os.getpid(), **model.about()}))


def serve(line: socket.socket, engine: Engine) -> None:
    """Do one job after another until the switch closes the line."""
    greet(line, engine)
    stream = line.makefile("rb")
    job: dict[str, Any] = {}
    while header := stream.read(wire.HEADER.size):
        kind, size = wire.unpack_header(header)
        body = stream.read(size)
        if kind == wire.JOB:
            job = json.loads(body)
        elif kind == wire.BODY:
            _do(line, engine, job, body)


def _do(line: socket.socket, engine: Engine, job: dict[str, Any], body: bytes) -> None:
    def emit(piece: bytes) -> None:
        line.sendall(wire.pack(wire.PIECE, piece))

    try:
        result = engine.work(job, body, emit)
    except ConnectionError:
        raise
    except Exception as error:  # noqa: BLE001  (a failure is an answer; the next job may well succeed)
        line.sendall(wire.pack_json(wire.FAILED, {"error": f"{type(error).__name__}: {error}"}))
    else:
        line.sendall(wire.pack_json(wire.DONE, result))


def fork_workers(control: socket.socket, load: Callable[[], Model], serve_one: Serve[Model]) -> None:
    """Load the model, then fork a worker for every socket that comes, until the switch ends."""
    try:
        model = load()
    except Exception as error:  # noqa: BLE001  (told to the switch, which tells the operator)
        control.sendall(wire.pack_json(wire.FAILED, {"error": str(error) or type(error).__name__}))
        return
    gc.collect()
    gc.freeze()  # The collector would write to every object, and so copy the memory that is shared.
    ctypes.CDLL(None).malloc_trim(0)  # What loading needed would be copied by every worker.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Ended workers leave nothing behind.
    control.sendall(wire.pack_json(wire.READY, model.about()))
    here = os.getpid()
    while True:
        data, sockets, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        if os.fork() == 0:
            control.close()
            _die_with(here)
            with contextlib.suppress(ConnectionError):  # The switch hangs up when it is done.
                serve_one(socket.socket(fileno=sockets[0]), model)
            os._exit(0)
        os.close(sockets[0])


def _die_with(parent_pid: int) -> None:
    """Let the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(0)


def run(fd: int, load: Callable[[], Model], serve_one: Serve[Model]) -> None:
    """Fork the workers of a model, below the switch's priority and without a network.

    Args:
        fd: file descriptor of the control socket.
        load: loads the model.
        serve_one: serves the switch in a worker.
    """
    give_way()
    sys.addaudithook(forbid_network)
    fork_workers(socket.socket(fileno=fd), load, serve_one)


def main(engine: str, fd: int) -> None:
    """Fork the workers of an engine: a module with a function ``load``."""

    def load() -> Engine:
        loaded: Engine = importlib.import_module(engine).load()
        return loaded

    run(fd, load, serve)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
