"""States of a call in the client."""

from enum import StrEnum


class State(StrEnum):
    """The state of a client's connection and call.

    ::

        disconnected → connecting → connected → disconnected
                           │         │     ↑
                           ↓         ↓     │
                         failed ← reconnecting
    """

    DISCONNECTED = "disconnected"
    """Not connected yet, or ended on purpose."""

    CONNECTING = "connecting"
    """The socket is being opened, or the remote party has not answered yet."""

    CONNECTED = "connected"
    """The call is up."""

    RECONNECTING = "reconnecting"
    """The socket was lost; the switch keeps the call for a while, and the client reconnects."""

    FAILED = "failed"
    """The call could not be set up, or was lost for good."""

    @property
    def is_final(self) -> bool:
        """Whether no other state can follow."""
        return self in (State.DISCONNECTED, State.FAILED)
