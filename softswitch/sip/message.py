"""Messages: from bytes to values that can be trusted, and what answers them (RFC 3261 sections 7 and 8.2).

What `parse` returns has been validated once: none of its accessors raises, whatever the peer wrote.
Build messages from `Request` and `Response` of here, not from sipmessage's, so that what is written is read
the same way; their `bytes` writes the true Content-Length.
"""

import dataclasses
import hashlib
import re
from typing import TypeVar

import sipmessage

from softswitch.sip.field_values import parse_address, parse_via
from softswitch.sip.grammar import MalformedError, is_token, number, split_list
from softswitch.sip.headers import Headers, long_name
from softswitch.sip.typed import Request, Response, accepts, is_wildcard
from softswitch.sip.uri import parse_uri

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
"""Largest message."""
MAX_HEADERS = 256
"""Most header lines of one message."""

MAX_SEMICOLONS = 1500
"""Most semicolons of one message's headers: what is read costs most by its parameters."""

_FOLD = re.compile(r"\r\n[ \t]++")
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*))?+", re.IGNORECASE | re.DOTALL)
_VERSION = re.compile(r"SIP/[0-9]{1,4}\.[0-9]{1,4}", re.IGNORECASE)
_CALL_ID = re.compile(r"[^\s\x00-\x1f\x7f]{1,1024}")
_ANSWERABLE_VIA = re.compile(
    r"[ \t]*+SIP[ \t]*+/[ \t]*+[0-9.]++[ \t]*+/[ \t]*+[A-Z0-9\-]++[ \t]++[\[A-Z0-9]", re.IGNORECASE
)
_COPIED = ("Via", "From", "To", "Call-ID", "CSeq")


def parse(data: bytes) -> Request | Response:
    """Read one whole message.

    Args:
        data: One datagram, one WebSocket frame, or what `framer.StreamFramer` cut from a stream. Line ends
            before the start line are passed over (section 7.5), bytes beyond the Content-Length are dropped
            (section 18.3).

    Raises:
        MalformedError: It cannot be read; its `reply` is the response it deserves, if any.
    """
    if len(data) > MAX_BYTES:
        raise MalformedError(513, "Message Too Large")
    head, blank, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    text = head.decode("utf-8", "surrogateescape")
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
    start_line, *lines = text.split("\r\n")
    headers = Headers()
    trouble = _collect(lines, headers)
    if trouble is None and not blank:
        trouble = MalformedError(400, "Incomplete Headers")
    try:
        message = _begin(start_line)
        if trouble is not None:
            raise trouble
        message.headers = headers
        message.body = _true_body(headers, body)
        _check(message)
    except MalformedError as error:
        error.reply = _refusal(start_line, headers, error)
        raise
    return message


def copy_for_reply(request: Request, code: int, reason: str, tag: str = "") -> Response:
    """Start a response to `request`: Via, From, To, Call-ID, CSeq and, for 101-299, Record-Route are copied.

    Args:
        request: As it came.
        code: 100 to 699; 100 takes along a Timestamp, too.
        reason: The reason phrase.
        tag: Put on the To where it has none; "" leaves it without, as 100 wants it. Replies that are kept
            nowhere take `stateless_tag`.
    """
    response = Response(code, reason)
    response.headers = _copied(request.headers, tag if code > 100 else "")
    if 100 < code < 300 and "Record-Route" in request.headers:
        response.headers.setlist("Record-Route", request.headers.getlist("Record-Route"))
    if code == 100 and "Timestamp" in request.headers:
        response.headers.set("Timestamp", request.headers["Timestamp"])
    return response


def with_body(message: M, body: bytes | str, content_type: str) -> M:
    """Give `message` a body, and give it back; an empty body takes the Content-Type away."""
    message.body = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else body
    if message.body:
        message.headers.set("Content-Type", content_type)
    else:
        message.headers.remove("Content-Type")
    return message


def stateless_tag(headers: Headers) -> str:
    """Derive a To tag from a request, the same for each of its copies (RFC 3261 section 8.2.7)."""
    parts = (headers.get(name, "") or "" for name in ("Via", "From", "Call-ID", "CSeq"))
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def stamp_source(message: sipmessage.Message, host: str, port: int) -> None:
    """Write where a request really came from into its topmost Via (RFC 3261 section 18.2.1, RFC 3581).

    Args:
        message: The request, or a reply to it that was made before.
        host: The source's IP address, an IPv6 one without brackets.
        port: The source's port.
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
    stamped = dataclasses.replace(via, parameters=parameters)
    message.headers.setlist("Via", [str(stamped), *others, *lines[1:]])


def _collect(lines: list[str], headers: Headers) -> MalformedError | None:
    """Read header lines as far as can be, since a refusal needs them, and tell what was wrong first."""
    trouble: MalformedError | None = None
    if len(lines) > MAX_HEADERS:
        trouble = MalformedError(400, "Too Many Headers")
    elif sum(line.count(";") for line in lines) > MAX_SEMICOLONS:
        trouble = MalformedError(400, "Too Many Parameters")
    for line in lines[:MAX_HEADERS]:
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        if not colon or not is_token(name) or "\r" in value or "\n" in value:
            trouble = trouble or MalformedError(400, "Malformed Header Line")
        else:
            headers.add(long_name(name), value.strip(" \t"))
    return trouble


def _begin(start_line: str) -> Request | Response:
    if start_line[:4].upper() == "SIP/":
        found = _STATUS_LINE.fullmatch(start_line)
        if found is None or "\n" in start_line or "\r" in start_line:
            raise MalformedError(400, "Malformed Status-Line")
        return Response(int(found.group(1)), found.group(2) or "")
    # One space each: "no LWS is allowed at the beginning or end", and none but one between (section 7.1).
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
    """Read everything once, so that nobody behind us meets an error."""
    if not message.via:
        raise MalformedError(400, "Missing Via", field="Via")
    _ = message.from_address, message.to_address, message.contact, message.content_type
    _ = message.route, message.record_route, message.max_forwards
    _ = message.require, message.proxy_require, message.supported, message.unsupported
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
    """Make the response to a request that could not be read, if it may have one."""
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
    for name in _COPIED:
        lines = headers.getlist(name)
        if lines:
            copies.setlist(name, lines if name == "Via" else lines[:1])
    to = copies.get("To")
    if tag and to is not None and not _has_tag(to):
        copies.set("To", f"{to};tag={tag}")
    return copies


def _has_tag(to: str) -> bool:
    try:
        return "tag" in parse_address(to).parameters
    except MalformedError:
        return False
