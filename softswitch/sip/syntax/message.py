"""Parser of messages, and the beginning of their responses (RFC 3261 sections 7 and 8.2).

A message that `parse` returns is validated: none of its accessors raises. New messages are built from
`Request` and `Response` of this package, not from sipmessage's, since their `bytes` writes the true
Content-Length and no value is re-encoded.
"""

import hashlib
import re
from typing import TypeVar

import sipmessage
from sipmessage import Via

from softswitch.sip.syntax.field_values import parse_address, parse_via
from softswitch.sip.syntax.grammar import MalformedError, is_token, number, split_list
from softswitch.sip.syntax.headers import LONGEST_NAME, MOST_NAMES, Headers, long_name
from softswitch.sip.syntax.typed import Request, Response, accepts, is_wildcard
from softswitch.sip.syntax.uri import parse_uri

__all__ = [
    "MalformedError",
    "Request",
    "Response",
    "accepts",
    "copy_for_reply",
    "is_wildcard",
    "parse",
    "stamp_source",
    "stateless_tag",
    "with_body",
]

M = TypeVar("M", Request, Response)

MAX_BYTES = 65536
"""Bytes of the largest message."""
MAX_HEADERS = 256
"""Most header lines of one message."""

MAX_SEMICOLONS = 1500
"""Most semicolons in the headers of one message: parameters are what takes most time to parse."""

_FOLD = re.compile(r"\r\n[ \t]++")
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*))?+", re.IGNORECASE | re.DOTALL)
_VERSION = re.compile(r"SIP/[0-9]{1,4}\.[0-9]{1,4}", re.IGNORECASE)
_CALL_ID = re.compile(r"[^\s\x00-\x1f\x7f]{1,1024}")
_ANSWERABLE_VIA = re.compile(
    r"[ \t]*+SIP[ \t]*+/[ \t]*+[0-9.]++[ \t]*+/[ \t]*+[A-Z0-9\-]++[ \t]++[\[A-Z0-9]", re.IGNORECASE
)
_COPIED = tuple((name, name.lower()) for name in ("Via", "From", "To", "Call-ID", "CSeq"))
_field_names: dict[str, tuple[str, str]] = {}
"""Long forms of header names, as written and in lower case, by names as they came; it is bounded."""


def parse(data: bytes) -> Request | Response:
    """Parse one whole message.

    Args:
        data: One datagram, one WebSocket frame, or one message from `framer.StreamFramer`. Line ends before
            the start line are skipped (section 7.5); bytes after the Content-Length are dropped (section
            18.3).

    Raises:
        MalformedError: It is malformed; the `reply` of the error is the response to send, if any.
    """
    if len(data) > MAX_BYTES:
        raise MalformedError(513, "Message Too Large")
    head, blank, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    text = head.decode("utf-8", "surrogateescape")
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
    start_line, *lines = text.split("\r\n")
    headers = Headers()
    problem = _collect(text, lines, headers)
    if problem is None and not blank:
        problem = MalformedError(400, "Incomplete Headers")
    try:
        message = _begin(start_line)
        if problem is not None:
            raise problem
        message.headers = headers
        message.body = _true_body(headers, body)
        _check(message)
    except MalformedError as error:
        error.reply = _refusal(start_line, headers, error)
        raise
    message.is_received = True
    return message


def copy_for_reply(request: Request, code: int, reason: str, tag: str = "") -> Response:
    """Return a response with Via, From, To, Call-ID, CSeq and, for 101 to 299, Record-Route of `request`.

    Args:
        request: The request as it was received.
        code: 100 to 699; 100 copies Timestamp, too.
        reason: The reason phrase.
        tag: To tag, unless To has one; "" for no tag. Responses without a transaction take
            `stateless_tag`.
    """
    response = Response(code, reason)
    response.headers = _copied(request.headers, tag if code > 100 else "")
    if 100 < code < 300 and "Record-Route" in request.headers:
        response.headers.setlist("Record-Route", request.headers.getlist("Record-Route"))
    if code == 100 and "Timestamp" in request.headers:
        response.headers.set("Timestamp", request.headers["Timestamp"])
    return response


def with_body(message: M, body: bytes | str, content_type: str) -> M:
    """Set the body of `message` and return the message; an empty body removes Content-Type."""
    message.body = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else body
    if message.body:
        message.headers.set("Content-Type", content_type)
    else:
        message.headers.remove("Content-Type")
    return message


def stateless_tag(headers: Headers) -> str:
    """Return a To tag derived from a request, the same for each copy of it (RFC 3261 section 8.2.7)."""
    parts = (headers.get(name, "") or "" for name in ("Via", "From", "Call-ID", "CSeq"))
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def stamp_source(message: sipmessage.Message, host: str, port: int) -> None:
    """Write the source of a request into its topmost Via (RFC 3261 section 18.2.1, RFC 3581).

    Args:
        message: The request, or a response to it.
        host: IP address of the source, without brackets.
        port: Port of the source.
    """
    lines = message.headers.getlist("Via")
    try:
        first, *others = split_list(lines[0], "Via") if lines else [""]
        via = parse_via(first)
    except MalformedError:
        return
    if "rport" in via.parameters:
        parameters = via.parameters.replace(received=host, rport=str(port))
    elif via.host.strip("[]").lower() != host.lower():
        parameters = via.parameters.replace(received=host)
    else:
        return
    stamped = Via(via.transport, via.host, via.port, parameters)
    message.headers.setlist("Via", [str(stamped), *others, *lines[1:]])


