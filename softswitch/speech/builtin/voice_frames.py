"""Turns the spectra that the neural voice predicts into sound, piece by piece.

The voice's network gives a spectrum every 12.5 ms. The whole of a sentence is inverted in the voice's own
package at once; here it is inverted in blocks, so that the first 0.3 s can be heard before the rest is made.
"""

from collections.abc import Iterator
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

RATE, SIZE, HOP = 24000, 1200, 300
"""Hz; samples that a spectrum covers; samples between two."""
BLOCKS = (24, 24, 48)
"""Frames of the first blocks:

0.3, 0.3 and 0.6 s. Most sentences begin with 0.3 s of silence, which is left out.
"""
BLOCK = 96
"""Frames of those that follow: 1.2 s."""
_OVERLAP = SIZE // HOP - 1
_AFTER = _OVERLAP * HOP - SIZE // 2
"""Samples that the last frames reach beyond the end."""
_WINDOW: Array = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SIZE) / SIZE)).astype(np.float32)
_SOURCE_WINDOW: Array = _WINDOW / np.float32(SIZE / 4)
"""With it a cosine of amplitude 1 has a spectrum whose peak is 1."""
_LOUDEST = np.float32(7.0)
"""Largest exponent: what the network was trained with."""


class Spectra(NamedTuple):
    """What the network says of each frame, ``(601, frames)`` each."""

    harmonic: Array
    """Logarithm of the magnitude of what the voice's pulses excite."""
    turn: Array
    """How far its phase is turned, before the tanh that bounds it to half a circle."""
    noise: Array
    """Logarithm of the magnitude of the noise."""
    free: Array
    """Logarithm of the magnitude of the part with a phase of its own."""
    phase: Array
    """That phase, radians."""


def hiss(frames: int, seed: int) -> NDArray[np.complex64]:
    """Return noise spectra ``(frames, 601)``: made once, for it takes as long as the rest of a sentence."""
    size = SIZE // 2 + 1
    chance = np.random.default_rng(seed)
    return chance.standard_normal((frames, 2 * size), np.float32).view(np.complex64)


def sound(spectra: Spectra, pulses: Array, noise: NDArray[np.complex64]) -> Iterator[Array]:
    """Yield the samples of a sentence, -1 to 1, in blocks.

    Args:
        spectra: of its frames.
        pulses: the voice's excitation ``(frames * HOP,)``.
        noise: spectra of :func:`hiss`, used over and over; at least `BLOCK` of them.
    """
    frames = spectra.harmonic.shape[1]
    padded = np.pad(pulses, SIZE // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, SIZE)[::HOP]
    tail: Array = np.zeros((_OVERLAP, HOP), np.float32)
    weight: Array = np.zeros_like(tail)
    squared = (_WINDOW * _WINDOW).reshape(-1, HOP)
    skip = SIZE // 2  # The first frame is centred on the first sample.
    begin = 0
    sizes = chain(BLOCKS, repeat(BLOCK))
    while begin < frames:
        end = min(frames, begin + next(sizes))
        count = end - begin
        inverse = np.fft.irfft(_spectrum(spectra, begin, end, windows[begin:end], noise), SIZE, axis=1)
        pieces: Array = (inverse.astype(np.float32, copy=False) * _WINDOW).reshape(count, -1, HOP)
        line: Array = np.zeros((count + _OVERLAP, HOP), np.float32)
        norm: Array = np.zeros_like(line)
        line[:_OVERLAP], norm[:_OVERLAP] = tail, weight
        for part in range(_OVERLAP + 1):
            line[part : part + count] += pieces[:, part]
            norm[part : part + count] += squared[part]
        # The tail of the last block is the end of the sentence; elsewhere later frames are still to be added.
        ready = count if end < frames else count + _OVERLAP
        tail, weight = line[count:], norm[count:]
        even: Array = np.divide(line[:ready], np.maximum(norm[:ready], np.float32(1e-8)), dtype=np.float32)
        samples: Array = even.ravel()
        begin = end
        if end == frames:
            samples = samples[: len(samples) - _AFTER]
        yield samples[skip:]
        skip = max(skip - len(samples), 0)


def _spectrum(
    spectra: Spectra, begin: int, end: int, windows: Array, hisses: NDArray[np.complex64]
) -> NDArray[np.complex64]:
    """Return the spectra ``(frames, 601)`` of a block."""
    harmonic, turn, noise, free, phase = (part[:, begin:end].T for part in spectra)
    whole: NDArray[np.complex64] = np.fft.rfft(windows * _SOURCE_WINDOW, axis=1).astype(np.complex64)
    whole *= _polar(harmonic, np.float32(np.pi) * np.tanh(turn))
    at = begin % (len(hisses) - BLOCK + 1)
    whole += hisses[at : at + end - begin] * np.exp(np.minimum(noise, _LOUDEST))
    whole += _polar(free, phase)
    return whole


def _polar(logarithm: Array, angle: Array) -> NDArray[np.complex64]:
    size = np.exp(np.minimum(logarithm, _LOUDEST))
    number = np.empty(size.shape, np.complex64)
    number.real = size * np.cos(angle)
    number.imag = size * np.sin(angle)
    return number
