"""Pitch period of a voice by normalised correlation; used by concealment and time stretching.

``pitch.c`` does the same in a tenth of the time, where there is compiled code; the tests compare the two.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from softswitch.audio.pcm import Indices, Pcm
from softswitch.compiled import address, library, locked

_COARSE_RATE = 8000
"""Sample rate of the first, coarse search, Hz: the pitch of a voice needs no higher bandwidth."""

_SILENCE = 1.0
"""Energy per sample added to the denominator, so that silence has no correlation with anything."""


def best_lags(pcm: Pcm, shortest: int, longest: int, window: int, sample_rate: int) -> tuple[Indices, Pcm]:
    """Return the distance in samples at which the end of each row repeats earlier sound.

    Args:
        pcm: ``(n, samples)``, at least ``longest + window`` samples; its end is compared with itself earlier.
        shortest: smallest lag to consider, samples.
        longest: largest lag to consider, samples.
        window: how many of the last samples are compared.
        sample_rate: rate of `pcm`, Hz.

    Returns:
        The lag of each row, ``(n,)``, and its normalised correlation, -1 to 1, ``(n,)``.
    """
    factor = coarseness(sample_rate)
    code = compiled()
    if code is not None:
        rows: Pcm = np.ascontiguousarray(pcm, np.float32)
        found, strengths = np.empty(len(rows), np.intp), np.empty(len(rows), np.float32)
        if not code.lags(
            address(rows), len(rows), rows.shape[1], shortest, longest, window, factor,
            address(found), address(strengths),
        ):  # fmt: skip
            return found, strengths
    return search_lags(pcm, shortest, longest, window, factor)


def continued(
    pcm: Pcm, shortest: int, longest: int, window: int, sample_rate: int, *, seam: Pcm, samples: int
) -> Pcm | None:
    """Return `samples` samples that repeat the last period of each row, ``(n, samples)``.

    Args:
        pcm: as for :func:`best_lags`.
        shortest: as for :func:`best_lags`.
        longest: as for :func:`best_lags`.
        window: as for :func:`best_lags`.
        sample_rate: rate of `pcm`, Hz.
        seam: weights of the step before the first repetition, ``(fading,)``.
        samples: how many are wanted.

    Returns:
        The sound; None where there is no compiled code.
    """
    code = compiled()
    if code is None:
        return None
    rows: Pcm = np.ascontiguousarray(pcm, np.float32)
    out: Pcm = np.empty((len(rows), samples), np.float32)
    found, strengths = np.empty(len(rows), np.intp), np.empty(len(rows), np.float32)
    fault = code.further(
        address(rows), len(rows), rows.shape[1], shortest, longest, window, coarseness(sample_rate),
        address(seam), len(seam), address(out), samples, address(found), address(strengths),
    )  # fmt: skip
    return None if fault else out


@dataclass(frozen=True, slots=True)
class CompiledPitch:
    """The functions of ``pitch.c``, which say what their arguments are; they return 0 if they did their work.

    They keep the interpreter's lock: a row takes 10 microseconds.
    """

    lags: Callable[..., int]
    further: Callable[..., int]
    """``softswitch_continue``."""


@cache
def compiled() -> CompiledPitch | None:
    """Return the functions of ``pitch.c``, None where there is no compiled code."""
    code = library()
    if code is None:
        return None
    pointer, long = ctypes.c_void_p, ctypes.c_int64
    lags = [pointer, long, long, long, long, long, long, pointer, pointer]
    further = [*lags[:7], pointer, long, pointer, long, pointer, pointer]
    return CompiledPitch(
        *(
            locked(function, ctypes.c_int, arguments)
            for function, arguments in ((code.softswitch_lags, lags), (code.softswitch_continue, further))
        )
    )


def coarseness(sample_rate: int) -> int:
    """Return by how much the rate of the first search is lower than `sample_rate`, Hz."""
    return max(sample_rate // _COARSE_RATE, 1)


def search_lags(pcm: Pcm, shortest: int, longest: int, window: int, factor: int) -> tuple[Indices, Pcm]:
    """Do what :func:`best_lags` does in Python, first at a `factor`-th of the sample rate."""
    if factor == 1:
        return _search(pcm, shortest, longest, window)
    usable = pcm.shape[1] // factor * factor
    coarse = pcm[:, pcm.shape[1] - usable :].reshape(len(pcm), -1, factor).mean(axis=2)
    lags, _ = _search(coarse, max(shortest // factor, 1), longest // factor, window // factor)
    return _refine(pcm, lags * factor, factor, shortest=shortest, longest=longest, window=window)


def _search(pcm: Pcm, shortest: int, longest: int, window: int) -> tuple[Indices, Pcm]:
    samples = pcm.shape[1]
    template = pcm[:, samples - window :]
    # Candidate k begins `longest - k` samples before the template.
    past = sliding_window_view(pcm[:, samples - window - longest : samples - shortest], window, axis=1)
    strength = _normalised(past, template)
    # argmax returns the first of equal values. In reversed order that is the shortest lag, not a multiple of
    # it.
    best = strength.shape[1] - 1 - np.argmax(strength[:, ::-1], axis=1)
    return longest - best, strength[np.arange(len(pcm)), best]


def _refine(
    pcm: Pcm, lags: Indices, radius: int, *, shortest: int, longest: int, window: int
) -> tuple[Indices, Pcm]:
    """Refine coarse `lags` at the full sample rate, sample by sample."""
    samples = pcm.shape[1]
    template = pcm[:, samples - window :]
    tried = np.clip(lags[:, None] + np.arange(-radius, radius + 1), shortest, longest)
    starts = samples - window - tried
    picked = starts[:, :, None] + np.arange(window)
    past = np.take_along_axis(pcm[:, None, :], picked, axis=2)
    strength = _normalised(past, template)
    best = np.argmax(strength, axis=1)
    rows = np.arange(len(pcm))
    return tried[rows, best], strength[rows, best]


def _normalised(past: Pcm, template: Pcm) -> Pcm:
    """Return the correlation of ``(n, candidates, window)`` with ``(n, window)``, 1 for equal shapes."""
    together = np.matmul(past, template[:, :, None])[:, :, 0]
    energies = np.einsum("nkw,nkw->nk", past, past) * np.einsum("nw,nw->n", template, template)[:, None]
    quiet = (_SILENCE * template.shape[1]) ** 2
    strength: Pcm = together / np.sqrt(energies + quiet)
    return strength
