"""What is measured, and what is told of it."""

import logging

import pytest

from softswitch.errors import NotNowError
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
