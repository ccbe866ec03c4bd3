"""Requests and responses: sipmessage's classes with accessors that use this package's grammar.

The library parses a header anew at each access, and raises ValueError, TypeError or AssertionError for
hostile text. Here each text is parsed once, by `message.parse`, before any other code sees the message.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import sipmessage
from sipmessage import Address, AuthChallenge, AuthCredentials, CSeq, MediaType, Via

from softswitch.sip.syntax import authentication, field_values, grammar
from softswitch.sip.syntax.grammar import MalformedError
from softswitch.sip.syntax.headers import Headers
from softswitch.sip.syntax.uri import URI

T = TypeVar("T")

_CSEQ = re.compile(rf"([0-9]{{1,10}})[ \t]++({grammar.TOKEN}++)")


class _Typed(sipmessage.Message):
    """Message whose headers are parsed by this package's grammar, once for each text."""

    headers: Headers

    def _begin(self) -> None:
        self.headers = Headers()
        self.is_received = False
        """Whether the message was parsed: what identifies it is not changed any more."""
        self.identity: Any = None
        """What `head.read_head` read from a received message."""
        self._read: dict[str, tuple[tuple[str, tuple[str, ...]] | None, Any]] = {}

    def _reading(self, name: str, read: Callable[[Sequence[str]], T]) -> T:
        """Return what a header says; `name` is in lower case."""
        entry = self.headers.entries.get(name)
        known = self._read.get(name)
        # Entries are replaced and never changed in place, so that identity tells whether they are as read.
        if known is None or known[0] is not entry:
            known = self._read[name] = (entry, read(entry[1] if entry else ()))
        value: T = known[1]
        return value

    def check_present(self) -> None:
        """Read the headers that are present once, so that their accessors do not raise later.

        Raises:
            MalformedError: A header is malformed.
        """
        entries, known = self.headers.entries, self._read
        for name, read in _READERS.items():
            entry = entries.get(name)
            if entry is not None:
                known[name] = entry, read(entry[1])

    # The library's setters are kept; mypy wants getter and setter side by side.
    @property
    def via(self) -> list[Via]:
        """The Via values, the topmost first."""
        return list(self._reading("via", field_values.parse_vias))

    @via.setter
    def via(self, value: list[Via]) -> None:
        self.headers.setlist("Via", [str(one) for one in value])

    @property
    def top_via(self) -> Via:
        """The topmost Via value, of a message that has one."""
        return self._reading("via", field_values.parse_vias)[0]

    @property
    def from_address(self) -> Address:
        """From: the party that sent the request."""
        return self._reading("from", _read_from)

    @from_address.setter
    def from_address(self, value: Address) -> None:
        self.headers.set("From", str(value))

    @property
    def to_address(self) -> Address:
        """To: the party that the request was meant for."""
        return self._reading("to", _read_to)

    @to_address.setter
    def to_address(self, value: Address) -> None:
        self.headers.set("To", str(value))

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        entry = self.headers.entries.get("call-id")
        return _only(entry[1] if entry else (), "Call-ID")

    @call_id.setter
    def call_id(self, value: str) -> None:
        self.headers.set("Call-ID", value)

    @property
    def cseq(self) -> CSeq:
        """Sequence number and method; the number is below 2**31."""
        return self._reading("cseq", _read_cseq)

    @cseq.setter
    def cseq(self, value: CSeq) -> None:
        self.headers.set("CSeq", str(value))

    @property
    def contact(self) -> list[Address]:
        """Contact addresses; also empty for ``*`` (see `is_wildcard`)."""
        return list(self._reading("contact", _read_contacts))

    @contact.setter
    def contact(self, value: list[Address]) -> None:
        self.headers.setlist("Contact", [str(one) for one in value])

    @property
    def route(self) -> list[Address]:
        """Routes that the request still has to visit."""
        return list(self._reading("route", _read_route))

    @route.setter
    def route(self, value: list[Address]) -> None:
        self.headers.setlist("Route", [str(one) for one in value])

    @property
    def record_route(self) -> list[Address]:
        """Proxies that stay on the path, the topmost first."""
        return list(self._reading("record-route", _read_record_route))

    @record_route.setter
    def record_route(self, value: list[Address]) -> None:
        self.headers.setlist("Record-Route", [str(one) for one in value])

    @property
    def content_type(self) -> MediaType | None:
        """Media type of the body in lower case, None without Content-Type."""
        return self._reading("content-type", _read_content_type)

    @content_type.setter
    def content_type(self, value: MediaType | None) -> None:
        self._set_optional_str("Content-Type", None if value is None else str(value))

    @property
    def max_forwards(self) -> int | None:
        """Hops that the request may still take, 0 to 255."""
        return self._reading("max-forwards", _read_max_forwards)

    @max_forwards.setter
    def max_forwards(self, value: int | None) -> None:
        self._set_optional_int("Max-Forwards", value)

    @property
    def expires(self) -> int | None:
        """Expires in seconds, None if absent or malformed; see `field_values.seconds`."""
        return field_values.seconds(self.headers.get("Expires"))

    @expires.setter
    def expires(self, value: int | None) -> None:
        self._set_optional_int("Expires", value)

    @property
    def min_expires(self) -> int | None:
        """Min-Expires in seconds, None if absent or malformed."""
        return field_values.seconds(self.headers.get("Min-Expires"))

    @min_expires.setter
    def min_expires(self, value: int | None) -> None:
        self._set_optional_int("Min-Expires", value)

    @property
    def content_length(self) -> int | None:
        """Content-Length as received; `bytes` writes the true length instead."""
        return field_values.seconds(self.headers.get("Content-Length"))

    @content_length.setter
    def content_length(self, value: int | None) -> None:
        self._set_optional_int("Content-Length", value)

    @property
    def authorization(self) -> AuthCredentials | None:
        """First well-formed Authorization; `authentication.readable_credentials` returns all."""
        found = authentication.readable_credentials(self.headers.getlist("Authorization"))
        return found[0] if found else None

    @authorization.setter
    def authorization(self, value: AuthCredentials | None) -> None:
        self._set_optional_str("Authorization", None if value is None else str(value))

    @property
    def proxy_authorization(self) -> AuthCredentials | None:
        """First well-formed Proxy-Authorization."""
        found = authentication.readable_credentials(self.headers.getlist("Proxy-Authorization"))
        return found[0] if found else None

    @proxy_authorization.setter
    def proxy_authorization(self, value: AuthCredentials | None) -> None:
        self._set_optional_str("Proxy-Authorization", None if value is None else str(value))

    @property
    def www_authenticate(self) -> AuthChallenge | None:
        """First well-formed WWW-Authenticate; `authentication.readable_challenges` returns all."""
        found = authentication.readable_challenges(self.headers.getlist("WWW-Authenticate"))
        return found[0] if found else None

    @www_authenticate.setter
    def www_authenticate(self, value: AuthChallenge | None) -> None:
        self._set_optional_str("WWW-Authenticate", None if value is None else str(value))

    @property
    def proxy_authenticate(self) -> AuthChallenge | None:
        """First well-formed Proxy-Authenticate."""
        found = authentication.readable_challenges(self.headers.getlist("Proxy-Authenticate"))
        return found[0] if found else None

    @proxy_authenticate.setter
    def proxy_authenticate(self, value: AuthChallenge | None) -> None:
        self._set_optional_str("Proxy-Authenticate", None if value is None else str(value))

    def _get_token_list(self, key: str) -> list[str]:
        # Overrides what the library's `require`, `supported`, `unsupported` and `proxy_require` call.
        name = key.lower()
        if name not in self.headers.entries:
            return []
        return list(self._reading(name, _TOKEN_LISTS.get(name) or _tokens_of(key)))

    def _wire(self, start_line: str, headers: Headers) -> bytes:
        lines = [start_line]
        for low, (name, values) in headers.entries.items():
            if low != "content-length":
                for value in values:
                    lines.append(f"{name}: {value}")  # noqa: PERF401  (two loops: a comprehension is slower)
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body


