"""The process that loads a model and forks workers, with an engine without a model."""

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from softswitch.speech.builtin import worker_wire as wire
from softswitch.speech.builtin.fork_server import ForkServer, WorkerLostError
from softswitch.speech.interface import SpeechUnavailableError

ENGINE = ["softswitch.speech.builtin.worker", "tests.speech.builtin.fake_engine"]


@pytest.fixture
async def server():
    server = ForkServer("fake", ENGINE)
    yield server
    await server.close()


async def test_worker_answers_a_job(server):
    worker = await server.fork()
    worker.send(wire.pack_json(wire.JOB, {"do": "echo"}) + wire.pack(wire.BODY, b"a"))
    async with asyncio.timeout(60):
        assert await worker.read() == (wire.PIECE, b"a")
        kind, body = await worker.read()
    assert kind == wire.DONE
    assert isinstance(json.loads(body), dict)
    assert worker.pid != server.pid
    worker.close()


async def test_worker_that_was_killed_is_lost(server):
    worker = await server.fork()
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerLostError, match=str(worker.pid)):
        await worker.read()
    assert worker.lost
    worker.close()


async def test_killed_process_is_started_again(server):
    assert await server.start()
    assert not await server.start()
    first = server.pid
    worker = await server.fork()
    os.kill(first, signal.SIGKILL)
    with pytest.raises(WorkerLostError):
        await worker.read()
    worker.close()
    assert await server.start()
    assert server.pid != first


async def test_process_that_does_not_start_is_left_alone_for_a_while(monkeypatch):
    now = 0.0
    monkeypatch.setattr("sys.executable", "/bin/false")
    server = ForkServer("fake", ENGINE, clock=lambda: now)
    with pytest.raises(SpeechUnavailableError, match="cannot be loaded"):
        await server.start()
    with pytest.raises(SpeechUnavailableError, match="tried again in"):
        await server.fork()
    now = 60.0
    with pytest.raises(SpeechUnavailableError, match="cannot be loaded"):
        await server.start()
    assert server.pid is None


def sockets() -> set[str]:
    """Return the sockets of this process."""
    links = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.add(str(link.readlink()))
    return {link for link in links if link.startswith("socket:")}


@pytest.mark.each_loop
async def test_socket_to_a_killed_worker_is_closed_though_nobody_reads():
    server = ForkServer("fake", ENGINE)
    try:
        await server.start()
        before = sockets()
        workers = [await server.fork() for _ in range(3)]
        opened = sockets() - before
        assert len(opened) == 3
        for worker in workers:
            os.kill(worker.pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            while opened & sockets():
                await asyncio.sleep(0.01)
        for worker in workers:
            worker.close()
    finally:
        await server.close()
