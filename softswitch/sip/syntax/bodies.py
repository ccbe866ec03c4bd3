"""Bodies of messages: session descriptions, alone or within a multipart body (RFC 5621)."""

import re

from softswitch.sip.syntax.message import Request, Response

SDP = "application/sdp"
MULTIPART = ("multipart/mixed", "multipart/alternative")
DESCRIPTIONS = (SDP, *MULTIPART)
"""Types of a body that may carry a session description."""
MOST_PARTS = 8
"""Parts of a multipart body that are searched."""

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,70}")
_TYPE = re.compile(rb"(?im)^(?:content-type|c)[ \t]*:[ \t]*([^\s;]+)")
_OPTIONAL = re.compile(rb"(?im)^content-disposition[ \t]*:.*;[ \t]*handling[ \t]*=[ \t]*\"?optional\b")


def content_type(message: Request | Response) -> str:
    """Return the media type of a body in lower case, without parameters; "" without a body or type."""
    named = message.content_type if message.body else None
    return named.mime_type.lower() if named else ""


def sdp_of(message: Request | Response) -> str | None:
    """Return the session description that a message carries, None if it carries no description."""
    kind = content_type(message)
    if kind == SDP:
        return _text(message.body)
    if kind in MULTIPART:
        return _sdp_part(message)
    return None


def unsupported(request: Request, types: tuple[str, ...]) -> dict[str, str] | None:
    """Return the headers of the 415 for a body of an unsupported type, None if the body is acceptable.

    A body with ``handling=optional`` is acceptable whatever its type (RFC 3261 section 20.11). A multipart
    body without a part of a supported type is acceptable if all its parts are optional (RFC 5621 section
    8.3): then it means nothing to this agent. Otherwise the request asks for something that the agent cannot
    do, and must not be taken for a request without a body, such as an INVITE that leaves the offer to the
    called party.

    Args:
        request: The request.
        types: Supported media types.
    """
    if not request.body:
        return None
    disposition = (request.headers.get("Content-Disposition") or "").lower().replace(" ", "")
    if "handling=optional" in disposition:
        return None
    encoding = (request.headers.get("Content-Encoding") or "identity").strip().lower()
    if encoding != "identity":
        return {"Accept-Encoding": "identity"}
    kind = content_type(request)
    if kind in types and (kind not in MULTIPART or _is_understood(request, types)):
        return None
    return {"Accept": ", ".join(types)}


def text_of(message: Request | Response) -> str:
    """Return a body as text; bytes that are not UTF-8 are replaced."""
    return _text(message.body)


def _parts(message: Request | Response) -> list[tuple[bytes, bytes]]:
    """Return head and content of the parts of a multipart body; none if its boundary is malformed."""
    named = message.content_type
    boundary = (named.parameters.get("boundary") if named else None) or ""
    if not _BOUNDARY.fullmatch(boundary):
        return []
    parts = []
    for part in message.body.split(b"--" + boundary.encode())[1 : MOST_PARTS + 1]:
        head, blank, content = part.lstrip(b"\r\n").partition(b"\r\n\r\n")
        if blank:
            parts.append((head, content))
    return parts


def _type_of(head: bytes) -> str:
    """Return the media type of a part in lower case; that of RFC 2045 section 5.2 where it names none."""
    found = _TYPE.search(head)
    return found[1].decode("ascii", "replace").lower() if found else "text/plain"


def _is_understood(message: Request | Response, types: tuple[str, ...]) -> bool:
    """Return whether a multipart body has a part of a supported type, or has optional parts only."""
    parts = _parts(message)
    return any(_type_of(head) in types for head, _ in parts) or (
        bool(parts) and all(_OPTIONAL.search(head) for head, _ in parts)
    )


def _sdp_part(message: Request | Response) -> str | None:
    for head, content in _parts(message):
        if _type_of(head) == SDP:
            # The line break before a boundary belongs to the boundary, but some senders count it as content.
            text = content.removesuffix(b"\r\n")
            return _text(text if text.endswith(b"\n") else text + b"\r\n")
    return None


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
