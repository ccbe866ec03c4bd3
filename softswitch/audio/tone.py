"""Tones of the telephone: continuous in phase, with a rhythm, the same wherever rendering begins."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import BUS_RATE, FULL_SCALE, Pcm

_RAMP_MS = 4.0
"""A tone swells and dies within this time; a hard edge would click."""


@dataclass(frozen=True, slots=True)
class Tone:
    """Sine waves sounding together in a rhythm that repeats."""

    frequencies: tuple[float, ...]
    """Hz; each has the same level."""

    cadence_ms: tuple[int, ...] = ()
    """On, off, on, off ... in milliseconds, repeated for ever; empty for a steady tone."""

    level_dbov: float = -16.0
    """Level of each frequency while it sounds, decibels below overload (a full sine is -3.01)."""

    def render(self, position: int, samples: int, sample_rate: int = BUS_RATE) -> Pcm:
        """Return `samples` samples from `position` samples after the tone began, ``(samples,)``."""
        at = position + np.arange(samples, dtype=np.int64)
        wave = np.zeros(samples)
        for frequency in self.frequencies:
            # The phase is taken modulo a turn in whole millihertz: it stays exact after hours.
            turns = at * round(frequency * 1000) % (sample_rate * 1000)
            wave += np.sin(turns * (2 * np.pi / (sample_rate * 1000)))
        peak = FULL_SCALE * np.sqrt(2.0) * 10 ** (self.level_dbov / 20)
        pcm: Pcm = (wave * peak * self._envelope(at, sample_rate)).astype(np.float32)
        return pcm

    def sounding(self, position: int, sample_rate: int = BUS_RATE) -> bool:
        """Tell whether the tone is on at `position` samples after it began."""
        return bool(self._envelope(np.array([position], np.int64), sample_rate)[0] > 0)

    def _envelope(self, at: NDArray[np.int64], sample_rate: int) -> NDArray[np.float64]:
        if not self.cadence_ms:
            return np.minimum((at + 1) / (sample_rate * _RAMP_MS / 1000), 1.0)
        edges = np.concatenate(([0], np.cumsum(self.cadence_ms))) * sample_rate // 1000
        within = at % edges[-1]
        part = np.searchsorted(edges, within, side="right") - 1
        ramp = sample_rate * _RAMP_MS / 1000
        rise, fall = (within - edges[part] + 1) / ramp, (edges[part + 1] - within) / ramp
        return np.where(part % 2 == 0, np.minimum(np.minimum(rise, fall), 1.0), 0.0)


RINGBACK = Tone((425.0,), (1000, 4000))
"""Ringback tone of most European countries (ITU-T E.180 supplement 2)."""

RINGBACK_US = Tone((440.0, 480.0), (2000, 4000), -19.0)
BUSY = Tone((425.0,), (500, 500))
BUSY_US = Tone((480.0, 620.0), (500, 500), -24.0)
CONGESTION = Tone((425.0,), (250, 250))
CONGESTION_US = Tone((480.0, 620.0), (250, 250), -24.0)
DIAL = Tone((425.0,))
DIAL_US = Tone((350.0, 440.0), (), -19.0)
MILLIWATT = Tone((1004.0,), (), -16.0)
"""The test tone of the telephone network; what callee ``tone`` plays."""
