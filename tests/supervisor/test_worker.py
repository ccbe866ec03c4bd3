"""The load of a worker, and what it is told."""

import signal

import pytest

from softswitch.bus.frames import Frame
from softswitch.supervisor.worker import BEAT_S, COUNTED_S, Worker, environment


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_calls_that_were_just_given_count_until_they_are_reported(clock):
    worker = Worker(1)
    worker.calls = 3
    worker.give()
    worker.give()
    assert worker.load == (5, 2)
    clock[0] += COUNTED_S + 0.1
    assert worker.load == (3, 2)


def test_a_worker_without_a_sign_of_life_is_stuck(clock):
    worker = Worker(1)
    assert worker.alive
    clock[0] += BEAT_S
    assert not worker.alive


def test_a_worker_that_has_not_started_takes_nothing():
    worker = Worker(1)
    assert not worker.tell(Frame("retire"))
    worker.signal(signal.SIGTERM)


async def test_its_end_is_waited_for_without_a_process():
    assert await Worker(1).wait() == 0


def test_workers_do_not_speak_with_the_service_manager(monkeypatch):
    for name in ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "SOFTSWITCH_X"):
        monkeypatch.setenv(name, "1")
    assert "SOFTSWITCH_X" in environment()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"} & environment().keys()
