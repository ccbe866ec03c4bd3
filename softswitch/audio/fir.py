"""Low-pass filters for changing the sample rate, designed by the Kaiser window."""

import numpy as np
from numpy.typing import NDArray

PASSBAND = 0.875
"""End of the passband as a share of the lower Nyquist frequency; the stopband begins at its mirror, 1.125."""

STOPBAND_DB = 65.0
"""Attenuation of images and aliases, dB."""


def _length(up: int, down: int) -> int:
    """Return the taps needed, an odd number (Kaiser's estimate, Oppenheim and Schafer section 7.6)."""
    transition = 2 * np.pi * (1 - PASSBAND) / max(up, down)
    taps = int(np.ceil((STOPBAND_DB - 7.95) / (2.285 * transition))) + 1
    return taps | 1


def lowpass(up: int, down: int) -> NDArray[np.float64]:
    """Return the filter that changes a rate by `up` / `down`, to run at `up` times the rate that comes in.

    Symmetric, of odd length, with a gain of `up` to make good for the zeros between the samples.
    """
    taps = _length(up, down)
    centred = np.arange(taps) - taps // 2
    # The transition lies around half the lower rate, half of it on either side.
    cutoff = 1.0 / max(up, down)
    beta = 0.1102 * (STOPBAND_DB - 8.7)
    weights: NDArray[np.float64] = np.sinc(centred * cutoff) * cutoff * up * np.kaiser(taps, beta)
    return weights


def phases(up: int, down: int) -> tuple[NDArray[np.float32], int, int]:
    """Return the filter split by output phase, and how far it reaches.

    Returns:
        ``(up, before + 1 + after)``: row p weighs consecutive input samples, oldest first, for an output
        that lies p / `up` of an input sample after the middle one; then `before` and `after`, the samples
        needed on either side of that one.
    """
    taps = lowpass(up, down)
    half = len(taps) // 2
    before, after = half // up, (half + up - 1) // up
    # Weight of input i (relative to the one at or before the output) is the tap p - i * up off the middle.
    index = half + np.arange(up)[:, None] - np.arange(-before, after + 1) * up
    inside = (index >= 0) & (index < len(taps))
    table = np.where(inside, taps[np.clip(index, 0, len(taps) - 1)], 0.0)
    # Each phase passes a constant exactly; without this the phases differ by the stopband's ripple.
    table /= table.sum(axis=1, keepdims=True)
    return table.astype(np.float32), before, after
