"""Versions of a noisy sound that the recogniser hears together.

A recogniser errs at random where noise covers speech: another version of the same sound, a little cleaner and
with the band above a telephone's filled, brings other errors. Each token is chosen by both together, although
the second one alone is heard no better than the first. What it brings is in
`docs/adr/0043-noisy-speech-is-searched.md`.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

RATE = 16000
NOISY_DB = 24.0
"""Below this range of levels a sound counts as noisy; through G.711 without noise it was 50 dB and more."""
_FRAME, _SHORTEST = RATE // 50, 20
"""Samples of a level; levels of the shortest sound that is judged."""
_QUIETEST, _FEWEST = 0.02, 4
"""Part of the frames that is the quietest, and how many at least."""
_SILENCE = 1e-7
"""Power of noise that cannot be heard: -70 dBFS."""
_SIZE, _HOP = 512, 128
_WINDOW: Array = np.sqrt(np.hanning(_SIZE + 1)[:-1]).astype(np.float32)
_QUIET = 0.1
"""Part of the frames that is taken for the noise alone."""
_SMOOTH_BINS = 9
_SMOOTH = 0.96
"""Weight of the frame before in the ratio of speech and noise (Ephraim and Malah, 1984)."""
_FLOOR = np.float32(10.0 ** (-9.0 / 20.0))
"""Noise is lowered by 9 dB at most: more costs speech."""
_TOP_HZ, _EDGE_HZ = 3300.0, 3900.0
"""Below the upper edge of a telephone's band; where what is missing begins."""
_NEAR, _ABOVE = slice(90, 120), slice(135, 165)
"""Bins of 31 Hz below the edge of that band and above it."""
_MISSING = 0.01
"""Power above the edge, against that below it, under which the band counts as a telephone's."""


def versions(sound: Array) -> list[Array]:
    """Return what is heard of a sound ``(samples,)``, 16 kHz, -1 to 1: itself, and another one if noisy."""
    if is_noisy(sound):
        return [sound, filled(cleaner(sound))]
    return [sound]


def is_noisy(sound: Array) -> bool:
    """Return whether the loud tenth of a sound is less than `NOISY_DB` above its quietest moments.

    These are few: the 0.3 s before the first word, a breath, the closed lips of a consonant.
    """
    frames = sound[: len(sound) // _FRAME * _FRAME].reshape(-1, _FRAME)
    if len(frames) < _SHORTEST:
        return False
    power = np.sort(np.square(frames).mean(axis=1))
    quiet = power[max(int(len(power) * _QUIETEST), _FEWEST)]
    loud = power[int(len(power) * 0.9)]
    return bool(quiet > _SILENCE and loud < quiet * 10.0 ** (NOISY_DB / 10.0))


def filled(sound: Array) -> Array:
    """Return a sound of a telephone's band with noise above it, as loud as that below its edge.

    The recogniser knows noise of all bands; noise that ends at 4 kHz is strange to it.
    """
    if len(sound) < _SIZE:
        return sound
    below = _level(sound, _NEAR)
    if _level(sound, _ABOVE) > _MISSING * below:
        return sound
    hiss = np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    spectrum = np.fft.rfft(hiss)
    hertz = np.arange(len(spectrum)) * (RATE / len(sound))
    spectrum *= (hertz > _EDGE_HZ) * np.sqrt(_TOP_HZ / np.maximum(hertz, 1.0))
    hiss = np.fft.irfft(spectrum, len(sound)).astype(np.float32)
    # The level is that of the bins above the edge, whose noise goes on falling by 3 dB an octave.
    wanted = below * (_TOP_HZ / 4700.0)
    return sound + hiss * np.float32(np.sqrt(wanted / max(_level(hiss, _ABOVE), 1e-12)))


def cleaner(sound: Array) -> Array:
    """Return a sound with its steady noise lowered by a Wiener filter."""
    padded = np.pad(sound, (_SIZE, _SIZE + _HOP))
    spectra = np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, _SIZE)[::_HOP] * _WINDOW, axis=1)
    power = np.square(np.abs(spectra)).astype(np.float32)
    # Of exponentially distributed powers, the quantile q is the mean times -log(1 - q).
    quiet = np.quantile(power, _QUIET, axis=0) / -np.log1p(-_QUIET)
    even = np.pad(quiet, _SMOOTH_BINS // 2, mode="edge")
    noise = np.maximum(np.convolve(even, np.full(_SMOOTH_BINS, 1.0 / _SMOOTH_BINS), "valid"), 1e-12)
    ratio = (power / noise).astype(np.float32)
    gains = np.empty_like(power)
    before = np.zeros(power.shape[1], np.float32)
    for row, ratios in enumerate(ratio):
        speech = _SMOOTH * before + (1.0 - _SMOOTH) * np.maximum(ratios - 1.0, 0.0)
        gains[row] = np.maximum(speech / (1.0 + speech), _FLOOR)
        before = np.square(gains[row]) * ratios
    frames = np.fft.irfft(spectra * gains, _SIZE, axis=1).astype(np.float32) * _WINDOW
    line = np.zeros(len(frames) * _HOP + _SIZE, np.float32).reshape(-1, _HOP)
    for part in range(_SIZE // _HOP):
        line[part : part + len(frames)] += frames[:, part * _HOP : (part + 1) * _HOP]
    whole: Array = line.ravel()[_SIZE : _SIZE + len(sound)] * np.float32(2 * _HOP / _SIZE)
    return whole


def _level(sound: Array, bins: slice) -> float:
    """Return the power of some bins in the quieter moments of a sound."""
    frames = sound[: len(sound) // _SIZE * _SIZE].reshape(-1, _SIZE) * np.square(_WINDOW)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1)[:, bins]))
    return float(np.quantile(power, 0.3))
