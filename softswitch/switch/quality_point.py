"""Quality of one leg in one interval of the engine, with the estimate of the E-model."""

import msgspec

from softswitch.media.reports import PortQuality
from softswitch.rtp.e_model import mos


class Point(msgspec.Struct, frozen=True):
    """One interval of a leg."""

    mos: float
    """Estimate by the E-model, 1 to 4.5."""
    loss_percent: float
    far_loss_percent: float
    jitter_ms: float
    delay_ms: float
    round_trip_ms: float
    """0: unknown."""


def point_of(report: PortQuality) -> Point:
    """Return the figures of an interval, with the estimate of the E-model."""
    return Point(
        mos=mos(report.codec, report.loss, report.round_trip_ms, report.delay_ms),
        loss_percent=100 * report.loss,
        far_loss_percent=100 * report.far_loss,
        jitter_ms=report.jitter_ms,
        delay_ms=report.delay_ms,
        round_trip_ms=report.round_trip_ms,
    )
