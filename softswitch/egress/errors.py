"""Errors of outgoing connections: refused by the rules, or failed.

The URL comes from a peer, so the peer gets these texts. They say what is wrong with the URL, and nothing
about the hosts behind it.
"""

from http import HTTPStatus

from softswitch.errors import PeerError


class EgressError(PeerError):
    """A URL could not be used."""

    def __init__(self, message: str, *, field: str = "url") -> None:
        super().__init__(message, field=field)


class EgressRefused(EgressError):
    """The rules forbid a URL; the text names the setting that could permit it."""

    code = 403


class EgressFailed(EgressError):
    """A server was unreachable, too slow or not trusted, or its response too large."""

    code = 502

    status = 0
    """HTTP status with which a WebSocket was refused; 0: there was no answer."""


class HandshakeRefused(EgressFailed):
    """A server answered the handshake of a WebSocket with an HTTP status; the text names it.

    Attributes:
        status: The status.
    """

    def __init__(self, status: int) -> None:
        try:
            phrase = f"{status} {HTTPStatus(status).phrase}"
        except ValueError:
            phrase = str(status)
        if 300 <= status < 400:
            super().__init__(f"{phrase}: the stream server redirects, which is not followed")
        elif status in (101, 200):
            super().__init__(f"{phrase}: the stream server speaks no WebSocket at this URL")
        else:
            super().__init__(f"{phrase} by the stream server")
        self.status = status

    @property
    def is_final(self) -> bool:
        """Whether the same handshake would be refused again."""
        return self.status < 500 and self.status not in (408, 425, 429)
