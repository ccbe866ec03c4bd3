"""Framing of stream transports by Content-Length (RFC 3261 section 18.3), and keep-alives (RFC 5626)."""

import re
from enum import Enum

from softswitch.sip.syntax.message import MAX_BYTES

_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*+:((?:[^\r\n]|\r\n[ \t])*+)", re.IGNORECASE)
_LINE_END = b"\r\n"


class KeepAlive(Enum):
    """Data between messages that keeps the connection open (RFC 5626 section 4.4.1)."""

    PING = "ping"
    """Two line ends, to be answered with one (`PONG`)."""
    PONG = "pong"
    """One line end: the answer to a ping, or what some peers write after a message. Ignore it."""


class StreamFramer:
    """Framer of one TCP or TLS connection (a WebSocket frame is one message, and needs no framer)."""

    def __init__(self) -> None:
        self.broken = ""
        """Why no further message can be found, "" without an error: answer what came, then close."""
        self._buffer = bytearray()
        self._searched = 0
        self._wanted = 0
        self._half_ping = False

    def feed(self, data: bytes) -> list[bytes | KeepAlive]:
        """Add received bytes and return the messages and keep-alives that they complete.

        A message with an invalid length is returned as its headers alone, which `message.parse` refuses with
        400. The message after it cannot be found, so `broken` is set and further bytes are dropped.
        """
        found: list[bytes | KeepAlive] = []
        self._buffer += data
        while (item := self._next()) is not None:
            found.append(item)
        if self.broken:
            self._buffer.clear()
        return found

    def _next(self) -> bytes | KeepAlive | None:
        buffer = self._buffer
        if self.broken or len(buffer) < self._wanted:
            return None
        if buffer.startswith(_LINE_END):
            return self._line_end()
        # Each byte is searched once, even if the bytes arrive one by one. Step back 3 bytes: the delimiter
        # has 4.
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(buffer)
            if len(buffer) > MAX_BYTES:
                self.broken = f"the headers exceed {MAX_BYTES} bytes"
            return None
        self._half_ping = False
        head = bytes(buffer[: end + 4])
        size = end + 4 + self._body_length(head)
        if size > MAX_BYTES:
            self.broken = f"the message exceeds {MAX_BYTES} bytes"
        if self.broken:
            return head
        if len(buffer) < size:
            self._searched, self._wanted = end, size
            return None
        message = bytes(buffer[:size])
        del buffer[:size]
        self._searched = self._wanted = 0
        return message

    def _line_end(self) -> KeepAlive:
        del self._buffer[:2]
        self._searched = 0
        if self._half_ping:
            self._half_ping = False
            return KeepAlive.PING
        # The second line end of a ping may come in the next segment; then PONG and PING are both returned.
        if self._buffer.startswith(_LINE_END):
            del self._buffer[:2]
            return KeepAlive.PING
        self._half_ping = True
        return KeepAlive.PONG

    def _body_length(self, head: bytes) -> int:
        lengths = _LENGTH.findall(head)
        # Content-Length is mandatory on streams (section 18.3). A message without it is taken to have no
        # body.
        if not lengths:
            return 0
        digits = b"".join(lengths[0].split())
        if len(lengths) > 1 or not digits.isdigit() or len(digits) > 12:
            self.broken = "Content-Length is malformed"
            return 0
        return int(digits)


def is_keep_alive(datagram: bytes) -> bool:
    """Return whether a datagram or WebSocket frame is a keep-alive: only line ends or zero bytes."""
    return not datagram.strip(b"\r\n\0")
