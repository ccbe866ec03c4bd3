"""The error of a call that cannot be placed; raised where a callee or its headers are read."""

from softswitch.errors import PeerError


class DialError(PeerError):
    """A call that cannot be placed, with the SIP status code that says why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason, field="callee")
        self.code = code
