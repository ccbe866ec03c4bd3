"""Readiness and the watch over the loop."""

import asyncio
import logging
import time

import pytest

from softswitch.metrics import Metrics
from softswitch.web import readiness as module
from softswitch.web.readiness import Readiness


def test_faults_are_named() -> None:
    readiness = Readiness(Metrics("test"))
    readiness.check("store", lambda: False)
    readiness.check("other", lambda: True)
    assert readiness.faults() == ["store"]


async def test_loop_that_is_held_up_is_told_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    readiness = Readiness(Metrics("test"))
    beating = asyncio.ensure_future(readiness.run())
    await asyncio.sleep(0.05)
    with caplog.at_level(logging.WARNING, "softswitch.web.readiness"):
        time.sleep(1.5)
        await asyncio.sleep(0.05)
    beating.cancel()
    record = next(record for record in caplog.records if "held up" in record.message)
    assert "test_loop_that_is_held_up" in vars(record)["stack"]


def test_check_that_raises_is_a_fault() -> None:
    readiness = Readiness(Metrics("test"))

    def broken() -> bool:
        raise RuntimeError

    readiness.check("broken", broken)
    assert readiness.faults() == ["broken"]


def test_warnings_leave_the_switch_ready() -> None:
    readiness = Readiness(Metrics("test"))
    readiness.warn(lambda: ["trunk one is failed 403"])
    readiness.warn(list)
    assert (readiness.faults(), readiness.warnings()) == ([], ["trunk one is failed 403"])


async def test_watchdog_is_fed_while_what_is_vital_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.001)
    readiness = Readiness(Metrics("test"))
    fed = asyncio.Event()
    alive = True
    readiness.check("media", lambda: alive, vital=True)
    readiness.check("store", lambda: False)
    readiness.watchdog(0.003, fed.set)
    beating = asyncio.ensure_future(readiness.run())
    async with asyncio.timeout(60):
        await fed.wait()
    alive = False
    await asyncio.sleep(0)
    fed.clear()
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not fed.is_set()
    beating.cancel()


async def test_probes_go_on_though_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROBE_S", 0.001)
    readiness = Readiness(Metrics("test"))
    tries = 0
    healed = asyncio.Event()

    async def probe() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OSError("the store is away")
        healed.set()

    readiness.probe("store", probe)
    readiness.check("store", healed.is_set)
    assert readiness.faults() == ["store"]
    beating = asyncio.ensure_future(readiness.run())
    async with asyncio.timeout(60):
        await healed.wait()
    assert readiness.faults() == []
    beating.cancel()
