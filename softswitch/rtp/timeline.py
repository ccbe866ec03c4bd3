"""Media time: where on one even line each packet's audio belongs, whatever its timestamps claim."""

from dataclasses import dataclass

import numpy as np

from softswitch.rtp.packet import UNITS, UNITS_PER_MS, Bytes, Indices, Ints, Mask

_GAP = 60 * UNITS_PER_MS
"""A timestamp twice as far as it should be is a pause from this length on.

Below, it is a wrong clock: some telephones count G.722 at 16 kHz.
"""

_WILD = UNITS
"""A packet this far from where its like arrive is no late one: time itself has jumped."""

_LONGEST = 120 * UNITS_PER_MS
"""No packet holds more audio."""

_EXTENDED, _STAMP, _MEDIA, _DURATION, _ARRIVAL, _BASE = range(6)
_FIELDS = 6
_UNBEGUN = -1
"""Duration that stands in a slot which has had no packet."""


@dataclass(slots=True)
class Arrivals:
    """Audio packets that came at one moment, each slot at most once; all arrays ``(n,)``."""

    slots: Indices
    extended: Ints
    """Extended sequence numbers."""
    stamps: Ints
    """RTP timestamps, 32 bit."""
    steps: Ints | int
    """Units of media time in one step of each timestamp; one number where that is the same for all."""
    durations: Ints
    """Units that each payload holds."""
    kinds: Ints
    """Of no meaning here; handed back when the packet is due."""
    rows: Bytes
    """The datagrams, ``(n, octets)``."""
    offsets: Ints | int
    """Where their payloads begin; one number where that is the same for all."""
    lengths: Ints
    """Octets of the payloads."""

    def chosen(self, rows: Mask | Indices) -> "Arrivals":
        """Return some of the packets."""
        return Arrivals(
            self.slots[rows],
            self.extended[rows],
            self.stamps[rows],
            self.steps if isinstance(self.steps, int) else self.steps[rows],
            self.durations[rows],
            self.kinds[rows],
            self.rows[rows],
            self.offsets if isinstance(self.offsets, int) else self.offsets[rows],
            self.lengths[rows],
        )

    def marks(self) -> Ints | Bytes:
        """Return 128 for each packet with the marker, else 0; payloads without their headers have none."""
        if isinstance(self.offsets, int) and self.offsets == 0:
            return np.zeros(len(self.slots), np.int64)
        return np.bitwise_and(self.rows[:, 1], np.uint8(128))

    def copy_payloads(self, out: Bytes) -> None:
        """Copy the payloads into ``(n, octets)``; what stands behind a shorter one is of no meaning."""
        if isinstance(self.offsets, int):
            width = min(out.shape[1], self.rows.shape[1] - self.offsets)
            out[:, :width] = self.rows[:, self.offsets : self.offsets + width]
            return
        for offset in sorted(set(self.offsets.tolist())):
            chosen = np.flatnonzero(self.offsets == offset)
            width = min(out.shape[1], self.rows.shape[1] - offset)
            out[chosen, :width] = self.rows[chosen, offset : offset + width]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where packets lie in media time."""

    media: Ints
    """Of each one's first sample, units."""
    transit: Ints
    """Arrival less media time, units: its differences are the differences of the network's delay."""
    fresh: Mask | None
    """Packets that are the first of their slot; None for none."""


