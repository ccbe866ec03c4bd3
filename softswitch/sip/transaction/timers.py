"""Timers of RFC 3261 section 17 (table 4) and RFC 6026, by the letters they have there."""

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Timers:
    """The three values that all timers are computed from, in seconds."""

    t1: float = 0.5
    """Estimated round-trip time."""
    t2: float = 4.0
    """Longest pause between copies of a non-INVITE request, or of a response to an INVITE."""
    t4: float = 5.0
    """Longest time that a message stays in the network."""

    def first(self, letter: str, *, reliable: bool) -> float:
        """Return the seconds that a timer runs when it is first started.

        Args:
            letter: A to M of RFC 3261 and RFC 6026 without C, which only proxies have.
            reliable: Whether the transport is reliable: timers that absorb copies then run for 0 s.

        Raises:
            KeyError: There is no such timer.
        """
        if reliable and letter in "DIJK":
            return 0.0
        return _first_times(self)[letter]

    def next(self, letter: str, last: float) -> float:
        """Return the seconds that timer A, E or G runs after it fired.

        The pause doubles each time, for E and G up to T2.

        Args:
            letter: A, E or G.
            last: Seconds that it ran last.
        """
        return 2 * last if letter == "A" else min(2 * last, self.t2)


@lru_cache(16)
def _first_times(timers: Timers) -> dict[str, float]:
    """Return the seconds that each timer runs when it is first started, by its letter."""
    return {
        "A": timers.t1,  # retransmits an INVITE
        "B": 64 * timers.t1,  # ends an INVITE without a response
        "D": max(32.0, 64 * timers.t1),  # absorbs copies of the response to an INVITE
        "E": timers.t1,  # retransmits a non-INVITE request
        "F": 64 * timers.t1,  # ends a non-INVITE request without a final response
        "G": timers.t1,  # retransmits a 300-699 response to an INVITE
        "H": 64 * timers.t1,  # ends the wait for the ACK of such a response
        "I": timers.t4,  # absorbs copies of the ACK
        "J": 64 * timers.t1,  # absorbs copies of a non-INVITE request
        "K": timers.t4,  # absorbs copies of a response
        "L": 64 * timers.t1,  # RFC 6026: absorbs copies of an accepted INVITE
        "M": 64 * timers.t1,  # RFC 6026: passes on 2xx responses of other branches
    }
