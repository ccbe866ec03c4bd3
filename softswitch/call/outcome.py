"""What the parts of a call conclude for the whole of it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Over:
    """The call is to end."""

    reason: str
    initiator: str
    code: int = 0
    """What a caller who was not answered is told; 0: what the reason says."""
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Through:
    """The callee has answered: so shall the caller be."""

    codec: str
    """What the callee speaks; if the caller speaks it too, nothing has to be converted."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Somebody else has taken the first party's place."""


Outcome = Over | Through | Moved | None

_CODES = {"no_answer": 480, "busy": 486, "server_shutdown": 503, "error": 500}


def code_of(over: Over) -> int:
    """Return the SIP code for a caller whose call ends before it was answered."""
    return over.code if 300 <= over.code <= 699 else _CODES.get(over.reason, 480)


def reason_of(code: int) -> str:
    """Return why a call ends that was refused with a SIP code."""
    if code in (486, 600):
        return "busy"
    return "no_answer" if code in (408, 480, 487) else "rejected"
