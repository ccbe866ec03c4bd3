import numpy as np
import pytest

from softswitch.rtp.delay import DelayMeter
from softswitch.rtp.packet import UNITS_PER_MS


def met(transits_ms, *, step_ms=20, later_ms=0, reserve_ms=None):
    """Return (low, high, base) in milliseconds after packets with these transit times."""
    meter = DelayMeter(2)
    slot = np.array([1])
    if reserve_ms is not None:
        meter.reserve(1, reserve_ms)
    for index, transit in enumerate(transits_ms):
        moment = round((1000 + index * step_ms + transit) * UNITS_PER_MS)
        meter.add(slot, np.array([index]), np.array([round(transit * UNITS_PER_MS)]), moment)
    now = round((1000 + len(transits_ms) * step_ms + later_ms) * UNITS_PER_MS)
    low, high, base, said = meter.bounds(slot, now)
    return (*(int(value[0]) / UNITS_PER_MS for value in (low, high, base)), bool(said[0]))


def test_steady_packets_want_the_reserve_alone():
    assert met([40.0] * 100) == (58, 70, 40, True)


def test_a_peer_that_is_near_wants_a_smaller_reserve_until_its_packets_are_late():
    assert met([40.0] * 100, reserve_ms=4)[:2] == (44, 56)
    assert met([40.0, 60.0] * 50, reserve_ms=4)[:2] == (60, 72)


def test_a_new_stream_in_a_slot_has_the_usual_reserve():
    meter = DelayMeter(1)
    meter.reserve(0, 4)
    meter.open(0)
    meter.add(np.array([0]), np.array([0]), np.array([0]), 0)
    assert meter.bounds(np.array([0]), 100)[0] == 18 * UNITS_PER_MS


def test_jitter_wants_more():
    delays = np.abs(np.random.default_rng(1).normal(40, 20, 100)).tolist()
    low, high, _, _ = met(delays)
    assert np.quantile(delays[-64:], 0.9) < low <= max(delays)
    assert low < high < low + 30


def test_one_straggler_wants_nothing():
    assert met([0.0] * 50 + [300.0] + [0.0] * 10)[:2] == (18, 30)


def test_burst_of_late_packets_raises_the_delay_and_is_forgotten():
    burst = [0.0] * 40 + [100.0] * 10
    assert met(burst)[0] == 100
    assert met(burst + [0.0] * 75)[0] == 18


def test_long_silence_says_nothing():
    assert met([10.0] * 50, later_ms=5000)[3] is False


@pytest.mark.parametrize("step_ms", [10, 20, 60])
def test_arrivals_older_than_the_horizon_do_not_count(step_ms):
    late = [200.0] * 40
    enough = -(-1400 // step_ms)
    assert met(late + [0.0] * enough, step_ms=step_ms)[0] == 18


def test_jitter_is_that_of_the_rfc():
    meter = DelayMeter(1)
    slot = np.array([0])
    transits = np.random.default_rng(3).integers(0, 2000, 300)
    expected = 0.0
    for index, transit in enumerate(transits.tolist()):
        meter.add(slot, np.array([index]), np.array([transit]), 960 * index)
        if index:
            expected += (abs(transit - int(transits[index - 1])) - expected) / 16
    assert meter.jitter(0, 960 * 300) == pytest.approx(expected, rel=0.03)


def test_jitter_of_nothing_is_none():
    assert DelayMeter(1).jitter(0, 10**6) == 0


def test_reopened_slot_has_no_past():
    meter = DelayMeter(1)
    meter.add(np.array([0]), np.array([0]), np.array([5]), 100)
    meter.open(0)
    assert not meter.bounds(np.array([0]), 200)[3].any()
