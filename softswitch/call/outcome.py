"""Conclusions that a part of a call returns for the call as a whole."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Over:
    """End of the call."""

    reason: str
    initiator: str
    code: int = 0
    """SIP code for a caller that was not answered; 0: the code of the reason."""
    text: str = ""
    """Reason phrase for that caller."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of the BYE."""


@dataclass(frozen=True, slots=True)
class CalleeAnswered:
    """Answer of the callee that a waiting caller was connected to: the caller is answered now."""

    codec: str
    """Codec of the callee; preferred for the caller, because the same codec needs no conversion."""


@dataclass(frozen=True, slots=True)
class PartyReplaced:
    """Change of the leg that is the call's first party, after a transfer."""


Outcome = Over | CalleeAnswered | PartyReplaced | None

_CODES = {"no_answer": 480, "busy": 486, "server_shutdown": 503, "error": 500}


def code_of(over: Over) -> int:
    """Return the SIP code for a caller whose call ends before it was answered."""
    return over.code if 300 <= over.code <= 699 else _CODES.get(over.reason, 480)


def reason_of(code: int) -> str:
    """Return the reason of an end for the SIP code of a refusal."""
    if code in (486, 600):
        return "busy"
    return "no_answer" if code in (408, 480, 487) else "rejected"
