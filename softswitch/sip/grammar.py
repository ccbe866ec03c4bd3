"""The words of SIP: tokens, quoted strings, lists and parameters (RFC 3261 section 25.1).

``sipmessage`` gives the values (`URI`, `Address`, `Via`, ...) and this package reads them itself: the
library's patterns take ``"a" <sip:a@b>, "b" <sip:c@d>`` for one address, re-encode tags, and raise
TypeError for ``;self=1``. Every pattern here is possessive, so each character is looked at a few times only.
"""

import re

import sipmessage

from softswitch import errors

MAX_VALUES = 50
"""Values of one list header; RFC 4475 section 3.1.1.7 has 34 Via values."""
MAX_PARAMETERS = 32
"""Parameters of one value."""

TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]"
"""One character of a token."""
QUOTED = r'"(?:[^"\\]|\\.)*+"'
HOST = r"(?:[A-Za-z0-9._\-]{1,255}+|\[[0-9A-Fa-f:.]{2,45}\])"
"""A name, an IPv4 address or an IPv6 reference. Underscores are no letters of names, but of containers."""

_TOKEN = re.compile(f"{TOKEN}++")
_LIST_VALUE = re.compile(f'(?:[^",<]++|{QUOTED}|<[^<>]*+>)++', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PARAMETER = re.compile(
    rf"[ \t]*+;[ \t]*+({TOKEN}++)(?:[ \t]*+=[ \t]*+({QUOTED}|[^\s;,\"]*+))?+[ \t]*+", re.DOTALL
)
_SPACE = " \t"


class MalformedError(errors.MalformedError):
    """Say that a message cannot be read, and how SIP says so.

    Args:
        code: Of the response this deserves: 400, 505, 513.
        reason: Its reason phrase, which is ours and repeats nothing of the peer's text.
        field: The header concerned, "" for the start line or the whole.
    """

    def __init__(self, code: int, reason: str, *, field: str = "") -> None:
        super().__init__(reason, field=field)
        self.code = code
        self.reason = reason
        self.reply: sipmessage.Response | None = None
        """What to send back; None for a response, an ACK, or a request without a Via to answer to."""


def is_token(text: str) -> bool:
    """Tell whether `text` is a token, such as a method or an option tag."""
    return _TOKEN.fullmatch(text) is not None


def quote(text: str) -> str:
    """Write `text` as a quoted string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(text: str) -> str:
    """Read a quoted string, or give back what is none."""
    if len(text) < 2 or text[0] != '"':
        return text
    inner = text[1:-1]
    return _ESCAPED.sub(r"\1", inner) if "\\" in inner else inner


def split_list(text: str, field: str, limit: int = MAX_VALUES) -> list[str]:
    """Cut a header value at its commas, those in quotes and angle brackets excepted.

    Raises:
        MalformedError: A value is empty, a quote or bracket stays open, or there are more than `limit`.
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
    """Cut a list of tokens such as that of Require; empty elements, which phones send, are passed over."""
    if text.count(",") > MAX_VALUES:
        raise MalformedError(400, f"Too many values in {field}", field=field)
    return [token for part in text.split(",") if (token := part.strip(_SPACE))]


def split_parameters(text: str, field: str) -> dict[str, str | None]:
    """Read ``;name=value;flag``, names in lower case, quoted values without their quotes.

    Raises:
        MalformedError: Something is not a parameter, comes twice, or there are too many.
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
    """Read a whole number in ASCII digits.

    Raises:
        MalformedError: It is none, or larger than `highest`.
    """
    # int() takes other scripts' digits, signs and underscores, and thousands of digits in quadratic time.
    if not (text.isascii() and text.isdigit() and len(text) <= 12) or int(text) > highest:
        raise MalformedError(400, f"Malformed {field}", field=field)
    return int(text)
