"""Deadlines and what is counted of them."""

import pytest

from softswitch.media.engine.clock import CATCH_UP, PERIOD_S, Clock, Histogram


def run(clock, starts):
    waits = []
    for start in starts:
        clock.begin(start)
        waits.append(clock.wait_s(start))
    return waits


def test_deadlines_are_absolute():
    clock = Clock()
    clock.restart(100.0)
    # Each tick begins a little late; the next deadline does not move by it.
    for tick in range(1000):
        start = 100.0 + tick * PERIOD_S + 0.003
        clock.begin(start)
        assert clock.wait_s(start) == pytest.approx(PERIOD_S - 0.003)
    assert (clock.ticks, clock.late, clock.jumped) == (1000, 0, 0)


def test_late_tick_is_counted_and_caught_up():
    clock = Clock()
    clock.restart(100.0)
    waits = run(clock, [100.0, 100.065, 100.066, 100.067])
    assert clock.late == 3
    assert clock.jumped == 0
    assert waits[1:3] == [pytest.approx(-0.025), pytest.approx(-0.006)]
    assert waits[3] > 0


def test_long_stop_is_skipped_and_counted():
    clock = Clock()
    clock.restart(100.0)
    [_, wait] = run(clock, [100.0, 101.0])
    assert clock.jumped == 49
    assert 0 < wait <= PERIOD_S
    clock.begin(101.02)
    assert clock.late == 1


def test_catching_up_is_bounded():
    clock = Clock()
    clock.restart(100.0)
    now, ticks = 100.0 + CATCH_UP * PERIOD_S, 0
    while clock.wait_s(now) <= 0:
        clock.begin(now)
        ticks += 1
    assert ticks == CATCH_UP + 1
    assert clock.jumped == 0


def test_restart_forgets_the_time_asleep():
    clock = Clock()
    clock.restart(100.0)
    clock.begin(100.0)
    clock.restart(500.0)
    clock.begin(500.0)
    assert (clock.late, clock.jumped) == (0, 0)


def test_histogram_counts_as_prometheus_does():
    histogram = Histogram()
    for seconds in (0.0001, 0.00025, 0.0006, 5.0):
        histogram.observe(seconds)
    assert histogram.count == 4
    assert histogram.sum == pytest.approx(5.00095)
    buckets = dict(histogram.buckets())
    assert buckets[0.00025] == 2
    assert buckets[0.001] == 3
    assert buckets[0.1] == 3
    assert buckets[float("inf")] == 4
