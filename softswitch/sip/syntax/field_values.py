"""Parsers of header values: addresses, Via, media types and seconds (RFC 3261 section 20)."""

import re
from collections.abc import Sequence

from sipmessage import Address, MediaType, Via

from softswitch.sip.syntax import grammar
from softswitch.sip.syntax.grammar import MalformedError
from softswitch.sip.syntax.parameters import Parameters
from softswitch.sip.syntax.remembered import remembered
from softswitch.sip.syntax.uri import parse_uri

_NAME_ADDR = re.compile(
    # An unquoted display name should be a list of tokens; other characters are accepted if unambiguous.
    rf"[ \t]*+({grammar.QUOTED}|[^\"<>,;\\]*+)[ \t]*+<([^<>]++)>[ \t]*+((?:;.*)?+)",
    re.DOTALL,
)
# "If the URI contains a comma, question mark or semicolon, the URI MUST be enclosed in angle brackets."
_ADDR_SPEC = re.compile(r"[ \t]*+([^;?,<>\"\s]++)[ \t]*+((?:;.*)?+)", re.DOTALL)
_VIA = re.compile(
    rf"[ \t]*+SIP[ \t]*+/[ \t]*+2\.0[ \t]*+/[ \t]*+({grammar.TOKEN}++)[ \t]++"
    rf"({grammar.HOST})(?:[ \t]*+:[ \t]*+([0-9]{{1,5}}))?+[ \t]*+((?:;.*)?+)",
    re.DOTALL | re.IGNORECASE,
)
_MEDIA_TYPE = re.compile(
    rf"[ \t]*+({grammar.TOKEN}++)[ \t]*+/[ \t]*+({grammar.TOKEN}++)((?:;.*|[ \t]++;.*)?+)", re.DOTALL
)
LAST_SECOND = 2**32 - 1
"""Largest number of seconds in a header (RFC 3261 section 20.19)."""


@remembered
def parse_address(text: str, field: str = "address") -> Address:
    """Parse one name-addr or addr-spec with its parameters.

    Args:
        text: Header value.
        field: Header name, for the error.

    Raises:
        MalformedError: It is malformed.
    """
    found = _NAME_ADDR.fullmatch(text)
    if found is not None:
        name, uri, parameters = found.groups()
        name = grammar.unquote(name) if name.startswith('"') else name.rstrip(" \t")
    else:
        found = _ADDR_SPEC.fullmatch(text)
        if found is None:
            raise MalformedError(400, f"Malformed {field}", field=field)
        name = ""
        uri, parameters = found.groups()
    return Address(uri=parse_uri(uri, field), name=name, parameters=Parameters.parse(parameters, field))


def parse_addresses(lines: Sequence[str], field: str) -> list[Address]:
    """Parse all addresses in the lines of one header.

    Raises:
        MalformedError: One is malformed, or there are more than `grammar.MAX_VALUES`.
    """
    return [parse_address(value, field) for value in _values(lines, field)]


@remembered
def parse_via(text: str) -> Via:
    """Parse one Via value; white space is permitted around each slash.

    Raises:
        MalformedError: It is malformed, or its SIP version is not 2.0.
    """
    found = _VIA.fullmatch(text)
    if found is None:
        raise MalformedError(400, "Malformed Via", field="Via")
    transport, host, port, parameters = found.groups()
    if port and int(port) > 65535:
        raise MalformedError(400, "Malformed Via", field="Via")
    return Via(
        transport=transport.upper(),
        host=host,
        port=int(port) if port else None,
        parameters=Parameters.parse(parameters, "Via"),
    )


def parse_vias(lines: Sequence[str]) -> list[Via]:
    """Parse all Via values, the topmost first.

    Raises:
        MalformedError: One is malformed, or there are more than `grammar.MAX_VALUES`.
    """
    return [parse_via(value) for value in _values(lines, "Via")]


def parse_media_type(text: str, field: str = "Content-Type") -> MediaType:
    """Parse one media type; type and subtype are returned in lower case.

    Raises:
        MalformedError: It is malformed.
    """
    found = _MEDIA_TYPE.fullmatch(text)
    if found is None:
        raise MalformedError(400, f"Malformed {field}", field=field)
    kind, subtype, parameters = found.groups()
    return MediaType(f"{kind}/{subtype}".lower(), Parameters.parse(parameters, field))


def seconds(text: str | None) -> int | None:
    """Parse a header in seconds; too large a number becomes `LAST_SECOND`, any other text None."""
    digits = (text or "").partition(";")[0].strip(" \t")
    if not (digits.isascii() and digits.isdigit()):
        return None
    return min(int(digits), LAST_SECOND) if len(digits) <= 10 else LAST_SECOND


def _values(lines: Sequence[str], field: str) -> list[str]:
    values: list[str] = []
    for line in lines:
        values += grammar.split_list(line, field)
        if len(values) > grammar.MAX_VALUES:
            raise MalformedError(400, f"Too many values in {field}", field=field)
    return values
