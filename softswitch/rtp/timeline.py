"""Media time: the place of each packet's audio on one even line, whatever its timestamps say.

RTP timestamps (RFC 3550 §5.1) are 32 bits of a clock whose rate depends on the payload type. Some senders
freeze them, let them jump at a re-offer, or count at a wrong rate. Media time is one 64-bit line of 1/48000 s
per slot.
"""

from dataclasses import dataclass

import numpy as np

from softswitch.rtp.packet import UNITS, UNITS_PER_MS, Bytes, Indices, Ints, Mask

_GAP = 60 * UNITS_PER_MS
"""Shortest pause (60 ms) that a timestamp step of exactly twice the duration can stand for.

A shorter step of exactly twice the duration is a wrong clock: some telephones count G.722 at 16 kHz, although
RFC 3551 §4.5.2 prescribes 8 kHz.
"""

_WILD = UNITS
"""Distance (1 s) from the usual transit beyond which a packet is not late: its media time is wrong, or a
clock jumped."""

_LONGEST = 120 * UNITS_PER_MS
"""Longest duration of a packet (120 ms, the limit of Opus: RFC 6716 §3.4)."""

# Columns of a slot, all of its newest packet but _BASE: extended number, timestamp, media time, duration,
# arrival; smallest recent transit.
_EXTENDED, _STAMP, _MEDIA, _DURATION, _ARRIVAL, _BASE = range(6)
_FIELDS = 6
_UNBEGUN = -1
"""Value of _DURATION in a slot that has received no packet."""


@dataclass(slots=True)
class Arrivals:
    """Audio packets that arrived at one moment, each slot at most once; all arrays ``(n,)``."""

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
    """Kind of codec; not used here, but returned when the packet is due."""
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
        """Return 128 for each packet with the marker bit, else 0; payloads without headers have none."""
        if isinstance(self.offsets, int) and self.offsets == 0:
            return np.zeros(len(self.slots), np.int64)
        return np.bitwise_and(self.rows[:, 1], np.uint8(128))

    def copy_payloads(self, out: Bytes) -> None:
        """Copy the payloads into ``(n, octets)``; octets behind a shorter payload are undefined."""
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
    """Media times of packets."""

    media: Ints
    """Media time of each packet's first sample, units."""
    transit: Ints
    """Arrival less media time, units; differences of transits are differences of the network's delay."""
    fresh: Mask | None
    """Mask of packets that are the first of their slot; None if there are none."""


class Timeline:
    """Media time of the packets of each slot.

    The media time of a packet follows from its predecessor's and the durations between them ("ordered"). The
    timestamps give another value ("stamped"), used only where packets are missing or time has passed, and
    only if the arrival agrees with it. Streams with frozen, random or jumping timestamps are thus played by
    sequence.
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

    @property
    def table(self) -> Ints:
        """Return the numbers of all slots, for compiled code; growing replaces the array."""
        return self._state

    def set_base(self, slots: Indices, base: Ints) -> None:
        """Set the smallest recent transit of slots, units, ``(n,)``."""
        self._state[slots, _BASE] = base

    def newest(self, slots: Indices) -> Ints:
        """Return the highest extended sequence number of each slot, ``(n,)``."""
        newest: Ints = self._state[slots, _EXTENDED]
        return newest

    def end(self, slot: int) -> tuple[int, int, int] | None:
        """Return the newest packet's number, the media time of its end, and its arrival; else None."""
        extended, _, media, duration, arrival, _ = self._state[slot].tolist()
        return None if duration == _UNBEGUN else (extended, media + duration, arrival)

    def stamp(self, slot: int) -> int:
        """Return the timestamp of the newest packet."""
        return int(self._state[slot, _STAMP])

    def place(self, packets: Arrivals, arrival: int) -> Placed:
        """Compute the media time of packets.

        Args:
            packets: received packets.
            arrival: units of the monotonic clock.
        """
        slots, extended, stamps = packets.slots, packets.extended, packets.stamps
        state = self._state.take(slots, axis=0)
        passed = ((stamps - state[:, _STAMP]) & 0xFFFFFFFF) * packets.steps
        # Common case: every packet is the successor of the newest, and its timestamp grew by the duration.
        if not np.count_nonzero((passed != state[:, _DURATION]) | (extended - state[:, _EXTENDED] != 1)):
            media = state[:, _MEDIA] + passed
            transit = arrival - media
            if not np.count_nonzero(np.abs(transit - state[:, _BASE]) > _WILD):
                self._move(slots, state, packets, media, arrival)
                return Placed(media, transit, None)
        fresh = state[:, _DURATION] == _UNBEGUN
        if fresh.any():
            self._begin(state, fresh, extended, stamps, arrival)
        ahead = extended - state[:, _EXTENDED]
        ordered = ahead * state[:, _DURATION]
        # Signed difference of 32-bit timestamps: -2**31 to 2**31 - 1, then in units.
        stamped = (((stamps - state[:, _STAMP] + 0x80000000) & 0xFFFFFFFF) - 0x80000000) * packets.steps
        media = state[:, _MEDIA] + ordered
        odd = stamped != ordered
        if odd.any():
            rows = np.flatnonzero(odd)
            media[rows] += self._correction(state[rows], ahead[rows], ordered[rows], stamped[rows], arrival)
        transit = arrival - media
        if (np.abs(transit - state[:, _BASE]) > _WILD).any():
            wild = (np.abs(transit - state[:, _BASE]) > _WILD) & (ahead > 0)
            # Place it as if it had come with the usual transit. Whole milliseconds (48 units) keep gaps
            # divisible into whole samples at every rate.
            media[wild] = (arrival - state[wild, _BASE]) // UNITS_PER_MS * UNITS_PER_MS
            transit[wild] = arrival - media[wild]
        newer = np.flatnonzero(ahead > 0)
        self._move(slots[newer], state[newer], packets.chosen(newer), media[newer], arrival)
        return Placed(media, transit, fresh if fresh.any() else None)

    def _move(self, slots: Indices, state: Ints, packets: Arrivals, media: Ints, arrival: int) -> None:
        """Note the newest packets."""
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
        """Return what to add to the ordered media time of packets whose timestamps disagree with it.

        `elapsed` is the time between the arrivals of the newest packet and this one. Of the two candidates,
        the one closer to it is right: frozen stamps stay at 0, random ones are far off, a pause agrees.
        """
        elapsed = arrival - state[:, _ARRIVAL]
        credible = np.where(
            ahead > 0,
            # A pause after the newest packet, or missing packets of another duration. A single step of
            # exactly twice the duration is a wrong clock rate unless it is long enough for a pause.
            ((ahead > 1) | (stamped != 2 * ordered) | (stamped >= ordered + _GAP))
            & (stamped > 0)
            & (np.abs(elapsed - stamped) <= np.abs(elapsed - ordered)),
            # A late packet lies before the newest by its stamp, if -ahead packets can last that long.
            (stamped < 0) & (stamped >= ahead * _LONGEST),
        )
        return np.where(credible, stamped - ordered, 0)
