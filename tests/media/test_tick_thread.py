"""The thread that ticks: what it asks of the system. How it keeps time is tried with the engine."""

import os
import threading

import pytest

from softswitch.media import tick_thread
from softswitch.media.messages import Output


def test_priority_is_asked_for_and_a_refusal_is_lived_with(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(os, "setpriority", lambda *words: asked.append(words))
    assert tick_thread.ask_for_priority()
    assert asked == [(os.PRIO_PROCESS, threading.get_native_id(), tick_thread.NICENESS)]

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    assert not tick_thread.ask_for_priority()


def test_what_is_in_a_hurry_is_seen_to_between_the_ticks() -> None:
    calls: list[str] = []
    done = threading.Event()

    def tick(_now: float) -> Output:
        calls.append("tick")
        if calls.count("tick") > 10:
            done.set()
        return Output()

    def hurry(_now: float) -> Output:
        calls.append("hurry")
        return Output(datagrams=[(1, b"x")])

    hurried = True
    counters = dict.fromkeys(("ticks", "late_ticks", "jumped_ticks", "tick_errors", "emit_errors"), 0)
    thread = tick_thread.TickThread(tick, lambda: False, counters, is_hurried=lambda: hurried, hurry=hurry)
    emitted: list[Output] = []
    thread.start(emitted.append)
    assert done.wait(10)
    thread.stop()
    assert 0 < calls.count("hurry") <= 3 * calls.count("tick")
    assert len(emitted) == calls.count("hurry")
    hurried = False
    calls.clear()
    done.clear()
    thread.start(emitted.append)
    assert done.wait(10)
    thread.stop()
    assert "hurry" not in calls
