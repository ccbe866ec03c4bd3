"""Masking of secrets in data and text; pure, since pure packages use it too."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

MASK = "***"

_SECRET_WORDS = ("password", "passwd", "secret", "token", "credential", "apikey", "authorization", "icepwd")
_SECRET_NAMES = frozenset({"appid", "resume", "cookie", "pwd"})
# No alternative may match again within text it has scanned, or a long text would take quadratic time.
_SECRET_TEXT = re.compile(
    r"(?P<before>"
    r"a=crypto:(?:(?!a=crypto:)[^\r\n])*?inline:|a=ice-pwd:"  # SDP: RFC 4568, RFC 8839
    r"|\b(?:bearer|basic)\s+"  # Authorization: RFC 6750, RFC 7617
    r"|\bresponse=\"?"  # digest: RFC 7616
    r"|[?&](?:token|appid|access_token|(?:api_?)?key|secret|password|(?:conversation_)?signature)="  # URLs
    r"|(?<![a-z0-9+.-])[a-z0-9+.-]+://[^/\s:@]*:(?=[^/\s@]*@)"  # user:password@host
    r")(?P<secret>[^\s\"&|,@]+)",
    re.IGNORECASE,
)


def is_secret(name: str) -> bool:
    """Return whether the value of a key with this name is a secret, in any spelling."""
    plain = name.lower().replace("_", "").replace("-", "")
    return plain in _SECRET_NAMES or any(word in plain for word in _SECRET_WORDS)


def mask_text(text: str) -> str:
    """Return `text` with the secrets of SDP, authorization headers and URLs replaced by stars."""
    return _SECRET_TEXT.sub(rf"\g<before>{MASK}", text)


MOST_VALUES = 2000
"""Most values shown of one piece of data, nested values included."""
MOST_TEXT = 24_576
"""Most characters of one piece of data searched for secrets; of further texts only the length is shown."""


def mask(value: Any, depth: int = 16) -> Any:
    """Return a copy of JSON-like data with every secret replaced by stars.

    Values beyond `MOST_VALUES` and texts beyond `MOST_TEXT` are replaced by their number or length.

    Args:
        value: mappings, sequences, texts, numbers; other types are shown by `str`.
        depth: levels of nesting; deeper values are left out.
    """
    return _Mask().show(value, depth)


class _Mask:
    """Copy of one piece of data, with the remaining numbers of values and characters."""

    def __init__(self) -> None:
        self._values = MOST_VALUES
        self._text = MOST_TEXT

    def show(self, value: Any, depth: int) -> Any:
        """Return a copy of a value without its secrets."""
        match value:
            case None | bool() | int() | float():
                return value
            case str():
                return self._shown(value)
            case bytes() | bytearray() | memoryview():
                return f"<{len(value)} bytes>"
            case Mapping() if depth:
                return self._mapping(value, depth - 1)
            case Sequence() | set() | frozenset() if depth:
                return self._list(value, depth - 1)
            case Mapping() | Sequence() | set() | frozenset():
                return "..."
            case _:
                return self._shown(str(value))

    def _shown(self, text: str) -> str:
        if len(text) > self._text:
            return f"<{len(text)} characters>"
        self._text -= len(text)
        return mask_text(text)

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for key, item in value.items():
            if not self._takes_one():
                shown["..."] = f"{len(value) - len(shown)} more"
                break
            name = str(key)
            hidden = is_secret(name) and not _is_nothing(item)
            shown[name] = MASK if hidden else self.show(item, depth)
        return shown

    def _list(self, value: Collection[Any], depth: int) -> list[Any]:
        shown: list[Any] = []
        for item in value:
            if not self._takes_one():
                shown.append(f"... {len(value) - len(shown)} more")
                break
            shown.append(self.show(item, depth))
        return shown

    def _takes_one(self) -> bool:
        self._values -= 1
        return self._values >= 0


def _is_nothing(value: object) -> bool:
    return value is None or value == "" or isinstance(value, bool)
