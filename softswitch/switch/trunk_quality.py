"""Quality of the calls of each trunk: for /metrics, and the last minute for lists and the page."""

import time
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from softswitch.metrics import Metrics
from softswitch.switch.quality_point import Point

MOST_TRUNKS = 64
"""Trunks with label values of their own; the others share `OTHER`."""
OTHER = "other"
RECENT_S = 60.0
"""Age of the oldest interval of the recent figures, seconds."""
MOST_RECENT = 600
"""Most intervals of a trunk that count as recent."""


class TrunkQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Quality of a trunk's calls in the last minute: means over their intervals of five seconds."""

    name: str
    mos: float
    loss_percent: float
    far_loss_percent: float
    jitter_ms: float
    round_trip_ms: float
    """Over the intervals in which it was known; 0: in none."""
    intervals: int
    """Intervals that count."""


class TrunkQualities:
    """Takes the quality of each leg of a trunk, by the trunk's name."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without trunks; ``clock`` returns monotonic seconds."""
        self._metrics = metrics
        self._clock = clock
        self._recent: dict[str, deque[tuple[float, Point]]] = {}

    def add(self, trunk: str, point: Point) -> None:
        """Count an interval of a leg."""
        recent = self._recent.get(trunk)
        if recent is None:
            if len(self._recent) >= MOST_TRUNKS:
                trunk = OTHER
            recent = self._recent.setdefault(trunk, deque(maxlen=MOST_RECENT))
        recent.append((self._clock(), point))
        self._metrics.trunk_mos.labels(trunk).observe(point.mos)
        self._metrics.trunk_loss.labels(trunk, "received").observe(point.loss_percent / 100)
        self._metrics.trunk_loss.labels(trunk, "sent").observe(point.far_loss_percent / 100)
        self._metrics.trunk_jitter_seconds.labels(trunk).observe(point.jitter_ms / 1000)
        if point.round_trip_ms > 0:
            self._metrics.trunk_round_trip_seconds.labels(trunk).observe(point.round_trip_ms / 1000)

    def recent(self) -> list[TrunkQuality]:
        """Return the quality of each trunk that had calls in the last minute, by name."""
        since = self._clock() - RECENT_S
        found: list[TrunkQuality] = []
        for name, recent in sorted(self._recent.items()):
            while recent and recent[0][0] < since:
                recent.popleft()
            points = [point for _, point in recent]
            if points:
                found.append(_summary(name, points))
        return found


def merged(qualities: Iterable[TrunkQuality]) -> list[TrunkQuality]:
    """Return the quality of each trunk over several processes, by name."""
    by_name: dict[str, list[TrunkQuality]] = {}
    for one in qualities:
        by_name.setdefault(one.name, []).append(one)
    return [_joined(by_name[name]) for name in sorted(by_name)]


def _joined(parts: list[TrunkQuality]) -> TrunkQuality:
    count = sum(part.intervals for part in parts)
    trips = [part for part in parts if part.round_trip_ms > 0]

    def mean(name: str, of: list[TrunkQuality], digits: int) -> float:
        weight = sum(part.intervals for part in of)
        total: float = sum(getattr(part, name) * part.intervals for part in of)
        return round(total / weight, digits) if weight else 0.0

    return TrunkQuality(
        name=parts[0].name,
        mos=mean("mos", parts, 2),
        loss_percent=mean("loss_percent", parts, 2),
        far_loss_percent=mean("far_loss_percent", parts, 2),
        jitter_ms=mean("jitter_ms", parts, 1),
        round_trip_ms=mean("round_trip_ms", trips, 1),
        intervals=count,
    )


def _summary(name: str, points: list[Point]) -> TrunkQuality:
    trips = [point.round_trip_ms for point in points if point.round_trip_ms > 0]
    return TrunkQuality(
        name=name,
        mos=round(_mean([point.mos for point in points]), 2),
        loss_percent=round(_mean([point.loss_percent for point in points]), 2),
        far_loss_percent=round(_mean([point.far_loss_percent for point in points]), 2),
        jitter_ms=round(_mean([point.jitter_ms for point in points]), 1),
        round_trip_ms=round(_mean(trips), 1) if trips else 0.0,
        intervals=len(points),
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
