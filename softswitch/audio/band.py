"""How wide the sound of each row of the bus is: up to 4 kHz, up to 8 kHz, or up to the 12 kHz of the bus."""

import numpy as np

from softswitch.audio.pcm import BUS_RATE, Pcm

BLOCK = 60
"""Samples of a block: 2.5 ms at the bus rate, so that frames of 10 ms and more are whole blocks."""

_LOWEST, _HIGHEST, _STEP = 5400, 11400, 400
"""Frequencies looked at, Hz; the window's main lobe reaches 1600 Hz to each side: 3800 is not seen."""

_TOP = 9800
"""Frequencies from here on are looked at for sound above 8 kHz: 8200 is not seen."""

SHARE = 1e-5
"""Power of an upper band in that of the whole from which on it counts: below, speech masks it (-50 dB).
Images of sound that was brought from 8 kHz to the bus rate lie below it, too."""

FLOOR = 4.0
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
    # Frequencies below _TOP come first, so that the columns of each band lie together.
    split = int(np.searchsorted(frequencies[0], _TOP))
    waves = (np.cos(phase), np.sin(phase))
    columns = [wave[:, :split] for wave in waves] + [wave[:, split:] for wave in waves]
    return np.ascontiguousarray(np.hstack(columns) * window[:, None] * scale, np.float32)


BASIS = _basis()
"""Waves of the upper band, ``(BLOCK, 32)``."""

TOP_COLUMN = 2 * len(range(_LOWEST, _TOP, _STEP))
"""First column of the waves above 8 kHz."""

NARROW, WIDE, FULL = 0, 1, 2
"""Sound up to 4 kHz, up to 8 kHz, up to 12 kHz."""


def bands(pcm: Pcm) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    """Return NARROW, WIDE or FULL for each row, by what a listener could hear of it, ``(n,)``.

    Args:
        pcm: ``(n, samples)`` at the bus rate, 2.5 ms or a multiple of it, in PCM16 units.
    """
    rows, samples = pcm.shape
    blocks = pcm.reshape(-1, BLOCK) @ BASIS
    upper, top = blocks[:, :TOP_COLUMN], blocks[:, TOP_COLUMN:]
    above_8 = np.einsum("ij,ij->i", top, top).reshape(rows, -1).mean(axis=1)
    above_4 = np.einsum("ij,ij->i", upper, upper).reshape(rows, -1).mean(axis=1) + above_8
    audible = np.maximum(SHARE * np.einsum("ij,ij->i", pcm, pcm) / samples, FLOOR)
    return np.where(above_8 > audible, FULL, np.where(above_4 > audible, WIDE, NARROW))
