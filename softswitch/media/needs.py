"""What the engine asks of things it is given: it may not know speech, which lies beside it."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import Indices, Pcm


class VadBank(Protocol):
    """A detector of speech for many slots."""

    rate: int
    """Sample rate it wants, Hz."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""

    def reset(self, slots: Indices) -> None:
        """Forget what `slots` sounded like."""

    def push(self, pcm: Pcm, slots: Indices) -> NDArray[np.float32]:
        """Return the probability that each row is speech, ``(n,)``, 0 to 1.

        Args:
            pcm: ``(n, samples of 20 ms)`` float32 in PCM16 units.
            slots: rows of the state, each at most once.
        """


class Denoiser(Protocol):
    """Takes the noise out of one port's sound."""

    def process(self, row: Pcm) -> Pcm:
        """Return a frame ``(480,)`` at 24 kHz without its noise; it may lag by a few."""
