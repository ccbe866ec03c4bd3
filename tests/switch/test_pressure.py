"""What is measured, and what is told of it."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from softswitch.errors import NotNowError
from softswitch.switch import pressure as module
from softswitch.switch.pressure import Pressure


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks():
    return {"ticks": 0, "late_ticks": 0, "jumped_ticks": 0}


@pytest.fixture
def clock():
    return Clock()


def looks(pressure: Pressure, clock: Clock, count: int, lag_s: float = 0.0) -> None:
    for _ in range(count):
        clock.now += 0.1
        pressure.look(lag_s, clock.now)


def test_late_and_missed_ticks_are_a_share_of_those_due(ticks, clock):
    pressure = Pressure(ticks, clock=clock)
    ticks.update(ticks=3, late_ticks=1, jumped_ticks=2)
    looks(pressure, clock, 1)
    assert pressure.signs.late_share == 0.6
    looks(pressure, clock, 1)
    assert pressure.signs.late_share == 0.0


def test_queue_age_is_the_longest_since_the_last_look(ticks, clock):
    pressure = Pressure(ticks, clock=clock)
    for age in (0.1, 0.7, 0.2):
        pressure.waited(age)
    looks(pressure, clock, 1)
    assert pressure.gauges()["queue_age_seconds"] == 0.7
    looks(pressure, clock, 1)
    assert pressure.gauges()["queue_age_seconds"] == 0.0


def test_begin_and_end_are_told_once_each_and_calls_between_are_refused(ticks, clock, caplog):
    pressure = Pressure(ticks, clock=clock)
    with caplog.at_level(logging.WARNING):
        looks(pressure, clock, 20, lag_s=0.5)
        assert pressure.is_shedding
        pressure.refuse()  # what has been saved up
        with pytest.raises(NotNowError, match="overloaded") as refused:
            pressure.check()
        assert refused.value.retry_after_s >= 3
        looks(pressure, clock, 60)
    assert pressure.is_shedding is False
    assert [record.message.partition(":")[0] for record in caplog.records] == ["overload", "overload is over"]  # type: ignore[unreachable]
    assert pressure.totals()["calls_refused"] == 1
    pressure.check()


def test_switched_off_it_measures_and_takes_every_call(ticks, clock):
    pressure = Pressure(ticks, enabled=False, clock=clock)
    looks(pressure, clock, 20, lag_s=0.5)
    assert pressure.gauges()["pressure_ratio"] > 1.0
    assert not pressure.is_shedding
    for _ in range(100):
        pressure.check()


class Counting(Pressure):
    """Counts its measurements."""

    looked = 0

    def look(self, lag_s: float, now: float) -> None:
        self.looked += 1
        super().look(lag_s, now)


@pytest.fixture
async def running(ticks, monkeypatch) -> AsyncIterator[Counting]:
    """Give a measurement that runs, at a thousand times its speed; its rest has no end of its own."""
    monkeypatch.setattr(module, "LOOK_S", 0.0001)
    monkeypatch.setattr(module, "REST_S", 3600.0)
    # Its clock stands: a loaded machine is no pressure here.
    pressure = Counting(ticks, clock=Clock())
    task = asyncio.ensure_future(pressure.run())
    yield pressure
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def more(pressure: Counting, count: int) -> None:
    """Wait for further measurements."""
    async with asyncio.timeout(60):
        wanted = pressure.looked + count
        while pressure.looked < wanted:
            await asyncio.sleep(0.001)


async def rested(pressure: Counting) -> int:
    """Return the number of measurements after a while in which a restless one makes dozens."""
    await asyncio.sleep(0.05)
    return pressure.looked


async def test_nothing_is_measured_while_nothing_happens(running):
    await more(running, 1)
    looked = await rested(running)
    assert await rested(running) == looked


@pytest.mark.parametrize("stir", [Pressure.refuse, lambda pressure: pressure.waited(0.05)])
async def test_call_or_late_message_is_followed_by_measurements_at_once(running, stir):
    await more(running, 1)
    looked = await rested(running)
    stir(running)
    await more(running, 1)
    assert running.looked > looked


async def test_messages_in_time_leave_it_at_rest(running):
    await more(running, 1)
    looked = await rested(running)
    running.waited(0.001)
    assert await rested(running) == looked


async def test_measurements_go_on_while_the_pressure_falls(running):
    running.admission.pressure = 1.5
    running.refuse()
    # 1.5 * 0.7^n is below 0.1 after eight of them.
    await more(running, 8)


class Busy(dict[str, int]):
    """Counters of an engine that has begun a tick whenever they are read."""

    def get(self, key: str, default: int = 0) -> int:  # type: ignore[override]
        self["ticks"] += 1
        return super().get(key, default)


async def test_measurements_go_on_while_ticks_run(ticks, running):
    running._ticks = Busy(ticks)
    running.refuse()
    await more(running, 50)


async def test_under_overload_each_round_of_the_loop_admits_few_calls(ticks, clock):
    pressure = Pressure(ticks, clock=clock)
    task = asyncio.ensure_future(pressure.run())
    await asyncio.sleep(0)
    for _ in range(100):
        pressure.check()
    looks(pressure, clock, 10, lag_s=0.5)
    assert pressure.is_shedding
    for _ in range(3):
        clock.now += 1.0
        assert [not pressure.refuse() for _ in range(4)] == [True, True, False, False]
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
