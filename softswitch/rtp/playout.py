"""What a slot does when its next packet is not simply there and due."""

from dataclasses import dataclass

import numpy as np

from softswitch.rtp.packet import UNITS_PER_MS, Ints

SILENCE, PLAY, CONCEAL, RECOVER = range(4)
"""What is to be done: nothing sounds; decode; fill a hole; fill it from the packet behind it."""

NUMBER, MEDIA, DURATION, LENGTH, KIND = range(5)
"""Columns of a packet's note in the ring."""

NEVER = np.iinfo(np.int64).min
"""Neither a number nor a time."""

FRAME = 20 * UNITS_PER_MS
"""A hole is filled in pieces of this duration, or as long as the packet that is missing."""

REPAIRED = 120 * UNITS_PER_MS
"""Concealment lasts this long, then there is silence."""

MOST_DELAY = 400 * UNITS_PER_MS
"""Audio that would be heard this much later than need be is given up."""

_NEAR = 10 * UNITS_PER_MS
"""Holes and overlaps up to this are none: nothing is made up, nothing dropped."""


@dataclass(slots=True)
class Cursor:
    """Where a slot's playing stands."""

    next: int
    """Extended number of the packet to be played next."""
    media: int
    """Media time of what is played next, units; NEVER before the first packet is played."""
    run: int
    """Units made up since the last packet that was played."""
    low: int
    """Least good delay, units; NEVER while unknown."""
    high: int
    lasting: int
    """Duration of the last packet, units."""
    newest: int
    """Highest extended number that has come."""
    dropped: int = 0
    """Packets given up by this decision."""

    def decide(self, notes: Ints, now: int, *, quiet: bool) -> tuple[int, int, int]:
        """Move on by one step.

        Args:
            notes: the slot's part of the ring, ``(depth, 5)``, depth a power of two.
            now: the moment at which what is decided here is heard, units.
            quiet: the sender has said that it pauses.

        Returns:
            What to do, for how many units, and the packet's index in `notes` for PLAY and RECOVER, else -1.
        """
        mask = len(notes) - 1
        for _ in range(len(notes) + 2):
            index = self.next & mask
            note = notes[index].tolist()
            if note[NUMBER] != self.next:
                found = self._after(notes)
                if found < 0:
                    return self._fill(FRAME, now, NEVER, quiet=quiet)
                following = notes[found].tolist()
                if self.media != NEVER and following[MEDIA] - self.media > _NEAR:
                    return self._bridge(following, found, now, quiet=quiet)
                self.next = following[NUMBER]
                continue
            if self.media == NEVER:
                self.media = note[MEDIA]
            ahead = note[MEDIA] - self.media
            if ahead > _NEAR:
                return self._fill(min(ahead, FRAME), now, note[MEDIA], quiet=quiet)
            if ahead < -_NEAR and self._overdue(notes, note, now):
                self.next += 1
                self.dropped += 1
                continue
            self.next += 1
            self.media = note[MEDIA] + note[DURATION]
            self.lasting = note[DURATION] or self.lasting
            self.run = 0
            return PLAY, note[DURATION], index
        return self._fill(FRAME, now, NEVER, quiet=quiet)

    def leap(self, notes: Ints, now: int) -> None:
        """Give up everything that is later than need be: the clock has jumped, or the far end has poured."""
        target = now - self.low
        numbers, media = notes[:, NUMBER], notes[:, MEDIA]
        kept = (numbers >= self.next) & (media >= target)
        going_on = int(numbers[kept].min()) if kept.any() else self.newest + 1
        self.dropped += int(np.count_nonzero((numbers >= self.next) & (numbers < going_on)))
        self.next, self.media = going_on, target

    def _after(self, notes: Ints) -> int:
        """Return the index of the first packet after a missing one, -1 for none."""
        if self.newest < self.next:
            return -1
        numbers = np.where(notes[:, NUMBER] >= self.next, notes[:, NUMBER], np.iinfo(np.int64).max)
        index = int(numbers.argmin())
        return index if notes[index, NUMBER] >= self.next else -1

    def _overdue(self, notes: Ints, note: list[int], now: int) -> bool:
        """Tell whether a packet whose time is over is dropped rather than played late, with more delay."""
        if self.low != NEVER and now - note[MEDIA] - self.low > MOST_DELAY:
            return True
        # A single straggler: the hole it left has been filled, and the next one is in time.
        after = notes[(self.next + 1) & (len(notes) - 1)]
        return bool(after[NUMBER] == self.next + 1 and after[MEDIA] >= self.media - _NEAR)

    def _bridge(self, following: list[int], index: int, now: int, *, quiet: bool) -> tuple[int, int, int]:
        """Fill a part of the hole before the packet that follows."""
        hole = following[MEDIA] - self.media
        lasting = self.lasting or FRAME
        if hole <= lasting * 3 // 2 and hole <= REPAIRED:
            self.next = following[NUMBER]
            action, duration, _ = self._fill(hole, now, following[MEDIA], quiet=quiet)
            return (RECOVER, duration, index) if action == CONCEAL else (action, duration, -1)
        piece = min(FRAME, hole - lasting) if hole - lasting >= _NEAR else min(lasting, hole)
        filled = self._fill(piece, now, following[MEDIA], quiet=quiet)
        left = -(-(following[MEDIA] - self.media) // lasting)
        self.next = max(self.next, following[NUMBER] - max(left, 1))
        return filled

    def _fill(self, duration: int, now: int, until: int, *, quiet: bool) -> tuple[int, int, int]:
        """Fill with concealment, or with silence where that would go on too long."""
        action = SILENCE if quiet or self.run >= REPAIRED or self.media == NEVER else CONCEAL
        self.run += duration
        if self.media == NEVER:
            return action, duration, -1
        self.media += duration
        if action == SILENCE and self.low != NEVER:
            # Silence may be cut or drawn out without a trace: the delay is put right for nothing.
            delay = min(max(now + duration - self.media, self.low), self.high)
            self.media = now + duration - delay
            if until != NEVER:
                self.media = min(self.media, until)
        return action, duration, -1
