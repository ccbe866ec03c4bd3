"""Headers of a message in their order, looked up by name without regard to case."""

import sipmessage

from softswitch.errors import MalformedError

COMPACT_FORMS = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
"""Compact forms of RFC 3261 section 7.3.3 and of the IANA registry."""

MOST_NAMES = 1024
"""Header names whose check is remembered; with `LONGEST_NAME` it bounds the memory."""
LONGEST_NAME = 64
"""Characters of the longest header name whose check is remembered."""

_lower_names: dict[str, str] = {}
"""Names in lower case, by names without a line break and colon."""


def long_name(name: str) -> str:
    """Return the long form of a compact header name; any other name is returned unchanged."""
    return COMPACT_FORMS.get(name.lower(), name) if len(name) == 1 else name


class Headers(sipmessage.Headers):
    """Headers in a dictionary: the library's list compares every name at each look-up.

    Values with a line break are refused, since they would inject a header into the message.
    """

    def __init__(self) -> None:
        # The library's constructor makes a list that is not used here.
        self.entries: dict[str, tuple[str, tuple[str, ...]]] = {}
        """Name as it is written, and values, by name in lower case; each change makes a new tuple."""

    def add(self, key: str, value: str) -> None:
        """Add one more value of `key`."""
        low = _lower_names.get(key) or _checked_name(key)
        if "\n" in value or "\r" in value:
            _refuse_value(key)
        entry = self.entries.get(low)
        self.entries[low] = (key, (value,)) if entry is None else (entry[0], (*entry[1], value))

    def get(self, key: str, default: str | None = None) -> str | None:
        """Return the first value of `key`, or `default`."""
        entry = self.entries.get(key.lower())
        return entry[1][0] if entry else default

    def getlist(self, key: str) -> list[str]:
        """Return all values of `key`, as a copy."""
        entry = self.entries.get(key.lower())
        return list(entry[1]) if entry else []

    def lines(self, key: str) -> tuple[str, ...]:
        """Return all values of `key`."""
        entry = self.entries.get(key.lower())
        return entry[1] if entry else ()

    def keys(self) -> list[str]:
        """Return the names, once each."""
        return [name for name, _ in self.entries.values()]

    def items(self) -> list[tuple[str, str]]:
        """Return every header line as its name and value."""
        return [(name, value) for name, values in self.entries.values() for value in values]

    def remove(self, key: str) -> None:
        """Remove all values of `key`, if there are any."""
        self.entries.pop(key.lower(), None)

    def set(self, key: str, value: str) -> None:
        """Replace all values of `key` by `value`."""
        low = _lower_names.get(key) or _checked_name(key)
        if "\n" in value or "\r" in value:
            _refuse_value(key)
        entry = self.entries.get(low)
        self.entries[low] = (entry[0] if entry else key, (value,))

    def setlist(self, key: str, values: list[str]) -> None:
        """Replace all values of `key` by `values`; an empty list removes the header."""
        low = _lower_names.get(key) or _checked_name(key)
        for value in values:
            if "\n" in value or "\r" in value:
                _refuse_value(key)
        if values:
            entry = self.entries.get(low)
            self.entries[low] = (entry[0] if entry else key, tuple(values))
        else:
            self.remove(key)

    def copy(self) -> "Headers":
        """Return an independent copy."""
        other = Headers()
        other.entries = dict(self.entries)
        return other

    def __contains__(self, key: str) -> bool:
        return key.lower() in self.entries

    def __getitem__(self, key: str) -> str:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __str__(self) -> str:
        return "".join(f"{name}: {value}\r\n" for name, value in self.items()) + "\r\n"


def _checked_name(key: str) -> str:
    """Return a header name in lower case; raise MalformedError for one that would break a header line."""
    if "\n" in key or "\r" in key or ":" in key:
        raise MalformedError("a header name must not contain a line break or colon", field="headers")
    low = key.lower()
    if len(key) <= LONGEST_NAME:
        if len(_lower_names) >= MOST_NAMES:
            _lower_names.clear()
        _lower_names[key] = low
    return low


def _refuse_value(key: str) -> None:
    raise MalformedError("the header value must not contain a line break", field=key)
