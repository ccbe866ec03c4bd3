"""The default music on hold, synthesised here: slow chords under a sparse melody of soft bells.

All tones lie between 130 and 2400 Hz with their overtones, so that every telephone codec carries them.
"""

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import BUS_RATE

BEAT_S = 0.75
BEATS = 32
"""Beats of the loop: eight bars of four."""
SECONDS = BEAT_S * BEATS
LEVEL_DBOV = -23.0
"""Level of the whole loop, decibels below overload: that of quiet speech."""
SEED = 20
_CHORDS = ((0, 7, 16, 23), (-3, 9, 12, 19), (-7, 9, 12, 16), (-5, 7, 14, 21))
"""Notes of the chords, two bars each, in semitones above middle C: C, A minor, F, G with added tones."""
_SCALE = (12, 14, 16, 19, 21, 24)
"""Notes of the melody: a pentatonic scale, which fits every chord."""
_PAD = (1.0, 0.35, 0.12)
_BELL = (1.0, 0.22, 0.18, 0.05)
"""Levels of the overtones."""


def render(sample_rate: int = BUS_RATE) -> NDArray[np.int16]:
    """Return one round of the music, PCM16 mono; it is made to be repeated without a gap.

    The same rate gives the same samples. It takes about a quarter of a second.

    Args:
        sample_rate: Hz.
    """
    loop = np.zeros(round(SECONDS * sample_rate))
    random = np.random.default_rng(SEED)
    bars = BEATS // len(_CHORDS)
    for number, chord in enumerate(_CHORDS):
        for note in chord:
            _add(loop, _pad(_hertz(note), bars * BEAT_S, sample_rate), number * bars * BEAT_S, sample_rate)
    place = len(_SCALE) // 2
    for half in range(2 * BEATS):
        # Mostly on the beat, never two bells far apart in pitch.
        if random.random() < (0.55 if half % 2 == 0 else 0.12):
            place = int(np.clip(place + random.integers(-2, 3), 0, len(_SCALE) - 1))
            bell = _bell(_hertz(_SCALE[place]), sample_rate) * random.uniform(0.5, 0.9)
            _add(loop, bell, half * BEAT_S / 2, sample_rate)
    loop *= 32768 * 10 ** (LEVEL_DBOV / 20) / np.sqrt(np.mean(loop**2))
    return np.clip(np.rint(loop), -32767, 32767).astype(np.int16)


def _hertz(semitones: int) -> float:
    return float(261.6256 * 2 ** (semitones / 12))


def _harmonics(hertz: float, levels: tuple[float, ...], at: NDArray[np.float64]) -> NDArray[np.float64]:
    wave = np.zeros(len(at))
    for number, level in enumerate(levels, 1):
        wave += level * np.sin(2 * np.pi * hertz * number * at)
    return wave


def _pad(hertz: float, seconds: float, sample_rate: int) -> NDArray[np.float64]:
    """Return a tone that swells and fades for a quarter of its time, and ends in the next chord."""
    length = seconds * 1.25
    at = np.arange(round(length * sample_rate)) / sample_rate
    fade = length / 4
    shape = np.clip(np.minimum(at / fade, (length - at) / fade), 0, 1)
    return 0.3 * np.sin(shape * np.pi / 2) ** 2 * _harmonics(hertz, _PAD, at)


def _bell(hertz: float, sample_rate: int) -> NDArray[np.float64]:
    """Return a struck tone that dies away within two seconds."""
    at = np.arange(round(2.0 * sample_rate)) / sample_rate
    shape = np.minimum(at / 0.008, 1) * np.exp(-at * 2.8) * np.clip((2.0 - at) / 0.2, 0, 1)
    return shape * _harmonics(hertz, _BELL, at)


def _add(loop: NDArray[np.float64], wave: NDArray[np.float64], seconds: float, sample_rate: int) -> None:
    """Add a wave at a time of the loop; what goes beyond its end sounds at its beginning."""
    start = round(seconds * sample_rate)
    loop[(start + np.arange(len(wave))) % len(loop)] += wave
