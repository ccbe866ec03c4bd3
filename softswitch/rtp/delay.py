"""How much delay the network's jitter asks for."""

import numpy as np
from numpy.typing import NDArray

from softswitch.rtp.packet import UNITS_PER_MS, Indices, Ints, Mask

_WINDOW = 64
"""Arrivals that are remembered for each slot."""

_HORIZON = 1300 * UNITS_PER_MS
"""How long an arrival counts: a delay must be back at its base 2 s after the last jitter."""

_QUANTILE = 0.94
"""Share of the packets that is to be in time; the rest costs less than the delay it would need."""

_RESERVE = 20 * UNITS_PER_MS
"""Delay kept without any jitter: the packet after a lost one must be there, for its redundancy."""

_SLACK = 25 * UNITS_PER_MS
"""Room above the reserve without jitter: arrivals come in steps of a tick, and so does the first delay."""

_SLACK_JITTER = 12 * UNITS_PER_MS
"""Room above what jitter asks for: the longest pitch period."""

_FAR = np.iinfo(np.int32).max

_WEIGHTS = (15 / 16) ** np.arange(_WINDOW - 1, -1, -1) / 16
"""What each of the last steps counts in the running mean of RFC 3550 §6.4.1, the latest one last."""


class DelayMeter:
    """The transit times of each slot's latest packets, and the delay that covers most of them."""

    def __init__(self, slots: int = 0) -> None:
        """Make a table with `slots` rows to begin with."""
        self._transit = np.zeros((0, _WINDOW), np.int32)
        self._arrival = np.zeros((0, _WINDOW), np.int64)
        self.grow(slots)

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""
        more = max(slots - len(self._transit), 0)
        self._transit = np.pad(self._transit, ((0, more), (0, 0)))
        self._arrival = np.pad(self._arrival, ((0, more), (0, 0)), constant_values=-_HORIZON)

    def open(self, slot: int) -> None:
        """Forget what `slot` saw."""
        self._arrival[slot] = -_HORIZON

    def add(self, slots: Indices, extended: Ints, transit: Ints, arrival: int) -> None:
        """Remember the transit times of packets.

        Args:
            slots: each at most once, ``(n,)``.
            extended: their extended sequence numbers.
            transit: their transit times, units.
            arrival: units of the monotonic clock.
        """
        place = slots * _WINDOW + (extended & (_WINDOW - 1))
        self._transit.reshape(-1)[place] = transit
        self._arrival.reshape(-1)[place] = arrival

    def jitter(self, slot: int, now: int) -> int:
        """Return the interarrival jitter of the latest packets, units (RFC 3550 §6.4.1).

        The running mean of the RFC forgets all but the last 64 packets to less than two percent, and those
        are known here; so it need not be kept up for every packet.
        """
        recent = np.flatnonzero(self._arrival[slot] > now - _HORIZON)
        if len(recent) < 2:
            return 0
        order = recent[np.argsort(self._arrival[slot, recent], kind="stable")]
        transit = self._transit[slot, order].astype(np.float64)
        steps = np.abs(transit[1:] - transit[:-1])
        return round(float(steps @ _WEIGHTS[-len(steps) :]))

    def bounds(self, slots: Indices, now: int) -> tuple[Ints, Ints, Ints, Mask]:
        """Return between which transit times audio should be played.

        Returns:
            The lowest and highest good delay and the smallest transit of each slot, units; and which slots
            have heard enough lately to say so.
        """
        recent = self._arrival[slots] > now - _HORIZON
        known = recent.sum(axis=1)
        transit: NDArray[np.int32] = np.where(recent, self._transit[slots], _FAR)
        transit.sort(axis=1)
        last = np.clip(np.ceil((known - 1) * _QUANTILE), 0, _WINDOW - 1).astype(np.intp)
        said: Mask = known > 0
        base: Ints = np.where(said, transit[:, 0], 0).astype(np.int64)
        wanted = np.where(said, transit[np.arange(len(slots)), last], 0)
        low: Ints = np.maximum(wanted, base + _RESERVE)
        high: Ints = np.maximum(low + _SLACK_JITTER, base + _RESERVE + _SLACK)
        return low, high, base, said
