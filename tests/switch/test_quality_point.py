"""Figures of an interval with their estimate."""

import msgspec
import pytest

from softswitch.media.reports import PortQuality
from softswitch.rtp.e_model import mos
from softswitch.switch.quality_point import point_of


def test_point_has_percents_and_the_estimate():
    report = PortQuality(
        1, 2.0, codec="opus", loss=0.02, far_loss=0.1, jitter_ms=4.0, delay_ms=30.0, round_trip_ms=60.0
    )
    point = point_of(report)
    assert (point.loss_percent, point.far_loss_percent) == (2.0, pytest.approx(10.0))
    assert point.mos == mos("opus", 0.02, 60.0, 30.0)
    assert point.mos > point_of(msgspec.structs.replace(report, codec="PCMU")).mos
