"""Making sound a little shorter or longer without anybody hearing it: one pitch period out or in.

For clock drift and a jitter buffer that wants less or more in it. A period is taken out (or played twice)
where the sound repeats itself, and the seam is blended; where it does not repeat, only near-silence is cut.
"""

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.level import power
from softswitch.audio.pcm import BUS_RATE, Indices, Pcm, fade
from softswitch.audio.pitch import best_lags

_SHORTEST_MS, _LONGEST_MS = 2.5, 10.0
"""Periods taken: at most half of a frame of 20 ms, so that both copies of the seam lie within it."""

_STRONG = 0.7
"""Correlation above which a seam is not heard."""

_QUIET_POWER = 60.0**2
"""Below this power (-55 dBov) a seam is not heard whatever the sound."""


def accelerate(pcm: Pcm, sample_rate: int = BUS_RATE, *, force: bool = False) -> tuple[Pcm, Indices]:
    """Return rows with one period taken out.

    Args:
        pcm: ``(n, samples)``, at least 20 ms.
        sample_rate: Hz.
        force: cut even where it will be heard, when the delay has become worse than a blemish.

    Returns:
        ``(n, samples)`` padded with zeros, and the length of each row, ``(n,)``: shorter by 2.5 to 10 ms, or
        unchanged where no good seam was found.
    """
    lags, cut = _seams(pcm, sample_rate, force)
    seam = pcm.shape[1] - _span(pcm, sample_rate)
    out, lengths = pcm.copy(), np.full(len(pcm), pcm.shape[1], np.intp)
    for row in np.flatnonzero(cut).tolist():
        lag = int(lags[row])
        # x[seam - lag:] and x[seam:] look alike: blend from the first into the second, one period later.
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
        force: stretch even where it will be heard, when the alternative is a gap.

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
        # Having arrived at `seam`, blend from what follows back into what was one period before.
        blended = _blend(pcm[row, seam : seam + lag], pcm[row, seam - lag : seam])
        out[row, seam : lengths[row]] = np.concatenate((blended, pcm[row, seam:]))
    return out[:, : int(lengths.max(initial=0))], lengths


def _span(pcm: Pcm, sample_rate: int) -> int:
    """Return the samples compared, which are also the longest period."""
    return int(min(round(sample_rate * _LONGEST_MS / 1000), pcm.shape[1] // 2))


def _seams(pcm: Pcm, sample_rate: int, force: bool) -> tuple[Indices, NDArray[np.bool_]]:
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
