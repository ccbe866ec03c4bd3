"""URIs: parser, comparison, number, domain and address of record (RFC 3261 section 19.1, RFC 3966)."""

import dataclasses
import re
from collections.abc import Collection

import sipmessage

from softswitch.sip.syntax import grammar
from softswitch.sip.syntax.grammar import MalformedError
from softswitch.sip.syntax.parameters import UriParameters, decode, encode
from softswitch.sip.syntax.remembered import remembered

_USER_SAFE = "-_.!~*'()&=+$,;?/"
_PASSWORD_SAFE = "-_.!~*'()&=+$,"
_SIP = re.compile(
    # RFC 3261 forbids "#" in a user part, but desk phones send it unescaped in star codes (sip:*21#@host).
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
    """A SIP, SIPS or TEL URI; for other schemes, `host` holds everything after the colon."""

    parameters: sipmessage.Parameters = dataclasses.field(default_factory=UriParameters)
    headers: str = ""
    """Text after the question mark, still escaped; `headers_of` parses it."""

    @classmethod
    def parse(cls, value: str) -> "URI":
        """Parse a URI; see `parse_uri`."""
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


@remembered
def parse_uri(text: str, field: str = "URI") -> URI:
    """Parse a URI of any scheme.

    Args:
        text: URI without angle brackets and white space.
        field: Header or setting that contains it, for the error.

    Raises:
        MalformedError: It is not a URI, or violates the rules of its scheme.
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
    """Return the headers of a URI, such as Replaces in a Refer-To.

    Names are in lower case. The first of several headers with one name counts. At most 32 are read.
    """
    headers: dict[str, str] = {}
    for part in getattr(uri, "headers", "").split("&", 32)[:32]:
        name, equals, value = part.partition("=")
        if equals and name:
            headers.setdefault(decode(name).lower(), decode(value))
    return headers


def same_uri(one: sipmessage.URI, other: sipmessage.URI) -> bool:
    """Return whether two URIs are equal by RFC 3261 section 19.1.4; their headers are not compared."""
    if one.scheme != other.scheme:
        return False
    if one.scheme == "tel":
        return _digits(one.user) == _digits(other.user) and _folded(one) == _folded(other)
    if (one.user, one.password, one.port) != (other.user, other.password, other.port):
        return False
    if one.host.lower() != other.host.lower():
        return False
    first, second = _folded(one), _folded(other)
    # user, ttl, method, maddr and transport count even if only one URI has them, others only if both do.
    return all(
        first.get(name) == second.get(name)
        for name in {*first, *second}
        if (name in first and name in second) or name in {"user", "ttl", "method", "maddr", "transport"}
    )


def _folded(uri: sipmessage.URI) -> dict[str, str]:
    return {name: (value or "").lower() for name, value in uri.parameters.items()}


def _digits(number: str | None) -> str:
    return (number or "").translate(_VISUAL_SEPARATORS).lower()


def number_of(uri: sipmessage.URI) -> str:
    """Return the dialled number or name: the user part without its parameters, "" if there is no user part.

    Visual separators are removed from `tel` URIs and from user parts marked ``user=phone``.
    """
    user = (uri.user or "").partition(";")[0]
    if uri.scheme == "tel" or (uri.parameters.get("user") or "").lower() == "phone":
        return user.translate(_VISUAL_SEPARATORS)
    return user


def is_domain_of(uri: sipmessage.URI, domains: Collection[str]) -> bool:
    """Return whether a URI belongs to one of `domains` (in lower case); every `tel` URI does."""
    if uri.scheme == "tel":
        return True
    return uri.scheme in {"sip", "sips"} and uri.host.lower().rstrip(".") in domains


def address_of_record(uri: sipmessage.URI) -> str:
    """Return the address of record of a URI: scheme, user and host alone (RFC 3261 section 10.3 step 5)."""
    user = "" if uri.user is None else encode(uri.user, _USER_SAFE) + "@"
    return f"sip:{user}{uri.host.lower().rstrip('.')}"
