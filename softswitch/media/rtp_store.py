"""Decoded audio that waits to be heard: what packets hold is not always 20 ms."""

import numpy as np

from softswitch.audio.pcm import FRAME, Indices, Pcm
from softswitch.rtp.packet import Ints

_QUIET = 60.0
"""Amplitude of the sound (-55 dBov) from which a few milliseconds may be dropped without a trace."""

ROOM = 4800
"""Samples that a slot may hold: 200 ms, for the longest packet and what stretching adds."""


class PcmStore:
    """A short line of samples for every slot."""

    def __init__(self) -> None:
        """Begin without slots."""
        self.held = np.zeros(0, np.int64)
        """Samples that wait in each slot."""
        self._lines: Pcm = np.zeros((0, ROOM), np.float32)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        if slots <= len(self.held):
            return
        # Memory that is never written is never used: most slots only ever hold the beginning of a line.
        lines: Pcm = np.zeros((slots, ROOM), np.float32)
        waiting = np.flatnonzero(self.held)
        lines[waiting] = self._lines[waiting]
        self._lines = lines
        self.held = np.pad(self.held, (0, slots - len(self.held)))

    def clear(self, slot: int) -> None:
        """Drop what waits in `slot`."""
        self.held[slot] = 0

    def append(self, slots: Indices, pcm: Pcm) -> None:
        """Append rows ``(n, samples)``; what does not fit is dropped."""
        held = self.held[slots]
        first = int(held[0]) if len(held) else 0
        if (held == first).all():
            count = min(pcm.shape[1], ROOM - first)
            self._lines[slots, first : first + count] = pcm[:, :count]
            self.held[slots] = first + count
            return
        for row, (slot, begin) in enumerate(zip(slots.tolist(), held.tolist(), strict=True)):
            count = min(pcm.shape[1], ROOM - begin)
            self._lines[slot, begin : begin + count] = pcm[row, :count]
            self.held[slot] = begin + count

    def take(self, slots: Indices, out: Pcm) -> None:
        """Write the first 20 ms of each slot into ``(n, 480)`` and drop them; what is missing is silence."""
        held: Ints = self.held[slots]
        if (held == FRAME).all():
            out[:] = self._lines[slots, :FRAME]
            self.held[slots] = 0
            return
        for row, (slot, count) in enumerate(zip(slots.tolist(), held.tolist(), strict=True)):
            line = self._lines[slot]
            if count < FRAME:
                line[count:FRAME] = 0.0
            out[row] = line[:FRAME]
            left = max(count - FRAME, 0)
            if left:
                # numpy copies overlapping parts of one row correctly.
                line[:left] = line[FRAME : FRAME + left]
            self.held[slot] = left

    def settle(self, slots: Indices, heard: Pcm) -> None:
        """Drop the rest of a frame that waits in slots which are quiet anyway.

        Stretching leaves such a rest behind. Without it a slot plays whole packets again, which is cheaper
        and a little faster.

        Args:
            slots: each at most once, ``(n,)``.
            heard: the frames just taken from them, ``(n, 480)``.
        """
        rest = self.held[slots]
        for row in np.flatnonzero((rest > 0) & (rest < FRAME)).tolist():
            slot, count = int(slots[row]), int(rest[row])
            if (
                np.abs(heard[row, -count:]).max() < _QUIET
                and np.abs(self._lines[slot, :count]).max() < _QUIET
            ):
                self.held[slot] = 0
