"""Cutting one stream into utterances by loudness, so that silence is not recognised."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import FULL_SCALE, TICK_MS, Pcm

RATE = 16000
"""Of the audio that is cut, Hz."""
FRAME = RATE * TICK_MS // 1000
_START_DB, _QUIETEST_DB = -52.0, -62.0
_FALL, _RISE_DB = 0.25, 0.06
_ABOVE_DB = 8.0
"""A frame is loud from so far above the noise."""
_LOUD_OF = (3, 6)
"""So many loud frames of so many begin an utterance."""
_PRE_ROLL = 15
"""Frames from before that: consonants are soft, and the recogniser wants a little silence first."""

_LOW_BINS, _HIGH_BINS = slice(6, 68), slice(90, 140)
"""300 to 3400 Hz, and 4500 to 7000: bins of 50 Hz."""
_NARROW = 10.0 ** (-58 / 10)
"""Ratio of the powers there; measured: above -49 dB in speech, below -69 through a telephone's band."""
_GRAIN = 2500.0
"""Power that the rounding to 16 bits alone puts into the high bins of a frame, and 7 dB more."""


class Endpointer:
    """Follows one stream at 16 kHz, frame by frame."""

    def __init__(
        self, pause_ms: int, longest_s: float, breath_ms: int | None = None, long_s: float = 0.0
    ) -> None:
        """Begin in silence.

        Args:
            pause_ms: silence that ends an utterance by itself.
            longest_s: length at which an utterance is cut.
            breath_ms: silence that ends an utterance longer than `long_s`; None: the same as any other.
            long_s: see `breath_ms`.
        """
        self._breath = (pause_ms if breath_ms is None else breath_ms) // TICK_MS
        self._long = int(long_s * 1000) // TICK_MS
        self._pause = pause_ms // TICK_MS
        self._longest = int(longest_s * 1000) // TICK_MS
        self._recent: deque[Pcm] = deque(maxlen=_PRE_ROLL)
        self._loud: deque[bool] = deque(maxlen=_LOUD_OF[1])
        self._noise_db = _START_DB
        self._quiet = 0
        self._length = 0
        self._powers = np.zeros(2)
        self._loud_frames = 0
        self._window: NDArray[np.float32] = np.hanning(FRAME).astype(np.float32)
        self.speaking = False
        """Whether an utterance goes on."""

    @property
    def quiet_ms(self) -> int:
        """How long it has been quiet within the utterance that goes on."""
        return self._quiet * TICK_MS

    @property
    def narrow(self) -> bool:
        """Whether what was loud in this utterance has nothing above a telephone's band."""
        low, high = self._powers.tolist()
        return bool(high < low * _NARROW or high < self._loud_frames * _GRAIN)

    def push(self, frame: Pcm) -> Pcm | None:
        """Take a frame ``(320,)`` in PCM16 units; return what belongs to the utterance, None if none goes on.

        The first piece of an utterance has the frames before it too. Where the frame ends the utterance,
        :attr:`speaking` is False afterwards.
        """
        loud = self._is_loud(frame)
        self._loud.append(loud)
        if not self.speaking:
            self._recent.append(frame)
            if sum(self._loud) < _LOUD_OF[0]:
                return None
            self._begin()
            return np.concatenate(self._recent)
        if loud:
            self._measure(frame)
        self._quiet = 0 if loud else self._quiet + 1
        self._length += 1
        pause = self._breath if self._length >= self._long else self._pause
        if self._quiet >= min(pause, self._pause) or self._length >= self._longest:
            self.end()
        return frame

    def end(self) -> None:
        """End the utterance that goes on."""
        self.speaking = False
        self._recent.clear()
        self._loud.clear()

    def _begin(self) -> None:
        self.speaking = True
        self._quiet, self._length = 0, len(self._recent)
        self._powers[:] = 0.0
        self._loud_frames = 0
        for frame in list(self._recent)[-_LOUD_OF[1] :]:
            self._measure(frame)

    def _is_loud(self, frame: Pcm) -> bool:
        power = float(np.dot(frame, frame)) / FRAME
        level_db = 10.0 * np.log10(max(power, 1.0) / FULL_SCALE**2)
        if level_db < self._noise_db:
            self._noise_db = max(self._noise_db + _FALL * (level_db - self._noise_db), _QUIETEST_DB)
        else:
            self._noise_db = min(self._noise_db + _RISE_DB, max(level_db, _START_DB))
        return bool(level_db > self._noise_db + _ABOVE_DB)

    def _measure(self, frame: Pcm) -> None:
        """Add a loud frame to the picture of the spectrum."""
        if self._loud_frames >= 100:
            return
        spectrum = np.abs(np.fft.rfft(frame * self._window)) ** 2
        self._powers += (float(spectrum[_LOW_BINS].sum()), float(spectrum[_HIGH_BINS].sum()))
        self._loud_frames += 1
