"""Memory that goes back to the system once calls are over."""

import asyncio
import contextlib
import gc
import threading

import pytest

from softswitch.app import memory
from softswitch.app.memory import give_back, settle, trimmer


def test_c_library_can_be_asked():
    trim = trimmer()
    if trim is not None:
        trim()


@pytest.mark.parametrize("has_trim", [True, False])
def test_start_ends_with_free_pages_given_back_and_objects_kept_from_the_collector(has_trim):
    frozen: list[int] = []
    before = gc.get_freeze_count()
    try:
        settle((lambda: frozen.append(gc.get_freeze_count())) if has_trim else None)
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
    assert frozen == ([before] if has_trim else [])


async def test_memory_is_given_back_once_after_the_last_call(monkeypatch):
    monkeypatch.setattr(memory, "LOOK_S", 1.0)
    monkeypatch.setattr(memory, "QUIET_S", 2.0)
    looks = iter([0, 0, 0, 3, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0])
    trimmed: list[int] = []
    seen = 0

    async def no_time(_seconds: float) -> None:
        return

    monkeypatch.setattr("softswitch.app.memory.asyncio.sleep", no_time)

    def calls() -> int:
        nonlocal seen
        seen += 1
        try:
            return next(looks)
        except StopIteration:
            raise asyncio.CancelledError from None

    def trim() -> None:
        assert threading.current_thread() is not threading.main_thread()
        trimmed.append(seen)

    with contextlib.suppress(asyncio.CancelledError):
        await give_back(calls, trim)
    assert trimmed == [8, 13]


async def test_without_such_a_call_nothing_runs():
    await give_back(lambda: 1, None)
