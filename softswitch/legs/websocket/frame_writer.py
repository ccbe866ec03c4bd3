"""Writer of WebSocket messages straight to the transport of an upgraded connection (RFC 6455 section 5.2).

Fifty messages a second for each track leave no time for a task and a queue per message: a frame is given to
the transport at once. Media for a slow reader is dropped: the newest, or the oldest of those that may wait.
Other messages are never dropped, and keep their place behind media that waits; the owner learns of a reader
that cannot even keep up with them.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from softswitch.legs.websocket.frames import BINARY, PING, TEXT, header
from softswitch.legs.websocket.masking import Mask


class Transport(Protocol):
    """The part of a transport that is used here."""

    def write(self, data: bytes) -> None:
        """Write, or let wait."""

    def is_closing(self) -> bool:
        """Tell whether the connection is closed, or about to be."""

    def get_write_buffer_size(self) -> int:
        """Return the number of bytes that wait."""


class FrameWriter:
    """Writer of the messages of one connection, of a server or of a client."""

    def __init__(
        self,
        transport: Transport,
        on_drop: Callable[[], None],
        *,
        limit: int,
        ahead: int = 65536,
        most_media: int = 0,
        binary_media: bool = True,
        mask: Mask | None = None,
    ) -> None:
        """Write to a connection that was upgraded without compression.

        Args:
            transport: The connection.
            on_drop: Called for each media message that is dropped.
            limit: Bytes that may wait, apart from media: see :meth:`control`.
            ahead: Bytes in the transport beyond which media waits or is dropped.
            most_media: Number of media messages that may wait; 0: none waits.
            binary_media: Whether media messages are binary; all others are text.
            mask: Masks the frames, as a client must; None for a server.
        """
        self._transport = transport
        self._on_drop = on_drop
        self._limit = limit
        self._ahead = min(ahead, limit)
        self._most_media = most_media
        self._media_head = BINARY if binary_media else TEXT
        self._mask = mask
        self._waiting: deque[tuple[bool, bytes]] = deque()
        self._media = 0
        self._control_bytes = 0
        """Bytes of the messages that wait and are no media."""
        self._ended = False

    @property
    def waiting(self) -> int:
        """Number of messages that wait for room in the transport."""
        return len(self._waiting)

    def through(self, transport: Transport) -> None:
        """Write to another end of the same connection from now on."""
        self._transport = transport

    def media(self, message: bytes) -> None:
        """Send a media message, or let it wait; beyond the bound one is dropped."""
        if self._waiting:
            self.flush()
        # A write to a closing transport raises under uvloop, where asyncio only warns.
        if self._ended or self._transport.is_closing():
            return
        if not self._waiting and self._has_room():
            self._write(self._media_head, message)
        elif not self._most_media:
            self._on_drop()
        else:
            self._waiting.append((True, message))
            self._media += 1
            if self._media > self._most_media:
                self._drop_oldest()

    def control(self, message: bytes) -> bool:
        """Send another message behind waiting media; return False where more than `limit` bytes wait."""
        if self._waiting:
            self.flush()
        if self._ended or self._transport.is_closing():
            return True
        if self._waiting:
            self._waiting.append((False, message))
            self._control_bytes += len(message)
        else:
            self._write(TEXT, message)
        return self._control_bytes + self._transport.get_write_buffer_size() <= self._limit

    def ping(self) -> None:
        """Send a ping, past messages that wait (section 5.5: control frames go between messages)."""
        if not self._ended and not self._transport.is_closing():
            self._write(PING, b"")

    def flush(self) -> None:
        """Send waiting messages as long as the transport has room."""
        while self._waiting and not self._transport.is_closing() and self._has_room():
            is_media, message = self._waiting.popleft()
            if is_media:
                self._media -= 1
                self._write(self._media_head, message)
            else:
                self._control_bytes -= len(message)
                self._write(TEXT, message)

    def end(self) -> None:
        """Drop what waits; later messages are dropped, too."""
        self._ended = True
        self._waiting.clear()
        self._media = self._control_bytes = 0

    def _has_room(self) -> bool:
        return self._transport.get_write_buffer_size() <= self._ahead

    def _drop_oldest(self) -> None:
        for place, (is_media, _) in enumerate(self._waiting):
            if is_media:
                del self._waiting[place]
                self._media -= 1
                self._on_drop()
                return

    def _write(self, first: int, message: bytes) -> None:
        if self._mask is None:
            self._transport.write(header(first, len(message)) + message)
        else:
            self._transport.write(self._mask.frame(first, message))
