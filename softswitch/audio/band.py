"""Which rows of the bus carry sound above 4 kHz, and so need more than a narrowband encoder."""

import numpy as np

from softswitch.audio.pcm import BUS_RATE, Pcm

BLOCK = 60
"""Samples of a block: 2.5 ms at the bus rate, so that frames of 10 ms and more are whole blocks."""

_LOWEST, _HIGHEST, _STEP = 5400, 11400, 400
"""Frequencies looked at, Hz; the window's main lobe reaches 1600 Hz to each side: 3800 is not seen."""

_SHARE = 1e-5
"""Power of the upper band in that of the whole from which on it counts: below, speech masks it (-50 dB).
Images of sound that was brought from 8 kHz to the bus rate lie below it, too."""

_FLOOR = 4.0
"""Power of the upper band, squares of PCM16 units, below which it never counts: a level of -84 dBov."""


def _basis() -> Pcm:
    """Return cosines and sines of the upper band under a Blackman-Harris window (side lobes at -92 dB)."""
    time = (np.arange(BLOCK) + 0.5) / BLOCK
    window = np.array((0.35875, -0.48829, 0.14128, -0.01168)) @ np.cos(
        2 * np.pi * np.arange(4)[:, None] * time
    )
    frequencies = np.arange(_LOWEST, _HIGHEST + 1, _STEP)[None, :]
    phase = 2 * np.pi * frequencies * (np.arange(BLOCK)[:, None] / BUS_RATE)
    # The window's mean square, so that a sum of squares is a power per sample.
    scale = np.sqrt(2 / (BLOCK**2 * np.mean(window**2)))
    return np.ascontiguousarray(
        np.hstack((np.cos(phase), np.sin(phase))) * window[:, None] * scale, np.float32
    )


_BASIS = _basis()


def is_wide(pcm: Pcm) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return which rows have sound above 4 kHz that a listener could hear, ``(n,)``.

    Args:
        pcm: ``(n, samples)`` at the bus rate, 2.5 ms or a multiple of it, in PCM16 units.
    """
    rows, samples = pcm.shape
    blocks = pcm.reshape(-1, BLOCK) @ _BASIS
    upper = np.einsum("ij,ij->i", blocks, blocks).reshape(rows, -1).mean(axis=1)
    power = np.einsum("ij,ij->i", pcm, pcm) / samples
    wide: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = upper > np.maximum(_SHARE * power, _FLOOR)
    return wide
