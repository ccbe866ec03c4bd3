"""The jitter buffer: packets in as they arrive, one decision per slot and frame out, driven by the clock.

Three times are kept apart, all in units of 1/48000 s:

* media time: where a packet's audio lies on the even line of its stream (:mod:`softswitch.rtp.timeline`);
* arrival: the monotonic clock when the packet came; arrival - media time is its transit, of which only
  differences have a meaning, because the two clocks have unrelated origins;
* the cursor of a slot: the media time that is played next. Played at `now`, audio has the delay
  ``now - cursor``, comparable with transits: a packet is in time if its transit is at most that delay.

A cursor moves by the duration that is played, real or made up, in every frame. So losses never add delay. The
delay is changed only on purpose: by stretching (:attr:`JitterBuffer.excess`), in silence, or by a leap.

Packets lie in a ring of :data:`DEPTH` places a slot, at their extended sequence number modulo DEPTH (RFC 3550
appendix A.1 extends the 16 bits). `_notes` holds one row of numbers for each place, `_ring` its payload.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from softswitch.rtp.playout_rows import Cursors
from softswitch.rtp.timeline import Arrivals, Timeline

DEPTH = 32
"""Places of each slot's ring, a power of two: 320 ms of packets of 10 ms, 640 ms of packets of 20 ms."""

LARGEST_PAYLOAD = 1472
"""Octets of the largest payload kept: 1500 (Ethernet MTU) less 20 (IPv4) and 8 (UDP)."""

_FIRST_DELAY = 15 * UNITS_PER_MS
"""Delay of the first packet, until the jitter of the network is known: it is played by the next tick, which
may come up to 5 ms early. Without a reserve it is played at once."""

_REVIEW = 8
"""Ticks (160 ms) between two reviews of the delays."""

_FEW = 6
"""Slots up to which decisions are made one by one: an array operation costs as much as these."""

_CAUGHT_UP = 5 * FRAME
"""Longest pause of the ticks (100 ms) that ticks following at once make up for; a longer pause is skipped.

The same limit as :data:`softswitch.media.engine.clock.CATCH_UP`.
"""

_PATIENT = 25 * UNITS_PER_MS
"""Excess up to which a slot always waits for its turn to be stretched: listeners do not notice 25 ms."""

STRETCHES = 16
"""Most slots stretched in one tick: the search for a pitch period is expensive."""

_STRETCHED = 75 * STRETCHES * 3 * UNITS_PER_MS
"""Excess of all slots together that stretching removes in 1.5 s.

75 ticks, STRETCHES slots in each, and 3 ms on average: a cut removes about 6 ms, and every second one fails.
"""

_NARROW = 256
"""Octets of a place of the ring at first; G.711 of 20 ms takes 160. The ring widens when a larger payload
comes."""

_NOTE = 5
"""Columns of a note: NUMBER, MEDIA, DURATION, LENGTH and KIND of :mod:`softswitch.rtp.playout`."""

# Columns of a slot: number of the next packet, media time played next, moment of the first frame, units made
# up since the last packet, least and highest good delay, duration of the last packet.
_NEXT, _CURSOR, _START, _RUN, _LOW, _HIGH, _LASTING = range(7)
_FIELDS = 7
_BLANK: Ints = np.zeros(_FIELDS, np.int64)
"""Row of a slot that has received nothing."""
_BLANK[[_CURSOR, _START, _LOW]] = NEVER


