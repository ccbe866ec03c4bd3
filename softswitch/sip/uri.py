"""URIs (RFC 3261 section 19.1, RFC 3966): reading, comparing, and what a switch wants to know of them."""

import dataclasses
import re
from collections.abc import Collection

import sipmessage

from softswitch.sip import grammar
from softswitch.sip.grammar import MalformedError
from softswitch.sip.parameters import UriParameters, decode, encode

_USER_SAFE = "-_.!~*'()&=+$,;?/"
_PASSWORD_SAFE = "-_.!~*'()&=+$,"
_SIP = re.compile(
    # "#" is no user character, and desk phones send it unescaped in star codes (sip:*21#@host).
    r"(?:((?:[A-Za-z0-9\-_.!~*'()&=+$,;?/#]|%[0-9A-Fa-f]{2})++)"
    r"(?::((?:[A-Za-z0-9\-_.!~*'()&=+$,]|%[0-9A-Fa-f]{2})*+))?+@)?"
    rf"({grammar.HOST})(?::([0-9]{{1,5}}))?+((?:;[^;?]*+)*+)(?:\?(.*))?+",
    re.DOTALL,
)
_TEL = re.compile(r"(\+?[0-9A-Fa-f*#\-.()]++)((?:;[^;?]*+)*+)")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+\-.]*+):(.++)", re.DOTALL)
_OPAQUE = re.compile(r"[^\x00-\x20\x7f<>\"]++")
_HEADER = re.compile(r"[^\x00-\x20\x7f<>\"]*+")
_VISUAL_SEPARATORS = str.maketrans("", "", "-.()")


@dataclasses.dataclass(frozen=True)
class URI(sipmessage.URI):
    """A SIP, SIPS or TEL URI; one of another scheme has all that follows the colon in `host`."""

    parameters: sipmessage.Parameters = dataclasses.field(default_factory=UriParameters)
    headers: str = ""
    """What follows the question mark, still escaped: `headers_of` reads it."""

    @classmethod
    def parse(cls, value: str) -> "URI":
        """Read one URI, as `parse_uri` does."""
        return parse_uri(value)

    def __str__(self) -> str:
        if self.scheme == "tel":
            return f"tel:{self.user}{self.parameters}"
        if self.scheme not in {"sip", "sips"}:
            return f"{self.scheme}:{self.host}"
        text = self.scheme + ":"
        if self.user is not None:
            text += encode(self.user, _USER_SAFE)
            if self.password is not None:
                text += ":" + encode(self.password, _PASSWORD_SAFE)
            text += "@"
        text += self.host
        if self.port is not None:
            text += f":{self.port}"
        text += str(self.parameters)
        return f"{text}?{self.headers}" if self.headers else text


def parse_uri(text: str, field: str = "URI") -> URI:
    """Read one URI of any scheme.

    Args:
        text: Without angle brackets and white space.
        field: Where it stands, for the error.

    Raises:
        MalformedError: It is no URI, or breaks the rules of its scheme.
    """
    found = _SCHEME.fullmatch(text)
    if found is None:
        raise MalformedError(400, f"Malformed URI in {field}", field=field)
    scheme, rest = found.group(1).lower(), found.group(2)
    if scheme in {"sip", "sips"}:
        return _parse_sip(scheme, rest, field)
    if scheme == "tel" and (found := _TEL.fullmatch(rest)):
        return URI(
            scheme=scheme, host="", user=found.group(1), parameters=UriParameters.parse(found.group(2), field)
        )
    if scheme == "tel" or not _OPAQUE.fullmatch(rest):
        raise MalformedError(400, f"Malformed URI in {field}", field=field)
    return URI(scheme=scheme, host=rest)


def _parse_sip(scheme: str, rest: str, field: str) -> URI:
    found = _SIP.fullmatch(rest)
    if found is None:
        raise MalformedError(400, f"Malformed URI in {field}", field=field)
    user, password, host, port, parameters, headers = found.groups()
    if (port and int(port) > 65535) or (headers and not _HEADER.fullmatch(headers)):
        raise MalformedError(400, f"Malformed URI in {field}", field=field)
    return URI(
        scheme=scheme,
        host=host,
        user=None if user is None else decode(user),
        password=None if password is None else decode(password),
        port=int(port) if port else None,
        parameters=UriParameters.parse(parameters, field),
        headers=headers or "",
    )


def headers_of(uri: sipmessage.URI) -> dict[str, str]:
    """Read the headers that a URI carries behind its question mark, such as Replaces in a Refer-To.

    Names are in lower case; of two of one name the first counts. At most 32 are read.
    """
    headers: dict[str, str] = {}
    for part in getattr(uri, "headers", "").split("&", 32)[:32]:
        name, equals, value = part.partition("=")
        if equals and name:
            headers.setdefault(decode(name).lower(), decode(value))
    return headers


def same_uri(one: sipmessage.URI, other: sipmessage.URI) -> bool:
    """Compare two URIs as RFC 3261 section 19.1.4 does (headers excepted, which no address of record has)."""
    if one.scheme != other.scheme:
        return False
    if one.scheme == "tel":
        return _digits(one.user) == _digits(other.user) and _folded(one) == _folded(other)
    if (one.user, one.password, one.port) != (other.user, other.password, other.port):
        return False
    if one.host.lower() != other.host.lower():
        return False
    mine, theirs = _folded(one), _folded(other)
    # user, ttl, method, maddr and transport count even when only one side has them; others only when both do.
    return all(
        mine.get(name) == theirs.get(name)
        for name in {*mine, *theirs}
        if (name in mine and name in theirs) or name in {"user", "ttl", "method", "maddr", "transport"}
    )


def _folded(uri: sipmessage.URI) -> dict[str, str]:
    return {name: (value or "").lower() for name, value in uri.parameters.items()}


def _digits(number: str | None) -> str:
    return (number or "").translate(_VISUAL_SEPARATORS).lower()


def number_of(uri: sipmessage.URI) -> str:
    """Give what was dialled: the user part or the telephone number, without parameters of the user part.

    Visual separators leave a `tel` URI and a user part marked ``user=phone``; "" where a URI names nobody.
    """
    user = (uri.user or "").partition(";")[0]
    if uri.scheme == "tel" or (uri.parameters.get("user") or "").lower() == "phone":
        return user.translate(_VISUAL_SEPARATORS)
    return user


def is_domain_of(uri: sipmessage.URI, domains: Collection[str]) -> bool:
    """Tell whether a URI names one of `domains` (in lower case); a `tel` URI names none, so it may be."""
    if uri.scheme == "tel":
        return True
    return uri.scheme in {"sip", "sips"} and uri.host.lower().rstrip(".") in domains


def address_of_record(uri: sipmessage.URI) -> str:
    """Give the key of a registrar's table: user and host alone (RFC 3261 section 10.3, step 5)."""
    user = "" if uri.user is None else encode(uri.user, _USER_SAFE) + "@"
    return f"sip:{user}{uri.host.lower().rstrip('.')}"
