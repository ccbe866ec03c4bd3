"""Parts of a call's record as the store keeps them: JSON, compressed, since SIP repeats itself."""

import base64
import zlib
from typing import TypeVar

import msgspec

Part = TypeVar("Part")

SIP = "sip"
"""Part with the SIP messages of a call: a list of `softswitch.sip.trace.SipMessage`."""
QUALITY = "quality"
"""Part with the quality of a call's legs over time."""
MOST_BYTES = 16_777_216
"""Octets of the largest part, decompressed."""


def encode(part: object) -> str:
    """Return a part as the text that the store keeps."""
    return base64.b64encode(zlib.compress(msgspec.json.encode(part))).decode()


def decode(body: str, kind: type[Part]) -> Part | None:
    """Return a part of a type; None where `encode` did not make the text.

    Args:
        body: The text.
        kind: Type of the part.
    """
    try:
        unpacked = zlib.decompressobj().decompress(base64.b64decode(body), MOST_BYTES)
        return msgspec.json.decode(unpacked, type=kind)
    except (ValueError, zlib.error, msgspec.DecodeError):
        return None
