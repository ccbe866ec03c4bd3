"""The life of a leg: jobs in order, one end, and a fault that ends one leg only."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable, Coroutine

import pytest

from softswitch.call.interfaces import LegRequest
from softswitch.call.vocabulary.reports import LegEnded, LegFailed, LegWarned, Report
from softswitch.legs.lifecycle import MAX_JOBS, LegLifecycle

REQUEST = LegRequest("call-1", "party", 7, 1)
ENDED = LegEnded("party", "callee", "callee")


class Leg:
    """A leg that only records what its lifecycle does."""

    def __init__(self) -> None:
        self.log: list[str | Report] = []
        self.life = LegLifecycle("webrtc", REQUEST, self.log.append, self._release, on_stopped=self._stopped)

    def _release(self) -> None:
        self.log.append("released")

    async def _stopped(self) -> None:
        self.log.append("stopped")

    def job(self, name: str) -> Callable[[], Coroutine[None, None, None]]:
        async def work() -> None:
            await asyncio.sleep(0)
            self.log.append(name)

        return work


async def test_jobs_wait_for_the_start_and_keep_their_order() -> None:
    leg = Leg()
    for name in ("a", "b", "c"):
        assert leg.life.enqueue(leg.job(name))
    await asyncio.sleep(0)
    assert leg.log == []
    done = asyncio.Event()

    async def last() -> None:
        done.set()

    leg.life.enqueue(last)
    leg.life.start()
    await done.wait()
    assert leg.log == ["a", "b", "c"]
    leg.life.end(None)
    await leg.life.closed()


async def test_end_releases_then_reports_and_only_once() -> None:
    leg = Leg()
    leg.life.start()
    await asyncio.sleep(0)
    assert leg.life.end(ENDED)
    assert not leg.life.end(ENDED)
    await leg.life.closed()
    assert leg.log == ["released", ENDED, "stopped"]
    leg.life.report(ENDED)
    leg.life.warn("sip", "too late")
    assert leg.life.enqueue(leg.job("late"))
    assert leg.log == ["released", ENDED, "stopped"]


async def test_end_before_the_start_needs_no_task() -> None:
    leg = Leg()
    leg.life.end(ENDED)
    leg.life.start()
    await leg.life.closed()
    assert leg.log == ["released", ENDED]


async def test_full_queue_refuses_jobs() -> None:
    leg = Leg()
    assert all(leg.life.enqueue(leg.job("x")) for _ in range(MAX_JOBS))
    assert not leg.life.enqueue(leg.job("x"))


async def test_failed_job_ends_its_leg_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    leg = Leg()
    done = asyncio.Event()

    async def broken() -> None:
        raise KeyError("fault")

    leg.life.enqueue(broken)
    leg.life.start(done.set)
    await done.wait()
    assert leg.log == ["stopped", "released", LegFailed("party", "webrtc", "internal error", 500)]
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert (record.leg, record.port) == ("party", 7)  # type: ignore[attr-defined]


async def test_spawned_work_ends_with_the_leg() -> None:
    leg = Leg()
    cancelled = asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(RuntimeError):
        leg.life.spawn(coroutine := forever())
    coroutine.close()
    leg.life.start()
    await asyncio.sleep(0)
    leg.life.spawn(forever())
    await asyncio.sleep(0)
    leg.life.end(None)
    await leg.life.closed()
    assert cancelled.is_set()


async def test_reports_of_a_pending_leg_wait_for_its_call() -> None:
    heard: list[Report] = []
    life = LegLifecycle("sip", LegRequest("", "", 0, 0), None, lambda: None)
    assert not life.is_adopted
    life.report(ENDED)
    life.adopt(REQUEST, heard.append)
    life.warn("sip", "odd", 409)
    assert heard == [LegWarned("party", "sip", "odd", 409)]


async def test_ended_leg_is_freed_without_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        leg = Leg()
        leg.life.enqueue(leg.job("never"))
        leg.life.start()
        await asyncio.sleep(0)
        leg.life.end(ENDED)
        await leg.life.closed()
        leg.log.clear()
        gone = weakref.ref(leg)
        del leg
        await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()
