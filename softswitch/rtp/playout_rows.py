"""Decisions for many slots whose next packets are not simply there and due: the rule of `Cursor`, in arrays.

After a stall, or when a network loses packets of many calls, nearly every slot needs such a decision. One
decision by :class:`softswitch.rtp.playout.Cursor` takes about ten microseconds; here a hundred slots take
little longer than one. The tests compare the two. The comments on the rule itself are in `playout`.
"""

from dataclasses import dataclass

import numpy as np

from softswitch.rtp.packet import Indices, Ints, Mask
from softswitch.rtp.playout import (
    CONCEAL,
    DURATION,
    FRAME,
    MEDIA,
    MOST_DELAY,
    NEAR,
    NEVER,
    NUMBER,
    PLAY,
    RECOVER,
    REPAIRED,
    SILENCE,
)

_LAST = np.iinfo(np.int64).max


@dataclass(slots=True)
class Decisions:
    """Decision of each row; all arrays ``(n,)``."""

    action: Ints
    """SILENCE, PLAY, CONCEAL or RECOVER of :mod:`softswitch.rtp.playout`."""
    duration: Ints
    """Units."""
    index: Ints
    """The packet's index in the row's ring for PLAY and RECOVER, else -1."""


@dataclass(frozen=True, slots=True)
class _Step:
    """Input and result of one step of all rows."""

    rings: Ints
    now: int
    quiet: Mask
    done: Decisions


