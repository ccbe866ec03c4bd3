"""Who calls and who is called, as it is written into an INVITE."""

import re
from collections.abc import Mapping

from softswitch.endpoints.sip.outgoing import DialError
from softswitch.errors import MalformedError
from softswitch.sip.uri import URI, number_of, parse_uri

_SCHEME = re.compile(r"(sips?|tel):", re.IGNORECASE)
_NUMBER = re.compile(r"\+?[0-9*#\-. ()/]+")
_SEPARATORS = str.maketrans("", "", "-. ()/")
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]{1,128}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

MAX_HEADERS = 64
MAX_HEADER = 4096
ANONYMOUS = "anonymous"


def read_callee(text: str) -> URI | None:
    """Return the URI that a callee is; None where it is a number or a name.

    Raises:
        DialError: it has the scheme of a telephone and is malformed.
    """
    if not _SCHEME.match(text):
        return None
    try:
        return parse_uri(text.strip(), "callee")
    except MalformedError as error:
        raise DialError(400, f"callee: {error}") from None


def number(text: str) -> str:
    """Return a number without what only makes it readable; a name stays as it is."""
    text = text.strip()
    return text.translate(_SEPARATORS) if _NUMBER.fullmatch(text) else text


def user_of(text: str) -> str:
    """Return the number or name of somebody who may also be written as a URI, "" where it names nobody."""
    if _SCHEME.match(text):
        try:
            return number_of(parse_uri(text.strip()))
        except MalformedError:
            return ""
    return number(text)


def sip_uri(user: str, host: str) -> str:
    """Return the address of a user at a host, which may have a port."""
    return str(URI("sip", host, user or None))


def written(host: str) -> str:
    """Return a host as URIs have it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def name_addr(uri: str, name: str = "") -> str:
    """Return an address with an optional display name, as From and To have it."""
    shown = _CONTROL.sub("", name).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{shown}" <{uri}>' if shown else f"<{uri}>"


def checked(headers: Mapping[str, str]) -> dict[str, str]:
    """Return further headers of a call.

    Raises:
        DialError: a name is no token, a value would begin another line, or there are too many.
    """
    if len(headers) > MAX_HEADERS:
        raise DialError(400, f"headers: more than {MAX_HEADERS}")
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise DialError(400, f"headers: {name[:40]!r} is no name of a header")
        if len(value) > MAX_HEADER or _CONTROL.search(value):
            raise DialError(400, f"headers: the value of {name} has control characters or is too long")
    return dict(headers)