class Request(_Typed, sipmessage.Request):
    """A SIP request.

    Args:
        method: Method; it is case-sensitive.
        uri: Request-URI.
        body: Body.
    """

    uri: URI
    headers: Headers

    def __init__(self, method: str, uri: URI, body: bytes = b"") -> None:
        super().__init__(method, uri, body)
        self._begin()

    def __bytes__(self) -> bytes:
        return self._wire(f"{self.method} {self.uri} SIP/2.0", self.headers)


class Response(_Typed, sipmessage.Response):
    """A SIP response.

    Args:
        code: 100 to 699.
        phrase: Reason phrase.
        body: Body.
    """

    headers: Headers

    def __init__(self, code: int, phrase: str, body: bytes = b"") -> None:
        super().__init__(code, phrase, body)
        self._begin()

    def __bytes__(self) -> bytes:
        return self._wire(f"SIP/2.0 {self.code} {self.phrase}", self.headers)


def is_wildcard(message: sipmessage.Message) -> bool:
    """Return whether Contact is ``*``, which removes all bindings of an address of record."""
    return [line.strip(" \t") for line in message.headers.getlist("Contact")] == ["*"]


def accepts(message: sipmessage.Message, kind: str) -> bool:
    """Return whether the sender of `message` accepts bodies of a type (section 20.1).

    A message without Accept accepts every type.

    Args:
        message: The message; malformed values of its Accept are ignored.
        kind: Media type in lower case, such as ``application/sdp``.
    """
    lines = message.headers.getlist("Accept")
    if not lines:
        return True
    ranges = {
        part.partition(";")[0].strip(" \t").lower() for line in lines for part in line.split(",", 50)[:50]
    }
    return not ranges.isdisjoint({kind, kind.partition("/")[0] + "/*", "*/*"})


