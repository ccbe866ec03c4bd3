"""Quality of one leg of a call in intervals: five seconds, longer ones in long calls, within a bound."""

from array import array

from softswitch.store.quality import Change, LegQuality
from softswitch.switch.quality_point import Point

STEP_S = 5
"""Length of the engine's intervals, seconds."""
MOST = 360
"""Most intervals of one leg: half an hour of five seconds, an hour of ten, and so on."""
MOST_CHANGES = 32
"""Most changes of codec or way that are kept of one leg."""
_FIGURES = ("mos", "loss_percent", "far_loss_percent", "jitter_ms", "delay_ms", "round_trip_ms")


class QualitySeries:
    """The intervals of one leg."""

    def __init__(self, leg: str) -> None:
        """Start without intervals."""
        self.leg = leg
        self._at = array("q")
        self._figures = {name: array("f") for name in _FIGURES}
        self._step = 1
        """Intervals of the engine in one that is kept."""
        self._waiting: list[Point] = []
        self._codecs: list[Change] = []
        self._paths: list[Change] = []

    def __len__(self) -> int:
        """Return the number of intervals that are kept."""
        return len(self._at)

    def add(self, at_ms: int, point: Point, codec: str, path: str) -> None:
        """Add an interval.

        Args:
            at_ms: its end, epoch milliseconds.
            point: its figures.
            codec: codec of what was received.
            path: way of the media; empty: unknown.
        """
        for changes, value in ((self._codecs, codec), (self._paths, path)):
            if value and (not changes or changes[-1].value != value) and len(changes) < MOST_CHANGES:
                changes.append(Change(at_ms, value))
        self._waiting.append(point)
        if len(self._waiting) < self._step:
            return
        self._at.append(at_ms)
        for name, values in self._figures.items():
            values.append(_mean([getattr(each, name) for each in self._waiting]))
        self._waiting.clear()
        if len(self._at) >= MOST:
            self._thin()

    def shown(self) -> LegQuality:
        """Return the intervals so far."""
        return LegQuality(
            leg=self.leg,
            step_s=STEP_S * self._step,
            codecs=tuple(self._codecs),
            paths=tuple(self._paths),
            at=tuple(self._at),
            **{name: tuple(round(value, 2) for value in values) for name, values in self._figures.items()},
        )

    def _thin(self) -> None:
        """Join each two neighbours, and from now on twice as many intervals of the engine."""
        self._step *= 2
        self._at = self._at[1::2]
        for name, values in self._figures.items():
            pairs = zip(values[::2], values[1::2], strict=False)
            self._figures[name] = array("f", (_mean(list(pair)) for pair in pairs))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
