"""Quality of each RTP port in intervals of five seconds: what of its packets was not played."""

from collections.abc import Mapping

from softswitch.audio.pcm import Indices
from softswitch.media.reports import PortQuality

INTERVAL_TICKS = 250
"""Ticks (5 s) of an interval; the intervals of ports begin at different ticks, by their slots."""
LEAST_PACKETS = 25
"""Packets that must have come or been lost in an interval that is reported: half a second of speech."""


class QualityWatch:
    """What of the packets of each slot had come at the end of its last interval."""

    def __init__(self) -> None:
        """Start without slots."""
        self._before: dict[int, tuple[float, float, float]] = {}
        self._ticks = 0
        self._slots: Indices | None = None
        self._ending: dict[int, list[int]] = {}
        """Those of `_slots` whose intervals end at a tick, by the tick's number in an interval."""

    def open(self, slot: int) -> None:
        """Begin anew in a slot."""
        self._before[slot] = 0.0, 0.0, 0.0

    def close(self, slot: int) -> None:
        """Forget a slot."""
        self._before.pop(slot, None)

    def due(self, slots: Indices) -> list[int]:
        """Return the slots whose intervals end at this tick; to be called once a tick.

        Args:
            slots: slots of all open ports, ``(n,)``; another array after a change.
        """
        self._ticks += 1
        if slots is not self._slots:
            self._slots, self._ending = slots, {}
            for slot in slots.tolist():
                self._ending.setdefault(slot % INTERVAL_TICKS, []).append(slot)
        return self._ending.get(self._ticks % INTERVAL_TICKS, [])

    def measure(
        self, slot: int, port: int, codec: str, figures: Mapping[str, float], now: float
    ) -> PortQuality | None:
        """Return the quality of the interval that ends now; None where too few packets came or went missing.

        Args:
            slot: slot of the port.
            port: id of the port.
            codec: encoding name of what is received.
            figures: statistics of the port so far (`RtpPlane.statistics`).
            now: monotonic seconds.
        """
        after = figures["packets_received"], figures["packets_lost"], figures["packets_late"]
        before = self._before.get(slot, (0.0, 0.0, 0.0))
        self._before[slot] = after
        received, lost, late = (max(new - old, 0.0) for new, old in zip(after, before, strict=True))
        expected = received + lost
        if expected < LEAST_PACKETS:
            return None
        return PortQuality(
            port,
            now,
            codec=codec,
            loss=min(max((lost + late) / expected, 0.0), 1.0),
            far_loss=figures["far_loss_percent"] / 100.0,
            jitter_ms=figures["jitter_ms"],
            delay_ms=figures["delay_ms"],
            round_trip_ms=figures["round_trip_ms"],
        )
