"""Messages between the switch and the worker processes of its models: a letter, a length, a body.

The processes import this module, so it needs the standard library only.
"""

import json
import struct
from typing import Any

READY, FAILED = b"R", b"F"
"""From a worker (JSON): it is loaded; it cannot be loaded, or a job failed."""

JOB, BODY = b"J", b"B"
"""To a worker that does jobs: what to do (JSON), then the data to do it with."""
PIECE, DONE = b"P", b"D"
"""From it: a piece of the result (bytes), the result (JSON)."""

BEGIN, AUDIO, END = b"U", b"A", b"E"
"""To a worker that hears an utterance as it comes: it begins (JSON), PCM16 at 16 kHz, it has ended."""
DELTA, FINAL = b"T", b"L"
"""From it (JSON): the text so far, the text."""

RATE = 16000
"""Sample rate of all audio in these messages, Hz."""
MAX_BODY = 1 << 22
"""Bytes; a minute of PCM16 at 16 kHz has fewer."""
HEADER = struct.Struct("<cI")


def pack(kind: bytes, body: bytes = b"") -> bytes:
    """Return a message."""
    return HEADER.pack(kind, len(body)) + body


def pack_json(kind: bytes, body: dict[str, Any]) -> bytes:
    """Return a message with a JSON body."""
    return pack(kind, json.dumps(body).encode())


def unpack_header(data: bytes) -> tuple[bytes, int]:
    """Return the letter of a message and the length of its body.

    Raises:
        ValueError: the length is out of bounds.
    """
    kind, size = HEADER.unpack(data)
    if size > MAX_BODY:
        raise ValueError(f"a message of {size} bytes")
    return kind, size
