"""Sums of rows per mix, the sum of the others for each row, and a soft limiter."""

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import FULL_SCALE, Indices, Pcm
from softswitch.audio.rows import compiled
from softswitch.compiled import address

_KNEE = 0.8 * FULL_SCALE
"""Magnitude (-1.9 dB of full scale) below which the limiter leaves samples unchanged."""

_HIGHEST = FULL_SCALE - 1.0


def sums(pcm: Pcm, mixes: Indices, count: int) -> Pcm:
    """Return the sum of the rows of each mix.

    Args:
        pcm: ``(n, samples)``.
        mixes: the mix each row speaks into, 0 to `count` - 1, in any order, ``(n,)``.
        count: how many mixes there are.

    Returns:
        ``(count, samples)``; a mix with no row is silent.
    """
    out = np.zeros((count, pcm.shape[1]), np.float32)
    if len(mixes) == 0:
        return out
    if not (mixes[1:] >= mixes[:-1]).all():
        order = np.argsort(mixes, kind="stable")
        pcm, mixes = pcm[order], mixes[order]
    starts = np.flatnonzero(np.r_[True, mixes[1:] != mixes[:-1]])
    if len(starts) == count == len(mixes):
        np.copyto(out, pcm)
    else:
        out[mixes[starts]] = np.add.reduceat(pcm, starts, axis=0)
    return out


def minus(pcm: Pcm, mixes: Indices, count: int) -> Pcm:
    """Return for each row the sum of the others in its mix (N - 1), not limited yet.

    Args:
        pcm: ``(n, samples)``.
        mixes: the mix of each row, 0 to `count` - 1, in any order, ``(n,)``.
        count: how many mixes there are.
    """
    if len(mixes) == 0:
        return np.zeros_like(pcm)
    order = np.argsort(mixes, kind="stable")
    size = np.bincount(mixes, minlength=count)[mixes]
    # In a call of two, by far the most frequent, the sum of the others is the other row.
    beside = order.copy()
    begins = np.flatnonzero((size[order] == 2) & np.r_[True, mixes[order][1:] != mixes[order][:-1]])
    beside[order[begins]], beside[order[begins + 1]] = order[begins + 1], order[begins]
    heard: Pcm = pcm[beside]
    rest = np.flatnonzero(size != 2)
    if rest.size:
        heard[rest] = sums(pcm[rest], mixes[rest], count)[mixes[rest]] - pcm[rest]
    return heard


def weigh(gains: Pcm, pcm: Pcm, out: Pcm | None = None) -> Pcm:
    """Return the sum of speakers for each listener, each speaker with its own gain.

    Args:
        gains: ``(listeners, speakers)``, 1 for as it is, 0 for not at all.
        pcm: ``(speakers, samples)``.
        out: where to write, ``(listeners, samples)``.
    """
    return np.matmul(gains, pcm, out=out)


def limit(pcm: Pcm, which: NDArray[np.bool_] | None = None) -> Pcm:
    """Compress samples near and beyond full scale into it, in place, and return `pcm`.

    Samples below the knee stay as they are; above it the curve flattens smoothly towards full scale, so that
    several people who shout at once sound pressed but not torn.

    Args:
        pcm: ``(n, samples)``, any magnitude.
        which: rows to look at, ``(n,)``; None for all.
    """
    fast = compiled("limit")
    if fast is None or pcm.dtype != np.float32 or not pcm.flags.c_contiguous:
        return limit_by_numpy(pcm, which)
    if which is not None and which.shape != (len(pcm),):
        raise ValueError(f"which: {which.shape} for {len(pcm)} rows")
    fast(address(pcm), len(pcm), pcm.shape[1], None if which is None else address(which))
    return pcm


def limit_by_numpy(pcm: Pcm, which: NDArray[np.bool_] | None = None) -> Pcm:
    """Do what :func:`limit` does, without compiled code."""
    if which is not None and not which.all():
        rows = np.flatnonzero(which)
        if rows.size:
            pcm[rows] = limit_by_numpy(pcm[rows])
        return pcm
    loud = np.flatnonzero((pcm.max(axis=1, initial=0.0) > _KNEE) | (pcm.min(axis=1, initial=0.0) < -_KNEE))
    if loud.size:
        before = pcm[loud]
        over = np.abs(before)
        span = _HIGHEST - _KNEE
        bent = _KNEE + span * np.tanh((over - _KNEE) / span)
        pcm[loud] = np.where(over > _KNEE, np.copysign(bent, before), before)
    return pcm
