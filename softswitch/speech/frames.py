"""Frames of the audio that is pushed into a recogniser: at 16 kHz, 20 ms each, whatever the pieces were."""

from collections.abc import Iterator

import numpy as np

from softswitch.audio import pcm as pcm16
from softswitch.audio.pcm import Pcm
from softswitch.audio.resample import StreamResampler
from softswitch.speech.endpointer import FRAME, RATE


class FrameCutter:
    """Cuts PCM16 of any rate and length into the frames that an :class:`Endpointer` takes."""

    def __init__(self, sample_rate: int) -> None:
        """Begin without audio; ``sample_rate`` is that of the audio that will be pushed, Hz."""
        self._resampler = None if sample_rate == RATE else StreamResampler(sample_rate, RATE)
        self._rest: Pcm = np.zeros(0, np.float32)

    def push(self, pcm: bytes) -> Iterator[Pcm]:
        """Yield the whole frames that PCM16 completes; what is left waits for the next piece."""
        samples = pcm16.from_bytes(pcm)
        if self._resampler is not None:
            samples = self._resampler.process(samples)
        line = np.concatenate([self._rest, samples]) if self._rest.size else samples
        whole = line.size // FRAME * FRAME
        self._rest = line[whole:]
        for begin in range(0, whole, FRAME):
            yield line[begin : begin + FRAME]
