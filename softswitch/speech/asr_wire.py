"""What the recogniser's processes say to each other: a letter, a length, a body. Standard library only."""

import json
import struct
from typing import Any

BEGIN, AUDIO, END = b"B", b"A", b"E"
"""To the worker: an utterance begins (JSON), PCM16 at 16 kHz, it is over."""
READY, DELTA, FINAL = b"R", b"D", b"F"
"""From it, all JSON: it is there, what the utterance seems to say, what it said."""

RATE = 16000
"""Of all audio here, Hz."""
MAX_BODY = 1 << 20
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