class Timeline:
    """The media time of each slot's packets.

    A packet's place follows from its predecessor's and the durations in between; timestamps are asked only
    where packets are missing or time has passed, and believed only when the arrival agrees. So frozen, random
    and jumping timestamps play by sequence.
    """

    def __init__(self, slots: int = 0) -> None:
        """Make a table with `slots` rows to begin with."""
        self._state = np.zeros((0, _FIELDS), np.int64)
        self.grow(slots)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = max(slots - len(self._state), 0)
        self._state = np.pad(self._state, ((0, more), (0, 0)))
        self._state[len(self._state) - more :, _DURATION] = _UNBEGUN

    def open(self, slot: int) -> None:
        """Begin anew in `slot`."""
        self._state[slot] = 0
        self._state[slot, _DURATION] = _UNBEGUN

    def set_base(self, slots: Indices, base: Ints) -> None:
        """Tell the smallest transit seen lately, units, ``(n,)``."""
        self._state[slots, _BASE] = base

    def newest(self, slots: Indices) -> Ints:
        """Return the highest extended sequence number of each slot, ``(n,)``."""
        newest: Ints = self._state[slots, _EXTENDED]
        return newest

    def end(self, slot: int) -> tuple[int, int, int] | None:
        """Return the newest packet's number, the media time behind it and its arrival; None before one."""
        extended, _, media, duration, arrival, _ = self._state[slot].tolist()
        return None if duration == _UNBEGUN else (extended, media + duration, arrival)

    def stamp(self, slot: int) -> int:
        """Return the timestamp of the newest packet."""
        return int(self._state[slot, _STAMP])

    def place(self, packets: Arrivals, arrival: int) -> Placed:
        """Place packets in media time.

        Args:
            packets: what came.
            arrival: units of the monotonic clock.
        """
        slots, extended, stamps = packets.slots, packets.extended, packets.stamps
        state = self._state.take(slots, axis=0)
        passed = ((stamps - state[:, _STAMP]) & 0xFFFFFFFF) * packets.steps
        # Nearly always every packet follows the last, and says so.
        if ((passed == state[:, _DURATION]) & (extended - state[:, _EXTENDED] == 1)).all():
            media = state[:, _MEDIA] + passed
            transit = arrival - media
            off = transit - state[:, _BASE]
            if off.max() <= _WILD and off.min() >= -_WILD:
                self._move(slots, state, packets, media, arrival)
                return Placed(media, transit, None)
        fresh = state[:, _DURATION] == _UNBEGUN
        if fresh.any():
            self._begin(state, fresh, extended, stamps, arrival)
        ahead = extended - state[:, _EXTENDED]
        ordered = ahead * state[:, _DURATION]
        stamped = (((stamps - state[:, _STAMP] + 0x80000000) & 0xFFFFFFFF) - 0x80000000) * packets.steps
        media = state[:, _MEDIA] + ordered
        odd = stamped != ordered
        if odd.any():
            rows = np.flatnonzero(odd)
            media[rows] += self._correction(state[rows], ahead[rows], ordered[rows], stamped[rows], arrival)
        transit = arrival - media
        if (np.abs(transit - state[:, _BASE]) > _WILD).any():
            wild = (np.abs(transit - state[:, _BASE]) > _WILD) & (ahead > 0)
            # Whole milliseconds keep holes divisible into samples of every rate.
            media[wild] = (arrival - state[wild, _BASE]) // UNITS_PER_MS * UNITS_PER_MS
            transit[wild] = arrival - media[wild]
        newer = np.flatnonzero(ahead > 0)
        self._move(slots[newer], state[newer], packets.chosen(newer), media[newer], arrival)
        return Placed(media, transit, fresh if fresh.any() else None)

    def _move(self, slots: Indices, state: Ints, packets: Arrivals, media: Ints, arrival: int) -> None:
        """Remember the newest packets."""
        state[:, _EXTENDED], state[:, _STAMP] = packets.extended, packets.stamps
        state[:, _MEDIA], state[:, _DURATION], state[:, _ARRIVAL] = media, packets.durations, arrival
        self._state[slots] = state

    @staticmethod
    def _begin(state: Ints, fresh: Mask, extended: Ints, stamps: Ints, arrival: int) -> None:
        # As if a packet of no duration had come just before: the general rule then puts the first at
        # its arrival.
        state[fresh, _EXTENDED] = extended[fresh] - 1
        state[fresh, _STAMP] = stamps[fresh]
        state[fresh, _MEDIA] = arrival
        state[fresh, _DURATION] = 0
        state[fresh, _ARRIVAL] = arrival

    @staticmethod
    def _correction(state: Ints, ahead: Ints, ordered: Ints, stamped: Ints, arrival: int) -> Ints:
        """Return what to add to the place by order of packets whose timestamp says something else."""
        elapsed = arrival - state[:, _ARRIVAL]
        credible = np.where(
            ahead > 0,
            # A pause after the last packet, or packets of another length among those missing.
            ((ahead > 1) | (stamped != 2 * ordered) | (stamped >= ordered + _GAP))
            & (stamped > 0)
            & (np.abs(elapsed - stamped) <= np.abs(elapsed - ordered)),
            # Late ones are placed before the newest by their stamp, if that is possible at all.
            (stamped < 0) & (stamped >= ahead * _LONGEST),
        )
        return np.where(credible, stamped - ordered, 0)
