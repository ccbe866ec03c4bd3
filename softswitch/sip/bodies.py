"""Bodies of messages: session descriptions, alone or within multipart/mixed (RFC 5621)."""

import re

from softswitch.sip.message import Request, Response

SDP = "application/sdp"
MOST_PARTS = 8
"""Parts of a multipart body that are looked at."""

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,70}")


def content_type(message: Request | Response) -> str:
    """Return the media type of a body in lower case, without parameters; "" where there is none."""
    named = message.content_type if message.body else None
    return named.mime_type.lower() if named else ""


def sdp_of(message: Request | Response) -> str | None:
    """Return the session description that a message carries, None where it carries none."""
    kind = content_type(message)
    if kind == SDP:
        return _text(message.body)
    if kind == "multipart/mixed":
        return _sdp_part(message)
    return None


def unsupported(request: Request, types: tuple[str, ...]) -> dict[str, str] | None:
    """Return the headers of a 415 for a body that is not understood, None for one that is, or need not be.

    Args:
        request: The request.
        types: Media types that are understood.
    """
    if not request.body:
        return None
    disposition = (request.headers.get("Content-Disposition") or "").lower().replace(" ", "")
    if "handling=optional" in disposition:
        return None
    encoding = (request.headers.get("Content-Encoding") or "identity").strip().lower()
    if encoding != "identity":
        return {"Accept-Encoding": "identity"}
    return None if content_type(request) in types else {"Accept": ", ".join(types)}


def text_of(message: Request | Response) -> str:
    """Return a body as text; what is no UTF-8 is replaced."""
    return _text(message.body)


def _sdp_part(message: Request | Response) -> str | None:
    named = message.content_type
    boundary = (named.parameters.get("boundary") if named else None) or ""
    if not _BOUNDARY.fullmatch(boundary):
        return None
    parts = message.body.split(b"--" + boundary.encode())[1 : MOST_PARTS + 1]
    for part in parts:
        head, blank, body = part.lstrip(b"\r\n").partition(b"\r\n\r\n")
        if blank and re.search(rb"(?im)^content-type[ \t]*:[ \t]*application/sdp\b", head):
            # The line break before a boundary belongs to the boundary; not all senders know.
            text = body.removesuffix(b"\r\n")
            return _text(text if text.endswith(b"\n") else text + b"\r\n")
    return None


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