@dataclass(slots=True)
class Cursors:
    """Playing positions of many slots; the fields are those of `Cursor`, each ``(n,)``."""

    next: Ints
    media: Ints
    run: Ints
    low: Ints
    high: Ints
    lasting: Ints
    newest: Ints
    dropped: Ints

    def decide(self, rings: Ints, now: int, quiet: Mask) -> Decisions:
        """Move every row on by one step.

        Args:
            rings: each slot's part of the ring, ``(n, depth, fields)``, depth a power of two.
            now: the moment at which what is decided here is heard, units.
            quiet: rows whose sender has said that it pauses, ``(n,)``.
        """
        count, depth = rings.shape[:2]
        done = Decisions(
            np.full(count, SILENCE, np.int64), np.full(count, FRAME, np.int64), np.full(count, -1, np.int64)
        )
        step, rows = _Step(rings, now, quiet, done), np.arange(count)
        # Each turn settles rows, or takes them one packet further; a ring has at most so many packets.
        for _ in range(depth + 2):
            if not len(rows):
                return done
            at = self.next[rows] & (depth - 1)
            note = rings[rows, at]
            there = note[:, NUMBER] == self.next[rows]
            again = [self._without(rows[~there], step)] if not there.all() else []
            if there.any():
                again.append(self._with(rows[there], note[there], at[there], step))
            rows = np.concatenate(again)
        never = np.full(len(rows), NEVER)
        self._fill(rows, np.full(len(rows), FRAME), never, step)
        return done

    def leap(self, rings: Ints, now: int) -> None:
        """Discard everything that would be played with more than the least good delay.

        Used when time has jumped, or the remote party sent seconds of audio at once. A row continues with the
        packet that is due at its least good delay, from the beginning of this packet, so that neither a gap
        nor a delay below the least good one results.
        """
        target = now - self.low
        numbers, media, duration = rings[:, :, NUMBER], rings[:, :, MEDIA], rings[:, :, DURATION]
        waiting = numbers >= self.next[:, None]
        kept = waiting & (media + duration > target[:, None])
        found = kept.any(axis=1)
        which = np.where(kept, numbers, _LAST).argmin(axis=1)
        rows = np.arange(len(rings))
        going_on = np.where(found, numbers[rows, which], self.newest + 1)
        self.dropped += np.count_nonzero(waiting & (numbers < going_on[:, None]), axis=1)
        self.next = going_on
        self.media = np.where(found, np.minimum(target, media[rows, which]), target)

    def _with(self, rows: Indices, note: Ints, at: Ints, step: _Step) -> Indices:
        """Decide for rows whose next packet is there; return the rows that dropped it and decide again."""
        media = np.where(self.media[rows] == NEVER, note[:, MEDIA], self.media[rows])
        self.media[rows] = media
        ahead = note[:, MEDIA] - media
        early = ahead > NEAR
        if early.any():
            span = np.minimum(ahead[early], FRAME)
            self._fill(rows[early], span, note[early, MEDIA], step)
        over = ahead < -NEAR
        if over.any():
            over[over] = self._overdue(rows[over], note[over], step)
            self.next[rows[over]] += 1
            self.dropped[rows[over]] += 1
        plays = ~(early | over)
        playing, duration = rows[plays], note[plays, DURATION]
        self.next[playing] += 1
        self.media[playing] = note[plays, MEDIA] + duration
        self.lasting[playing] = np.where(duration == 0, self.lasting[playing], duration)
        self.run[playing] = 0
        step.done.action[playing], step.done.duration[playing], step.done.index[playing] = (
            PLAY,
            duration,
            at[plays],
        )
        return rows[over]

    def _without(self, rows: Indices, step: _Step) -> Indices:
        """Decide for rows whose next packet is missing; return the rows that skip it and decide again."""
        following = np.where(
            step.rings[rows, :, NUMBER] >= self.next[rows, None], step.rings[rows, :, NUMBER], _LAST
        )
        found = following.argmin(axis=1)
        nothing = (following.min(axis=1) == _LAST) | (self.newest[rows] < self.next[rows])
        if nothing.any():
            bare = rows[nothing]
            self._fill(bare, np.full(len(bare), FRAME), np.full(len(bare), NEVER), step)
            rows, found = rows[~nothing], found[~nothing]
        note = step.rings[rows, found]
        media = self.media[rows]
        # NEVER is the least int64, and a difference with it would overflow: 0 stands in for it.
        hole = np.where(media == NEVER, 0, note[:, MEDIA] - np.where(media == NEVER, 0, media))
        wide = hole > NEAR
        if wide.any():
            self._bridge(rows[wide], note[wide], found[wide], hole[wide], step)
        others = rows[~wide]
        self.next[others] = note[~wide, NUMBER]
        return others

    def _overdue(self, rows: Indices, note: Ints, step: _Step) -> Mask:
        """Return which packets whose time has passed are dropped; the others are played late."""
        low = self.low[rows]
        late = (low != NEVER) & (step.now - note[:, MEDIA] - np.where(low == NEVER, 0, low) > MOST_DELAY)
        after = step.rings[rows, (self.next[rows] + 1) & (step.rings.shape[1] - 1)]
        in_time = (after[:, NUMBER] == self.next[rows] + 1) & (after[:, MEDIA] >= self.media[rows] - NEAR)
        overdue: Mask = late | in_time
        return overdue

    def _bridge(self, rows: Indices, note: Ints, found: Indices, hole: Ints, step: _Step) -> None:
        """Fill a part of the gaps before the packets that follow."""
        lasting = np.where(self.lasting[rows] == 0, FRAME, self.lasting[rows])
        short = (hole <= lasting * 3 // 2) & (hole <= REPAIRED)
        if short.any():
            whole = rows[short]
            self.next[whole] = note[short, NUMBER]
            self._fill(whole, hole[short], note[short, MEDIA], step)
            mended = step.done.action[whole] == CONCEAL
            step.done.action[whole[mended]], step.done.index[whole[mended]] = RECOVER, found[short][mended]
        if short.all():
            return
        rows, note, hole, lasting = rows[~short], note[~short], hole[~short], lasting[~short]
        piece = np.where(hole - lasting >= NEAR, np.minimum(FRAME, hole - lasting), np.minimum(lasting, hole))
        self._fill(rows, piece, note[:, MEDIA], step)
        left = -(-(note[:, MEDIA] - self.media[rows]) // lasting)
        self.next[rows] = np.maximum(self.next[rows], note[:, NUMBER] - np.maximum(left, 1))

    def _fill(self, rows: Indices, duration: Ints, until: Ints, step: _Step) -> None:
        """Conceal `duration` units in each row, or be silent where concealment has lasted too long."""
        media, run, low = self.media[rows], self.run[rows], self.low[rows]
        placed = media != NEVER
        silent = step.quiet[rows] | (run >= REPAIRED) | ~placed
        self.run[rows] = run + duration
        step.done.action[rows] = np.where(silent, SILENCE, CONCEAL)
        step.done.duration[rows], step.done.index[rows] = duration, -1
        moved = np.where(placed, media, 0) + duration
        # Silence can be shortened or lengthened without being heard, so the delay is corrected here.
        free = silent & (low != NEVER)
        known = np.where(free, low, 0)
        delay = np.minimum(np.maximum(step.now + duration - moved, known), np.where(free, self.high[rows], 0))
        righted = step.now + duration - delay
        righted = np.where(until == NEVER, righted, np.minimum(righted, until))
        self.media[rows] = np.where(placed, np.where(free, righted, moved), NEVER)


__all__ = ["Cursors", "Decisions"]
