"""Quality of trunks: in the metrics with few labels, and of the last minute."""

import pytest

from softswitch.metrics import Metrics
from softswitch.switch import trunk_quality
from softswitch.switch.quality_point import Point
from softswitch.switch.trunk_quality import TrunkQualities, TrunkQuality, merged


def point(mos: float, trip: float = 0.0) -> Point:
    return Point(
        mos=mos, loss_percent=1.0, far_loss_percent=2.0, jitter_ms=3.0, delay_ms=20.0, round_trip_ms=trip
    )


def test_intervals_are_in_the_metrics_and_the_recent_figures():
    metrics, now = Metrics(), [0.0]
    trunks = TrunkQualities(metrics, lambda: now[0])
    trunks.add("one", point(4.0, 50.0))
    trunks.add("one", point(3.0))
    assert metrics.value("softswitch_trunk_mos_sum", trunk="one") == 7.0
    assert metrics.value("softswitch_trunk_loss_ratio_sum", trunk="one", direction="sent") == 0.04
    assert metrics.value("softswitch_trunk_jitter_seconds_count", trunk="one") == 2.0
    assert metrics.value("softswitch_trunk_round_trip_seconds_count", trunk="one") == 1.0
    assert trunks.recent() == [
        TrunkQuality(
            name="one",
            mos=3.5,
            loss_percent=1.0,
            far_loss_percent=2.0,
            jitter_ms=3.0,
            round_trip_ms=50.0,
            intervals=2,
        )
    ]
    now[0] = 61.0
    assert trunks.recent() == []
    assert metrics.value("softswitch_trunk_mos_count", trunk="one") == 2.0


def test_trunks_beyond_the_bound_share_a_label(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trunk_quality, "MOST_TRUNKS", 2)
    trunks = TrunkQualities(Metrics())
    for name in "abcda":
        trunks.add(name, point(4.0))
    assert [(one.name, one.intervals) for one in trunks.recent()] == [("a", 2), ("b", 1), ("other", 2)]


def test_trunks_of_several_processes_are_weighed_by_their_intervals():
    def of(mos: float, trip: float, intervals: int) -> TrunkQuality:
        return TrunkQuality(
            name="one",
            mos=mos,
            loss_percent=1.0,
            far_loss_percent=0.0,
            jitter_ms=2.0,
            round_trip_ms=trip,
            intervals=intervals,
        )

    (joined,) = merged([of(4.0, 0.0, 3), of(3.0, 80.0, 1)])
    assert (joined.mos, joined.round_trip_ms, joined.intervals) == (3.75, 80.0, 4)
    assert merged([]) == []
