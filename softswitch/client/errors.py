"""What can go wrong for a client.

::

    ClientError
    ├── ConnectionFailedError  the switch could not be reached, or refused the connection
    ├── ConnectionLostError    the connection broke and did not come back
    ├── CommandFailedError     the switch refused one command; the call goes on
    └── CallEndedError         the call is over, so what was asked for can no longer happen
"""

from softswitch.errors import SoftswitchError


class ClientError(SoftswitchError):
    """Be the root of what a client raises; time-outs are the built-in ``TimeoutError``."""


class ConnectionFailedError(ClientError):
    """Say that no connection came about; `status` is the HTTP status where there was one."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ConnectionLostError(ClientError):
    """Say that the connection broke; `code` is the WebSocket's close code where there was one."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class CommandFailedError(ClientError):
    """Say why the switch did not carry out a command."""

    def __init__(self, message: str, *, sender: str = "", code: int | None = None) -> None:
        super().__init__(message)
        self.sender = sender
        self.code = code


class CallEndedError(ClientError):
    """Say why and by whom the call was ended."""

    def __init__(self, message: str, *, reason: str = "", initiator: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.initiator = initiator
