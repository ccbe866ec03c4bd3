"""The four transaction machines as tables (RFC 3261 section 17 as corrected by RFC 6026).

Events: the letter of a timer that fired; ``1xx``, ``2xx``, ``fail`` (300 to 699) for a response that was
received (client) or is sent (server); ``request`` for a retransmitted request and ``ack`` for its ACK;
``error`` when the transport cannot send. An event that a table does not have is ignored and counted.
"""

from enum import Enum


class Kind(Enum):
    """The four transaction machines."""

    __hash__ = object.__hash__  # keys of the tables: that of Enum is a function of Python

    INVITE_CLIENT = "INVITE client"
    CLIENT = "client"
    INVITE_SERVER = "INVITE server"
    SERVER = "server"


class State(Enum):
    """States of all machines; Calling is what the INVITE client has in place of Trying."""

    __hash__ = object.__hash__

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class Act(Enum):
    """Action of a transition."""

    SEND = "send"
    """Send the request (client) or the last response (server)."""
    LONGER = "longer"
    """Restart the timer that fired, with its next pause (`Timers.next`)."""
    SLOWEST = "slowest"
    """Restart the timer that fired, with T2."""
    UP = "up"
    """Pass the response to the transaction's owner."""
    ACK = "ack"
    """Send the ACK of a 300-699 response."""
    TIMEOUT = "timeout"
    """Pass a 408 to the owner, because no response came (RFC 3261 section 8.1.3.1)."""
    ERROR = "error"
    """Pass a 503 to the owner, because the request cannot be sent (RFC 3261 section 8.1.3.1)."""


Move = tuple[State, tuple[Act, ...]]
Table = dict[tuple[State, str], Move]

FIRST_STATE = {
    Kind.INVITE_CLIENT: State.CALLING,
    Kind.CLIENT: State.TRYING,
    Kind.INVITE_SERVER: State.PROCEEDING,
    Kind.SERVER: State.TRYING,
}

