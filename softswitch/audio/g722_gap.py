"""Estimate of the state of a G.722 decoder after a gap, by a small network.

Sound that is coded alike gives the same codes at every level, so that the packet after a gap does not say how
large its steps are, nor what the predictors were. Its codes tell something all the same: steps shrink by a
part of themselves at each code and grow with those that are far out, so that codes in the middle mean small
steps. A network of one hidden layer weighs that with the state before the gap, with the state after coding
the concealed sound, and with how loud the sound is on both sides. `scripts/fit_g722_gaps.py` has trained it
on spoken sentences. See docs/adr/0056.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import Bytes, Indices, Pcm

Floats: TypeAlias = NDArray[np.float64]
"""Numbers of 64 bit."""

BAND_WORDS = 20
"""Words of a band in a state, ``struct band`` of g722.c."""

_FIRST_POLE, _SECOND_POLE, _STEP = 5, 6, 7
_BAND = (_FIRST_POLE, _SECOND_POLE, _STEP, *range(14, 20))
ESTIMATED: Indices = np.array([*_BAND, *(BAND_WORDS + word for word in _BAND)], np.intp)
"""Words of a state that are estimated: of each band two poles, the logarithm of the step, six zeros."""

CUTS = (40, 80, 160)
"""Octets of the packet after the gap by whose ends is asked what its codes have added to the state."""

SOUND, PAST = 320, 400
"""Samples that are looked at: after the gap and before its end, as it is concealed from the past alone."""

INPUTS = len(ESTIMATED) * (2 + len(CUTS)) + SOUND // 40 + SOUND // 80 + 2 * (PAST // 80)
HIDDEN = 96
MOST = 4.0
"""Limit of inputs beside their spread, and of outputs in their units."""

_LOW_UNITS = (5400, 3400, 1900, 2100, 1850, 1900, 1850, 1700, 1680)
_HIGH_UNITS = (3600, 2300, 1700, 1500, 1400, 1600, 1500, 1430, 1300)
UNITS: Floats = np.array(_LOW_UNITS + _HIGH_UNITS, np.float64)
"""Unit of each output: about the error without the network."""

FILE = Path(__file__).parent / "data" / "g722_gap.npy"

_SCALE = 2048
"""Step of the logarithm that doubles the step of a band; poles and zeros are of the same size."""

_KEPT: Floats = np.array([255, 127, 127, *[255] * 6] * 2) / np.array([256, 128, 128, *[256] * 6] * 2)
"""What a code leaves of each word before it adds to it."""

_MOVED = 0.8
"""How far the concealed sound moves a state, in UNITS, if the network is believed in full; half of all gaps
in speech move it by 1.05 or more, a sung vowel by 0.7."""

_SILENCE = 20.0
"""Power that is added, so that silence has a logarithm."""

_MOST_SECOND_POLE, _MOST_POLES, _MOST_STEPS = 12288, 15360, (18432, 22528)
"""Limits of the Recommendation."""


def estimated(states: Bytes) -> Floats:
    """Return the words that are estimated, ``(n, 18)``."""
    words: Floats = states.view(np.int32)[:, ESTIMATED].astype(np.float64)
    return words


def added(before: Floats, after: Floats, octets: int) -> Floats:
    """Return what `octets` codes have added to the words of states, on the scale of these words."""
    left = _KEPT**octets
    return (after - before * left) / (1.0 - left)


def inputs(before: Bytes, followed: Bytes, gains: Sequence[Floats], sound: Pcm, past: Pcm) -> Floats:
    """Return what the network is told, ``(n, INPUTS)``.

    Args:
        before: states before the gap.
        followed: states after an encoder has coded the concealed sound.
        gains: what the codes after the gap have :func:`added`, for each of CUTS.
        sound: decoded after the gap with the best state so far, ``(n, SOUND)``.
        past: before the end of the gap, ``(n, PAST)``.
    """
    words = [state / _SCALE for state in (estimated(before), estimated(followed), *gains)]
    levels = [
        _level(sound, 40),
        _level(np.diff(sound, axis=1, prepend=sound[:, :1]), 80),
        _level(past, 80),
        _level(np.diff(past, axis=1, prepend=past[:, :1]), 80),
    ]
    return np.concatenate(words + levels, axis=1)


def corrected(states: Bytes, told: Floats) -> Bytes:
    """Return states with the words that the network estimates.

    Args:
        states: best states so far, whose other words are kept.
        told: :func:`inputs`.
    """
    words = len(ESTIMATED)
    moved = (told[:, words : 2 * words] - told[:, :words]) * _SCALE / UNITS
    # Steady sound hardly moves the state: there is little to correct, and the network, which knows voices
    # best, corrects a hummed vowel or a tone too much.
    heeded = np.minimum(np.sqrt(np.mean(moved**2, axis=1)) / _MOVED, 1.0)
    change = answer(told, network()) * heeded[:, None]
    return with_words(states, estimated(states) + change * UNITS)


def answer(told: Floats, layers: Sequence[Floats]) -> Floats:
    """Return what the network answers, ``(n, 18)`` in UNITS.

    Args:
        told: :func:`inputs`. Numbers that are unlike all of the training are taken as less unlike.
        layers: as :func:`network` returns them.
    """
    mean, spread, first, offset, second, constant = layers
    seen = np.clip((told - mean) / spread, -MOST, MOST)
    # In numbers of 64 bit the sums do not depend on how many rows there are, up to what is rounded off.
    change: Floats = np.tanh(seen @ first + offset) @ second + constant
    return np.clip(change, -MOST, MOST, out=change)


def with_words(states: Bytes, words: Floats) -> Bytes:
    """Return states with other words in the places that are estimated, within their limits."""
    words = words.copy()
    for band, most in zip((words[:, :9], words[:, 9:]), _MOST_STEPS, strict=True):
        band[:, 1] = np.clip(band[:, 1], -_MOST_SECOND_POLE, _MOST_SECOND_POLE)
        limit = _MOST_POLES - band[:, 1]
        band[:, 0] = np.clip(band[:, 0], -limit, limit)
        band[:, 2] = np.clip(band[:, 2], 0, most)
        np.clip(band[:, 3:], -32768, 32767, out=band[:, 3:])
    changed = states.copy()
    changed.view(np.int32)[:, ESTIMATED] = np.rint(words).astype(np.int32)
    return changed


@cache
def network() -> tuple[Floats, ...]:
    """Return mean and spread of the inputs, then weights and constants of both layers; read once."""
    numbers: Floats = np.load(FILE).astype(np.float64)
    outputs = len(ESTIMATED)
    sizes = ((INPUTS,), (INPUTS,), (INPUTS, HIDDEN), (HIDDEN,), (HIDDEN, outputs), (outputs,))
    ends = np.cumsum([int(np.prod(size)) for size in sizes])
    parts = np.split(numbers, ends[:-1])
    return tuple(part.reshape(size) for part, size in zip(parts, sizes, strict=True))


def _level(pcm: Pcm, piece: int) -> Floats:
    """Return the logarithm to base 2 of the power of each `piece` samples, ``(n, pieces)``."""
    rows = pcm.reshape(len(pcm), -1, piece)
    power: Floats = np.einsum("nps,nps->np", rows, rows).astype(np.float64) / piece
    return np.log2(power + _SILENCE)
