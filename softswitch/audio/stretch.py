"""Shortens or lengthens sound inaudibly, by removing or repeating one pitch period.

Used against clock drift and by jitter buffers that need less or more delay. Voiced speech repeats itself with
the period of the voice. A period is removed (or played twice) where two consecutive stretches of the sound
correlate strongly, with a cross-fade over the seam; otherwise only near-silence is cut.
"""

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.level import power
from softswitch.audio.pcm import BUS_RATE, Indices, Pcm, fade
from softswitch.audio.pitch import best_lags

_SHORTEST_MS, _LONGEST_MS = 2.5, 10.0
"""Range of periods, milliseconds: 400 Hz down to 100 Hz. A frame of 20 ms must hold two periods, the stretch
before the seam and the stretch after it, so that a period is at most half a frame."""

_STRONG = 0.7
"""Normalised correlation (1: equal) of the two stretches above which a seam is not heard."""

_QUIET_POWER = 60.0**2
"""Power (-55 dBov) below which no seam is heard, whatever the correlation."""


def accelerate(pcm: Pcm, sample_rate: int = BUS_RATE, *, force: bool = False) -> tuple[Pcm, Indices]:
    """Return rows with one period removed.

    Args:
        pcm: ``(n, samples)``, at least 20 ms.
        sample_rate: Hz.
        force: cut also where it will be heard, because the delay is worse than an artefact.

    Returns:
        ``(n, samples)`` padded with zeros, and the length of each row, ``(n,)``: shorter by 2.5 to 10 ms, or
        unchanged where no good seam was found.
    """
    lags, cut = _seams(pcm, sample_rate, force)
    seam = pcm.shape[1] - _span(pcm, sample_rate)
    out, lengths = pcm.copy(), np.full(len(pcm), pcm.shape[1], np.intp)
    for row in np.flatnonzero(cut).tolist():
        lag = int(lags[row])
        # x[seam - lag : seam] and x[seam : seam + lag] are alike. Cross-fade from the first into the second:
        # the sound continues one period later, and the row is shorter by `lag` samples.
        blended = _blend(pcm[row, seam - lag : seam], pcm[row, seam : seam + lag])
        joined = np.concatenate((pcm[row, : seam - lag], blended, pcm[row, seam + lag :]))
        out[row, : len(joined)] = joined
        out[row, len(joined) :] = 0.0
        lengths[row] = len(joined)
    return out[:, : int(lengths.max(initial=0))], lengths


def expand(pcm: Pcm, sample_rate: int = BUS_RATE, *, force: bool = False) -> tuple[Pcm, Indices]:
    """Return rows with one period played twice.

    Args:
        pcm: ``(n, samples)``, at least 20 ms.
        sample_rate: Hz.
        force: stretch also where it will be heard, because the alternative is a gap.

    Returns:
        ``(n, wider)`` padded with zeros, and the length of each row, ``(n,)``: longer by 2.5 to 10 ms, or
        unchanged where no good seam was found.
    """
    lags, doubled = _seams(pcm, sample_rate, force)
    samples = pcm.shape[1]
    seam = samples - _span(pcm, sample_rate)
    lengths = samples + np.where(doubled, lags, 0)
    out = np.zeros((len(pcm), int(lengths.max(initial=samples))), np.float32)
    out[:, :samples] = pcm
    for row in np.flatnonzero(doubled).tolist():
        lag = int(lags[row])
        # At `seam`, cross-fade from the samples that follow into those one period earlier, then play on from
        # `seam`: the row is longer by `lag` samples.
        blended = _blend(pcm[row, seam : seam + lag], pcm[row, seam - lag : seam])
        out[row, seam : lengths[row]] = np.concatenate((blended, pcm[row, seam:]))
    return out[:, : int(lengths.max(initial=0))], lengths


def _span(pcm: Pcm, sample_rate: int) -> int:
    """Return the number of samples compared, which is also the longest period; at most half a row."""
    return int(min(round(sample_rate * _LONGEST_MS / 1000), pcm.shape[1] // 2))


def _seams(pcm: Pcm, sample_rate: int, force: bool) -> tuple[Indices, NDArray[np.bool_]]:
    """Return the period of each row, samples, and whether the row may be cut there."""
    span = _span(pcm, sample_rate)
    shortest = round(sample_rate * _SHORTEST_MS / 1000)
    if span <= shortest:
        return np.zeros(len(pcm), np.intp), np.zeros(len(pcm), np.bool_)
    lags, strength = best_lags(pcm, shortest, span, span, sample_rate)
    return lags, (strength > _STRONG) | (power(pcm) < _QUIET_POWER) | force


def _blend(first: Pcm, second: Pcm) -> Pcm:
    rising = fade(len(first))
    blended: Pcm = first * (1.0 - rising) + second * rising
    return blended
