"""The intervals of one leg stay within their bound, and what is left is their average."""

import pytest

from softswitch.store.quality import Change
from softswitch.switch.conversation import quality
from softswitch.switch.conversation.quality import QualitySeries
from softswitch.switch.quality_point import Point


def point(value: float) -> Point:
    return Point(
        mos=value,
        loss_percent=value,
        far_loss_percent=value,
        jitter_ms=value,
        delay_ms=value,
        round_trip_ms=value,
    )


def test_intervals_and_changes_are_kept_in_order():
    series = QualitySeries("party")
    series.add(5000, point(4.0), "PCMU", "a - b")
    series.add(10_000, point(3.0), "PCMU", "")
    series.add(15_000, point(3.5), "opus", "a - c")
    shown = series.shown()
    assert (shown.leg, shown.step_s, shown.at) == ("party", 5, (5000, 10_000, 15_000))
    assert shown.mos == shown.round_trip_ms == (4.0, 3.0, 3.5)
    assert shown.codecs == (Change(5000, "PCMU"), Change(15_000, "opus"))
    assert shown.paths == (Change(5000, "a - b"), Change(15_000, "a - c"))


def test_long_call_gets_longer_intervals(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(quality, "MOST", 4)
    series = QualitySeries("party")
    for number in range(8):
        series.add(number, point(float(number)), "PCMU", "")
    shown = series.shown()
    assert (shown.step_s, shown.at, shown.mos) == (20, (3, 7), (1.5, 5.5))
    for number in range(8, 1000):
        series.add(number, point(1.0), "PCMU", "")
        assert len(series) < 4


def test_changes_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(quality, "MOST_CHANGES", 3)
    series = QualitySeries("party")
    for number in range(9):
        series.add(number, point(1.0), f"codec-{number}", "")
    assert len(series.shown().codecs) == 3
