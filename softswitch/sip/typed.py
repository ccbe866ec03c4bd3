"""Requests and responses: sipmessage's, with the accessors the stack uses read by this package's grammar.

The library reads a header anew for each access, and raises ValueError, TypeError or AssertionError on hostile
text. Here each text is read once, and `message.parse` has done so before anybody sees the message.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import sipmessage
from sipmessage import Address, AuthChallenge, AuthCredentials, CSeq, MediaType, Via

from softswitch.sip import authentication, field_values, grammar
from softswitch.sip.grammar import MalformedError
from softswitch.sip.headers import Headers
from softswitch.sip.uri import URI

T = TypeVar("T")

_CSEQ = re.compile(rf"([0-9]{{1,10}})[ \t]++({grammar.TOKEN}++)")


class _Typed(sipmessage.Message):
    """Read headers by this package's grammar, once for each text they had."""

    def _begin(self) -> None:
        self.headers = Headers()
        self._read: dict[str, tuple[list[str], Any]] = {}

    def _reading(self, name: str, read: Callable[[list[str]], T]) -> T:
        lines = self.headers.getlist(name)
        known = self._read.get(name)
        if known is None or known[0] != lines:
            known = self._read[name] = (lines, read(lines))
        value: T = known[1]
        return value

    # The library's setters are kept; mypy wants getter and setter side by side.
    @property
    def via(self) -> list[Via]:
        """The Via values, the topmost first."""
        return list(self._reading("Via", field_values.parse_vias))

    @via.setter
    def via(self, value: list[Via]) -> None:
        self.headers.setlist("Via", [str(one) for one in value])

    @property
    def from_address(self) -> Address:
        """Who sent the request."""
        return self._reading("From", lambda lines: field_values.parse_address(_only(lines, "From"), "From"))

    @from_address.setter
    def from_address(self, value: Address) -> None:
        self.headers.set("From", str(value))

    @property
    def to_address(self) -> Address:
        """Whom the request was meant for."""
        return self._reading("To", lambda lines: field_values.parse_address(_only(lines, "To"), "To"))

    @to_address.setter
    def to_address(self, value: Address) -> None:
        self.headers.set("To", str(value))

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return _only(self.headers.getlist("Call-ID"), "Call-ID")

    @call_id.setter
    def call_id(self, value: str) -> None:
        self.headers.set("Call-ID", value)

    @property
    def cseq(self) -> CSeq:
        """The sequence number and method; the number is below 2**31."""
        return self._reading("CSeq", _read_cseq)

    @cseq.setter
    def cseq(self, value: CSeq) -> None:
        self.headers.set("CSeq", str(value))

    @property
    def contact(self) -> list[Address]:
        """The Contact addresses; empty for ``*`` too (see `is_wildcard`)."""
        return list(self._reading("Contact", _read_contacts))

    @contact.setter
    def contact(self, value: list[Address]) -> None:
        self.headers.setlist("Contact", [str(one) for one in value])

    @property
    def route(self) -> list[Address]:
        """The Route set that the request still has before it."""
        return list(self._reading("Route", lambda lines: field_values.parse_addresses(lines, "Route")))

    @route.setter
    def route(self, value: list[Address]) -> None:
        self.headers.setlist("Route", [str(one) for one in value])

    @property
    def record_route(self) -> list[Address]:
        """The proxies that want to stay on the path, the topmost first."""
        return list(
            self._reading("Record-Route", lambda lines: field_values.parse_addresses(lines, "Record-Route"))
        )

    @record_route.setter
    def record_route(self, value: list[Address]) -> None:
        self.headers.setlist("Record-Route", [str(one) for one in value])

    @property
    def content_type(self) -> MediaType | None:
        """The type of the body in lower case, None where none is named."""
        return self._reading("Content-Type", _read_content_type)

    @content_type.setter
    def content_type(self, value: MediaType | None) -> None:
        self._set_optional_str("Content-Type", None if value is None else str(value))

    @property
    def max_forwards(self) -> int | None:
        """How many more hops the request may take, 0 to 255."""
        return self._reading("Max-Forwards", _read_max_forwards)

    @max_forwards.setter
    def max_forwards(self, value: int | None) -> None:
        self._set_optional_int("Max-Forwards", value)

    @property
    def expires(self) -> int | None:
        """Expires in seconds: a number too large is the largest, one that is none is absent."""
        return field_values.seconds(self.headers.get("Expires"))

    @expires.setter
    def expires(self, value: int | None) -> None:
        self._set_optional_int("Expires", value)

    @property
    def min_expires(self) -> int | None:
        """Min-Expires in seconds, None where it is absent or no number."""
        return field_values.seconds(self.headers.get("Min-Expires"))

    @min_expires.setter
    def min_expires(self, value: int | None) -> None:
        self._set_optional_int("Min-Expires", value)

    @property
    def content_length(self) -> int | None:
        """Content-Length as it came; `bytes` writes the true one whatever stands here."""
        return field_values.seconds(self.headers.get("Content-Length"))

    @content_length.setter
    def content_length(self, value: int | None) -> None:
        self._set_optional_int("Content-Length", value)

    @property
    def authorization(self) -> AuthCredentials | None:
        """The first Authorization that can be read; `credentials` gives all."""
        found = authentication.readable_credentials(self.headers.getlist("Authorization"))
        return found[0] if found else None

    @authorization.setter
    def authorization(self, value: AuthCredentials | None) -> None:
        self._set_optional_str("Authorization", None if value is None else str(value))

    @property
    def proxy_authorization(self) -> AuthCredentials | None:
        """The first Proxy-Authorization that can be read."""
        found = authentication.readable_credentials(self.headers.getlist("Proxy-Authorization"))
        return found[0] if found else None

    @proxy_authorization.setter
    def proxy_authorization(self, value: AuthCredentials | None) -> None:
        self._set_optional_str("Proxy-Authorization", None if value is None else str(value))

    @property
    def www_authenticate(self) -> AuthChallenge | None:
        """The first WWW-Authenticate that can be read; `challenges` gives all."""
        found = authentication.readable_challenges(self.headers.getlist("WWW-Authenticate"))
        return found[0] if found else None

    @www_authenticate.setter
    def www_authenticate(self, value: AuthChallenge | None) -> None:
        self._set_optional_str("WWW-Authenticate", None if value is None else str(value))

    @property
    def proxy_authenticate(self) -> AuthChallenge | None:
        """The first Proxy-Authenticate that can be read."""
        found = authentication.readable_challenges(self.headers.getlist("Proxy-Authenticate"))
        return found[0] if found else None

    @proxy_authenticate.setter
    def proxy_authenticate(self, value: AuthChallenge | None) -> None:
        self._set_optional_str("Proxy-Authenticate", None if value is None else str(value))

    def _get_token_list(self, key: str) -> list[str]:
        return list(self._reading(key, lambda lines: grammar.split_tokens(", ".join(lines), key)))

    def _wire(self, start_line: str, headers: Headers) -> bytes:
        lines = [start_line]
        lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() != "content-length"]
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body


