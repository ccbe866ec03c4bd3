"""The jitter buffer: packets in as they come, one thing to do per frame out, driven by time."""

from dataclasses import dataclass

import numpy as np

from softswitch.rtp.delay import DelayMeter
from softswitch.rtp.packet import UNITS_PER_MS, Bytes, Indices, Ints, Mask
from softswitch.rtp.playout import (
    DURATION,
    FRAME,
    KIND,
    LENGTH,
    MEDIA,
    MOST_DELAY,
    NEVER,
    NUMBER,
    PLAY,
    REPAIRED,
    SILENCE,
    Cursor,
)
from softswitch.rtp.timeline import Arrivals, Timeline

DEPTH = 32
"""Packets kept for each slot: 320 ms of the shortest."""

LARGEST_PAYLOAD = 1472
"""Octets of the largest payload that is kept: more does not come in one datagram."""

_FIRST_DELAY = 40 * UNITS_PER_MS
"""Delay of the first packet, until it is known what the network does."""

_REVIEW = 8
"""Ticks from one look at the delays to the next."""

_NARROW = 256
_NOTE = 5

# Columns of a slot.
_NEXT, _CURSOR, _START, _RUN, _LOW, _HIGH, _LASTING = range(7)
_FIELDS = 7


@dataclass(slots=True)
class Due:
    """What each slot is to do next."""

    action: Ints
    """SILENCE, PLAY, CONCEAL or RECOVER of :mod:`softswitch.rtp.playout`."""
    duration: Ints
    """Units of audio that this makes; for PLAY what the payload should hold."""
    place: Ints
    """Where the payload of PLAY and RECOVER lies, for :meth:`JitterBuffer.payloads`."""
    length: Ints
    """Octets of that payload."""
    kind: Ints
    """The packet's kind, as it was put in."""
    run: Ints
    """For CONCEAL and RECOVER: units made up before, since the last packet that was played."""
    plain: bool
    """Whether every slot simply plays the next packet."""

    def chosen(self, rows: Indices) -> "Due":
        """Return what some of the slots are to do."""
        return Due(
            self.action[rows],
            self.duration[rows],
            self.place[rows],
            self.length[rows],
            self.kind[rows],
            self.run[rows],
            self.plain,
        )


