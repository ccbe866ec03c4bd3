"""How much delay the jitter of the network needs.

The transit of a packet is its arrival less its media time. The smallest recent transit is the base: the
fastest way through the network. A packet can be played in time with a delay of at least its transit. A delay
equal to the 94 % quantile of the recent transits plays 94 of 100 packets in time.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from softswitch.rtp.packet import UNITS_PER_MS, Indices, Ints, Mask

_WINDOW = 64
"""Packets remembered for each slot, a power of two: 1.3 s of packets of 20 ms."""

_HORIZON = 1300 * UNITS_PER_MS
"""Age up to which a packet counts (1.3 s): 2 s after the last jitter the delay has to be low again."""

_QUANTILE = 0.94
"""Share of the packets that must be in time; concealing the rest is heard less than the delay it needs."""

RESERVE_MS = 18
"""Least delay above the base: the packet after a lost one must have come, because Opus repeats in it, as
in-band FEC, the audio of the lost one; and a packet that just misses its tick is in time all the same. One
packet of 20 ms does both; 2 ms less, since ticks are that uneven."""

_SLACK = 12 * UNITS_PER_MS
"""Room above the least good delay: stretching cannot remove less than a pitch period (up to 10 ms)."""

_FAR = np.iinfo(np.int32).max

_WEIGHTS = (15 / 16) ** np.arange(_WINDOW - 1, -1, -1) / 16
"""Weights of the latest steps in the running mean J += (|D| - J) / 16 of RFC 3550 §6.4.1, the latest last.

Unrolled, the step k packets ago has the weight (15/16)^k / 16.
"""


class DelayMeter:
    """Transits of the latest packets of each slot, and the delays that play most of them in time."""

    def __init__(self, slots: int = 0) -> None:
        """Make a table with `slots` rows to begin with."""
        self._transit = np.zeros((0, _WINDOW), np.int32)
        self._arrival = np.zeros((0, _WINDOW), np.int64)
        self._reserve = np.zeros(0, np.int64)
        self.grow(slots)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = max(slots - len(self._transit), 0)
        self._transit = np.pad(self._transit, ((0, more), (0, 0)))
        self._arrival = np.pad(self._arrival, ((0, more), (0, 0)), constant_values=-_HORIZON)
        self._reserve = np.pad(self._reserve, (0, more), constant_values=RESERVE_MS * UNITS_PER_MS)

    def open(self, slot: int) -> None:
        """Clear `slot`."""
        self._arrival[slot] = -_HORIZON
        self.reserve(slot, RESERVE_MS)

    def reserve(self, slot: int, reserve_ms: int) -> None:
        """Set the least delay of `slot` above that of its fastest packet."""
        self._reserve[slot] = reserve_ms * UNITS_PER_MS

    def reserves(self, slots: Indices) -> Ints:
        """Return the reserve of each slot, units."""
        return self._reserve[slots]

    def add(self, slots: Indices, extended: Ints, transit: Ints, arrival: int) -> None:
        """Note the transits of received packets.

        Args:
            slots: each at most once, ``(n,)``.
            extended: extended sequence number of each packet.
            transit: transit of each packet, units.
            arrival: units of the monotonic clock.
        """
        # A packet replaces the one 64 numbers before it.
        place = slots * _WINDOW + (extended & (_WINDOW - 1))
        self._transit.reshape(-1)[place] = transit
        self._arrival.reshape(-1)[place] = arrival

    def tables(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of all slots by name; growing replaces them."""
        return {"transits": self._transit, "arrivals": self._arrival, "reserves": self._reserve}

    def jitter(self, slot: int, now: int) -> int:
        """Return the interarrival jitter of the latest packets, units (RFC 3550 §6.4.1).

        In the running mean of the RFC, all packets before the last 64 together weigh (15/16)^64 = 1.6 %. The
        last 64 are known here, so that the mean is computed when a report needs it, not for every packet.
        """
        if now < 0:
            return 0  # nothing was heard
        recent = np.flatnonzero(self._arrival[slot] > now - _HORIZON)
        if len(recent) < 2:
            return 0
        order = recent[np.argsort(self._arrival[slot, recent], kind="stable")]
        transit = self._transit[slot, order].astype(np.float64)
        steps = np.abs(transit[1:] - transit[:-1])
        return round(float(steps @ _WEIGHTS[-len(steps) :]))

    def base(self, slot: int, now: int) -> int | None:
        """Return the base of a slot as :meth:`bounds` has it, units; None where no recent packet is known."""
        recent = self._transit[slot][self._arrival[slot] > now - _HORIZON]
        return int(recent.min()) if len(recent) else None

    def bounds(self, slots: Indices, now: int) -> tuple[Ints, Ints, Ints, Mask]:
        """Return the range of good delays of each slot.

        Returns:
            Least and highest good delay and base of each slot, units; and a mask of the slots for which
            recent packets are known.
        """
        recent = self._arrival[slots] > now - _HORIZON
        known = recent.sum(axis=1)
        transit: NDArray[np.int32] = np.where(recent, self._transit[slots], _FAR)
        # Packets that are too old sort to the end (_FAR), so that column 0 is the base of the recent ones.
        transit.sort(axis=1)
        last = np.clip(np.ceil((known - 1) * _QUANTILE), 0, _WINDOW - 1).astype(np.intp)
        said: Mask = known > 0
        base: Ints = np.where(said, transit[:, 0], 0).astype(np.int64)
        wanted = np.where(said, transit[np.arange(len(slots)), last], 0)
        low: Ints = np.maximum(wanted, base + self._reserve[slots])
        return low, low + _SLACK, base, said
