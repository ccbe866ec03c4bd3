"""Binary messages of a client taken off its WebSocket as they arrive (RFC 6455 §5.2).

aiohttp reads a message into a queue and wakes a task for it: three times what the audio of a leg costs in the
engine. This reader stands before aiohttp's own, from the first byte on, since only so it knows where a frame
begins. Once it is told who takes audio, it takes whole unfragmented binary messages of moderate size
and hands them on at once; everything else (text, control frames, fragments, large messages, whatever breaks
the protocol) goes through untouched, frame by frame, and is judged by aiohttp alone.
"""

from collections.abc import Callable
from typing import Final, Protocol

_BINARY: Final = 0x82
"""FIN, no reserved bits, opcode 2."""
_LARGE: Final = 65536
_FIN: Final = 0x80


class Parser(Protocol):
    """What aiohttp feeds with the bytes of an upgraded connection."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes; return whether nothing more is wanted, and what was left over."""

    def feed_eof(self) -> None:
        """Take note of the end."""


class FrameReader:
    """Stands before a parser and takes the audio out."""

    def __init__(self, parser: Parser, on_binary: Callable[[bytes], None] | None = None) -> None:
        """Begin at the boundary of a frame.

        Args:
            parser: Gets everything that is not taken.
            on_binary: Called with the payload of each message that is; None passes everything on.
        """
        self._parser = parser
        self._on_binary = on_binary
        self._pending = b""
        self._passing = 0
        """Bytes of a large frame that are still to be passed on."""
        self._fragmented = False

    def take(self, on_binary: Callable[[bytes], None]) -> None:
        """Take binary messages from the next frame on."""
        self._on_binary = on_binary

    def feed_eof(self) -> None:
        """Pass the end on."""
        self._parser.feed_eof()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes in pieces of any size."""
        if self._pending:
            data, self._pending = self._pending + data, b""
        at, end = 0, len(data)
        while at < end:
            if self._passing:
                taken = min(self._passing, end - at)
                self._passing -= taken
                answer = self._parser.feed_data(data[at : at + taken])
                at += taken
                if answer[0]:
                    return answer
                continue
            head, length = _measure(data, at, end)
            if head == 0 or (length < _LARGE and at + head + length > end):
                self._pending = data[at:]
                break
            take = None if self._fragmented or length >= _LARGE else self._on_binary
            if take is not None and data[at] == _BINARY and data[at + 1] & 0x80:
                take(_unmasked(data, at + head, length))
                at += head + length
                continue
            self._follow(data[at])
            self._passing = head + length
        return False, b""

    def _follow(self, first: int) -> None:
        """Note whether a fragmented message is under way (§5.4): then a binary frame is aiohttp's."""
        opcode = first & 0x0F
        if opcode < 8:
            self._fragmented = not first & _FIN


def _measure(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the sizes of a frame's header and payload; a header of 0 where it is not whole yet."""
    if end - at < 2:
        return 0, 0
    length = data[at + 1] & 0x7F
    head = 6 if data[at + 1] & 0x80 else 2
    if length == 126:
        head += 2
        if end - at < head:
            return 0, 0
        length = data[at + 2] << 8 | data[at + 3]
    elif length == 127:
        head += 8
        if end - at < head:
            return 0, 0
        length = int.from_bytes(data[at + 2 : at + 10])
    return (head, length) if end - at >= head else (0, 0)


def _unmasked(data: bytes, at: int, length: int) -> bytes:
    """Return a payload without its mask, which stands in the four bytes before it (§5.3)."""
    payload, mask = data[at : at + length], data[at - 4 : at]
    if mask == b"\0\0\0\0" or not length:
        return payload
    # One exclusive or of two large numbers: quicker than any loop over bytes.
    repeated = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload) ^ int.from_bytes(repeated)).to_bytes(length)


def watch_frames(protocol: object) -> FrameReader | None:
    """Put a reader before the parser of an upgraded aiohttp connection; None where this aiohttp is another.

    To be called before the first byte behind the handshake was parsed: right after
    ``WebSocketResponse.prepare``, which no reading can come between.

    Uses one private member: ``RequestHandler._payload_parser``, the object that
    :meth:`RequestHandler.data_received` feeds once a connection is upgraded (aiohttp 3.14). Without it
    messages come by aiohttp's queue, only dearer.

    Args:
        protocol: ``request.protocol``.
    """
    parser = getattr(protocol, "_payload_parser", None)
    if parser is None or not hasattr(parser, "feed_data"):
        return None
    protocol._payload_parser = reader = FrameReader(parser)  # type: ignore[attr-defined]  # noqa: SLF001
    return reader
