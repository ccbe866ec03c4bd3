"""The frame format of WebSockets (RFC 6455 section 5.2): headers, masks and Close frames."""

import struct
from collections.abc import Callable
from typing import Final

MaskBytes = Callable[[bytes, bytearray], None]


def mask_in_python(key: bytes, data: bytearray) -> None:
    """Mask data in place with a key of four bytes (section 5.3), or take the mask off."""
    length = len(data)
    # One exclusive or of two large integers is faster than any loop over bytes.
    repeated = (key * (length // 4 + 1))[:length]
    data[:] = (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(length, "little")


try:
    # Private to aiohttp 3.14, compiled, and does the same in a tenth of the time.
    from aiohttp._websocket.helpers import websocket_mask

    mask_bytes: MaskBytes = websocket_mask
except ImportError:
    mask_bytes = mask_in_python

FIN: Final = 0x80
TEXT: Final = 0x81
"""First byte of an unfragmented text message."""
BINARY: Final = 0x82
"""First byte of an unfragmented binary message."""
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A
MASKED: Final = 0x80
"""Bit of the second byte: a masking key of four bytes follows the length."""
PROTOCOL_ERROR: Final = 1002
"""Code of a Close: the peer violates the protocol (section 7.4.1)."""
TOO_BIG: Final = 1009
"""Code of a Close: a message is too large."""
_NEVER_SENT: Final = frozenset({1004, 1005, 1006})
"""Codes within the defined range that no Close may have."""


def measure(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Return the sizes of the header, with its masking key, and of the payload of a frame.

    Args:
        data: received bytes.
        at: position of the frame.

    Returns:
        Both sizes in bytes; a header of 0 where it is not complete yet.
    """
    end = len(data)
    if end - at < 2:
        return 0, 0
    length = data[at + 1] & 0x7F
    head = 6 if data[at + 1] & MASKED else 2
    if length == 126:  # the next two bytes have the length
        head += 2
        if end - at < 4:
            return 0, 0
        length = data[at + 2] << 8 | data[at + 3]
    elif length == 127:  # the next eight bytes have it
        head += 8
        if end - at < 10:
            return 0, 0
        length = int.from_bytes(data[at + 2 : at + 10])
    return (head, length) if end - at >= head else (0, 0)


def header(first: int, length: int, mask: int = 0) -> bytes:
    """Return the header of a frame; the masking key of a masked one follows it.

    Args:
        first: FIN bit and opcode.
        length: length of the payload in bytes.
        mask: `MASKED` for the frame of a client, 0 for that of a server.
    """
    if length < 126:
        return bytes((first, mask | length))
    if length < 65536:
        return struct.pack("!BBH", first, mask | 126, length)
    return struct.pack("!BBQ", first, mask | 127, length)


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """Return an unmasked Close frame (section 5.5.1); of the reason at most 123 bytes are kept."""
    payload = struct.pack("!H", code) + reason[:123]
    return header(CLOSE, len(payload)) + payload


def may_be_sent(code: int) -> bool:
    """Tell whether a Close may have a code (section 7.4 and IANA's registry of close codes)."""
    return (1000 <= code <= 1014 and code not in _NEVER_SENT) or 3000 <= code <= 4999


def unmasked(data: bytes, at: int, length: int) -> bytes:
    """Return a payload without its mask, whose key is the four bytes before it (section 5.3)."""
    key = data[at - 4 : at]
    if key == b"\0\0\0\0":
        return data[at : at + length]
    payload = bytearray(data[at : at + length])
    mask_bytes(key, payload)
    return bytes(payload)
