"""Parameters of headers and of URIs: the same mapping, two ways to write it."""

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

import sipmessage

from softswitch.sip import grammar
from softswitch.sip.grammar import MAX_PARAMETERS, MalformedError

_BARE_VALUE = re.compile(rf"(?:{grammar.TOKEN}|[\[\]:])++")
_URI_SAFE = "-_.!~*'()[]/:&+$"
_URI_PARAMETER = re.compile(r";((?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]|%[0-9A-Fa-f]{2})++)(?:=([^;?=]*+))?+")
_URI_VALUE = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]|%[0-9A-Fa-f]{2})*+")


class Parameters(sipmessage.Parameters):
    """The parameters of a header value: tokens and quoted strings, written as they came.

    Names are in lower case. The library percent-encodes what it writes, which turns a tag ``a+1`` into
    ``a%2B1``: another dialog to every peer.
    """

    def __init__(self, values: dict[str, str | None] | None = None, /, **more: str | None) -> None:
        super().__init__()
        self._values: dict[str, str | None] = {**(values or {}), **more}

    @classmethod
    def parse(cls, value: str, field: str = "header") -> "Parameters":
        """Read ``;name=value;flag``.

        Raises:
            MalformedError: It is no list of parameters, or one comes twice.
        """
        return cls(grammar.split_parameters(value, field))

    def replace(self, **changes: str | None) -> "Parameters":
        """Return a copy with some of the values changed or added."""
        return type(self)({**self._values, **changes})

    def without(self, *names: str) -> "Parameters":
        """Return a copy that lacks `names`."""
        return type(self)({name: value for name, value in self._values.items() if name not in names})

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
    """The parameters of a URI: percent-encoded on the wire, plain here."""

    @classmethod
    def parse(cls, value: str, field: str = "URI") -> "UriParameters":
        """Read ``;name=value;flag`` of a URI.

        Raises:
            MalformedError: It is no list of parameters, or one comes twice.
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
    """Decode percent escapes; octets that are not UTF-8 survive as surrogates."""
    return unquote(text, errors="surrogateescape") if "%" in text else text


def encode(text: str, safe: str) -> str:
    """Write as percent escapes what is neither a letter, a digit nor in `safe`."""
    return quote(text, safe=safe, errors="surrogateescape")