@dataclass(slots=True)
class Due:
    """Decisions for one frame of some slots, row by row."""

    action: Ints
    """SILENCE, PLAY, CONCEAL or RECOVER of :mod:`softswitch.rtp.playout`."""
    duration: Ints
    """Units of audio that the action makes; for PLAY the duration of the payload."""
    place: Ints
    """Where the payload of PLAY and RECOVER lies, for :meth:`JitterBuffer.payloads`."""
    length: Ints
    """Octets of that payload."""
    kind: Ints
    """The packet's kind, as it was put in."""
    run: Ints
    """For CONCEAL and RECOVER: units made up before, since the last packet that was played."""
    plain: bool
    """True if every slot plays its next packet."""

    def chosen(self, rows: Indices) -> "Due":
        """Return the decisions of some of the slots."""
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
    """Ring of packets and playing cursor of every slot.

    A missing packet is concealed when its time has come, neither earlier nor later, so that losses never add
    delay. Where all packets come late they are played late, and :attr:`excess` is the delay that is too much.
    """

    def __init__(self, slots: int = 0) -> None:
        """Make a buffer with `slots` rows to begin with."""
        self.timeline = Timeline()
        self.meter = DelayMeter()
        self.stretching = False
        """True while any slot has an excess of delay."""
        self.excess = np.zeros(0, np.int64)
        """Delay to be removed from each slot by stretching (negative: added), units; the caller counts it
        down."""
        self.quiet_until = np.zeros(0, np.int64)
        """Number of the last packet without audio (telephone event, comfort noise); gaps up to it are
        silence."""
        self.late = np.zeros(0, np.int64)
        """Packets of each slot that came after their time."""
        self.late_total = self.duplicate_total = self.overflown_total = 0
        self._state = np.zeros((0, _FIELDS), np.int64)
        self._notes = np.zeros((0, _NOTE), np.int64)
        self.ring = np.zeros((0, _NARROW), np.uint8)
        """Payloads, ``(slots * DEPTH, octets)``; another array when it widens or grows."""
        self._suspended = np.zeros(0, np.bool_)
        self._suspended_count = 0
        self._ticks = 0
        self._seen = NEVER
        self._behind = 0
        """Units by which the ticks lag real time while they make up for a pause."""
        self.leapt_total = 0
        """Number of times that a slot discarded queued packets because stretching would have taken too
        long."""
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
        self._suspended = np.pad(self._suspended, (0, more))
        self._state = np.pad(self._state, ((0, more), (0, 0)))
        self._notes = np.pad(self._notes, ((0, more * DEPTH), (0, 0)))
        self._state[-more:] = _BLANK
        self._notes[-more * DEPTH :, NUMBER] = NEVER
        self._widen(self.ring.shape[1], slots)

    def open(self, slot: int) -> None:
        """Begin anew in `slot`."""
        self.timeline.open(slot)
        self.meter.open(slot)
        if self._suspended[slot]:
            self._set_suspended(slot, suspended=False)
        self.excess[slot] = self.late[slot] = 0
        self.quiet_until[slot] = NEVER
        self._state[slot] = _BLANK
        self._notes[slot * DEPTH : (slot + 1) * DEPTH, NUMBER] = NEVER

    def put(self, packets: Arrivals, arrival: int, *, timed: bool = True) -> tuple[Arrivals, Ints]:
        """Store received packets.

        Args:
            packets: audio packets, each slot at most once.
            arrival: units of the monotonic clock.
            timed: False if the packets may have waited for a late tick, so that their arrival says nothing
                about the network.

        Returns:
            The packets that were no duplicates, and the media time of each, units. Those that are too late to
            be played are among them, since a relay may still have use for them.
        """
        placed = self.timeline.place(packets, arrival)
        if timed:
            self.meter.add(packets.slots, packets.extended, placed.transit, arrival)
        if placed.fresh is not None:
            self._begin(packets.slots[placed.fresh], packets.extended[placed.fresh], arrival)
        place = packets.slots * DEPTH + (packets.extended & (DEPTH - 1))
        number, media = self._notes[place, NUMBER], placed.media
        next_ = self._state[packets.slots, _NEXT]
        if self._suspended_count:
            # A suspended slot plays nothing, so that no packet can be too late.
            next_ = np.where(self._suspended[packets.slots], packets.extended, next_)
        # The common case needs no further test: every packet is still to be played (extended >= next), and
        # its place holds one that has been played (number < next), hence neither a duplicate nor a packet in
        # use.
        if np.count_nonzero((packets.extended < next_) | (number >= next_)):
            kept, new = self._refuse(packets, number, next_, arrival)
            packets, place, media = packets.chosen(new), place[new], media[new]
            if np.count_nonzero(kept := kept[new]) < len(place):
                self._keep_packets(place[kept], packets.chosen(kept), media[kept])
                return packets, media
        if len(place):
            self._keep_packets(place, packets, media)
        return packets, media

    def _keep_packets(self, place: Ints, packets: Arrivals, media: Ints) -> None:
        """Store packets in their places."""
        if len(place) == 0:
            return
        note = np.empty((len(place), _NOTE), np.int64)
        note[:, NUMBER], note[:, MEDIA], note[:, DURATION] = packets.extended, media, packets.durations
        note[:, LENGTH], note[:, KIND] = packets.lengths, packets.kinds
        self._notes[place] = note
        self._store(place, packets)

    def tables(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of all slots by name; growing replaces them."""
        return {
            "state": self._state,
            "notes": self._notes,
            "suspended": self._suspended,
            "excess": self.excess,
            **self.meter.tables(),
        }

    def payloads(self, places: Ints, width: int) -> Bytes:
        """Return the payloads at `places`, ``(n, width)``; octets behind a payload's length are undefined."""
        return self.ring[places, :width]

    def pop(self, slots: Indices, now: int) -> Due:
        """Decide what each slot plays next, and advance its cursor.

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
        # Common case: the next packet is in its place and begins exactly where the last one ended.
        odd = (note[:, NUMBER] != state[:, _NEXT]) | (note[:, MEDIA] != state[:, _CURSOR])
        if not np.count_nonzero(odd):
            state[:, _NEXT] += 1
            state[:, _CURSOR] += due.duration
            state[:, _LASTING] = due.duration
            if np.count_nonzero(state[:, _RUN]):
                state[:, _RUN] = 0
            self._state[slots] = state
            return due
        due.plain = False
        due.run = due.run.copy()
        self._advance(state, note, np.flatnonzero(~odd))
        self._settle(slots, state, due, np.flatnonzero(odd), now)
        self._state[slots] = state
        return due

    def sleeps(self, slots: Indices) -> bool:
        """Return True if none of `slots` has had a packet: :meth:`pop` plays silence and changes nothing."""
        state = self._state.take(slots, axis=0)
        begun = (state[:, _CURSOR] != NEVER) | (state[:, _START] != NEVER)
        return not np.count_nonzero(begun)

    def begin_tick(self, now: int) -> bool:
        """Note that a tick begins; return True if the delays are to be reviewed in it.

        That is every :data:`_REVIEW` ticks for all slots together: most of its cost is the calls, not the
        slots.

        Args:
            now: units of the monotonic clock.
        """
        self._ticks += 1
        self._note_lateness(now)
        return self._ticks % _REVIEW == 0

    def review(self, slots: Indices, held: Ints | None, now: int) -> None:
        """Compare the delay of each slot with the delay its jitter needs; where :meth:`begin_tick` is true.

        Args:
            slots: open slots, ``(n,)``.
            held: whole frames of audio that were popped but not played yet, units, ``(n,)``; each postpones
                the next pop by a tick. None: no slot holds any.
            now: units of the monotonic clock.
        """
        now = self.on_time(now)
        turn = self._state[slots, _CURSOR] != NEVER
        if not turn.any():
            return
        seen = slots[turn]
        low, high, base, said = self.meter.bounds(seen, now)
        if not said.all():
            seen, low, high, base = seen[said], low[said], high[said], base[said]
            turn[turn] = said
        # The packet at the cursor is popped now, and heard after the frames that are held.
        delay = now - self._state[seen, _CURSOR] + (0 if held is None else held[turn])
        self._state[seen, _LOW], self._state[seen, _HIGH] = low, high
        self.timeline.set_base(seen, base)
        # Within [low, high] the delay is left alone, or every small change of jitter would stretch.
        excess = np.where(delay > high, delay - high, np.where(delay < low, delay - low, 0))
        self.excess[seen] = excess
        self.judge(seen, excess, now)

    def on_time(self, now: int) -> int:
        """Return `now` less the time that ticks are still to make up for."""
        return now - self._behind

    def judge(self, slots: Indices, excess: Ints, now: int) -> None:
        """Discard what takes too long to be stretched, and note whether there is anything to stretch.

        Args:
            slots: slots whose delay was compared, ``(n,)``.
            excess: their excess of delay, ``(n,)``, as it is noted in :attr:`excess`.
            now: units by :meth:`on_time`.
        """
        leaping = self._hopeless(excess)
        if len(leaping):
            self._leap(slots[leaping], now)
        self.stretching = bool(np.count_nonzero(self.excess[slots]))

    def _note_lateness(self, now: int) -> None:
        """Note by how much this tick lags real time.

        Ticks that make up for a pause follow each other at once, while media time advances by a frame in
        each. Until they have caught up, every slot's delay measured by real time contains the pause, which is
        about to be gone. So `_behind`, the time passed less a frame for each tick, is subtracted from `now`.
        """
        passed = FRAME if self._seen == NEVER else now - self._seen
        self._seen = now
        self._behind = max(self._behind + passed - FRAME, 0)
        if self._behind > _CAUGHT_UP:
            # The clock of the ticks skips a pause as long as this, so that queued packets stay late by it.
            # The next tick is on time again; `_ticks` = -1 makes it review all delays.
            self._behind = 0
            self._ticks = -1

    @staticmethod
    def _hopeless(excess: Ints) -> Indices:
        """Return the rows whose queued audio is discarded, because stretching would take too long.

        These are rows with an excess of more than MOST_DELAY. If the excesses of all rows together are more
        than stretching removes in 1.5 s (_STRETCHED), the rows with the largest excess follow, in order,
        until the sum that is left can be stretched in time.
        """
        positive = np.maximum(excess, 0)
        leaping: Indices = np.flatnonzero(positive > MOST_DELAY)
        if int(positive.sum()) <= _STRETCHED:
            return leaping
        order = np.argsort(-positive, kind="stable")
        # left[k] is the excess that remains if the k + 1 largest leap.
        left = int(positive.sum()) - np.cumsum(positive[order])
        count = int(np.argmax(left <= _STRETCHED)) + 1
        return np.union1d(leaping, order[:count][positive[order[:count]] > _PATIENT])

    def suspend(self, slot: int) -> None:
        """Play nothing in `slot` until :meth:`resume`; its newest packets are still kept."""
        self._set_suspended(slot, suspended=True)
        self._state[slot, [_CURSOR, _START]] = NEVER
        self._state[slot, _RUN] = 0
        self.excess[slot] = 0

    def resume(self, slot: int, now: int) -> None:
        """Continue behind the newest packet of `slot` without delay; stretching adds the delay it needs."""
        self._set_suspended(slot, suspended=False)
        state = self._state[slot]
        self.excess[slot] = 0
        end = self.timeline.end(slot)
        if end is None:
            return
        newest, media, arrival = end
        state[_NEXT], state[_RUN] = newest + 1, 0
        state[_CURSOR], state[_START] = media, NEVER
        if now - arrival > REPAIRED:
            # The stream had paused; the next packet is played as soon as it comes.
            state[_CURSOR], state[_START], state[_RUN] = NEVER, now, REPAIRED

    def playing_position(self, slot: int) -> tuple[int, int]:
        """Return the number of the packet that `slot` plays next, and its media time (NEVER if unknown)."""
        state = self._state[slot]
        return int(state[_NEXT]), int(state[_CURSOR])

    def kept(self, slot: int, first: int) -> tuple[Arrivals, Ints]:
        """Return the packets of `slot` from number `first` on, in order, and their media times.

        The packets stay in the buffer. Their timestamps are not kept; the media times stand in for them.
        """
        notes = self._notes[slot * DEPTH : (slot + 1) * DEPTH]
        index = np.flatnonzero(notes[:, NUMBER] >= first)
        index = index[np.argsort(notes[index, NUMBER])]
        note = notes[index]
        rows = self.ring[slot * DEPTH + index]
        slots, media, durations = np.full(len(index), slot, np.intp), note[:, MEDIA], note[:, DURATION]
        lengths, kinds = note[:, LENGTH], note[:, KIND]
        return Arrivals(slots, note[:, NUMBER], media, 1, durations, kinds, rows, 0, lengths), media

    def rebase(self, slots: Indices, now: int) -> None:
        """Update the base transit of suspended slots, whose clocks drift too; called every few seconds."""
        _, _, base, said = self.meter.bounds(slots, now)
        self.timeline.set_base(slots[said], base[said])

    def lasting(self, slots: Indices) -> Ints:
        """Return the duration of the last packet that each slot played, units."""
        lasting: Ints = self._state[slots, _LASTING]
        return lasting

    def delay(self, slot: int, held: int, now: int) -> int:
        """Return the delay added to the fastest packets, `held` units included; 0 while nothing is played."""
        state = self._state[slot]
        if state[_CURSOR] == NEVER:
            return 0
        base = self.meter.base(slot, now)
        return int(now - state[_CURSOR]) + held - base if base is not None else 0

    def _set_suspended(self, slot: int, *, suspended: bool) -> None:
        self._suspended[slot] = suspended
        self._suspended_count = int(np.count_nonzero(self._suspended))

    def _begin(self, slots: Indices, extended: Ints, arrival: int) -> None:
        self._state[slots, _NEXT] = extended
        self._state[slots, _START] = arrival + np.minimum(self.meter.reserves(slots), _FIRST_DELAY)
        self._state[slots, _CURSOR] = NEVER

    def _refuse(self, packets: Arrivals, number: Ints, next_: Ints, arrival: int) -> tuple[Mask, Mask]:
        """Count duplicates and late packets; return which packets to keep, and which are no duplicates.

        Before the first frame is played no packet is late: an earlier one becomes the first, and playing
        begins a frame after it at the latest.
        """
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
        return kept, ~again

    def _store(self, place: Ints, packets: Arrivals) -> None:
        longest = int(packets.lengths.max())
        if longest > self.ring.shape[1]:
            width = self.ring.shape[1]
            while width < longest:
                width *= 2
            self._widen(min(width, LARGEST_PAYLOAD), len(self._state))
        if isinstance(packets.offsets, int):
            first = packets.offsets
            width = min(longest, packets.rows.shape[1] - first)
            self.ring[place, :width] = packets.rows[:, first : first + width]
            return
        payloads = np.empty((len(place), longest), np.uint8)
        packets.copy_payloads(payloads)
        self.ring[place, :longest] = payloads

    def _widen(self, width: int, slots: int) -> None:
        ring = np.zeros((slots * DEPTH, width), np.uint8)
        ring[: len(self.ring), : self.ring.shape[1]] = self.ring
        self.ring = ring

    @staticmethod
    def _advance(state: Ints, note: Ints, rows: Indices) -> None:
        state[rows, _NEXT] += 1
        state[rows, _CURSOR] += note[rows, DURATION]
        state[rows, _LASTING] = note[rows, DURATION]
        state[rows, _RUN] = 0

    def _settle(self, slots: Indices, state: Ints, due: Due, rows: Indices, now: int) -> None:
        """Decide for the rows whose next packet is not simply there and due."""
        # Before the first packet is due there is nothing to decide; many legs may be in that state.
        start = state[rows, _START]
        asleep = (state[rows, _CURSOR] == NEVER) & ((start == NEVER) | (now < start))
        due.action[rows], due.duration[rows] = SILENCE, FRAME
        rows = rows[~asleep]
        if not len(rows):
            return
        newest = self.timeline.newest(slots)
        rows = rows[~self._rest(slots, state, rows, newest, now)]
        if len(rows) > _FEW:
            self._settle_many(slots, state, due, rows, newest=newest, now=now)
            return
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
        """Continue the silence of rows that have had no packet for long; calls on hold may be many.

        Does what :meth:`Cursor.decide` would do, for all of them at once; returns a mask of these rows.
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

    def _settle_many(
        self, slots: Indices, state: Ints, due: Due, rows: Indices, *, newest: Ints, now: int
    ) -> None:
        """Decide for many rows at once."""
        own = slots[rows]
        cursors = self._cursors(state[rows], newest[rows])
        rings = self._rings(own)
        decided = cursors.decide(rings, now, self.quiet_until[own] >= cursors.next)
        due.action[rows], due.duration[rows] = decided.action, decided.duration
        found = np.flatnonzero(decided.index >= 0)
        places, note = rows[found], rings[found, decided.index[found]]
        due.place[places] = own[found] * DEPTH + decided.index[found]
        due.length[places], due.kind[places] = note[:, LENGTH], note[:, KIND]
        state[rows] = self._kept(own, state[rows], cursors)

    def _leap(self, slots: Indices, now: int) -> None:
        """Discard queued audio of slots whose delay stretching would take seconds to reduce."""
        state = self._state[slots]
        cursors = self._cursors(state, self.timeline.newest(slots))
        cursors.leap(self._rings(slots), now)
        self._state[slots] = self._kept(slots, state, cursors)
        self.excess[slots] = 0
        self.leapt_total += len(slots)

    def _rings(self, slots: Indices) -> Ints:
        """Return the notes of slots, ``(n, depth, fields)``."""
        rings: Ints = self._notes.reshape(-1, DEPTH, _NOTE)[slots]
        return rings

    @staticmethod
    def _cursors(state: Ints, newest: Ints) -> Cursors:
        next_, media, run, low, high, lasting = (
            state[:, column].copy() for column in (_NEXT, _CURSOR, _RUN, _LOW, _HIGH, _LASTING)
        )
        return Cursors(next_, media, run, low, high, lasting, newest, np.zeros(len(state), np.int64))

    def _kept(self, slots: Indices, state: Ints, cursors: Cursors) -> Ints:
        """Count dropped packets; return the state with the positions of the cursors."""
        self.late[slots] += cursors.dropped
        self.late_total += int(cursors.dropped.sum())
        state = state.copy()
        state[:, _NEXT], state[:, _CURSOR] = cursors.next, cursors.media
        state[:, _RUN], state[:, _LASTING] = cursors.run, cursors.lasting
        return state
