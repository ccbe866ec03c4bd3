"""The thread that ticks: what it asks of the system. How it keeps time is tried with the engine."""

import os
import threading

import pytest

from softswitch.media import tick_thread


def test_priority_is_asked_for_and_a_refusal_is_lived_with(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(os, "setpriority", lambda *words: asked.append(words))
    assert tick_thread.ask_for_priority()
    assert asked == [(os.PRIO_PROCESS, threading.get_native_id(), tick_thread.NICENESS)]

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    assert not tick_thread.ask_for_priority()
