"""Say why something could not be fetched: because we would not, or because it did not work.

Both are the peer's fault (it named the URL), so their texts may be told to it: they name what is wrong
with the URL and never what was found behind it.
"""

from softswitch.errors import PeerError


class EgressError(PeerError):
    """Say that a URL gave nothing."""

    def __init__(self, message: str, *, field: str = "url") -> None:
        super().__init__(message, field=field)


class EgressRefused(EgressError):
    """Say that a URL may not be dialled, and which setting would permit it."""

    code = 403


class EgressFailed(EgressError):
    """Say that a URL was dialled and did not deliver: unreachable, too slow, too big, not to be trusted."""

    code = 502
