"""Errors that a client raises.

::

    ClientError
    ├── ConnectionFailedError  the switch could not be reached, or refused the connection
    ├── ConnectionLostError    the connection broke and did not come back
    ├── CommandFailedError     the switch refused one command; the call goes on
    └── CallEndedError         the call is over
"""

from softswitch.errors import SoftswitchError


class ClientError(SoftswitchError):
    """Base class of a client's errors; timeouts are the built-in ``TimeoutError``."""


class ConnectionFailedError(ClientError):
    """No connection could be opened; `status` is the HTTP status where there was one."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ConnectionLostError(ClientError):
    """The connection broke; `code` is the WebSocket's close code where there was one."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class CommandFailedError(ClientError):
    """The switch refused a command."""

    def __init__(self, message: str, *, sender: str = "", code: int | None = None) -> None:
        super().__init__(message)
        self.sender = sender
        self.code = code


class CallEndedError(ClientError):
    """The call is over; `reason` and `initiator` are those of the hangup."""

    def __init__(self, message: str, *, reason: str = "", initiator: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.initiator = initiator
