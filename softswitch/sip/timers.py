"""The timers of RFC 3261 section 17 (table 4) and RFC 6026, under the letters they have there."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timers:
    """The three figures all others come from, in seconds."""

    t1: float = 0.5
    """Round trip time, estimated."""
    t2: float = 4.0
    """Longest pause between two copies of a request other than INVITE, or of a response to INVITE."""
    t4: float = 5.0
    """How long a message stays in the network."""

    def first(self, letter: str, *, reliable: bool) -> float:
        """Return how long timer `letter` runs when it is first started.

        Args:
            letter: A to M of RFC 3261 and RFC 6026, except C, which is a proxy's.
            reliable: The transport is not UDP: there, what only absorbs copies runs for no time.

        Raises:
            KeyError: there is no such timer.
        """
        if reliable and letter in "DIJK":
            return 0.0
        return {
            "A": self.t1,  # INVITE is sent again
            "B": 64 * self.t1,  # INVITE without response
            "D": max(32.0, 64 * self.t1),  # copies of the response to INVITE
            "E": self.t1,  # a request is sent again
            "F": 64 * self.t1,  # a request without response
            "G": self.t1,  # the refusal of an INVITE is sent again
            "H": 64 * self.t1,  # a refusal without ACK
            "I": self.t4,  # copies of the ACK
            "J": 64 * self.t1,  # copies of a request
            "K": self.t4,  # copies of a response
            "L": 64 * self.t1,  # RFC 6026: copies of an accepted INVITE
            "M": 64 * self.t1,  # RFC 6026: further 2xx of other branches
        }[letter]

    def next(self, letter: str, last: float) -> float:
        """Return how long timer `letter` (A, E or G) runs after it fired, having run for `last` seconds."""
        return 2 * last if letter == "A" else min(2 * last, self.t2)
