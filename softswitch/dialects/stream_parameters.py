"""Bounds of the parameters and headers that a client hands to the service of a stream, in any dialect."""

import re
from collections.abc import Mapping

MAX_PARAMETERS = 64
MAX_PARAMETER_TEXT = 1024
"""Characters of a name or of a value."""
MAX_HEADERS = 32
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_RESERVED = frozenset({"host", "connection", "upgrade", "content-length", "transfer-encoding"})
_MAX_HEADER = 4096


def is_too_much(parameters: Mapping[str, str]) -> bool:
    """Tell whether there are too many parameters, or one is too long."""
    return len(parameters) > MAX_PARAMETERS or any(
        len(name) > MAX_PARAMETER_TEXT or len(value) > MAX_PARAMETER_TEXT
        for name, value in parameters.items()
    )


def header_fault(headers: Mapping[str, str]) -> str:
    """Return what is wrong with the further headers of a handshake; empty: nothing."""
    if len(headers) > MAX_HEADERS:
        return f"At most {MAX_HEADERS} headers can be sent"
    for name, value in headers.items():
        reserved = name.lower() in _RESERVED or name.lower().startswith("sec-websocket-")
        if reserved or not _TOKEN.fullmatch(name) or not value.isprintable() or len(value) > _MAX_HEADER:
            return f"{name!r} is not a header that can be sent"
    return ""
