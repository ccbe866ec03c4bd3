"""Where a call stands, as its client sees it."""

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
    """Before the beginning, or after an end that was meant."""

    CONNECTING = "connecting"
    """The socket is being opened, or the far end has not answered yet."""

    CONNECTED = "connected"
    """The call is up."""

    RECONNECTING = "reconnecting"
    """The socket was lost; the switch keeps the call for a while, and we are on our way back."""

    FAILED = "failed"
    """The call could not be set up, or was lost for good."""

    @property
    def is_final(self) -> bool:
        """Tell whether a call that stands here goes nowhere any more."""
        return self in (State.DISCONNECTED, State.FAILED)
