"""What loss encoders are to expect, by the reports of remote parties: whether redundancy is worth its cost.

Opus with in-band FEC (SILK) takes twice the CPU of Opus without (CELT), which a clean network does not need.
See docs/adr/0048.
"""

from softswitch.audio.opus import LOSS_PERCENT

CLEAN_AFTER_S = 2.0
"""Time without loss, behind the first report, after which a network counts as clean, seconds."""

CLEAN_AGAIN_S = 30.0
"""Time without loss after which a network that has lost packets counts as clean again, seconds."""

UNREPORTED_S = 20.0
"""Time without a report after which a network no longer counts as clean, seconds: four intervals of RTCP."""

_MOST_PERCENT = 20
"""Most loss that an encoder is told to expect, percent: beyond, the redundancy costs more quality than it
saves (measured by PESQ)."""


class Redundancy:
    """The loss that the encoder of each slot has to expect, in percent; 0 for a clean network.

    Until a network has proved to be clean it is at least LOSS_PERCENT: the first losses come without warning,
    and below that value libopus makes its redundancy too coarse to be useful.
    """

    def __init__(self) -> None:
        """Begin without slots."""
        self._clean_from: dict[int, float] = {}
        """Monotonic seconds from which on a report without loss shows a clean network, by slot."""
        self._reported: dict[int, float] = {}
        """Monotonic seconds of the last report of each slot whose network counts as clean."""
        self._next = float("inf")
        """Monotonic seconds before which no such report can be too old."""

    def close(self, slot: int) -> None:
        """Clear a slot."""
        self._clean_from.pop(slot, None)
        self._reported.pop(slot, None)

    def report(self, slot: int, loss: float, now: float) -> int:
        """Take in a report and return the loss to expect, percent.

        Args:
            slot: row.
            loss: share of the packets lost since the report before, 0-1.
            now: monotonic seconds.
        """
        if loss > 0:
            self._clean_from[slot] = now + CLEAN_AGAIN_S
            self._reported.pop(slot, None)
            return min(max(round(100 * loss), LOSS_PERCENT), _MOST_PERCENT)
        if now < self._clean_from.setdefault(slot, now + CLEAN_AFTER_S):
            return LOSS_PERCENT
        self._reported[slot] = now
        self._next = min(self._next, now + UNREPORTED_S)
        return 0

    def unreported(self, now: float) -> list[int]:
        """Return the slots whose network no longer counts as clean because reports stay away."""
        if now < self._next:
            return []
        old = [slot for slot, at in self._reported.items() if now - at >= UNREPORTED_S]
        for slot in old:
            del self._reported[slot]
            self._clean_from[slot] = now + CLEAN_AFTER_S
        self._next = min(self._reported.values(), default=float("inf")) + UNREPORTED_S
        return old
