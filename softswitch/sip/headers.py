"""The headers of a message in the order they came, found by name without regard to case."""

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
"""RFC 3261 section 7.3.3 and the registry that grew from it."""


def long_name(name: str) -> str:
    """Give the long form of a header's name; its case stays as it is."""
    return COMPACT_FORMS.get(name.lower(), name) if len(name) == 1 else name


class Headers(sipmessage.Headers):
    """Keep headers in a dictionary: the library's list looks at every name for every look-up.

    Values may not hold a line break: it would start a header of its own on the wire.
    """

    def __init__(self) -> None:
        super().__init__()
        self._values: dict[str, tuple[str, list[str]]] = {}

    def add(self, key: str, value: str) -> None:
        """Add one more value of `key`."""
        _refuse_line_break(key, value)
        entry = self._values.get(key.lower())
        if entry is None:
            self._values[key.lower()] = (key, [value])
        else:
            entry[1].append(value)

    def get(self, key: str, default: str | None = None) -> str | None:
        """Return the first value of `key`, or `default`."""
        entry = self._values.get(key.lower())
        return entry[1][0] if entry and entry[1] else default

    def getlist(self, key: str) -> list[str]:
        """Return all values of `key`, as a copy."""
        entry = self._values.get(key.lower())
        return list(entry[1]) if entry else []

    def keys(self) -> list[str]:
        """Return the names, once each."""
        return [name for name, _ in self._values.values()]

    def items(self) -> list[tuple[str, str]]:
        """Return every header line as its name and value."""
        return [(name, value) for name, values in self._values.values() for value in values]

    def remove(self, key: str) -> None:
        """Remove all values of `key`, if there are any."""
        self._values.pop(key.lower(), None)

    def set(self, key: str, value: str) -> None:
        """Put `value` in the place of all values of `key`."""
        self.setlist(key, [value])

    def setlist(self, key: str, values: list[str]) -> None:
        """Put `values` in the place of all values of `key`; an empty list removes it."""
        for value in values:
            _refuse_line_break(key, value)
        if values:
            entry = self._values.get(key.lower())
            self._values[key.lower()] = (entry[0] if entry else key, list(values))
        else:
            self.remove(key)

    def copy(self) -> "Headers":
        """Return headers that can be changed without changing these."""
        other = Headers()
        other._values = {low: (name, list(values)) for low, (name, values) in self._values.items()}
        return other

    def __contains__(self, key: str) -> bool:
        return key.lower() in self._values

    def __getitem__(self, key: str) -> str:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __str__(self) -> str:
        return "".join(f"{name}: {value}\r\n" for name, value in self.items()) + "\r\n"


def _refuse_line_break(key: str, value: str) -> None:
    if "\n" in value or "\r" in value:
        raise MalformedError("a header's value has a line break", field=key)
    if "\n" in key or "\r" in key or ":" in key:
        raise MalformedError("a header's name has a line break or colon", field="headers")
