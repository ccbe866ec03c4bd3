"""Masking of a client's WebSocket frames (RFC 6455 section 5.3)."""

import os
from collections.abc import Callable
from typing import Final

import numpy as np

from softswitch.legs.websocket.frames import MASKED, header

_KEYS: Final = 4096


class Mask:
    """Makes masked frames, each with a random key of its own."""

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        """Begin without keys; ``entropy`` returns random bytes."""
        self._entropy = entropy
        self._keys = np.zeros(0, np.uint32)
        self._at = 0

    def frame(self, first: int, payload: bytes) -> bytes:
        """Return a masked frame that begins with the byte `first`."""
        if self._at == len(self._keys):
            # Keys are drawn 4096 at a time: a system call for four bytes costs as much as the masking.
            self._keys = np.frombuffer(self._entropy(4 * _KEYS), np.uint32)
            self._at = 0
        key = self._keys[self._at : self._at + 1]
        self._at += 1
        length = len(payload)
        head = header(first, length, MASKED)
        # Masking is an XOR with the four bytes of the key, here on 32-bit words, padded to a whole one.
        words = np.frombuffer(payload + b"\0\0\0"[: -length % 4], np.uint32)
        masked = (words ^ key).tobytes()
        return b"".join((head, key.tobytes(), masked if len(masked) == length else masked[:length]))
