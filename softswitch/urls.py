"""URLs of WebSocket services, as clients write them."""

import re
from typing import Final
from urllib.parse import urlsplit

_SCHEME: Final = re.compile(r"wss?://", re.IGNORECASE)


def is_websocket(url: str) -> bool:
    """Tell whether a text is a `ws` or `wss` URL with a host; schemes have no case (RFC 3986 section 3.1)."""
    try:
        parts = urlsplit(url)
        return _SCHEME.match(url) is not None and bool(parts.hostname) and parts.port != 0
    except ValueError:  # The host or the port is malformed.
        return False


def with_plain_scheme(url: str) -> str:
    """Return a URL with its scheme in lower case; everything else stays as it is."""
    scheme, colon, rest = url.partition(":")
    return scheme.lower() + colon + rest
