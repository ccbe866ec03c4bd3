"""Grammar of SIP: tokens, quoted strings, lists and parameters (RFC 3261 section 25.1).

The types (`URI`, `Address`, `Via`, ...) are those of ``sipmessage``, but this package parses them itself: the
library reads ``"a" <sip:a@b>, "b" <sip:c@d>`` as one address, re-encodes tags, and raises TypeError for
``;self=1``. All patterns are possessive, so that the time for hostile text stays linear.
"""

import re

import sipmessage

from softswitch import errors

MAX_VALUES = 50
"""Most values of one list header; RFC 4475 section 3.1.1.7 has 34 Via values."""
MAX_PARAMETERS = 32
"""Most parameters of one value."""

TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]"
"""One character of a token."""
QUOTED = r'"(?:[^"\\]|\\.)*+"'
HOST = r"(?:[A-Za-z0-9._\-]{1,255}+|\[[0-9A-Fa-f:.]{2,45}\])"
"""Host name, IPv4 address or IPv6 reference. Names of containers have underscores, which RFC 3261 forbids."""

_TOKEN = re.compile(f"{TOKEN}++")
_LIST_VALUE = re.compile(f'(?:[^",<]++|{QUOTED}|<[^<>]*+>)++', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PARAMETER = re.compile(
    rf"[ \t]*+;[ \t]*+({TOKEN}++)(?:[ \t]*+=[ \t]*+({QUOTED}|[^\s;,\"]*+))?+[ \t]*+", re.DOTALL
)
_SPACE = " \t"


class MalformedError(errors.MalformedError):
    """A message is malformed; the error carries the response to it.

    Args:
        code: Code of the response: 400, 505 or 513.
        reason: Reason phrase; it repeats nothing of the peer's text.
        field: Header concerned, "" for the start line or the whole message.
    """

    def __init__(self, code: int, reason: str, *, field: str = "") -> None:
        super().__init__(reason, field=field)
        self.code = code
        self.reason = reason
        self.reply: sipmessage.Response | None = None
        """Response to send; None for a response, an ACK, or a request without a usable Via."""


def is_token(text: str) -> bool:
    """Return whether `text` is a token, such as a method or an option tag."""
    return _TOKEN.fullmatch(text) is not None


def quote(text: str) -> str:
    """Return `text` as a quoted string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(text: str) -> str:
    """Return the content of a quoted string; other text is returned unchanged."""
    if len(text) < 2 or text[0] != '"':
        return text
    inner = text[1:-1]
    return _ESCAPED.sub(r"\1", inner) if "\\" in inner else inner


def split_list(text: str, field: str, limit: int = MAX_VALUES) -> list[str]:
    """Split a header value at its commas, except those in quotes and angle brackets.

    Raises:
        MalformedError: A value is empty, a quote or bracket is not closed, or there are more than `limit`.
    """
    if "," not in text:
        return [text]
    values: list[str] = []
    position = 0
    while True:
        found = _LIST_VALUE.match(text, position)
        value = found.group().strip(_SPACE) if found else ""
        if found is None or not value or len(values) == limit:
            raise MalformedError(400, f"Malformed {field}", field=field)
        values.append(value)
        position = found.end()
        if position == len(text):
            return values
        if text[position] != ",":
            raise MalformedError(400, f"Malformed {field}", field=field)
        position += 1


def split_tokens(text: str, field: str) -> list[str]:
    """Split a list of tokens such as Require; empty elements, which some phones send, are skipped.

    Raises:
        MalformedError: There are more than `MAX_VALUES`.
    """
    if text.count(",") > MAX_VALUES:
        raise MalformedError(400, f"Too many values in {field}", field=field)
    return [token for part in text.split(",") if (token := part.strip(_SPACE))]


def split_parameters(text: str, field: str) -> dict[str, str | None]:
    """Parse ``;name=value;flag``; names are returned in lower case, values without quotes, flags as None.

    Raises:
        MalformedError: A parameter is malformed or occurs twice, or there are more than `MAX_PARAMETERS`.
    """
    parameters: dict[str, str | None] = {}
    position, end = 0, len(text)
    while position < end:
        found = _PARAMETER.match(text, position)
        if found is None or len(parameters) == MAX_PARAMETERS:
            raise MalformedError(400, f"Malformed parameters in {field}", field=field)
        name, value = found.groups()
        name = name.lower()
        if name in parameters:
            raise MalformedError(400, f"A parameter comes twice in {field}", field=field)
        parameters[name] = unquote(value) if value else value
        position = found.end()
    return parameters


def number(text: str, field: str, highest: int) -> int:
    """Parse a whole number in ASCII digits.

    Raises:
        MalformedError: It is not a number, or larger than `highest`.
    """
    # int() accepts digits of other scripts, signs and underscores, and is quadratic in the number of digits.
    if not (text.isascii() and text.isdigit() and len(text) <= 12) or int(text) > highest:
        raise MalformedError(400, f"Malformed {field}", field=field)
    return int(text)
