"""Cancels the echo of what a party hears in what it says: an adaptive filter in the frequency domain.

The echo path is a filter of `PARTITIONS` blocks. Each bin of each block has a Kalman filter (Enzner
and Vary, "Frequency-domain adaptive Kalman filter", Signal Processing 86, 2006; in partitions: Kuech, Mabande
and Enzner, ICASSP 2014). Its step follows from how sure the filter is and from how much in the signal is no
echo, so that speech of both at once does not lead it astray.
"""

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import FRAME, FULL_SCALE, Pcm

PARTITIONS = 20
"""Blocks of 20 ms: echoes of up to 400 ms, network and jitter buffers included."""
_KEEP = np.float32(0.9995)
"""How much of the echo path stays the same from block to block."""
_SMOOTH = np.float32(0.9)
"""Of the spectrum of what is no echo."""
_UNSURE = np.float32(0.015)
"""Variance of the path at the beginning, bin by bin."""
_FLOOR = np.float32(1e-6)

Spectrum = NDArray[np.complex64]


class EchoCanceller:
    """The echo canceller of one port: give what it was sent, then what it said; no delay is added."""

    def __init__(self) -> None:
        """Begin without knowledge of the echo path."""
        bins = FRAME + 1
        self._sent = np.zeros(2 * FRAME, np.float32)
        self._history: Spectrum = np.zeros((PARTITIONS, bins), np.complex64)
        self._path: Spectrum = np.zeros((PARTITIONS, bins), np.complex64)
        # An echo comes back weaker the later it comes: less is expected of late blocks.
        decay = np.float32(0.85) ** np.arange(PARTITIONS, dtype=np.float32)
        self._variance: Pcm = np.repeat((_UNSURE * np.maximum(decay, 0.1))[:, None], bins, axis=1)
        self._rest = np.full(bins, _FLOOR, np.float32)

    def sent(self, row: Pcm) -> None:
        """Take a frame ``(480,)`` that the party is sent, in PCM16 units."""
        self._sent[:FRAME] = self._sent[FRAME:]
        self._sent[FRAME:] = row / np.float32(FULL_SCALE)
        self._history[1:] = self._history[:-1]
        self._history[0] = np.fft.rfft(self._sent)

    def process(self, row: Pcm) -> Pcm:
        """Return a frame ``(480,)`` of the party without the echo of what it was sent."""
        said = row / np.float32(FULL_SCALE)
        echo = np.fft.irfft((self._history * self._path).sum(axis=0), 2 * FRAME)[FRAME:]
        error = (said - echo).astype(np.float32)
        self._adapt(error)
        # Until the filter knows the path it must not add noise of its own.
        if float(np.dot(error, error)) > 1.5 * float(np.dot(said, said)):
            return row
        return error * np.float32(FULL_SCALE)

    def _adapt(self, error: Pcm) -> None:
        """Correct the path by what it left over."""
        padded = np.zeros(2 * FRAME, np.float32)
        padded[FRAME:] = error
        spectrum = np.fft.rfft(padded)
        power = np.square(np.abs(self._history))
        unsure = np.float32(0.5) * (power * self._variance).sum(axis=0)
        self._rest += (1 - _SMOOTH) * (np.square(np.abs(spectrum)) - self._rest)
        step = self._variance / (unsure + self._rest + _FLOOR)
        change = np.fft.irfft(step * self._history.conj() * spectrum, 2 * FRAME, axis=1)
        change[:, FRAME:] = 0.0  # A block's filter is no longer than the block.
        self._path = (_KEEP * (self._path + np.fft.rfft(change, axis=1))).astype(np.complex64)
        kept = np.maximum(1 - np.float32(0.5) * step * power, 0.0)
        drift = (1 - _KEEP**2) * np.square(np.abs(self._path))
        self._variance = (_KEEP**2 * kept * self._variance + drift).astype(np.float32)
