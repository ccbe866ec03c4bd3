"""Audio of late live sources that was discarded: one set of figures for feed ports and tracks."""

from typing import Literal

from softswitch.audio.pcm import BUS_RATE

DiscardKind = Literal["cut", "compressed", "dropped"]
"""What was discarded: silence (cut), pitch periods of speech (compressed) or whole speech (dropped)."""


class DiscardCounter:
    """Counter of discarded samples that publishes milliseconds."""

    def __init__(self, counters: dict[str, int]) -> None:
        """Begin at zero; `counters` gets late_cut_ms, late_compressed_ms and late_dropped_ms."""
        self._counters = counters
        self._samples: dict[DiscardKind, int] = {"cut": 0, "compressed": 0, "dropped": 0}

    def count(self, kind: DiscardKind, samples: int) -> None:
        """Count discarded samples at the bus rate."""
        # Samples are summed, not milliseconds: a pitch period is not a whole number of milliseconds.
        self._samples[kind] += samples
        self._counters[f"late_{kind}_ms"] = self._samples[kind] * 1000 // BUS_RATE