TABLES: dict[Kind, Table] = {
    Kind.INVITE_CLIENT: {
        (State.CALLING, "A"): (State.CALLING, (Act.SEND, Act.LONGER)),
        (State.CALLING, "B"): (State.TERMINATED, (Act.TIMEOUT,)),
        (State.CALLING, "1xx"): (State.PROCEEDING, (Act.UP,)),
        (State.CALLING, "2xx"): (State.ACCEPTED, (Act.UP,)),
        (State.CALLING, "fail"): (State.COMPLETED, (Act.ACK, Act.UP)),
        (State.CALLING, "error"): (State.TERMINATED, (Act.ERROR,)),
        (State.PROCEEDING, "1xx"): (State.PROCEEDING, (Act.UP,)),
        (State.PROCEEDING, "2xx"): (State.ACCEPTED, (Act.UP,)),
        (State.PROCEEDING, "fail"): (State.COMPLETED, (Act.ACK, Act.UP)),
        (State.PROCEEDING, "error"): (State.TERMINATED, (Act.ERROR,)),
        (State.COMPLETED, "fail"): (State.COMPLETED, (Act.ACK,)),
        (State.COMPLETED, "error"): (State.TERMINATED, ()),
        (State.COMPLETED, "D"): (State.TERMINATED, ()),
        (State.ACCEPTED, "2xx"): (State.ACCEPTED, (Act.UP,)),
        (State.ACCEPTED, "M"): (State.TERMINATED, ()),
    },
    Kind.CLIENT: {
        (State.TRYING, "E"): (State.TRYING, (Act.SEND, Act.LONGER)),
        (State.TRYING, "F"): (State.TERMINATED, (Act.TIMEOUT,)),
        (State.TRYING, "1xx"): (State.PROCEEDING, (Act.UP,)),
        (State.TRYING, "2xx"): (State.COMPLETED, (Act.UP,)),
        (State.TRYING, "fail"): (State.COMPLETED, (Act.UP,)),
        (State.TRYING, "error"): (State.TERMINATED, (Act.ERROR,)),
        (State.PROCEEDING, "E"): (State.PROCEEDING, (Act.SEND, Act.SLOWEST)),
        (State.PROCEEDING, "F"): (State.TERMINATED, (Act.TIMEOUT,)),
        (State.PROCEEDING, "1xx"): (State.PROCEEDING, (Act.UP,)),
        (State.PROCEEDING, "2xx"): (State.COMPLETED, (Act.UP,)),
        (State.PROCEEDING, "fail"): (State.COMPLETED, (Act.UP,)),
        (State.PROCEEDING, "error"): (State.TERMINATED, (Act.ERROR,)),
        (State.COMPLETED, "K"): (State.TERMINATED, ()),
    },
    Kind.INVITE_SERVER: {
        (State.PROCEEDING, "request"): (State.PROCEEDING, (Act.SEND,)),
        (State.PROCEEDING, "1xx"): (State.PROCEEDING, (Act.SEND,)),
        (State.PROCEEDING, "2xx"): (State.ACCEPTED, (Act.SEND,)),
        (State.PROCEEDING, "fail"): (State.COMPLETED, (Act.SEND,)),
        (State.COMPLETED, "request"): (State.COMPLETED, (Act.SEND,)),
        (State.COMPLETED, "G"): (State.COMPLETED, (Act.SEND, Act.LONGER)),
        (State.COMPLETED, "H"): (State.TERMINATED, ()),
        (State.COMPLETED, "ack"): (State.CONFIRMED, ()),
        (State.COMPLETED, "error"): (State.TERMINATED, ()),
        (State.CONFIRMED, "I"): (State.TERMINATED, ()),
        (State.ACCEPTED, "2xx"): (State.ACCEPTED, (Act.SEND,)),
        (State.ACCEPTED, "L"): (State.TERMINATED, ()),
    },
    Kind.SERVER: {
        (State.TRYING, "1xx"): (State.PROCEEDING, (Act.SEND,)),
        (State.TRYING, "2xx"): (State.COMPLETED, (Act.SEND,)),
        (State.TRYING, "fail"): (State.COMPLETED, (Act.SEND,)),
        (State.PROCEEDING, "request"): (State.PROCEEDING, (Act.SEND,)),
        (State.PROCEEDING, "1xx"): (State.PROCEEDING, (Act.SEND,)),
        (State.PROCEEDING, "2xx"): (State.COMPLETED, (Act.SEND,)),
        (State.PROCEEDING, "fail"): (State.COMPLETED, (Act.SEND,)),
        (State.PROCEEDING, "error"): (State.TERMINATED, ()),
        (State.COMPLETED, "request"): (State.COMPLETED, (Act.SEND,)),
        (State.COMPLETED, "error"): (State.TERMINATED, ()),
        (State.COMPLETED, "J"): (State.TERMINATED, ()),
    },
}

RUNNING: dict[tuple[Kind, State], str] = {
    (Kind.INVITE_CLIENT, State.CALLING): "AB",
    (Kind.INVITE_CLIENT, State.COMPLETED): "D",
    (Kind.INVITE_CLIENT, State.ACCEPTED): "M",
    (Kind.CLIENT, State.TRYING): "EF",
    (Kind.CLIENT, State.PROCEEDING): "EF",
    (Kind.CLIENT, State.COMPLETED): "K",
    (Kind.INVITE_SERVER, State.COMPLETED): "GH",
    (Kind.INVITE_SERVER, State.CONFIRMED): "I",
    (Kind.INVITE_SERVER, State.ACCEPTED): "L",
    (Kind.SERVER, State.COMPLETED): "J",
}
"""Timers that run in a state. Entering it starts those that do not run yet and stops all others."""

UNRELIABLE_ONLY = "AEG"
"""Timers that retransmit, which a reliable transport does itself."""
