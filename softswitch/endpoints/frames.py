"""WebSocket frames written straight to the transport of an upgraded connection (RFC 6455 §5.2).

A server's frames are not masked, so a frame is a header of two to ten bytes and its payload. Written at once
from the loop there is no task and no queue between an event and the wire; the transport's own buffer is the
only queue, and it is bounded here: live audio is dropped first, and a reader that cannot even keep up with
control is told to the owner.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Final

_TEXT: Final = 0x81
_BINARY: Final = 0x82


class FrameWriter:
    """Writes text and binary messages of one connection."""

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        limit: int,
        on_slow: Callable[[], None],
        on_drop: Callable[[], None],
        audio_limit: int = 65536,
    ) -> None:
        """Take the transport of a connection that was upgraded without compression.

        Args:
            transport: The connection.
            limit: Bytes that may wait for the reader before ``on_slow`` is called, once.
            on_slow: Called when the reader is too slow; nothing is written any more.
            on_drop: Called for each binary message that is dropped.
            audio_limit: Bytes that may wait before binary messages are dropped.
        """
        self._transport = transport
        self._write = transport.write
        self._limit = limit
        self._audio_limit = min(audio_limit, limit)
        self._on_slow = on_slow
        self._on_drop = on_drop
        self._open = True

    def text(self, message: str) -> None:
        """Send a text message; never blocks."""
        if not self._alive():
            return
        payload = message.encode("utf-8", "replace")
        self._write(header(_TEXT, len(payload)) + payload)
        if self._transport.get_write_buffer_size() > self._limit:
            self._open = False
            self._on_slow()

    def binary(self, payload: bytes) -> None:
        """Send a binary message, or drop it where the reader is behind."""
        if not self._alive():
            return
        if self._transport.get_write_buffer_size() > self._audio_limit:
            self._on_drop()
            return
        self._write(header(_BINARY, len(payload)) + payload)

    def _alive(self) -> bool:
        """Tell whether a write makes sense; uvloop's transports raise where asyncio's only warn."""
        return self._open and not self._transport.is_closing()

    def stop(self) -> None:
        """Write nothing more: the connection is closing."""
        self._open = False


def header(first: int, length: int) -> bytes:
    """Return the header of an unmasked frame.

    Args:
        first: FIN bit and opcode.
        length: Length of the payload in bytes.
    """
    if length < 126:
        return bytes((first, length))
    if length < 65536:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)
