"""Decision for one slot whose next packet is not simply there and due.

:class:`softswitch.rtp.playout_rows.Cursors` is the same rule for many slots at once; the tests compare the
two.
"""

from dataclasses import dataclass

import numpy as np

from softswitch.rtp.packet import UNITS_PER_MS, Ints

SILENCE, PLAY, CONCEAL, RECOVER = range(4)
"""Actions: silence; decode the packet; conceal a gap; recover a gap from the packet after it (Opus in-band
FEC)."""

NUMBER, MEDIA, DURATION, LENGTH, KIND = range(5)
"""Columns of a packet's note: extended number, media time, duration (units), octets of payload, kind of
codec."""

NEVER = np.iinfo(np.int64).min
"""Marks an unknown number or time."""

FRAME = 20 * UNITS_PER_MS
"""Units of 20 ms; a gap is filled in pieces of this duration, or of the missing packet's duration."""

REPAIRED = 120 * UNITS_PER_MS
"""Longest concealment (120 ms); silence follows, since repeated pitch periods sound like a buzz."""

MOST_DELAY = 400 * UNITS_PER_MS
"""Excess of delay (400 ms) from which on audio is discarded rather than played late."""

NEAR = 10 * UNITS_PER_MS
"""Largest gap or overlap (10 ms) that is ignored: nothing is concealed, nothing dropped."""


@dataclass(slots=True)
class Cursor:
    """Playing position of one slot."""

    next: int
    """Extended sequence number of the packet to be played next."""
    media: int
    """Media time played next, units; NEVER before the first packet is played."""
    run: int
    """Units concealed or silent since the last packet that was played."""
    low: int
    """Least good delay, units; NEVER while unknown."""
    high: int
    """Highest good delay, units."""
    lasting: int
    """Duration of the last packet, units."""
    newest: int
    """Highest extended number received."""
    dropped: int = 0
    """Packets that this decision dropped."""

    def decide(self, notes: Ints, now: int, *, quiet: bool) -> tuple[int, int, int]:
        """Advance by one step.

        Args:
            notes: the slot's part of the ring, ``(depth, 5)``, depth a power of two.
            now: the moment at which the result is heard, units.
            quiet: the sender announced a pause (telephone event or comfort noise), so that gaps are silence.

        Returns:
            Action, its duration in units, and the packet's index in `notes` for PLAY and RECOVER, else -1.
        """
        mask = len(notes) - 1
        for _ in range(len(notes) + 2):
            index = self.next & mask
            note = notes[index].tolist()
            if note[NUMBER] != self.next:
                # The next packet is missing: look for the first one behind it.
                found = self._after(notes)
                if found < 0:
                    return self._fill(FRAME, now, NEVER, quiet=quiet)
                following = notes[found].tolist()
                if self.media != NEVER and following[MEDIA] - self.media > NEAR:
                    return self._bridge(following, found, now, quiet=quiet)
                # The missing packets had no room between their neighbours (or nothing was played yet): skip.
                self.next = following[NUMBER]
                continue
            if self.media == NEVER:
                self.media = note[MEDIA]
            ahead = note[MEDIA] - self.media
            # Positive: a gap lies before the packet, as after a pause. Negative: its time has passed in part.
            if ahead > NEAR:
                return self._fill(min(ahead, FRAME), now, note[MEDIA], quiet=quiet)
            if ahead < -NEAR and self._overdue(notes, note, now):
                self.next += 1
                self.dropped += 1
                continue
            self.next += 1
            self.media = note[MEDIA] + note[DURATION]
            self.lasting = note[DURATION] or self.lasting
            self.run = 0
            return PLAY, note[DURATION], index
        return self._fill(FRAME, now, NEVER, quiet=quiet)

    def _after(self, notes: Ints) -> int:
        """Return the index of the first packet after a missing one, -1 for none."""
        if self.newest < self.next:
            return -1
        numbers = np.where(notes[:, NUMBER] >= self.next, notes[:, NUMBER], np.iinfo(np.int64).max)
        index = int(numbers.argmin())
        return index if notes[index, NUMBER] >= self.next else -1

    def _overdue(self, notes: Ints, note: list[int], now: int) -> bool:
        """Return True if a packet whose time has passed is dropped, False if it is played late."""
        if self.low != NEVER and now - note[MEDIA] - self.low > MOST_DELAY:
            return True
        # A single late packet: its gap has been concealed, and the next packet continues on time. Where the
        # next one is late or missing as well, the whole stream is late and has to be played so.
        after = notes[(self.next + 1) & (len(notes) - 1)]
        return bool(after[NUMBER] == self.next + 1 and after[MEDIA] >= self.media - NEAR)

    def _bridge(self, following: list[int], index: int, now: int, *, quiet: bool) -> tuple[int, int, int]:
        """Fill a part of the gap before the packet that follows.

        One missing packet (up to one and a half durations) is filled in one piece, from the redundancy in the
        packet that follows. A longer gap is filled frame by frame until one packet's duration is left, so
        that this last piece can be recovered.
        """
        hole = following[MEDIA] - self.media
        lasting = self.lasting or FRAME
        if hole <= lasting * 3 // 2 and hole <= REPAIRED:
            self.next = following[NUMBER]
            action, duration, _ = self._fill(hole, now, following[MEDIA], quiet=quiet)
            return (RECOVER, duration, index) if action == CONCEAL else (action, duration, -1)
        piece = min(FRAME, hole - lasting) if hole - lasting >= NEAR else min(lasting, hole)
        filled = self._fill(piece, now, following[MEDIA], quiet=quiet)
        # Packets that are still missing, rounded up; `next` advances so that they are counted from the end.
        left = -(-(following[MEDIA] - self.media) // lasting)
        self.next = max(self.next, following[NUMBER] - max(left, 1))
        return filled

    def _fill(self, duration: int, now: int, until: int, *, quiet: bool) -> tuple[int, int, int]:
        """Conceal `duration` units, or be silent where concealment has lasted too long.

        In silence the cursor is moved so that the delay ``now + duration - media`` is within [low, high]; it
        never moves past `until`, the media time of the next packet.
        """
        action = SILENCE if quiet or self.run >= REPAIRED or self.media == NEVER else CONCEAL
        self.run += duration
        if self.media == NEVER:
            return action, duration, -1
        self.media += duration
        if action == SILENCE and self.low != NEVER:
            # Silence can be shortened or lengthened without being heard, so the delay is corrected here.
            delay = min(max(now + duration - self.media, self.low), self.high)
            self.media = now + duration - delay
            if until != NEVER:
                self.media = min(self.media, until)
        return action, duration, -1
