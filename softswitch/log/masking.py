"""Hide secrets in plain data and text. Nothing here does I/O: the pure floors use it too."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

MASK = "***"

_SECRET_WORDS = ("password", "passwd", "secret", "token", "credential", "apikey", "authorization", "icepwd")
_SECRET_NAMES = frozenset({"appid", "resume", "cookie", "pwd"})
_SECRET_TEXT = re.compile(
    r"(?P<before>"
    r"a=crypto:[^\r\n]*?inline:|a=ice-pwd:"  # SDP: RFC 4568, RFC 8839
    r"|\b(?:bearer|basic)\s+"  # Authorization: RFC 6750, RFC 7617
    r"|\bresponse=\"?"  # digest: RFC 7616
    r"|[?&](?:token|appid|access_token|api_?key|secret|password|signature)="  # URLs
    r"|\b[a-z][a-z0-9+.-]*://[^/\s:@]*:(?=[^/\s@]*@)"  # user:password@host
    r")(?P<secret>[^\s\"&|,@]+)",
    re.IGNORECASE,
)


def is_secret(name: str) -> bool:
    """Tell whether the value of a key of this name is to be hidden, whatever its spelling."""
    plain = name.lower().replace("_", "").replace("-", "")
    return plain in _SECRET_NAMES or any(word in plain for word in _SECRET_WORDS)


def mask_text(text: str) -> str:
    """Return the text with keys of SDP, authorization headers and URLs replaced by stars."""
    return _SECRET_TEXT.sub(rf"\g<before>{MASK}", text)


def mask(value: Any, depth: int = 16) -> Any:
    """Return a copy of plain data (as of JSON) with every secret replaced by stars.

    Args:
        value: mappings, sequences, texts, numbers; anything else is shown by `str`.
        depth: how deep to look; what lies deeper is left out.
    """
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return mask_text(value)
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case Mapping() | Sequence() | set() | frozenset():
            return _mask_inside(value, depth - 1) if depth else "..."
        case _:
            return mask_text(str(value))


def _mask_inside(value: Any, depth: int) -> Any:
    if not isinstance(value, Mapping):
        return [mask(item, depth) for item in value]
    return {
        str(key): MASK if is_secret(str(key)) and not _is_nothing(item) else mask(item, depth)
        for key, item in value.items()
    }


def _is_nothing(value: object) -> bool:
    return value is None or value == "" or isinstance(value, bool)
