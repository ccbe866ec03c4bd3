"""Selection of the credentials that a stream's handshake carries; used by the dialects of this package."""

from collections.abc import Sequence
from urllib.parse import urlsplit

import pybase64

from softswitch.call.interfaces import StreamRequest
from softswitch.settings import Stream

NO_CREDENTIALS = Stream(protocol="")


class Credentials:
    """The rows `[[stream]]` of the settings."""

    def __init__(self, rows: Sequence[Stream] = ()) -> None:
        self._rows = tuple(rows)

    def find(self, request: StreamRequest) -> Stream:
        """Return the first row for the protocol, the account and the URL of a stream, or an empty row.

        A row of another account never fits: its secrets are not for the streams of this one.
        """
        for row in self._rows:
            owns = (row.protocol, row.account) == (request.protocol, request.account)
            if owns and is_within(request.url, row.url):
                return row
        return NO_CREDENTIALS


def is_within(url: str, base: str) -> bool:
    """Tell whether a URL has the scheme, host and port of another, and a path below its path.

    Args:
        url: The URL that is dialled.
        base: What it must begin with; empty: any URL is within.
    """
    if not base:
        return True
    try:
        one, other = urlsplit(url), urlsplit(base)
    except ValueError:
        return False
    if (one.scheme.lower(), one.netloc.lower()) != (other.scheme.lower(), other.netloc.lower()):
        return False
    # Segments are compared, not texts: /bots is not below /bot, and ".." must not climb out.
    path, wanted = one.path.split("/"), other.path.rstrip("/").split("/")
    return ".." not in path and path[: len(wanted)] == wanted


def basic(user: str, password: str) -> str:
    """Return the value of `Authorization` for a user and a password (RFC 7617 section 2)."""
    return "Basic " + pybase64.b64encode(f"{user}:{password}".encode()).decode()
