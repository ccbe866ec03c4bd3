"""One WebSocket to a stream's service, from the end of the handshake to the close."""

import asyncio
import contextlib
import socket as sockets
from collections.abc import Callable

from softswitch.call.interfaces import StreamOver
from softswitch.egress.websocket import Socket
from softswitch.legs.stream.dialect import Messages
from softswitch.legs.stream.reading import ServiceReader
from softswitch.legs.stream.stream_log import StreamLog
from softswitch.legs.websocket.frame_writer import FrameWriter
from softswitch.legs.websocket.heartbeat import Heartbeat
from softswitch.legs.websocket.masking import Mask
from softswitch.legs.websocket.shared_transport import FeedSocket, SharedTransport, share

HEARTBEAT_S = 20.0
"""A service that was silent for so long is pinged, and given up after half as long again."""
FLUSH_S = 2.0
"""Messages that wait for a slow service at the end have this long to be sent."""
MOST_MEDIA = 100
"""Media messages that wait for a slow service: two seconds of one track at 20 ms a message."""
MOST_CONTROL_BYTES = 2_097_152
"""Bytes of other messages that wait; a service that causes more of them and reads nothing is given up."""
_AHEAD = 32_768
"""Bytes in the transport beyond which media waits: some twenty media messages."""
KERNEL_BYTES = 65_536
"""Send buffer of the socket; the system's default would hold a minute of audio."""
_NORMAL = frozenset({1000, 1001, 1005})
"""Close codes of a service that ends the connection on purpose."""


class Connection:
    """One connection: its writer, the watch over a silent service, and how it ended."""

    def __init__(
        self,
        socket: Socket,
        transport: asyncio.WriteTransport,
        reader: ServiceReader,
        log: StreamLog,
        on_drop: Callable[[], None],
        *,
        binary_media: bool,
    ) -> None:
        """Take over an open WebSocket.

        Args:
            socket: The WebSocket.
            transport: Its transport, which media is written to.
            reader: Reads what the service sends.
            log: Of the stream.
            on_drop: Called for each media message that is dropped.
            binary_media: Whether media messages are binary.
        """
        self._socket, self._transport, self._reader, self._log = socket, transport, reader, log
        self._end: StreamOver | None = None
        """How the connection ended, where the client or a message of the service decided it."""
        self._closing: asyncio.Task[None] | None = None
        """Sends a Close that the client decided on: a fault of the service, or its last message."""
        _narrow(transport)
        self._writer = FrameWriter(
            transport,
            on_drop,
            limit=MOST_CONTROL_BYTES,
            ahead=_AHEAD,
            most_media=MOST_MEDIA,
            binary_media=binary_media,
            mask=Mask(),
        )
        self.media = self._writer.media
        """Sends a media message; one that a slow service has no room for waits, or is dropped."""
        self._shared: SharedTransport | None = None
        """The connection, while the tick of the media engine reads and writes it, too."""
        self._heartbeat: Heartbeat | None = None
        if (frames := reader.frames) is not None:
            self._heartbeat = Heartbeat(
                lambda: frames.heard + (self._shared.heard if self._shared is not None else 0),
                HEARTBEAT_S,
                ping=self._writer.ping,
                dead=self._dead,
            )

    def send(self, messages: Messages) -> None:
        """Send other messages; a service that has not read for too long is given up."""
        for message in messages:
            if not self._writer.control(message):
                self._log.warn("a service has not read for too long", f"{self._writer.waiting} messages wait")
                self.abort()

    # --- with the tick ------------------------------------------------------------------------

    def share(self, queue: FeedSocket, *, reads: bool) -> None:
        """Leave audio to the tick of the media engine, where that is possible; do nothing where it was.

        Args:
            queue: Of the stream.
            reads: Whether the service may speak.
        """
        frames, transport = self._reader.frames, self._transport
        if self._shared is not None or self._closing is not None or self._end or frames is None:
            return
        protocol = transport.get_protocol()
        if not isinstance(protocol, asyncio.Protocol):
            return
        shared = share(
            transport, protocol, frames, queue, listens=True, reads=reads, may_write=self._has_written
        )
        if shared is not None:
            self._shared = shared
            self._writer.through(shared)
            self._socket.share(shared.write, self.unshare)

    def unshare(self) -> None:
        """Leave all to the event loop from now on; idempotent."""
        shared, self._shared = self._shared, None
        if shared is not None:
            self._writer.through(self._transport)
            self._socket.share(None, None)
            shared.end()

    def look(self) -> None:
        """See to what the tick has left."""
        if self._shared is not None:
            self._shared.look()

    def _has_written(self) -> bool:
        """Write messages that wait; return whether all are written."""
        self._writer.flush()
        return not self._writer.waiting

    async def receive(self) -> None:
        """Wait for the end; messages come this way only where the reader could not be put in."""
        while (message := await self._socket.receive()) is not None:
            if isinstance(message, str):
                self._reader.take_text(message.encode())
            else:
                self._reader.take_binary(message)

    def _dead(self) -> None:
        self._log.warn("the service of a stream is dead", f"silent for {1.5 * HEARTBEAT_S:g} s")
        self.abort()

    # --- the end ----------------------------------------------------------------------------

    def close(self, code: int, reason: str, end: StreamOver | None = None) -> None:
        """Send a Close; ``end`` is how the connection ended, where a message of the service said so."""
        self._end = self._end or end
        self.unshare()
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._socket.close(code, reason))

    def abort(self, end: StreamOver | None = None) -> None:
        """Cut the connection."""
        self._end = self._end or end
        self.unshare()
        self._transport.abort()

    @property
    def is_parting(self) -> bool:
        """Whether it was decided how the connection ends."""
        return self._end is not None

    def over(self) -> StreamOver:
        """Return how the connection ended."""
        if self._end is not None:
            return self._end
        code, frames = self._socket.close_code, self._reader.frames
        said = frames.closing if frames is not None else code in _NORMAL
        if said and (code in _NORMAL or code is None):
            return StreamOver("closed", "the service closed the connection")
        return StreamOver("lost", f"the connection broke ({code})")

    async def flush(self) -> None:
        """Give a slow service some time to read what waits, the last messages at the end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                while self._writer.waiting:
                    self._writer.flush()
                    await asyncio.sleep(0.02)

    async def leave(self) -> None:
        """Send a Close, and wait for that of the service within a bound."""
        await self._socket.close(1000)

    async def release(self) -> None:
        """Drop what waits, and close what is open."""
        self.unshare()
        self._writer.end()
        heartbeat, self._heartbeat = self._heartbeat, None
        if heartbeat is not None:
            heartbeat.stop()
        if self._closing is not None:
            await asyncio.wait({self._closing})
        await self._socket.close(1000)


def _narrow(transport: asyncio.WriteTransport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, KERNEL_BYTES)