def _only(lines: Sequence[str], field: str) -> str:
    if len(lines) != 1 or not lines[0]:
        raise MalformedError(400, f"{'More than one' if len(lines) > 1 else 'Missing'} {field}", field=field)
    return lines[0]


def _read_cseq(lines: Sequence[str]) -> CSeq:
    found = _CSEQ.fullmatch(_only(lines, "CSeq"))
    if found is None or int(found.group(1)) >= 2**31:
        raise MalformedError(400, "Malformed CSeq", field="CSeq")
    return CSeq(int(found.group(1)), found.group(2))


def _read_from(lines: Sequence[str]) -> Address:
    return field_values.parse_address(_only(lines, "From"), "From")


def _read_to(lines: Sequence[str]) -> Address:
    return field_values.parse_address(_only(lines, "To"), "To")


def _read_route(lines: Sequence[str]) -> list[Address]:
    return field_values.parse_addresses(lines, "Route")


def _read_record_route(lines: Sequence[str]) -> list[Address]:
    return field_values.parse_addresses(lines, "Record-Route")


def _tokens_of(field: str) -> Callable[[Sequence[str]], list[str]]:
    """Return what reads a list of option tags."""

    def read(lines: Sequence[str]) -> list[str]:
        return grammar.split_tokens(", ".join(lines), field)

    return read


def _read_contacts(lines: Sequence[str]) -> list[Address]:
    if [line.strip(" \t") for line in lines] == ["*"]:
        return []
    return field_values.parse_addresses(lines, "Contact")


def _read_content_type(lines: Sequence[str]) -> MediaType | None:
    return (
        field_values.parse_media_type(_only(lines, "Content-Type"))
        if lines and tuple(lines) != ("",)
        else None
    )


def _read_max_forwards(lines: Sequence[str]) -> int | None:
    return grammar.number(_only(lines, "Max-Forwards"), "Max-Forwards", 255) if lines else None


_TOKEN_LISTS = {
    name.lower(): _tokens_of(name) for name in ("Require", "Proxy-Require", "Supported", "Unsupported")
}
_READERS: Mapping[str, Callable[[Sequence[str]], object]] = {
    "contact": _read_contacts,
    "content-type": _read_content_type,
    "route": _read_route,
    "record-route": _read_record_route,
    "max-forwards": _read_max_forwards,
    **_TOKEN_LISTS,
}
"""Readers of the headers that a message may lack, in the order in which their errors are reported."""
