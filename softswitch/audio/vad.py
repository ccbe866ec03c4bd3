"""Telling speech from silence by loudness alone: for hosts that lack anything better."""

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.level import dbov
from softswitch.audio.pcm import BUS_RATE, Indices, Pcm

_START_DB = -50.0
"""The noise that a slot is believed to have before it has been listened to."""
_QUIETEST_DB = -65.0
"""The noise is never believed to be lower: digital silence would make a whisper of a mouse click speech."""
_FALL = np.float32(0.25)
"""Share of the way that the noise goes down to a quieter frame."""
_RISE_DB = np.float32(0.06)
"""What it goes up with each louder frame, 3 dB a second: slower than speech, faster than a fan."""
_MIDDLE_DB, _PER_DB = np.float32(9.0), np.float32(1 / 1.5)
"""Decibels above the noise at which speech is as likely as not, and how quickly that changes."""
_SMOOTH = np.float32(0.5)
"""Share of its last probability that a row keeps."""


class EnergyBank:
    """How far each slot is above its own noise, as a probability."""

    rate = BUS_RATE

    def __init__(self) -> None:
        """Begin with no slot."""
        self._noise_db = np.zeros(0, np.float32)
        self._probability = np.zeros(0, np.float32)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = slots - len(self._noise_db)
        if more > 0:
            self._noise_db = np.pad(self._noise_db, (0, more), constant_values=_START_DB)
            self._probability = np.pad(self._probability, (0, more))

    def reset(self, slots: Indices) -> None:
        """Forget what `slots` sounded like."""
        self._noise_db[slots] = _START_DB
        self._probability[slots] = 0.0

    def push(self, pcm: Pcm, slots: Indices) -> NDArray[np.float32]:
        """Return the probability that each row is speech, ``(n,)``, 0 to 1.

        Args:
            pcm: ``(n, samples)`` float32 in PCM16 units, at any rate.
            slots: rows of the state, each at most once.
        """
        level, noise = dbov(pcm), self._noise_db[slots]
        above = level - noise
        noise += np.where(above < 0.0, above * _FALL, _RISE_DB)
        np.minimum(noise, np.maximum(level, _START_DB), out=noise)
        np.maximum(noise, _QUIETEST_DB, out=noise)
        # The logistic function of the decibels above the noise.
        odds = np.exp((noise - level + _MIDDLE_DB) * _PER_DB)
        odds += 1.0
        probability: NDArray[np.float32] = np.divide(1.0 - _SMOOTH, odds, out=odds)
        probability += self._probability[slots] * _SMOOTH
        self._noise_db[slots], self._probability[slots] = noise, probability
        return probability
