"""Messages of a stream written straight to the transport of its connection (RFC 6455 §5.2, §5.3).

Fifty messages a second for each track leave no time for a task and a queue per message: a frame is masked and
given to the transport at once. What the service is too slow for waits here, two seconds at most: then the
oldest audio goes. Marks and the word that the stream stops are never dropped.
"""

import asyncio
import os
import struct
from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np

MOST_MEDIA: Final = 100
"""Media messages of one track that wait for a slow service: two seconds."""
MOST_CONTROL: Final = 20_000
"""Other messages that wait; a service that asks for more and reads nothing is given up."""
_AHEAD: Final = 32_768
"""Bytes given to the transport that the network has not taken: some twenty messages."""
_TEXT: Final = 0x81
_KEYS: Final = 4096


class MaskedWriter:
    """Writes the text messages of one connection; the client's frames are masked with random keys."""

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        on_drop: Callable[[], None],
        *,
        most_media: int = MOST_MEDIA,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Take the transport of a connection that was upgraded without compression.

        Args:
            transport: The connection.
            on_drop: Called for each media message that is dropped.
            most_media: Media messages that may wait.
            entropy: Where masking keys come from.
        """
        self._transport = transport
        self._on_drop = on_drop
        self._most_media = most_media
        self._entropy = entropy
        self._keys = np.zeros(0, np.uint32)
        self._at = 0
        self._waiting: deque[tuple[bool, bytes]] = deque()
        self._media = 0
        self._ended = False

    @property
    def waiting(self) -> int:
        """Return how many messages wait."""
        return len(self._waiting)

    def media(self, message: bytes) -> None:
        """Send audio, or let it wait for its turn; the oldest audio gives way."""
        if self._waiting:
            self.flush()
        if not self._waiting and self._is_ready():
            self._write(message)
            return
        if self._ended:
            return
        self._waiting.append((True, message))
        self._media += 1
        if self._media > self._most_media:
            self._drop_oldest()

    def control(self, message: bytes) -> bool:
        """Send anything else; False where the service has not read anything for so long that it is lost."""
        if self._waiting:
            self.flush()
        if not self._waiting and self._is_ready():
            self._write(message)
        elif not self._ended:
            self._waiting.append((False, message))
        return len(self._waiting) - self._media <= MOST_CONTROL

    def flush(self) -> None:
        """Send what the network takes now."""
        while self._waiting and self._is_ready():
            is_media, message = self._waiting.popleft()
            self._media -= is_media
            self._write(message)

    def end(self) -> None:
        """Send nothing more."""
        self._ended = True
        self._waiting.clear()
        self._media = 0

    def _is_ready(self) -> bool:
        """Tell whether a write makes sense; uvloop's transports raise where asyncio's only warn."""
        transport = self._transport
        return not self._ended and not transport.is_closing() and transport.get_write_buffer_size() < _AHEAD

    def _drop_oldest(self) -> None:
        for place, (is_media, _) in enumerate(self._waiting):
            if is_media:
                del self._waiting[place]
                self._media -= 1
                self._on_drop()
                return

    def _write(self, message: bytes) -> None:
        self._transport.write(self._framed(message))

    def _framed(self, payload: bytes) -> bytes:
        """Return a masked text frame."""
        if self._at == len(self._keys):
            # Drawn by the thousand: asking the system for four bytes costs as much as the masking.
            self._keys = np.frombuffer(self._entropy(4 * _KEYS), np.uint32)
            self._at = 0
        key = self._keys[self._at : self._at + 1]
        self._at += 1
        length = len(payload)
        if length < 126:
            head = struct.pack("!BB", _TEXT, 0x80 | length)
        elif length < 65536:
            head = struct.pack("!BBH", _TEXT, 0xFE, length)
        else:
            head = struct.pack("!BBQ", _TEXT, 0xFF, length)
        words = np.frombuffer(payload + b"\0\0\0"[: -length % 4], np.uint32)
        masked = (words ^ key).tobytes()
        return b"".join((head, key.tobytes(), masked if len(masked) == length else masked[:length]))
