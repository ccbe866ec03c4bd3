"""State table of a call."""

from enum import StrEnum


class State(StrEnum):
    """State of a call."""

    NEW = "new"
    PENDING = "pending"
    SETUP = "setup"
    RINGING = "ringing"
    UP = "up"
    OVER = "over"


class Input(StrEnum):
    """Input of the state table."""

    INCOMING = "incoming"
    INVITE = "invite"
    RINGING = "ringing"
    ANSWERED = "answered"
    END = "end"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.NEW, Input.INCOMING): State.PENDING,
    (State.NEW, Input.INVITE): State.SETUP,
    (State.NEW, Input.END): State.OVER,
    (State.PENDING, Input.RINGING): State.PENDING,
    (State.PENDING, Input.INVITE): State.SETUP,
    (State.PENDING, Input.END): State.OVER,
    (State.SETUP, Input.RINGING): State.RINGING,
    (State.SETUP, Input.ANSWERED): State.UP,
    (State.SETUP, Input.END): State.OVER,
    (State.RINGING, Input.RINGING): State.RINGING,
    (State.RINGING, Input.ANSWERED): State.UP,
    (State.RINGING, Input.END): State.OVER,
    (State.UP, Input.END): State.OVER,
}


def after(state: State, moved: Input) -> State | None:
    """Return the state that follows ``state`` on an input, or None where the input is not allowed."""
    return TRANSITIONS.get((state, moved))
