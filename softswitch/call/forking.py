"""Several callees that ring together for a waiting caller: the first answer wins (RFC 3261 section 16.7)."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

UNSPECIFIC = frozenset({408, 480, 481, 487, 503})
"""Status codes that say little about the callee: a refusal with any other code is reported instead."""
ELSEWHERE = {"Reason": 'SIP;cause=200;text="Call completed elsewhere"'}
"""Header of the CANCEL for callees that ring on when another one has answered (RFC 3326 section 3.1)."""

Branch = TypeVar("Branch")


def refused_by_all(code: int) -> dict[str, str]:
    """Return the header of the CANCEL for callees that ring on when another one refused for all (6xx)."""
    return {"Reason": f"SIP;cause={code}"}


def is_better(code: int, known: int) -> bool:
    """Tell whether a refusal replaces the best one so far (RFC 3261 section 16.7 step 6).

    A 6xx comes before all others, any first refusal before none, and a specific one before an unspecific one.

    Args:
        code: Status code of the refusal.
        known: Status code of the best one so far; 0: no refusal yet.
    """
    if not known or code >= 600:
        return True
    return known < 600 and known in UNSPECIFIC and code not in UNSPECIFIC


@dataclass(slots=True)
class Fork(Generic[Branch]):
    """Callees that ring together."""

    due: float
    """When ringing ends for all of them, monotonic seconds."""
    branches: dict[str, Branch] = field(default_factory=dict)
    """Callees that may still answer, by the name of their leg."""
    refusal: tuple[int, str, bool] = (0, "", False)
    """Code, phrase and whether a peer sent it, of the best refusal so far."""
    rings: bool = False
    """Whether the caller was alerted."""

    def timed_out(self) -> None:
        """Note that the time to ring is over: it counts unless a callee said more about itself."""
        if self.refusal[0] in UNSPECIFIC or not self.refusal[0]:
            self.refusal = 480, "no answer", False

    def refused(self, leg: str, code: int, reason: str, *, from_peer: bool) -> bool:
        """Note a refusal; return whether no answer can come any more.

        Args:
            leg: Leg that was refused.
            code: Status code. 6xx ends the ringing of all callees.
            reason: Phrase, or an error text of the switch.
            from_peer: Whether the phrase is that of a peer.
        """
        self.branches.pop(leg, None)
        if is_better(code, self.refusal[0]):
            self.refusal = code, reason, from_peer
        return code >= 600 or not self.branches
