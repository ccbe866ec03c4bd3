"""A gain that changes gradually, so that no click is heard."""

import numpy as np

from softswitch.audio.pcm import BUS_RATE, Pcm

PER_MS = BUS_RATE // 1000
"""Samples at the bus rate in a millisecond."""


class Ramp:
    """A gain that moves linearly from its present value to a target."""

    __slots__ = ("_step", "_target", "left", "value")

    def __init__(self, value: float) -> None:
        """Begin at `value`, at rest."""
        self.value = value
        """Present gain."""
        self._target = value
        self.left = 0
        """Samples until the target is reached; 0 while the gain is constant."""
        self._step = 0.0

    @property
    def target(self) -> float:
        """Gain at the end of the ramp."""
        return self._target

    def to(self, target: float, samples: int) -> None:
        """Begin a ramp to `target` over `samples`; 0 sets the gain at once."""
        self._target = target
        if samples <= 0 or target == self.value:
            self.value, self.left = target, 0
            return
        self.left = samples
        self._step = (target - self.value) / samples

    def next(self, samples: int) -> float | Pcm:
        """Return the gain of the next `samples`: one number while constant, else one for each sample."""
        if not self.left:
            return self.value
        walked = min(samples, self.left)
        gains = np.full(samples, self._target, np.float32)
        gains[:walked] = self.value + self._step * np.arange(1, walked + 1, dtype=np.float32)
        self.left -= walked
        self.value = self.value + self._step * walked if self.left else self._target
        return gains
