import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from softswitch.speech.builtin import asr_pool
from softswitch.speech.builtin import worker_wire as wire
from softswitch.speech.builtin.asr_pool import RecogniserPool
from softswitch.speech.builtin.fork_server import WorkerLostError
from softswitch.speech.interface import SpeechBusyError, SpeechUnavailableError
from tests.conftest import ROOT
from tests.speech.needs import need_module
from tests.support.waiting import until, until_in_threads


@pytest.fixture
async def pool():
    need_module("pocketsphinx")
    pool = RecogniserPool(2)
    yield pool
    await pool.close()


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


async def recognise(worker):
    worker.begin({"grammar": "", "means": "", "narrow": False})
    worker.audio(bytes(32000))
    worker.end()
    async with asyncio.timeout(60):
        while True:
            kind, result = await worker.read()
            if kind == wire.FINAL:
                return result


async def test_worker_answers_and_is_lent_again(pool):
    worker = await pool.borrow()
    result = await recognise(worker)
    assert result["text"] == ""
    assert result["means"].count(",") == 12
    pool.give_back(worker, usable=True)
    assert await pool.borrow() is worker
    assert pool.counters["asr_workers_started"] == 1
    pool.give_back(worker, usable=True)


async def test_workers_are_bounded_and_lent_in_order(pool, monkeypatch):
    first, second = await pool.borrow(), await pool.borrow()
    assert first.pid != second.pid
    third = asyncio.ensure_future(pool.borrow())
    fourth = asyncio.ensure_future(pool.borrow())
    await asyncio.sleep(0)
    monkeypatch.setattr(asr_pool, "MAX_WAITING", 2)
    with pytest.raises(SpeechBusyError, match="busy"):
        await pool.borrow()
    pool.give_back(first, usable=True)
    assert await third is first
    assert not fourth.done()
    pool.give_back(second, usable=True)
    assert await fourth is second
    pool.give_back(first, usable=True)
    pool.give_back(second, usable=True)


async def test_killed_worker_is_noticed_and_replaced(pool):
    worker = await pool.borrow()
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerLostError, match=str(worker.pid)):
        await recognise(worker)
    pool.give_back(worker, usable=False)
    assert pool.counters["asr_workers_lost"] == 1
    other = await pool.borrow()
    assert other.pid != worker.pid
    assert (await recognise(other))["text"] == ""
    pool.give_back(other, usable=True)


async def test_killed_fork_server_is_replaced(pool):
    worker = await pool.borrow()
    os.kill(pool.server_pid, signal.SIGKILL)
    await until(lambda: not alive(worker.pid))
    pool.give_back(worker, usable=False)
    other = await pool.borrow()
    assert (await recognise(other))["text"] == ""
    pool.give_back(other, usable=True)


async def test_unusable_worker_ends(pool):
    worker = await pool.borrow()
    pool.give_back(worker, usable=False)
    await until(lambda: not alive(worker.pid))


async def test_close_ends_all_processes(pool):
    lent, idle = await pool.borrow(), await pool.borrow()
    pool.give_back(idle, usable=True)
    pids = [lent.pid, idle.pid, pool.server_pid]
    await pool.close()
    await until(lambda: not any(map(alive, pids)))
    pool.give_back(lent, usable=True)


async def test_far_behind_worker_gets_no_more_audio(pool, monkeypatch):
    monkeypatch.setattr(asr_pool, "_SEND_BYTES", 100_000)
    worker = await pool.borrow()
    os.kill(worker.pid, signal.SIGSTOP)
    worker.begin({"grammar": "", "means": "", "narrow": False})
    taken = [worker.audio(bytes(32000)) for _ in range(60)]
    assert taken[0]
    assert not taken[-1]
    os.kill(worker.pid, signal.SIGKILL)
    pool.give_back(worker, usable=False)


async def test_recogniser_that_does_not_start_is_left_alone_for_a_while(monkeypatch):
    now = 0.0
    monkeypatch.setattr("sys.executable", "/bin/false")
    pool = RecogniserPool(1, clock=lambda: now)
    with pytest.raises(SpeechUnavailableError, match="cannot be loaded"):
        await pool.start()
    with pytest.raises(SpeechUnavailableError, match="tried again in"):
        await pool.borrow()
    now = 60.0
    with pytest.raises(SpeechUnavailableError, match="cannot be loaded"):
        await pool.start()
    assert not pool._free.locked()
    await pool.close()


async def test_absent_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    pool = RecogniserPool(1)
    with pytest.raises(SpeechUnavailableError, match="pip package pocketsphinx"):
        await pool.start()
    await pool.close()


PROGRAM = """
import asyncio
from softswitch.speech.builtin.asr_pool import RecogniserPool
async def main():
    pool = RecogniserPool(1)
    worker = await pool.borrow()
    print(pool.server_pid, worker.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_processes_end_with_the_switch_however_it_ends():
    need_module("pocketsphinx")
    switch = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert switch.stdout is not None
    pids = [int(pid) for pid in switch.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(alive, pids))
    switch.kill()
    switch.wait(10)
    switch.stdout.close()
    until_in_threads(lambda: not any(map(alive, pids)))
