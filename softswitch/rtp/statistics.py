"""Which source is heard, its extended sequence numbers and its losses (RFC 3550 §A.1, §A.3)."""

from dataclasses import dataclass

import numpy as np

from softswitch.rtp.packet import UNITS_PER_MS, Indices, Ints, Mask

_DROPOUT = 3000
"""A step forward of more is no loss but another beginning (RFC 3550 §A.1)."""

_MISORDER = 100
_PROBATION = 3
"""Packets in sequence by which a new source takes over."""

_ABSENT = 30 * UNITS_PER_MS
"""A source that was heard less than this long ago cannot be taken over from."""

(
    _SSRC,
    _RAW,
    _EXTENDED,
    _RECEIVED,
    _RECEIVED_EARLIER,
    _OFFSET,
    _FIRST,
    _EXPECTED_BEFORE,
    _RECEIVED_BEFORE,
    _LOST_EARLIER,
    _CANDIDATE,
    _CANDIDATE_NEXT,
    _CANDIDATE_RUN,
    _JUMP,
    _HEARD,
) = range(15)
_FIELDS = 15
_NONE = -1


@dataclass(frozen=True, slots=True)
class Reception:
    """How a source is received, as a report block wants it."""

    ssrc: int
    fraction_lost: int
    """Of the packets expected since the last report, in 1/256."""
    lost: int
    highest: int
    """Extended highest sequence number as the sender counts."""


