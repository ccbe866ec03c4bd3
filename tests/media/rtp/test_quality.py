"""Quality of ports in intervals: when they end, and what is measured."""

import numpy as np
import pytest

from softswitch.media.messages import PortQuality
from softswitch.media.rtp import quality
from softswitch.media.rtp.plane import RtpPlane
from softswitch.media.rtp.quality import QualityWatch
from tests.media.rtp.rtp_pair import give, parameters
from tests.rtp.wire import packet

FIGURES = {
    "packets_received": 0.0,
    "packets_lost": 0.0,
    "packets_late": 0.0,
    "far_loss_percent": 5.0,
    "jitter_ms": 3.0,
    "delay_ms": 40.0,
    "round_trip_ms": 80.0,
}


def figures(received: float, lost: float = 0.0, late: float = 0.0) -> dict[str, float]:
    return FIGURES | {"packets_received": received, "packets_lost": lost, "packets_late": late}


def test_interval_counts_what_came_and_what_was_not_played_since_the_last():
    watch = QualityWatch()
    watch.open(3)
    first = watch.measure(3, 7, "PCMU", figures(200, 50, 0), 5.0)
    assert first == PortQuality(
        7,
        5.0,
        codec="PCMU",
        loss=0.2,
        far_loss=0.05,
        jitter_ms=3.0,
        delay_ms=40.0,
        round_trip_ms=80.0,
    )
    second = watch.measure(3, 7, "PCMU", figures(400, 50, 10), 10.0)
    assert second is not None
    assert second.loss == pytest.approx(0.05)


def test_interval_with_few_packets_says_nothing():
    watch = QualityWatch()
    watch.open(3)
    assert watch.measure(3, 7, "PCMU", figures(10), 5.0) is None
    assert watch.measure(3, 7, "PCMU", figures(20), 10.0) is None
    assert watch.measure(3, 7, "PCMU", figures(20, 30), 15.0) is not None
    watch.open(3)  # another port, whose counts begin at zero
    assert watch.measure(3, 8, "PCMU", figures(5), 20.0) is None


def test_every_slot_is_due_once_in_an_interval_and_not_all_at_once():
    watch = QualityWatch()
    slots = np.arange(600)
    due = [watch.due(slots) for _ in range(quality.INTERVAL_TICKS)]
    assert sorted(slot for tick in due for slot in tick) == list(range(600))
    assert max(len(tick) for tick in due) == 3


def test_plane_reports_the_quality_of_a_port_that_loses_packets(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(quality, "INTERVAL_TICKS", 60)
    plane = RtpPlane(2)
    plane.open(1, 77, parameters(ssrc=5), 100.0)
    found = []
    for number in range(61):
        now = 100.0 + number * 0.02
        if number % 10 != 5:
            give(plane, [(1, packet(number + 1, 160 * number))], now)
        plane.control(now)
        found += [report for report in plane.take_reports() if isinstance(report, PortQuality)]
    (report,) = found
    assert (report.port, report.codec) == (77, "PCMU")
    assert report.loss == pytest.approx(0.1, abs=0.02)
