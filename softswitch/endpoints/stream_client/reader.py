"""Messages of a service taken off its WebSocket as they arrive (RFC 6455 §5.2, §5.4).

aiohttp reads a message into a queue and wakes a task for it; this reader stands before aiohttp's own and
hands data messages on at once, whole and in their order. Control frames, and whatever breaks the protocol, go
through untouched and are judged by aiohttp alone.
"""

from collections.abc import Callable
from typing import Final

from softswitch.egress.websocket import Parser

_TEXT: Final = 1
_CLOSE: Final = 8
_FIN: Final = 0x80
_DATA: Final = frozenset({0, 1, 2})
"""Continuation, text and binary, without reserved bits."""


class MessageReader:
    """Stands before a parser and takes the messages out."""

    def __init__(
        self,
        parser: Parser,
        on_text: Callable[[bytes], None],
        on_binary: Callable[[bytes], None],
        on_large: Callable[[], None],
        *,
        most: int,
    ) -> None:
        """Begin at the boundary of a frame.

        Args:
            parser: Gets everything that is not taken.
            on_text: Called with each text message.
            on_binary: Called with each binary message.
            on_large: Called once for a message of more than `most` bytes; nothing is taken any more.
            most: Bytes of the longest message.
        """
        self._parser = parser
        self._on_text, self._on_binary, self._on_large = on_text, on_binary, on_large
        self._most = most
        self._buffer = bytearray()
        self._message = bytearray()
        """Fragments of the message under way."""
        self._opcode = 0
        """Of the message whose continuation is awaited; 0: none."""
        self._over = False
        self.heard = 0
        """Times that something came."""
        self.closing = False
        """Whether the far end has said that it closes."""

    def feed_eof(self) -> None:
        """Pass the end on."""
        self._parser.feed_eof()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes in pieces of any size."""
        self.heard += 1
        if self._over:
            return False, b""
        if self._buffer:
            self._buffer += data
            return self._feed_buffered()
        at, answer = self._take(data)
        if at < len(data) and not self._over:
            self._buffer += memoryview(data)[at:]
        return answer

    def _feed_buffered(self) -> tuple[bool, bytes]:
        # A large message comes in many pieces: look again only once all of it can be there.
        head, length = _measure(self._buffer, 0)
        if head == 0 or (length <= self._most and len(self._buffer) < head + length):
            return False, b""
        data = bytes(self._buffer)
        self._buffer.clear()
        at, answer = self._take(data)
        if at < len(data) and not self._over:
            self._buffer += memoryview(data)[at:]
        return answer

    def _take(self, data: bytes) -> tuple[int, tuple[bool, bytes]]:
        """Take whole frames; return where the next one begins, and what aiohttp said."""
        at, end = 0, len(data)
        while not self._over:
            head, length = _measure(data, at)
            if head == 0:
                break
            if length > self._most:
                self._too_large()
                break
            if at + head + length > end:
                break
            first = data[at]
            if not self._is_data(first, data[at + 1]):
                self.closing |= first & 0x0F == _CLOSE
                answer = self._parser.feed_data(data[at : at + head + length])
                if answer[0]:
                    self._over = True
                    return end, answer
            else:
                self._data(first, data[at + head : at + head + length])
            at += head + length
        return at, (False, b"")

    def _is_data(self, first: int, second: int) -> bool:
        """Tell whether a frame is ours; one that breaks the protocol (§5.1, §5.4) is aiohttp's."""
        opcode = first & 0x7F
        awaited = (opcode == 0) == bool(self._opcode)
        return opcode in _DATA and awaited and not second & 0x80

    def _data(self, first: int, payload: bytes) -> None:
        opcode = first & 0x0F or self._opcode
        if len(self._message) + len(payload) > self._most:
            self._too_large()
        elif not first & _FIN:
            self._opcode = opcode
            self._message += payload
        else:
            if self._opcode:
                payload = bytes(self._message) + payload
                self._message.clear()
                self._opcode = 0
            (self._on_text if opcode == _TEXT else self._on_binary)(payload)

    def _too_large(self) -> None:
        self._over = True
        self._buffer.clear()
        self._message.clear()
        self._on_large()


def _measure(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Return the sizes of a frame's header and payload; a header of 0 where it is not whole yet."""
    end = len(data)
    if end - at < 2:
        return 0, 0
    second = data[at + 1]
    length = second & 0x7F
    head = 6 if second & 0x80 else 2
    if length == 126:
        head += 2
        if end - at < 4:
            return 0, 0
        length = data[at + 2] << 8 | data[at + 3]
    elif length == 127:
        head += 8
        if end - at < 10:
            return 0, 0
        length = int.from_bytes(data[at + 2 : at + 10])
    return (head, length) if end - at >= head else (0, 0)