class Sources:
    """The one source that each slot listens to.

    Extended numbers never jump: where a new source begins, or the old one anew, they go on behind the last,
    so that what comes after need not know.
    """

    def __init__(self, slots: int = 0) -> None:
        """Make a table with `slots` rows to begin with."""
        self._state = np.zeros((0, _FIELDS), np.int64)
        self.grow(slots)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = slots - len(self._state)
        if more > 0:
            self._state = np.pad(self._state, ((0, more), (0, 0)))
            self._state[-more:] = self._blank()

    def open(self, slot: int) -> None:
        """Listen to whoever comes first."""
        self._state[slot] = self._blank()

    def admit(self, slots: Indices, ssrc: Ints, sequence: Ints, arrival: int) -> tuple[Ints, Mask | None]:
        """Take packets and say which are the source's.

        Args:
            slots: each at most once, ``(n,)``.
            ssrc: ``(n,)``.
            sequence: 0-65535, ``(n,)``.
            arrival: media units of the monotonic clock.

        Returns:
            Extended sequence numbers, and a mask of the packets that count; None where all do.
        """
        state = self._state.take(slots, axis=0)
        # Nearly always every packet is the one after the last.
        if (((sequence - state[:, _RAW]) & 0xFFFF == 1) & (ssrc == state[:, _SSRC])).all():
            state[:, _RAW] = sequence
            state[:, _EXTENDED] += 1
            state[:, _RECEIVED] += 1
            state[:, _CANDIDATE_RUN] = 0
            state[:, _JUMP] = _NONE
            state[:, _HEARD] = arrival
            self._state[slots] = state
            return state[:, _EXTENDED], None
        step = ((sequence - state[:, _RAW] + 0x8000) & 0xFFFF) - 0x8000
        extended = state[:, _EXTENDED] + step
        plain = (ssrc == state[:, _SSRC]) & (step > -_MISORDER) & (step < _DROPOUT)
        if plain.all():
            self._count(slots, state, sequence, extended, arrival)
            return extended, None
        rows = np.flatnonzero(plain)
        self._count(slots[rows], state[rows], sequence[rows], extended[rows], arrival)
        for row in np.flatnonzero(~plain):
            judged = self._judge(int(slots[row]), int(ssrc[row]), int(sequence[row]), arrival)
            if judged is not None:
                plain[row] = True
                extended[row] = judged
        return extended, plain

    def _count(self, slots: Indices, state: Ints, sequence: Ints, extended: Ints, arrival: int) -> None:
        newer = extended > state[:, _EXTENDED]
        if newer.all():
            state[:, _RAW], state[:, _EXTENDED] = sequence, extended
        else:
            np.copyto(state[:, _RAW], sequence, where=newer)
            np.copyto(state[:, _EXTENDED], extended, where=newer)
        state[:, _RECEIVED] += 1
        state[:, _CANDIDATE_RUN] = 0
        state[:, _JUMP] = _NONE
        state[:, _HEARD] = arrival
        self._state[slots] = state

    def ssrc(self, slot: int) -> int:
        """Return the source of `slot`, -1 while there is none."""
        return int(self._state[slot, _SSRC])

    def heard(self, slots: Indices | int) -> Ints:
        """Return when the source of each slot was heard last, units; -1 for never."""
        heard: Ints = self._state[slots, _HEARD]
        return heard

    def packets(self, slot: int) -> int:
        """Return how many packets have come since the slot was opened, all sources together."""
        state = self._state[slot]
        return int(state[_RECEIVED_EARLIER] + state[_RECEIVED])

    def report(self, slot: int) -> Reception | None:
        """Return how the source is received, and begin the next interval (RFC 3550 §A.3)."""
        state = self._state[slot]
        if state[_SSRC] == _NONE:
            return None
        expected = int(state[_EXTENDED] - state[_FIRST]) + 1
        received = int(state[_RECEIVED])
        due = expected - int(state[_EXPECTED_BEFORE])
        missing = due - (received - int(state[_RECEIVED_BEFORE]))
        state[_EXPECTED_BEFORE], state[_RECEIVED_BEFORE] = expected, received
        fraction = 0 if due <= 0 or missing <= 0 else min(missing * 256 // due, 255)
        return Reception(
            int(state[_SSRC]), fraction, expected - received, int(state[_EXTENDED] - state[_OFFSET])
        )

    def lost(self, slot: int) -> int:
        """Return how many packets were lost since the slot was opened, all sources together."""
        state = self._state[slot]
        if state[_SSRC] == _NONE:
            return 0
        return int(state[_LOST_EARLIER]) + self._missing(state)

    @staticmethod
    def _missing(state: Ints) -> int:
        return max(int(state[_EXTENDED] - state[_FIRST]) + 1 - int(state[_RECEIVED]), 0)

    @staticmethod
    def _blank() -> Ints:
        blank = np.zeros(_FIELDS, np.int64)
        blank[[_SSRC, _JUMP, _CANDIDATE, _CANDIDATE_NEXT, _HEARD]] = _NONE
        return blank

    def _judge(self, slot: int, ssrc: int, sequence: int, arrival: int) -> int | None:
        """Decide about a packet that does not simply go on; return its extended number, or None."""
        state = self._state[slot]
        if state[_SSRC] == _NONE:
            return self._begin(state, ssrc, sequence, sequence, arrival)
        if ssrc != state[_SSRC]:
            return self._try_candidate(state, ssrc, sequence, arrival)
        # RFC 3550 §A.1: the sender began anew, if the next packet follows this one.
        if sequence != state[_JUMP]:
            state[_JUMP] = (sequence + 1) & 0xFFFF
            return None
        return self._begin(state, ssrc, sequence, int(state[_EXTENDED]) + 2, arrival)

    def _try_candidate(self, state: Ints, ssrc: int, sequence: int, arrival: int) -> int | None:
        follows = ssrc == state[_CANDIDATE] and sequence == state[_CANDIDATE_NEXT]
        state[_CANDIDATE] = ssrc
        state[_CANDIDATE_NEXT] = (sequence + 1) & 0xFFFF
        state[_CANDIDATE_RUN] = state[_CANDIDATE_RUN] + 1 if follows else 1
        if state[_CANDIDATE_RUN] < _PROBATION or arrival - state[_HEARD] < _ABSENT:
            return None
        return self._begin(state, ssrc, sequence, int(state[_EXTENDED]) + _PROBATION, arrival)

    def _begin(self, state: Ints, ssrc: int, sequence: int, extended: int, arrival: int) -> int:
        lost = int(state[_LOST_EARLIER]) + (self._missing(state) if state[_SSRC] != _NONE else 0)
        earlier = int(state[_RECEIVED_EARLIER] + state[_RECEIVED])
        state[:] = self._blank()
        state[[_SSRC, _RAW, _EXTENDED, _FIRST, _RECEIVED]] = ssrc, sequence, extended, extended, 1
        state[_OFFSET] = extended - sequence
        state[[_LOST_EARLIER, _HEARD, _RECEIVED_EARLIER]] = lost, arrival, earlier
        return extended