class JitterBuffer:
    """The packets of each slot in a ring, and a cursor in media time that time itself moves.

    A hole is made up for when its time has come, neither earlier nor later, so that losses never add delay.
    Where everything comes late it is played late, and :attr:`excess` tells how much delay is then too much.
    """

    def __init__(self, slots: int = 0) -> None:
        """Make a buffer with `slots` rows to begin with."""
        self.timeline = Timeline()
        self.meter = DelayMeter()
        self.stretching = False
        """Whether any slot has an excess of delay."""
        self.excess = np.zeros(0, np.int64)
        """Delay to be stretched out of each slot (negative: into it), units; the caller counts it down."""
        self.quiet_until = np.zeros(0, np.int64)
        """Number of the last packet that was no audio (a key, comfort noise): up to it, holes are silence."""
        self.late = np.zeros(0, np.int64)
        """Packets of each slot that came after their time."""
        self.late_total = self.duplicate_total = self.overflown_total = 0
        self._state = np.zeros((0, _FIELDS), np.int64)
        self._notes = np.zeros((0, _NOTE), np.int64)
        self._ring = np.zeros((0, _NARROW), np.uint8)
        self._resting = np.zeros(0, np.bool_)
        self._resters = 0
        self._ticks = 0
        self.grow(slots)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = slots - len(self._state)
        if more <= 0:
            return
        self.timeline.grow(slots)
        self.meter.grow(slots)
        self.excess = np.pad(self.excess, (0, more))
        self.quiet_until = np.pad(self.quiet_until, (0, more), constant_values=NEVER)
        self.late = np.pad(self.late, (0, more))
        self._resting = np.pad(self._resting, (0, more))
        self._state = np.pad(self._state, ((0, more), (0, 0)))
        self._notes = np.pad(self._notes, ((0, more * DEPTH), (0, 0)))
        self._state[-more:, [_CURSOR, _START, _LOW]] = NEVER
        self._notes[-more * DEPTH :, NUMBER] = NEVER
        self._widen(self._ring.shape[1], slots)

    def open(self, slot: int) -> None:
        """Begin anew in `slot`."""
        self.timeline.open(slot)
        self.meter.open(slot)
        self._rest_from(slot, resting=False)
        self.excess[slot] = self.late[slot] = 0
        self.quiet_until[slot] = NEVER
        self._state[slot] = 0
        self._state[slot, [_CURSOR, _START, _LOW]] = NEVER
        self._notes[slot * DEPTH : (slot + 1) * DEPTH, NUMBER] = NEVER

    def put(self, packets: Arrivals, arrival: int) -> tuple[Arrivals, Ints]:
        """Put packets in.

        Args:
            packets: what came.
            arrival: units of the monotonic clock.

        Returns:
            Those that were neither late nor double, and the media time of each, units.
        """
        placed = self.timeline.place(packets, arrival)
        self.meter.add(packets.slots, packets.extended, placed.transit, arrival)
        if placed.fresh is not None:
            self._begin(packets.slots[placed.fresh], packets.extended[placed.fresh], arrival)
        place = packets.slots * DEPTH + (packets.extended & (DEPTH - 1))
        number, media = self._notes[place, NUMBER], placed.media
        next_ = self._state[packets.slots, _NEXT]
        if self._resters:
            # Where nothing is played nothing comes too late.
            next_ = np.where(self._resting[packets.slots], packets.extended, next_)
        if not ((packets.extended >= next_) & (number < next_)).all():
            taken = self._refuse(packets, number, next_, arrival)
            packets, place, media = packets.chosen(taken), place[taken], media[taken]
        if len(place) == 0:
            return packets, media
        note = np.empty((len(place), _NOTE), np.int64)
        note[:, NUMBER], note[:, MEDIA], note[:, DURATION] = packets.extended, media, packets.durations
        note[:, LENGTH], note[:, KIND] = packets.lengths, packets.kinds
        self._notes[place] = note
        self._store(place, packets)
        return packets, media

    def payloads(self, places: Ints, width: int) -> Bytes:
        """Return the payloads at `places`, ``(n, width)``; what lies behind their length is of no meaning."""
        return self._ring[places, :width]

    def pop(self, slots: Indices, now: int) -> Due:
        """Say what each slot does next, and move on by that.

        Args:
            slots: each at most once, ``(n,)``.
            now: units of the monotonic clock.
        """
        state = self._state.take(slots, axis=0)
        place = slots * DEPTH + (state[:, _NEXT] & (DEPTH - 1))
        note = self._notes.take(place, axis=0)
        due = Due(
            action=np.full(len(slots), PLAY, np.int64),
            duration=note[:, DURATION],
            place=place,
            length=note[:, LENGTH],
            kind=note[:, KIND],
            run=state[:, _RUN],
            plain=True,
        )
        plain = (note[:, NUMBER] == state[:, _NEXT]) & (note[:, MEDIA] == state[:, _CURSOR])
        if plain.all():
            state[:, _NEXT] += 1
            state[:, _CURSOR] += due.duration
            state[:, _LASTING] = due.duration
            if state[:, _RUN].any():
                state[:, _RUN] = 0
            self._state[slots] = state
            return due
        due.plain = False
        due.run = due.run.copy()
        self._advance(state, note, np.flatnonzero(plain))
        self._settle(slots, state, due, np.flatnonzero(~plain), now)
        self._state[slots] = state
        return due

    def review(self, slots: Indices, held: Ints | None, now: int) -> None:
        """Look at the delay of the slots; to be called once per tick.

        It is done for all of them together every few ticks: most of it is the price of calling, not of slots.

        Args:
            slots: those that are open, ``(n,)``.
            held: units of audio popped before, ``(n,)``, whole frames of it: each puts off the next pop by
                a tick; None for none.
            now: units of the monotonic clock.
        """
        self._ticks += 1
        if self._ticks % _REVIEW:
            return
        turn = self._state[slots, _CURSOR] != NEVER
        if not turn.any():
            return
        seen = slots[turn]
        low, high, base, said = self.meter.bounds(seen, now)
        if not said.all():
            seen, low, high, base = seen[said], low[said], high[said], base[said]
            turn[turn] = said
        delay = now - self._state[seen, _CURSOR] + (0 if held is None else held[turn])
        self._state[seen, _LOW], self._state[seen, _HIGH] = low, high
        self.timeline.set_base(seen, base)
        excess = np.where(delay > high, delay - high, np.where(delay < low, delay - low, 0))
        self.excess[seen] = excess
        self.stretching = bool(excess.any())
        for row in np.flatnonzero(excess > MOST_DELAY).tolist():
            self._leap(int(seen[row]), now)

    def rest(self, slot: int) -> None:
        """Play nothing in `slot` until :meth:`resume`; the last packets are kept all the same."""
        self._rest_from(slot, resting=True)
        self._state[slot, [_CURSOR, _START]] = NEVER
        self._state[slot, _RUN] = 0
        self.excess[slot] = 0

    def resume(self, slot: int, now: int) -> None:
        """Go on behind the newest packet of `slot`, without a delay: stretching finds the one it needs."""
        self._rest_from(slot, resting=False)
        state = self._state[slot]
        self.excess[slot] = 0
        end = self.timeline.end(slot)
        if end is None:
            return
        newest, media, arrival = end
        state[_NEXT], state[_RUN] = newest + 1, 0
        state[_CURSOR], state[_START] = media, NEVER
        if now - arrival > REPAIRED:
            # It was silent anyway; whatever comes next is played at once.
            state[_CURSOR], state[_START], state[_RUN] = NEVER, now, REPAIRED

    def standing(self, slot: int) -> tuple[int, int]:
        """Return the number of the packet that `slot` plays next, and its media time; NEVER if unknown."""
        state = self._state[slot]
        return int(state[_NEXT]), int(state[_CURSOR])

    def kept(self, slot: int, first: int) -> tuple[Arrivals, Ints]:
        """Return the packets of `slot` from number `first` on, in order, and their media times; they stay.

        Their timestamps are their media times too: those they came with are not kept.
        """
        notes = self._notes[slot * DEPTH : (slot + 1) * DEPTH]
        index = np.flatnonzero(notes[:, NUMBER] >= first)
        index = index[np.argsort(notes[index, NUMBER])]
        note = notes[index]
        rows = self._ring[slot * DEPTH + index]
        slots, media, durations = np.full(len(index), slot, np.intp), note[:, MEDIA], note[:, DURATION]
        lengths, kinds = note[:, LENGTH], note[:, KIND]
        return Arrivals(slots, note[:, NUMBER], media, 1, durations, kinds, rows, 0, lengths), media

    def rebase(self, slots: Indices, now: int) -> None:
        """Follow the clocks of resting slots; to be called every few seconds."""
        _, _, base, said = self.meter.bounds(slots, now)
        self.timeline.set_base(slots[said], base[said])

    def lasting(self, slots: Indices) -> Ints:
        """Return the duration of the last packet that each slot played, units."""
        lasting: Ints = self._state[slots, _LASTING]
        return lasting

    def delay(self, slot: int, held: int, now: int) -> int:
        """Return by how much what is heard now lags what arrives at best, units; 0 while nothing is heard."""
        state = self._state[slot]
        if state[_CURSOR] == NEVER:
            return 0
        _, _, base, said = self.meter.bounds(np.array([slot]), now)
        return int(now - state[_CURSOR] + held - base[0]) if said[0] else 0

    def _rest_from(self, slot: int, *, resting: bool) -> None:
        self._resting[slot] = resting
        self._resters = int(np.count_nonzero(self._resting))

    def _begin(self, slots: Indices, extended: Ints, arrival: int) -> None:
        self._state[slots, _NEXT] = extended
        self._state[slots, _START] = arrival + _FIRST_DELAY
        self._state[slots, _CURSOR] = NEVER

    def _refuse(self, packets: Arrivals, number: Ints, next_: Ints, arrival: int) -> Mask:
        """Count what comes twice or too late; before the first frame is heard nothing is too late."""
        slots, extended = packets.slots, packets.extended
        again = number == extended
        self.duplicate_total += int(np.count_nonzero(again))
        early: Mask = (extended < next_) & ~again & (extended > next_ - DEPTH // 2)
        early &= self._state[slots, _CURSOR] == NEVER
        if early.any():
            self._state[slots[early], _NEXT] = extended[early]
            soon = np.minimum(self._state[slots[early], _START], arrival + FRAME)
            self._state[slots[early], _START] = soon
        kept: Mask = (extended >= next_) & ~again | early
        late = ~(kept | again)
        self.late[slots[late]] += 1
        self.late_total += int(np.count_nonzero(late))
        self.overflown_total += int(np.count_nonzero(kept & (number >= next_)))
        return kept

    def _store(self, place: Ints, packets: Arrivals) -> None:
        longest = int(packets.lengths.max())
        if longest > self._ring.shape[1]:
            width = self._ring.shape[1]
            while width < longest:
                width *= 2
            self._widen(min(width, LARGEST_PAYLOAD), len(self._state))
        if isinstance(packets.offsets, int):
            first = packets.offsets
            width = min(longest, packets.rows.shape[1] - first)
            self._ring[place, :width] = packets.rows[:, first : first + width]
            return
        payloads = np.empty((len(place), longest), np.uint8)
        packets.copy_payloads(payloads)
        self._ring[place, :longest] = payloads

    def _widen(self, width: int, slots: int) -> None:
        ring = np.zeros((slots * DEPTH, width), np.uint8)
        ring[: len(self._ring), : self._ring.shape[1]] = self._ring
        self._ring = ring

    @staticmethod
    def _advance(state: Ints, note: Ints, rows: Indices) -> None:
        state[rows, _NEXT] += 1
        state[rows, _CURSOR] += note[rows, DURATION]
        state[rows, _LASTING] = note[rows, DURATION]
        state[rows, _RUN] = 0

    def _settle(self, slots: Indices, state: Ints, due: Due, rows: Indices, now: int) -> None:
        """Decide about the rows whose next packet is not simply there and due."""
        # Before the first packet is due there is nothing to decide, and many legs may be in that state.
        start = state[rows, _START]
        asleep = (state[rows, _CURSOR] == NEVER) & ((start == NEVER) | (now < start))
        due.action[rows], due.duration[rows] = SILENCE, FRAME
        newest = self.timeline.newest(slots)
        rows = rows[~asleep]
        rows = rows[~self._rest(slots, state, rows, newest, now)]
        for row in rows.tolist():
            slot = int(slots[row])
            next_, media, _, run, low, high, lasting = state[row].tolist()
            cursor = Cursor(next_, media, run, low, high, lasting, int(newest[row]))
            notes = self._notes[slot * DEPTH : (slot + 1) * DEPTH]
            action, duration, index = cursor.decide(notes, now, quiet=bool(self.quiet_until[slot] >= next_))
            due.action[row], due.duration[row] = action, duration
            if index >= 0:
                due.place[row] = slot * DEPTH + index
                due.length[row], due.kind[row] = notes[index, LENGTH], notes[index, KIND]
            self._keep(slot, state[row], cursor)

    def _rest(self, slots: Indices, state: Ints, rows: Indices, newest: Ints, now: int) -> Mask:
        """Let rows go on being silent that have long had nothing: those on hold may be many.

        The same as :meth:`Cursor.decide` would do, for all of them at once; returns which of `rows` they are.
        """
        seen = state[rows]
        quiet = self.quiet_until[slots[rows]] >= seen[:, _NEXT]
        resting: Mask = (newest[rows] < seen[:, _NEXT]) & ((seen[:, _RUN] >= REPAIRED) | quiet)
        resting &= (seen[:, _LOW] != NEVER) & (seen[:, _CURSOR] != NEVER)
        rows, seen = rows[resting], seen[resting]
        heard = now + FRAME
        delay = np.clip(heard - seen[:, _CURSOR] - FRAME, seen[:, _LOW], seen[:, _HIGH])
        state[rows, _CURSOR] = heard - delay
        state[rows, _RUN] += FRAME
        return resting

    def _keep(self, slot: int, state: Ints, cursor: Cursor) -> None:
        self.late[slot] += cursor.dropped
        self.late_total += cursor.dropped
        state[_NEXT], state[_CURSOR], state[_RUN] = cursor.next, cursor.media, cursor.run
        state[_LASTING] = cursor.lasting

    def _leap(self, slot: int, now: int) -> None:
        """Give up what waits where stretching would take seconds to bring the delay back."""
        state = self._state[slot]
        next_, media, _, run, low, high, lasting = state.tolist()
        cursor = Cursor(next_, media, run, low, high, lasting, int(self.timeline.newest(np.array([slot]))[0]))
        cursor.leap(self._notes[slot * DEPTH : (slot + 1) * DEPTH], now)
        self._keep(slot, state, cursor)
        self.excess[slot] = 0
