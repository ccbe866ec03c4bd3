"""From probabilities to speech: it begins when it has lasted, and ends when silence has."""

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import TICK_MS, Indices

_SLACK = 0.15
"""Speech that has begun goes on down to the threshold less this."""

_GAP_TICKS = 3
"""So long a dip does not undo the beginning of speech: plosives are silent before they burst."""

_NOBODY: Indices = np.zeros(0, np.intp)

_TICK_S = TICK_MS / 1000


class SpeechGate:
    """The state of all slots: arrays in, arrays out."""

    def __init__(self) -> None:
        """Begin with no slot."""
        self.began: NDArray[np.float64] = np.zeros(0)
        """By slot: when speech, or what may become it, began; monotonic seconds."""
        self.ended: NDArray[np.float64] = np.zeros(0)
        """By slot: when silence, or what may become it, began."""
        self._threshold = np.zeros(0, np.float32)
        self._start_ticks = np.zeros(0, np.int32)
        self._stop_ticks = np.zeros(0, np.int32)
        self._speaking = np.zeros(0, np.bool_)
        self._age = np.zeros(0, np.int32)
        self._gap = np.zeros(0, np.int32)
        self._level = np.zeros(0, np.float32)
        self._turning = np.zeros(0, np.bool_)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = (0, slots - len(self.began))
        self.began, self.ended = np.pad(self.began, more), np.pad(self.ended, more)
        self._threshold = np.pad(self._threshold, more)
        self._start_ticks, self._stop_ticks = np.pad(self._start_ticks, more), np.pad(self._stop_ticks, more)
        self._speaking = np.pad(self._speaking, more)
        self._age, self._gap = np.pad(self._age, more), np.pad(self._gap, more)
        self._level, self._turning = np.pad(self._level, more), np.pad(self._turning, more)

    def open(self, slot: int, threshold: float, start_ms: int, stop_ms: int) -> None:
        """Begin in silence.

        Args:
            slot: row of the state.
            threshold: probability, 0 to 1, from which a frame is speech.
            start_ms: speech that must have lasted to count.
            stop_ms: silence that must have lasted to count.
        """
        self._threshold[slot] = threshold
        self._start_ticks[slot] = -(-start_ms // TICK_MS)
        self._stop_ticks[slot] = max(-(-stop_ms // TICK_MS), 1)
        self._level[slot] = threshold
        self._speaking[slot] = self._turning[slot] = False
        self._age[slot] = self._gap[slot] = 0

    def close(self, slot: int) -> float | None:
        """Return when the speech began that goes on in `slot`, None where there is none."""
        began = float(self.began[slot]) if self._speaking[slot] else None
        self._speaking[slot] = self._turning[slot] = False
        return began

    def push(self, probability: NDArray[np.float32], slots: Indices, now: float) -> tuple[Indices, Indices]:
        """Take the next frame of each of `slots`.

        Args:
            probability: that it is speech, ``(n,)``.
            slots: rows of the state, each at most once.
            now: monotonic seconds at the end of the frame.

        Returns:
            Which of the ``n`` have begun to speak and which have stopped; :attr:`began` and :attr:`ended` say
            when.
        """
        speaking = self._speaking[slots]
        voice = probability >= self._level[slots]
        if not ((voice != speaking) | self._turning[slots]).any():
            # Whoever speaks goes on, whoever is silent stays so: nearly every tick of nearly every call.
            return _NOBODY, _NOBODY
        age, gap = self._age[slots], self._gap[slots]
        first, first_gap = voice & (age == 0), ~voice & (gap == 0)
        if first.any():
            self.began[slots[first]] = now - _TICK_S
        if first_gap.any():
            self.ended[slots[first_gap]] = now - _TICK_S
        gap = np.where(voice, 0, gap + 1)
        age = np.where(voice | (age > 0), age + 1, 0)
        # What has not become speech yet is forgotten over a gap.
        age[~speaking & (gap > _GAP_TICKS)] = 0
        started = ~speaking & voice & (age >= self._start_ticks[slots])
        stopped = speaking & (gap >= self._stop_ticks[slots])
        age[stopped] = 0
        self._age[slots], self._gap[slots] = age, gap
        speaking = (speaking | started) & ~stopped
        self._speaking[slots] = speaking
        self._turning[slots] = np.where(speaking, gap > 0, age > 0)
        self._level[slots] = self._threshold[slots] - np.float32(_SLACK) * speaking
        return np.flatnonzero(started), np.flatnonzero(stopped)
