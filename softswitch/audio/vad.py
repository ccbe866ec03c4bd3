"""Voice activity detection by level alone, for hosts without a better detector."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.level import FLOOR, FULL_DB, dbov
from softswitch.audio.pcm import BUS_RATE, Indices, Pcm
from softswitch.audio.rows import compiled
from softswitch.compiled import Address, address

_START_DB = -50.0
"""Noise level assumed at first, dBov."""
_QUIETEST_DB = -65.0
"""Least noise level assumed, dBov: after digital silence, the click of a mouse would count as speech."""
_FALL = np.float32(0.25)
"""Share of the difference by which the noise level falls in each quieter frame."""
_RISE_DB = np.float32(0.06)
"""Rise of the noise level in each louder frame, 3 dB a second: slower than speech, faster than a fan
starts."""
_MIDDLE_DB, _PER_DB = np.float32(9.0), np.float32(1 / 1.5)
"""Decibels above the noise at which the probability of speech is 0.5, and the slope of the probability."""
_SMOOTH = np.float32(0.5)
"""Weight of the last probability in the smoothed one."""


_LIMITS = np.array(
    [FLOOR, FULL_DB, _START_DB, _QUIETEST_DB, _FALL, _RISE_DB, _MIDDLE_DB, _PER_DB, _SMOOTH], np.float32
)
"""What rows.c has to know, in its order."""
_LIMITS_AT = address(_LIMITS)


class EnergyBank:
    """Detector that turns the level of each slot above its noise level into a probability."""

    rate = BUS_RATE

    def __init__(self) -> None:
        """Begin without slots."""
        self._noise_db = np.zeros(0, np.float32)
        self._probability = np.zeros(0, np.float32)
        self._addresses = Address(), Address(), Address(), Address()

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = slots - len(self._noise_db)
        if more > 0:
            self._noise_db = np.pad(self._noise_db, (0, more), constant_values=_START_DB)
            self._probability = np.pad(self._probability, (0, more))

    def reset(self, slots: Indices) -> None:
        """Clear the noise level of `slots`."""
        self._noise_db[slots] = _START_DB
        self._probability[slots] = 0.0

    def push(self, pcm: Pcm, slots: Indices) -> NDArray[np.float32]:
        """Return the probability that each row is speech, ``(n,)``, 0 to 1.

        Args:
            pcm: ``(n, samples)`` float32 in PCM16 units, at any rate.
            slots: rows of the state, each at most once.
        """
        fast, flat = compiled("energy"), pcm.flags.c_contiguous and pcm.dtype == np.float32
        if fast is not None and flat and slots.flags.c_contiguous and slots.size:
            return self._push_compiled(fast, pcm, slots)
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

    def _push_compiled(self, fast: Callable[..., int], pcm: Pcm, slots: Indices) -> NDArray[np.float32]:
        if slots.dtype != np.intp or slots.shape != pcm.shape[:1]:
            raise ValueError(f"slots: {slots.dtype} of {slots.shape} for {pcm.shape} rows")
        by_pcm, by_slots, by_noise, by_probability = self._addresses
        probability: NDArray[np.float32] = np.empty(len(slots), np.float32)
        if not fast(
            address(probability), by_pcm.of(pcm), *pcm.shape, by_slots.of(slots), len(self._noise_db),
            by_noise.of(self._noise_db), by_probability.of(self._probability), _LIMITS_AT,
        ):  # fmt: skip
            raise IndexError(f"slots: not all of them are below {len(self._noise_db)}")
        return probability
