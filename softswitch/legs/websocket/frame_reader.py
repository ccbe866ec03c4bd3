"""The reader of WebSocket messages that bypass aiohttp (RFC 6455 sections 5.2 and 5.4).

aiohttp puts each message into a queue and wakes a task for it, which costs three times what the audio of a
leg costs in the engine. This reader stands before aiohttp's parser from the first byte on, since only so it
knows where a frame begins. It takes the messages that have a callback, whole and in their order. Everything
else (other messages, control frames) passes through unchanged, frame by frame. aiohttp judges violations of
the protocol, but for those that it accepts: messages beyond a bound, frames with the mask of the wrong side
(section 5.1) and codes of Close that are never sent (section 7.4). Those end the reading here. Servers
(`/call`) use it for binary messages, stream clients for all messages.
"""

from collections.abc import Callable
from typing import Final

from softswitch.egress.websocket import Parser
from softswitch.legs.websocket.frames import (
    BINARY,
    CLOSE,
    FIN,
    MASKED,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    may_be_sent,
    measure,
    unmasked,
)

_CONTINUATION: Final = 0
_TEXT: Final = 1
_BINARY: Final = 2
_CONTROL: Final = 8
"""Lowest opcode of a control frame."""
_CLOSE: Final = 8
_WHOLE: Final = frozenset({BINARY, TEXT})
"""First bytes of frames that are messages by themselves."""
_LARGE: Final = 65536
"""Bytes from which a frame passes through in pieces; a shorter one only when it is whole."""

OnFault = Callable[[int, str], None]
"""Gets the code and the reason of the Close that a peer's violation asks for."""


class FrameReader:
    """Reader of one connection, on the side of the server or of the client."""

    def __init__(
        self,
        parser: Parser,
        on_binary: Callable[[bytes], None] | None = None,
        *,
        on_text: Callable[[bytes], None] | None = None,
        masked: bool = True,
        most: int = 0,
        on_fault: OnFault | None = None,
    ) -> None:
        """Begin at the boundary of a frame.

        Args:
            parser: gets everything that is not taken.
            on_binary: called with each binary message; None: these pass through.
            on_text: called with each text message; None: these pass through.
            masked: whether frames must be masked: true for frames of a client (section 5.1).
            most: bytes of the longest message; 0: unlimited.
            on_fault: called once, for the first violation; from then on only control frames pass through, so
                that the peer's Close is still read (section 7.1.1).
        """
        self._parser = parser
        self._on_binary, self._on_text = on_binary, on_text
        self._mask = MASKED if masked else 0
        self._most = most
        self._on_fault = on_fault
        self._buffer = bytearray()
        """The beginning of a frame that is not complete."""
        self._needed = 0
        """Bytes that the buffer must have before it is worth another look."""
        self._passing = 0
        """Bytes of a frame that are still to pass through."""
        self._skipping = 0
        """Bytes of a frame that are still to be discarded."""
        self._fragmented = False
        """A fragmented message is under way."""
        self._opcode = 0
        """Opcode of the fragmented message that is being taken; 0 where it passes through."""
        self._fragments = bytearray()
        self._gathered = 0
        """Bytes of the fragmented message so far, taken or passed through."""
        self._discards = False
        """There was a violation: all further data frames are discarded."""
        self._ended = False
        """The parser wants no further data."""
        self.heard = 0
        """Number of reads, for a check whether the peer is alive."""
        self.closing = False
        """Whether the peer has sent Close."""

    @property
    def most(self) -> int:
        """Bytes of the longest message; 0: unlimited."""
        return self._most

    @property
    def is_over(self) -> bool:
        """Whether no message will be taken any more: a Close or a violation came, or the end."""
        return self._ended or self._discards or self.closing

    @property
    def is_between(self) -> bool:
        """Whether another reader may take binary messages from the next byte on: a frame begins there."""
        within = self._buffer or self._passing or self._skipping or self._fragmented
        return not within and not self.is_over and self._on_binary is not None

    def take(self, on_binary: Callable[[bytes], None]) -> None:
        """Take binary messages from the next frame on."""
        self._on_binary = on_binary

    def feed_eof(self) -> None:
        """Pass the end of the connection on."""
        self._parser.feed_eof()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:  # noqa: PLR0915  (one loop for speed)
        """Read bytes in pieces of any size; return what the parser returned when it has ended."""
        self.heard += 1
        if self._ended:
            return False, b""
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return False, b""
            data = bytes(self._buffer)
            self._buffer.clear()
        at, end = 0, len(data)
        while at < end:
            if self._skipping:
                skipped = min(self._skipping, end - at)
                self._skipping -= skipped
                at += skipped
                continue
            if self._passing:
                passed = min(self._passing, end - at)
                self._passing -= passed
                answer = self._parser.feed_data(data[at : at + passed])
                at += passed
                if answer[0]:
                    self._ended = True
                    return answer
                continue
            head, length = measure(data, at)
            first = data[at]
            start = at + head
            if (
                first in _WHOLE
                and head
                and start + length <= end
                and (not self._most or length <= self._most)
                and data[at + 1] & MASKED == self._mask
                and not self._fragmented
                and not self._discards
            ):
                # Nearly all audio comes here: a whole message in one whole frame.
                receiver = self._on_binary if first == BINARY else self._on_text
                if receiver is not None:
                    at = start + length
                    receiver(unmasked(data, start, length) if self._mask else data[start:at])
                    continue
            if head and self._is_refused(first, data[at + 1], length):
                self._skipping = head + length
                continue
            is_taken = head > 0 and self._is_taken(first)
            if head == 0 or (at + head + length > end and (is_taken or length < _LARGE)):
                self._buffer += memoryview(data)[at:]
                self._needed = head + length
                break
            if first == CLOSE and not self._is_good_close(data, start, length):
                self.closing = True
                self._fail(PROTOCOL_ERROR, "the Close has a code that is never sent")
                at = start + length
                continue
            self._follow(first, length)
            if is_taken:
                payload = unmasked(data, start, length) if self._mask else data[start : start + length]
                self._take(first, payload)
                at = start + length
            else:
                self._passing = head + length
        return False, b""

    def _is_refused(self, first: int, second: int, length: int) -> bool:
        """Tell whether a frame is discarded: its mask is wrong, its message too large, or it is late."""
        if second & MASKED != self._mask:
            side = "client must" if self._mask else "server must not"
            self._fail(PROTOCOL_ERROR, f"frames of a {side} be masked")
            return True
        if first & 0x0F >= _CONTROL:
            return False
        if self._most and not self._discards and length + self._gathered > self._most:
            self._fail(TOO_BIG, f"a message is larger than {self._most} bytes")
        return self._discards

    def _is_good_close(self, data: bytes, start: int, length: int) -> bool:
        """Tell whether the code of a whole Close may stand there; aiohttp judges those that are too long."""
        if not 2 <= length <= 125:
            return True
        payload = unmasked(data, start, length) if self._mask else data[start : start + length]
        return may_be_sent(int.from_bytes(payload[:2]))

    def _fail(self, code: int, reason: str) -> None:
        """Discard all further data, and tell the first time why."""
        told, self._discards = self._discards, True
        self._fragments.clear()
        if not told and self._on_fault is not None:
            self._on_fault(code, reason)

    def _is_taken(self, first: int) -> bool:
        """Tell whether a frame is taken: a valid one of a message that has a callback (section 5.4)."""
        opcode = first & 0x7F  # with the reserved bits, which no taken frame has
        if opcode == _CONTINUATION:
            return bool(self._opcode)
        if self._fragmented:
            return False
        return (opcode == _BINARY and self._on_binary is not None) or (
            opcode == _TEXT and self._on_text is not None
        )

    def _follow(self, first: int, length: int) -> None:
        """Note the fragmented message or the Close that a frame belongs to."""
        opcode = first & 0x0F
        if opcode < _CONTROL:
            self._fragmented = not first & FIN
            self._gathered = self._gathered + length if self._fragmented else 0
        elif opcode == _CLOSE:
            self.closing = True

    def _take(self, first: int, payload: bytes) -> None:
        """Gather a fragment, or hand over the message that a frame completes."""
        opcode = first & 0x0F or self._opcode
        if not first & FIN:
            self._opcode = opcode
            self._fragments += payload
            return
        if self._opcode:
            payload = bytes(self._fragments) + payload
            self._fragments.clear()
            self._opcode = 0
        receiver = self._on_text if opcode == _TEXT else self._on_binary
        if receiver is not None:
            receiver(payload)


