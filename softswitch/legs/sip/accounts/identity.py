"""Addresses and headers of an INVITE: callee, caller, display name, further headers of the application."""

import re
from collections.abc import Mapping

from softswitch.errors import MalformedError
from softswitch.legs.sip.dial_error import DialError
from softswitch.sip.syntax.reserved import FROM_CALL, first_reserved
from softswitch.sip.syntax.uri import URI, headers_of, number_of, parse_uri

_SCHEME = re.compile(r"(sips?|tel):", re.IGNORECASE)
_NUMBER = re.compile(r"\+?[0-9*#\-. ()/]+")
_SEPARATORS = str.maketrans("", "", "-. ()/")
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]{1,128}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

MAX_HEADERS = 64
MAX_HEADER = 4096
ANONYMOUS = "anonymous"


def read_callee(text: str) -> URI | None:
    """Parse a callee that is a SIP or tel URI; return None for a number or a name.

    Raises:
        DialError: the callee has one of these schemes and is malformed.
    """
    if not _SCHEME.match(text):
        return None
    try:
        return parse_uri(text.strip(), "callee")
    except MalformedError as error:
        raise DialError(400, f"callee: {error}") from None


def number(text: str) -> str:
    """Return a number without its separators; a name stays as it is."""
    text = text.strip()
    return text.translate(_SEPARATORS) if _NUMBER.fullmatch(text) else text


def user_of(text: str) -> str:
    """Return the number or name in an address that may be a URI; "" where the URI has none."""
    if _SCHEME.match(text):
        try:
            return number_of(parse_uri(text.strip()))
        except MalformedError:
            return ""
    return number(text)


def sip_uri(user: str, host: str) -> str:
    """Return the SIP URI of a user at a host; the host may have a port."""
    return str(URI("sip", host, user or None))


def written(host: str) -> str:
    """Return a host as it is written in URIs: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def referable(target: str) -> str:
    """Return the target of a REFER after a check of the headers in its URI; Replaces is allowed.

    Raises:
        DialError: the URI has a header that only the switch may set.
    """
    try:
        carried = headers_of(parse_uri(target.strip().strip("<>"), "callee"))
    except MalformedError:
        return target
    if reserved := first_reserved(carried, but=frozenset({"replaces"})):
        raise DialError(
            400, f"callee: the URI may not carry the header {reserved}, which the switch sets itself"
        )
    return target


def name_addr(uri: str, name: str = "") -> str:
    """Return the name-addr form of a URI, as used in From and To."""
    shown = _CONTROL.sub("", name).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{shown}" <{uri}>' if shown else f"<{uri}>"


def checked(headers: Mapping[str, str], *, but: frozenset[str] = FROM_CALL) -> dict[str, str]:
    """Check the further headers of a call and return a copy.

    Args:
        headers: name and value of each.
        but: names of reserved headers, lower case, that are allowed here.

    Raises:
        DialError: a name is malformed or reserved, a value is too long or has control characters, or there
            are too many.
    """
    if len(headers) > MAX_HEADERS:
        raise DialError(400, f"headers: at most {MAX_HEADERS} are allowed, {len(headers)} were given")
    if reserved := first_reserved(headers, but=but):
        raise DialError(400, f"headers: {reserved} may not be set, the switch sets it itself")
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise DialError(400, f"headers: {name[:40]!r} is not a header name")
        if len(value) > MAX_HEADER or _CONTROL.search(value):
            raise DialError(
                400,
                f"headers: the value of {name} has control characters or more than {MAX_HEADER} characters",
            )
    return dict(headers)
