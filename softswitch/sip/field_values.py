"""Values of headers: addresses, Via, media types and times (RFC 3261 section 20)."""

import re

from sipmessage import Address, MediaType, Via

from softswitch.sip import grammar
from softswitch.sip.grammar import MalformedError
from softswitch.sip.parameters import Parameters
from softswitch.sip.uri import parse_uri

_NAME_ADDR = re.compile(
    # An unquoted name should be a list of tokens; what cannot be taken for another part is let through.
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
"""The longest time that a header in seconds can say (RFC 3261 section 20.19)."""


def parse_address(text: str, field: str = "address") -> Address:
    """Read one name-addr or addr-spec with its parameters.

    Raises:
        MalformedError: It is none.
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


def parse_addresses(lines: list[str], field: str) -> list[Address]:
    """Read all addresses of the header lines of one name.

    Raises:
        MalformedError: One of them is none, or there are more than `grammar.MAX_VALUES`.
    """
    return [parse_address(value, field) for value in _values(lines, field)]


def parse_via(text: str) -> Via:
    """Read one Via value; white space may stand around each of its slashes.

    Raises:
        MalformedError: It is none, or of another version of SIP.
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


def parse_vias(lines: list[str]) -> list[Via]:
    """Read all Via values, the topmost first.

    Raises:
        MalformedError: One of them is none, or there are more than `grammar.MAX_VALUES`.
    """
    return [parse_via(value) for value in _values(lines, "Via")]


def parse_media_type(text: str, field: str = "Content-Type") -> MediaType:
    """Read one media type; type and subtype come in lower case.

    Raises:
        MalformedError: It is none.
    """
    found = _MEDIA_TYPE.fullmatch(text)
    if found is None:
        raise MalformedError(400, f"Malformed {field}", field=field)
    kind, subtype, parameters = found.groups()
    return MediaType(f"{kind}/{subtype}".lower(), Parameters.parse(parameters, field))


def seconds(text: str | None) -> int | None:
    """Read a header in seconds: the largest for a number too large, None for what is no number."""
    digits = (text or "").partition(";")[0].strip(" \t")
    if not (digits.isascii() and digits.isdigit()):
        return None
    return min(int(digits), LAST_SECOND) if len(digits) <= 10 else LAST_SECOND


def _values(lines: list[str], field: str) -> list[str]:
    values: list[str] = []
    for line in lines:
        values += grammar.split_list(line, field)
        if len(values) > grammar.MAX_VALUES:
            raise MalformedError(400, f"Too many values in {field}", field=field)
    return values