def watch_frames(
    protocol: object, *, most: int = 0, on_fault: OnFault | None = None, early: bytes = b""
) -> FrameReader | None:
    """Put a reader before the parser of an upgraded aiohttp connection of the server.

    Must be called before the first byte after the handshake is parsed: right after
    ``WebSocketResponse.prepare``, since no read can come in between.

    Uses one private member: ``RequestHandler._payload_parser``, the object that
    :meth:`RequestHandler.data_received` feeds once a connection is upgraded (aiohttp 3.14).

    Args:
        protocol: ``request.protocol``.
        most: bytes of the longest message; 0: unlimited.
        on_fault: called once for a violation.
        early: what :func:`take_early` returned before the handshake was answered; read first.

    Returns:
        The reader; None where aiohttp has no such member, and messages come by its queue.
    """
    parser = getattr(protocol, "_payload_parser", None)
    if parser is None or not hasattr(parser, "feed_data"):
        return None
    protocol._payload_parser = reader = FrameReader(parser, most=most, on_fault=on_fault)  # type: ignore[attr-defined]  # noqa: SLF001
    if early:
        reader.feed_data(early)
    return reader


def take_early(protocol: object) -> bytes:
    """Return what a client sent behind its handshake before the answer, and take it away from aiohttp.

    aiohttp would feed it to its own parser, past the reader, which then begins in the middle of a frame.
    Uses one private member: ``RequestHandler._message_tail`` (aiohttp 3.14).
    """
    early = getattr(protocol, "_message_tail", b"")
    if not early:
        return b""
    protocol._message_tail = b""  # type: ignore[attr-defined]  # noqa: SLF001
    return bytes(early)


def give_back(protocol: object, early: bytes) -> None:
    """Leave what :func:`take_early` took to aiohttp: the handshake is refused, and HTTP goes on."""
    if early:
        protocol._message_tail = early  # type: ignore[attr-defined]  # noqa: SLF001
