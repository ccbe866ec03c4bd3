"""Masking of a client's WebSocket frames (RFC 6455 section 5.3)."""

import os
from collections.abc import Callable
from typing import Final

from softswitch.legs.websocket.frames import MASKED, header, mask_bytes

_KEYS: Final = 4096
"""Keys that are drawn at a time: a system call for four bytes costs as much as the masking."""


class Mask:
    """Makes masked frames, each with a random key of its own."""

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        """Begin without keys; ``entropy`` returns random bytes."""
        self._entropy = entropy
        self._keys = b""
        self._at = 0

    def frame(self, first: int, payload: bytes) -> bytes:
        """Return a masked frame that begins with the byte `first`."""
        at = self._at
        if at == len(self._keys):
            self._keys, at = self._entropy(4 * _KEYS), 0
        self._at = at + 4
        key, data = self._keys[at : at + 4], bytearray(payload)
        mask_bytes(key, data)
        return b"".join((header(first, len(data), MASKED), key, data))
