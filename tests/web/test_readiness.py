"""Readiness and the watch over the loop."""

import asyncio
import logging
import time

import pytest

from softswitch.metrics import Metrics
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
