"""The source that each slot listens to, its extended sequence numbers and losses (RFC 3550 §A.1, §A.3)."""

from dataclasses import dataclass

import numpy as np

from softswitch.rtp.packet import UNITS_PER_MS, Indices, Ints, Mask

_DROPOUT = 3000
"""MAX_DROPOUT of RFC 3550 §A.1: a larger step forward is a restart of the sender, not a loss."""

_MISORDER = 100
"""MAX_MISORDER of RFC 3550 §A.1: a packet this far behind is a restart as well."""

_PROBATION = 3
"""Consecutive packets after which a new SSRC replaces the current one."""

_ABSENT = 30 * UNITS_PER_MS
"""Silence of the current source (30 ms) without which a new SSRC cannot replace it."""

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
_BLANK: Ints = np.zeros(_FIELDS, np.int64)
"""Row of a slot that has heard nothing."""
_BLANK[[_SSRC, _JUMP, _CANDIDATE, _CANDIDATE_NEXT, _HEARD]] = _NONE


@dataclass(frozen=True, slots=True)
class Reception:
    """Reception statistics of a source for a report block (RFC 3550 §6.4.1)."""

    ssrc: int
    fraction_lost: int
    """Share of the packets expected since the last report, in 1/256."""
    lost: int
    highest: int
    """Extended highest sequence number, in the numbers of the sender."""


class Sources:
    """The one source that each slot listens to.

    Extended numbers never jump. Where another source takes over, or the sender restarts, they continue behind
    the last number, so that the jitter buffer need not know. `_OFFSET` is the difference to the sender's
    numbers.
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
            self._state[-more:] = _BLANK

    def open(self, slot: int) -> None:
        """Listen to the first source that comes."""
        self._state[slot] = _BLANK

    def admit(self, slots: Indices, ssrc: Ints, sequence: Ints, arrival: int) -> tuple[Ints, Mask | None]:
        """Extend the sequence numbers of packets, and reject those of other sources.

        Args:
            slots: each at most once, ``(n,)``.
            ssrc: ``(n,)``.
            sequence: 0-65535, ``(n,)``.
            arrival: units of the monotonic clock.

        Returns:
            Extended sequence numbers, and a mask of the accepted packets; None: all are accepted.
        """
        state = self._state.take(slots, axis=0)
        # Common case: every packet is the successor of the last one from the same source.
        if not np.count_nonzero(((sequence - state[:, _RAW]) & 0xFFFF != 1) | (ssrc != state[:, _SSRC])):
            state[:, _RAW] = sequence
            state[:, _EXTENDED] += 1
            state[:, _RECEIVED] += 1
            state[:, _CANDIDATE_RUN] = 0
            state[:, _JUMP] = _NONE
            state[:, _HEARD] = arrival
            self._state[slots] = state
            return state[:, _EXTENDED], None
        # Signed difference of 16-bit numbers: -32768 to 32767.
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

    @property
    def table(self) -> Ints:
        """Return the numbers of all slots, for compiled code; growing replaces the array."""
        return self._state

    def ssrc(self, slot: int) -> int:
        """Return the SSRC of the source of `slot`, -1 before the first packet."""
        return int(self._state[slot, _SSRC])

    def heard(self, slots: Indices | int) -> Ints:
        """Return the arrival of the last packet from the source of each slot, units; -1 before the first."""
        heard: Ints = self._state[slots, _HEARD]
        return heard

    def packets(self, slot: int) -> int:
        """Return the number of packets received since the slot was opened, all sources together."""
        state = self._state[slot]
        return int(state[_RECEIVED_EARLIER] + state[_RECEIVED])

    def report(self, slot: int) -> Reception | None:
        """Return the reception statistics of the source, and begin the next interval (RFC 3550 §A.3)."""
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
        """Return the number of packets lost since the slot was opened, all sources together."""
        state = self._state[slot]
        if state[_SSRC] == _NONE:
            return 0
        return int(state[_LOST_EARLIER]) + self._missing(state)

    def total_lost(self, slots: Indices) -> int:
        """Return the sum of :meth:`lost` over some slots."""
        state = self._state[slots]
        missing = np.maximum(state[:, _EXTENDED] - state[:, _FIRST] + 1 - state[:, _RECEIVED], 0)
        begun = state[:, _SSRC] != _NONE
        return int((state[begun, _LOST_EARLIER] + missing[begun]).sum())

    @staticmethod
    def _missing(state: Ints) -> int:
        return max(int(state[_EXTENDED] - state[_FIRST]) + 1 - int(state[_RECEIVED]), 0)

    def _judge(self, slot: int, ssrc: int, sequence: int, arrival: int) -> int | None:
        """Decide about a packet that does not continue the source: its extended number, None to reject."""
        state = self._state[slot]
        if state[_SSRC] == _NONE:
            return self._begin(state, ssrc, sequence, sequence, arrival)
        if ssrc != state[_SSRC]:
            return self._try_candidate(state, ssrc, sequence, arrival)
        # RFC 3550 §A.1: the sender restarted if two consecutive packets jump. The first of the two is
        # rejected, so that the second continues two behind the last number.
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
        state[:] = _BLANK
        state[[_SSRC, _RAW, _EXTENDED, _FIRST, _RECEIVED]] = ssrc, sequence, extended, extended, 1
        state[_OFFSET] = extended - sequence
        state[[_LOST_EARLIER, _HEARD, _RECEIVED_EARLIER]] = lost, arrival, earlier
        return extended
