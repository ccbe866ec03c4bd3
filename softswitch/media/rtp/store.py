"""Decoded audio that was not played yet, for packets that do not hold exactly 20 ms."""

import numpy as np

from softswitch.audio.pcm import FRAME, Indices, Pcm
from softswitch.rtp.packet import Ints

_QUIET = 60.0
"""Amplitude (-55 dBov) below which a few milliseconds can be dropped without being heard."""

ROOM = 4800
"""Most samples held in a slot: 200 ms, for a packet of 120 ms, a frame before it and what stretching adds."""


class PcmStore:
    """A short queue of samples at the bus rate for every slot."""

    def __init__(self) -> None:
        self.held = np.zeros(0, np.int64)
        """Samples held in each slot."""
        self.lines: Pcm = np.zeros((0, ROOM), np.float32)
        """The samples, the next one first."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        if slots <= len(self.held):
            return
        # The kernel backs memory with pages when it is written: most slots use only the beginning of their
        # row.
        lines: Pcm = np.zeros((slots, ROOM), np.float32)
        waiting = np.flatnonzero(self.held)
        lines[waiting] = self.lines[waiting]
        self.lines = lines
        self.held = np.pad(self.held, (0, slots - len(self.held)))

    def clear(self, slot: int) -> None:
        """Drop the samples held in `slot`."""
        self.held[slot] = 0

    def append(self, slots: Indices, pcm: Pcm) -> None:
        """Append rows ``(n, samples)``; samples beyond ROOM are dropped."""
        held = self.held[slots]
        first = int(held[0]) if len(held) else 0
        if (held == first).all():
            count = min(pcm.shape[1], ROOM - first)
            self.lines[slots, first : first + count] = pcm[:, :count]
            self.held[slots] = first + count
            return
        # Each row is appended at its own position; samples that would lie beyond ROOM are left out.
        places = held[:, None] + np.arange(pcm.shape[1])
        if int(held.max()) + pcm.shape[1] <= ROOM:
            self.lines[slots[:, None], places] = pcm
        else:
            rows, columns = np.nonzero(places < ROOM)
            self.lines[slots[rows], places[rows, columns]] = pcm[rows, columns]
        self.held[slots] = np.minimum(held + pcm.shape[1], ROOM)

    def take(self, slots: Indices, out: Pcm) -> None:
        """Move the first 20 ms of each slot into ``(n, 480)``; missing samples are zero."""
        held: Ints = self.held[slots]
        if (held == FRAME).all():
            out[:] = self.lines[slots, :FRAME]
            self.held[slots] = 0
            return
        out[:] = self.lines[slots, :FRAME]
        if len(held) and held.min() < FRAME:
            out[np.arange(FRAME) >= held[:, None]] = 0.0
        left = np.maximum(held - FRAME, 0)
        longest = int(left.max(initial=0))
        if longest:
            self.lines[slots, :longest] = self.lines[slots, FRAME : FRAME + longest]
        self.held[slots] = left

    def settle(self, slots: Indices, heard: Pcm) -> None:
        """Drop the rest of a frame held in slots that are quiet now.

        Stretching leaves such a rest behind. Without it a slot plays whole packets again, which takes less
        work and removes up to 20 ms of delay.

        Args:
            slots: each at most once, ``(n,)``.
            heard: the frames just taken from the slots, ``(n, 480)``.
        """
        rest = self.held[slots]
        rows = np.flatnonzero((rest > 0) & (rest < FRAME))
        if not len(rows):
            return
        rest, slots = rest[rows], slots[rows]
        at = np.arange(int(rest.max()))
        # Both the end of the frame just played and the held rest, each `rest` samples long, must be quiet.
        within = at < rest[:, None]
        before = np.abs(heard[rows[:, None], np.maximum(FRAME - 1 - at, 0)])
        waiting = np.abs(self.lines[slots, : len(at)])
        quiet = (np.where(within, np.maximum(before, waiting), 0.0) < _QUIET).all(axis=1)
        self.held[slots[quiet]] = 0