class Request(_Typed, sipmessage.Request):
    """A request.

    Args:
        method: In upper case; methods are compared as they are written.
        uri: The Request-URI.
        body: Its bytes.
    """

    uri: URI
    headers: Headers

    def __init__(self, method: str, uri: URI, body: bytes = b"") -> None:
        super().__init__(method, uri, body)
        self._begin()

    def __bytes__(self) -> bytes:
        return self._wire(f"{self.method} {self.uri} SIP/2.0", self.headers)


class Response(_Typed, sipmessage.Response):
    """A response.

    Args:
        code: 100 to 699.
        phrase: The reason phrase.
        body: Its bytes.
    """

    headers: Headers

    def __init__(self, code: int, phrase: str, body: bytes = b"") -> None:
        super().__init__(code, phrase, body)
        self._begin()

    def __bytes__(self) -> bytes:
        return self._wire(f"SIP/2.0 {self.code} {self.phrase}", self.headers)


def is_wildcard(message: sipmessage.Message) -> bool:
    """Tell whether the Contact is ``*``, with which a phone takes back all its registrations."""
    return [line.strip(" \t") for line in message.headers.getlist("Contact")] == ["*"]


def accepts(message: sipmessage.Message, kind: str) -> bool:
    """Tell whether the sender of `message` reads bodies of a type; who says nothing does (section 20.1).

    Args:
        message: Its Accept counts; a value that cannot be read counts as none.
        kind: Such as ``application/sdp``, in lower case.
    """
    lines = message.headers.getlist("Accept")
    if not lines:
        return True
    ranges = {
        part.partition(";")[0].strip(" \t").lower() for line in lines for part in line.split(",", 50)[:50]
    }
    return not ranges.isdisjoint({kind, kind.partition("/")[0] + "/*", "*/*"})


def _only(lines: list[str], field: str) -> str:
    if len(lines) != 1 or not lines[0]:
        raise MalformedError(400, f"{'More than one' if len(lines) > 1 else 'Missing'} {field}", field=field)
    return lines[0]


def _read_cseq(lines: list[str]) -> CSeq:
    found = _CSEQ.fullmatch(_only(lines, "CSeq"))
    if found is None or int(found.group(1)) >= 2**31:
        raise MalformedError(400, "Malformed CSeq", field="CSeq")
    return CSeq(int(found.group(1)), found.group(2))


def _read_contacts(lines: list[str]) -> list[Address]:
    if [line.strip(" \t") for line in lines] == ["*"]:
        return []
    return field_values.parse_addresses(lines, "Contact")


def _read_content_type(lines: list[str]) -> MediaType | None:
    return field_values.parse_media_type(_only(lines, "Content-Type")) if lines and lines != [""] else None


def _read_max_forwards(lines: list[str]) -> int | None:
    return grammar.number(_only(lines, "Max-Forwards"), "Max-Forwards", 255) if lines else None
