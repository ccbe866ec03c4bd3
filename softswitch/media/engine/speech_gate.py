"""Turns probabilities of speech into beginnings and ends, each of which must last a while to count."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import TICK_MS, Indices
from softswitch.audio.rows import compiled
from softswitch.compiled import address

_SLACK = 0.15
"""Hysteresis: once speech has begun, the threshold is lower by this."""

_GAP_TICKS = 3
"""Longest dip (60 ms) that does not undo a beginning: plosives are silent before they burst."""

_NO_ROWS: Indices = np.zeros(0, np.intp)

_TICK_S = TICK_MS / 1000


class SpeechGate:
    """State machine of speech and silence for all slots at once.

    `_age` counts frames since a possible beginning of speech, `_gap` frames since its last voiced frame. A
    slot is `_turning` while one of them may still become a change of state.
    """

    def __init__(self) -> None:
        self.began: NDArray[np.float64] = np.zeros(0)
        """By slot: monotonic seconds at which speech, or a possible beginning of speech, began."""
        self.ended: NDArray[np.float64] = np.zeros(0)
        """By slot: monotonic seconds at which silence, or a possible end of speech, began."""
        self._threshold = np.zeros(0, np.float32)
        self._start_ticks = np.zeros(0, np.int32)
        self._stop_ticks = np.zeros(0, np.int32)
        self._speaking = np.zeros(0, np.bool_)
        self._age = np.zeros(0, np.int32)
        self._gap = np.zeros(0, np.int32)
        self._level = np.zeros(0, np.float32)
        self._turning = np.zeros(0, np.bool_)
        self._found: Indices = np.empty((2, 0), np.intp)
        self._found_at = 0, 0
        self._counts: Indices = np.zeros(2, np.intp)
        self._counts_at = address(self._counts)
        self._addresses = np.zeros(0, np.int64)
        self._at = 0
        """Address of ``struct gate`` of rows.c."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = (0, slots - len(self.began))
        self.began, self.ended = np.pad(self.began, more), np.pad(self.ended, more)
        self._threshold = np.pad(self._threshold, more)
        self._start_ticks, self._stop_ticks = np.pad(self._start_ticks, more), np.pad(self._stop_ticks, more)
        self._speaking = np.pad(self._speaking, more)
        self._age, self._gap = np.pad(self._age, more), np.pad(self._gap, more)
        self._level, self._turning = np.pad(self._level, more), np.pad(self._turning, more)
        arrays = (
            self._threshold, self._start_ticks, self._stop_ticks, self._level, self._speaking, self._turning,
            self._age, self._gap, self.began, self.ended,
        )  # fmt: skip
        self._addresses = np.array([address(array) for array in arrays], np.int64)
        self._at = address(self._addresses)

    def open(self, slot: int, threshold: float, start_ms: int, stop_ms: int) -> None:
        """Begin in silence.

        Args:
            slot: row of the state.
            threshold: probability, 0 to 1, from which on a frame is speech.
            start_ms: duration of speech after which it counts.
            stop_ms: duration of silence after which it counts.
        """
        # -(-a // b) is the quotient rounded up.
        self._threshold[slot] = threshold
        self._start_ticks[slot] = -(-start_ms // TICK_MS)
        self._stop_ticks[slot] = max(-(-stop_ms // TICK_MS), 1)
        self._level[slot] = threshold
        self._speaking[slot] = self._turning[slot] = False
        self._age[slot] = self._gap[slot] = 0

    def close(self, slot: int) -> float | None:
        """Clear `slot`; return the time at which its current speech began, None if it is silent."""
        began = float(self.began[slot]) if self._speaking[slot] else None
        self._speaking[slot] = self._turning[slot] = False
        return began

    def push(self, probability: NDArray[np.float32], slots: Indices, now: float) -> tuple[Indices, Indices]:
        """Process the next frame of each of `slots`.

        Args:
            probability: of speech in the frame of each slot, ``(n,)``.
            slots: rows of the state, each at most once.
            now: monotonic seconds at the end of the frame.

        Returns:
            Indices into ``n`` of slots that began to speak and that stopped; :attr:`began` and :attr:`ended`
            hold the times.
        """
        if (fast := compiled("gate")) is not None and slots.flags.c_contiguous:
            return self._push_compiled(fast, np.ascontiguousarray(probability, np.float32), slots, now)
        speaking = self._speaking[slots]
        voice = probability >= self._level[slots]
        if not ((voice != speaking) | self._turning[slots]).any():
            # No slot changes between speech and silence: nearly every tick of nearly every call.
            return _NO_ROWS, _NO_ROWS
        age, gap = self._age[slots], self._gap[slots]
        first, first_gap = voice & (age == 0), ~voice & (gap == 0)
        if first.any():
            self.began[slots[first]] = now - _TICK_S
        if first_gap.any():
            self.ended[slots[first_gap]] = now - _TICK_S
        gap = np.where(voice, 0, gap + 1)
        age = np.where(voice | (age > 0), age + 1, 0)
        # A possible beginning is abandoned after a long gap.
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

    def _push_compiled(
        self, fast: Callable[..., int], probability: NDArray[np.float32], slots: Indices, now: float
    ) -> tuple[Indices, Indices]:
        count = len(slots)
        if self._found.shape[1] < count:
            self._found = np.empty((2, 2 * count), np.intp)
            self._found_at = address(self._found), address(self._found[1])
        fast(
            self._at, address(probability), address(slots), count, now - _TICK_S, _GAP_TICKS, _SLACK,
            *self._found_at, self._counts_at,
        )  # fmt: skip
        started, stopped = self._counts.tolist()
        if not (started or stopped):
            return _NO_ROWS, _NO_ROWS
        return self._found[0, :started].copy(), self._found[1, :stopped].copy()
