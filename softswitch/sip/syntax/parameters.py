"""Parameters of header values and of URIs: one mapping, two notations."""

import re
from collections.abc import Iterator
from typing import TypeVar, overload
from urllib.parse import quote, unquote

import sipmessage

from softswitch.sip.syntax import grammar
from softswitch.sip.syntax.grammar import MAX_PARAMETERS, MalformedError

T = TypeVar("T")

_BARE_VALUE = re.compile(rf"(?:{grammar.TOKEN}|[\[\]:])++")
_URI_SAFE = "-_.!~*'()[]/:&+$"
_URI_PARAMETER = re.compile(r";((?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]|%[0-9A-Fa-f]{2})++)(?:=([^;?=]*+))?+")
_URI_VALUE = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]|%[0-9A-Fa-f]{2})*+")


class Parameters(sipmessage.Parameters):
    """Parameters of a header value, written as they were read; names are in lower case.

    The library percent-encodes values when it writes them, which turns a tag ``a+1`` into ``a%2B1``, the tag
    of another dialog.
    """

    def __init__(self, values: dict[str, str | None] | None = None, /, **more: str | None) -> None:
        # The library's constructor makes a mapping that is not used here.
        self._values: dict[str, str | None] = {**values, **more} if values else more

    @classmethod
    def parse(cls, value: str, field: str = "header") -> "Parameters":
        """Parse ``;name=value;flag``.

        Raises:
            MalformedError: It is not a list of parameters, or a parameter occurs twice.
        """
        return cls(grammar.split_parameters(value, field))

    def replace(self, **changes: str | None) -> "Parameters":
        """Return a copy with some of the values changed or added."""
        return type(self)({**self._values, **changes})

    def without(self, *names: str) -> "Parameters":
        """Return a copy without `names`."""
        return type(self)({name: value for name, value in self._values.items() if name not in names})

    @overload
    def get(self, key: str, /) -> str | None: ...
    @overload
    def get(self, key: str, default: T, /) -> str | T | None: ...
    def get(self, key: str, default: T | None = None, /) -> str | T | None:
        """Return the value of a parameter, None for one without a value; `default` where it is missing."""
        return self._values.get(key.lower(), default)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._values

    def __getitem__(self, key: str) -> str | None:
        return self._values[key.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, sipmessage.Parameters) and dict(self) == dict(other)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._values})"

    def __str__(self) -> str:
        text = ""
        for name, value in self._values.items():
            if value is None:
                text += f";{name}"
            else:
                text += f";{name}={value if _BARE_VALUE.fullmatch(value) else grammar.quote(value)}"
        return text


class UriParameters(Parameters):
    """Parameters of a URI, percent-encoded on the wire and decoded here."""

    @classmethod
    def parse(cls, value: str, field: str = "URI") -> "UriParameters":
        """Parse ``;name=value;flag`` of a URI.

        Raises:
            MalformedError: It is not a list of parameters, or a parameter occurs twice.
        """
        parameters: dict[str, str | None] = {}
        position, end = 0, len(value)
        while position < end:
            found = _URI_PARAMETER.match(value, position)
            if found is None or len(parameters) == MAX_PARAMETERS:
                raise MalformedError(400, f"Malformed URI parameters in {field}", field=field)
            name, text = found.groups()
            name = decode(name).lower()
            if name in parameters or (text is not None and not _URI_VALUE.fullmatch(text)):
                raise MalformedError(400, f"Malformed URI parameters in {field}", field=field)
            parameters[name] = text if text is None else decode(text)
            position = found.end()
        return cls(parameters)

    def __str__(self) -> str:
        text = ""
        for name, value in self._values.items():
            text += ";" + encode(name, _URI_SAFE)
            if value is not None:
                text += "=" + encode(value, _URI_SAFE)
        return text


def decode(text: str) -> str:
    """Decode percent escapes; octets that are not UTF-8 become surrogates."""
    return unquote(text, errors="surrogateescape") if "%" in text else text


def encode(text: str, safe: str) -> str:
    """Percent-encode all characters except letters, digits and those in `safe`."""
    return quote(text, safe=safe, errors="surrogateescape")
