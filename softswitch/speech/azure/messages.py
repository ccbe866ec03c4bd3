"""Messages of the speech protocol: headers like those of HTTP, then a body (Microsoft documentation)."""

import struct
from datetime import UTC, datetime

from softswitch.speech.hosted.wire import Message

_END = "\r\n\r\n"


def text_message(path: str, request_id: str, now: float, body: str) -> str:
    """Return a text message with JSON."""
    head = _head(path, request_id, now, "application/json; charset=utf-8")
    return f"{head}\r\n{body}"


def audio_message(request_id: str, now: float, audio: bytes) -> bytes:
    """Return a binary message: the length of the headers in two bytes, the headers, the audio."""
    head = _head("audio", request_id, now, "audio/x-wav").encode()
    return struct.pack(">H", len(head)) + head + audio


def _head(path: str, request_id: str, now: float, content_type: str) -> str:
    stamp = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return (
        f"Path: {path}\r\nX-RequestId: {request_id}\r\nX-Timestamp: {stamp}\r\n"
        f"Content-Type: {content_type}\r\n"
    )


def read(message: Message) -> tuple[dict[str, str], str] | None:
    """Return the headers (names in lower case) and the body of a text message; None for any other."""
    if isinstance(message, bytes):
        return None
    head, found, body = message.partition(_END)
    headers = {}
    for line in head.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return (headers, body) if found and "path" in headers else None
