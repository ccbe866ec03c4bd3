"""Messages cut from a stream by their Content-Length (RFC 3261 section 18.3), and keep-alives (RFC 5626)."""

import re
from enum import Enum

from softswitch.sip.message import MAX_BYTES

_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*+:((?:[^\r\n]|\r\n[ \t])*+)", re.IGNORECASE)
_LINE_END = b"\r\n"


class KeepAlive(Enum):
    """What a peer sends between messages so that the connection stays open (RFC 5626 section 4.4.1)."""

    PING = "ping"
    """Two line ends: answer with one (`PONG`)."""
    PONG = "pong"
    """One line end: the answer to a ping, or what some peers write after a message. Nothing to do."""


class StreamFramer:
    """Cut the bytes of one connection (TCP, TLS) into messages; a WebSocket frame is one message already."""

    def __init__(self) -> None:
        self.broken = ""
        """Why nothing more can be cut, "" while all is well: answer what came, then close the connection."""
        self._buffer = bytearray()
        self._searched = 0
        self._wanted = 0
        self._half_ping = False

    def feed(self, data: bytes) -> list[bytes | KeepAlive]:
        """Take the next bytes of the connection, and give what they complete.

        A message whose length makes no sense is given as its headers alone: `message.parse` refuses it and
        makes the 400. What follows it cannot be found, so that `broken` is set and everything is dropped.
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
        # Search each byte once, however slowly they drip in.
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(buffer)
            if len(buffer) > MAX_BYTES:
                self.broken = "headers without end"
            return None
        self._half_ping = False
        head = bytes(buffer[: end + 4])
        size = end + 4 + self._body_length(head)
        if size > MAX_BYTES:
            self.broken = "message too large"
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
        # The second half may come in the next segment; a pong told too early harms nobody.
        if self._buffer.startswith(_LINE_END):
            del self._buffer[:2]
            return KeepAlive.PING
        self._half_ping = True
        return KeepAlive.PONG

    def _body_length(self, head: bytes) -> int:
        lengths = _LENGTH.findall(head)
        # It must be there on streams (section 18.3). Where it is missing, no body is the likeliest reading.
        if not lengths:
            return 0
        digits = b"".join(lengths[0].split())
        if len(lengths) > 1 or not digits.isdigit() or len(digits) > 12:
            self.broken = "Content-Length cannot be read"
            return 0
        return int(digits)


def is_keep_alive(datagram: bytes) -> bool:
    """Tell whether a datagram or WebSocket frame keeps a NAT binding open: line ends, or zeros."""
    return not datagram.strip(b"\r\n\0")
