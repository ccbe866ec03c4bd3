"""A gain that never jumps."""

import numpy as np

from softswitch.audio.pcm import BUS_RATE, Pcm

PER_MS = BUS_RATE // 1000
"""Samples of the bus in a millisecond."""


class Ramp:
    """A gain that walks in a straight line from where it is to where it shall be."""

    __slots__ = ("_step", "_target", "left", "value")

    def __init__(self, value: float) -> None:
        """Begin at `value`, at rest."""
        self.value = value
        """Gain now."""
        self._target = value
        self.left = 0
        """Samples until the target is reached; 0 at rest."""
        self._step = 0.0

    @property
    def target(self) -> float:
        """Gain in the end."""
        return self._target

    def to(self, target: float, samples: int) -> None:
        """Head for `target`, to be reached after `samples` of them; 0 jumps there."""
        self._target = target
        if samples <= 0 or target == self.value:
            self.value, self.left = target, 0
            return
        self.left = samples
        self._step = (target - self.value) / samples

    def next(self, samples: int) -> float | Pcm:
        """Return the gain of the next `samples`: one number at rest, else one for each."""
        if not self.left:
            return self.value
        walked = min(samples, self.left)
        gains = np.full(samples, self._target, np.float32)
        gains[:walked] = self.value + self._step * np.arange(1, walked + 1, dtype=np.float32)
        self.left -= walked
        self.value = self.value + self._step * walked if self.left else self._target
        return gains