def _collect(text: str, lines: list[str], headers: Headers) -> MalformedError | None:
    """Collect the header lines that can be read, for the refusal; return the first error.

    Args:
        text: The start line and the header lines, unfolded.
        lines: The header lines.
        headers: Gets the headers.
    """
    problem: MalformedError | None = None
    if len(lines) > MAX_HEADERS:
        problem = MalformedError(400, "Too Many Headers")
    elif text.count(";") > MAX_SEMICOLONS and sum(line.count(";") for line in lines) > MAX_SEMICOLONS:
        problem = MalformedError(400, "Too Many Parameters")
    # Each line end is a CR and an LF: what is more of either stands within a line.
    has_stray = not text.count("\r") == text.count("\n") == len(lines)
    entries = headers.entries
    for line in lines[:MAX_HEADERS]:
        written, colon, value = line.partition(":")
        name = _field_names.get(written) or _field_name(written)
        if not colon or name is None or (has_stray and ("\r" in value or "\n" in value)):
            problem = problem or MalformedError(400, "Malformed Header Line")
            continue
        low, known = name[1], entries.get(name[1])
        value = value.strip(" \t")
        entries[low] = (name[0], (value,)) if known is None else (known[0], (*known[1], value))
    return problem


def _field_name(written: str) -> tuple[str, str] | None:
    """Return the long form of a header name, as it is written and in lower case; None: it is no token."""
    name = written.rstrip(" \t")
    if not is_token(name):
        return None
    name = long_name(name)
    found = name, name.lower()
    if len(written) <= LONGEST_NAME:
        if len(_field_names) >= MOST_NAMES:
            _field_names.clear()
        _field_names[written] = found
    return found


def _begin(start_line: str) -> Request | Response:
    if start_line[:4].upper() == "SIP/":
        found = _STATUS_LINE.fullmatch(start_line)
        if found is None or "\n" in start_line or "\r" in start_line:
            raise MalformedError(400, "Malformed Status-Line")
        return Response(int(found.group(1)), found.group(2) or "")
    # Section 7.1: single spaces between the three parts, no white space at either end.
    parts = start_line.split(" ")
    if len(parts) != 3 or not is_token(parts[0]) or not _VERSION.fullmatch(parts[2]):
        raise MalformedError(400, "Malformed Request-Line")
    if parts[2].upper() != "SIP/2.0":
        raise MalformedError(505, "Version Not Supported")
    uri = parse_uri(parts[1], "Request-Line")
    if uri.headers:
        raise MalformedError(400, "Headers in Request-URI", field="Request-Line")
    return Request(parts[0], uri)


def _true_body(headers: Headers, body: bytes) -> bytes:
    lengths = headers.getlist("Content-Length")
    if not lengths:
        return body
    if len(lengths) > 1:
        raise MalformedError(400, "More than one Content-Length", field="Content-Length")
    length = number(lengths[0], "Content-Length", MAX_BYTES)
    if length > len(body):
        raise MalformedError(400, "Content-Length beyond the end", field="Content-Length")
    return body[:length]


def _check(message: Request | Response) -> None:
    """Read all headers once, so that their accessors do not raise later."""
    if "via" not in message.headers.entries:
        raise MalformedError(400, "Missing Via", field="Via")
    _ = message.top_via, message.from_address, message.to_address
    message.check_present()
    if not _CALL_ID.fullmatch(message.call_id):
        raise MalformedError(400, "Malformed Call-ID", field="Call-ID")
    cseq = message.cseq
    if isinstance(message, Response):
        return
    if cseq.method != message.method:
        raise MalformedError(400, "CSeq of another method", field="CSeq")
    if message.method != "REGISTER" and is_wildcard(message):
        raise MalformedError(400, "Malformed Contact", field="Contact")


def _refusal(start_line: str, headers: Headers, error: MalformedError) -> Response | None:
    """Return the response to a malformed request, None if it may not be answered."""
    method = start_line.partition(" ")[0]
    if not is_token(method) or method == "ACK" or start_line[:4].upper() == "SIP/":
        return None
    if not _ANSWERABLE_VIA.match(headers.get("Via") or ""):
        return None
    response = Response(error.code, error.reason)
    response.headers = _copied(headers, stateless_tag(headers))
    return response


def _copied(headers: Headers, tag: str) -> Headers:
    copies = Headers()
    for name, low in _COPIED:
        entry = headers.entries.get(low)
        if entry is not None:
            copies.entries[low] = (name, entry[1] if low == "via" else entry[1][:1])
    to = copies.get("To")
    if tag and to is not None and not _has_tag(to):
        copies.set("To", f"{to};tag={tag}")
    return copies


def _has_tag(to: str) -> bool:
    try:
        return "tag" in parse_address(to).parameters
    except MalformedError:
        return False
