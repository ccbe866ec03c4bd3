"""One client's WebSocket as a subscriber of its call."""

import asyncio
from collections.abc import Callable

from aiohttp import WSCloseCode, web

from softswitch.call.vocabulary.events import Event
from softswitch.legs.websocket.frame_reader import FrameReader
from softswitch.legs.websocket.frame_writer import FrameWriter
from softswitch.legs.websocket.shared_transport import FeedSocket, SharedTransport, share
from softswitch.log.tasks import spawn
from softswitch.web.server_socket import ServerSocket


class CallSocket:
    """Sends events and audio of one call over one WebSocket; never blocks, never raises."""

    def __init__(
        self,
        ws: web.WebSocketResponse,
        transport: asyncio.WriteTransport,
        limit: int,
        render: Callable[[Event, int], str],
        on_slow: Callable[[], None],
        on_drop: Callable[[], None],
    ) -> None:
        """Take an upgraded connection.

        Args:
            ws: It.
            transport: What it writes to.
            limit: Bytes that may wait for the reader before the socket is closed.
            render: The dialect.
            on_slow: Called when that happens.
            on_drop: Called for each audio message that the reader was too slow for.
        """
        self._ws = ws
        self.transport = transport
        self._render = render
        self._closing: asyncio.Task[object] | None = None
        self._on_slow = on_slow
        self._writer = FrameWriter(transport, on_drop, limit=limit)
        if isinstance(ws, ServerSocket):
            ws.parting = self._part
        self._shared: SharedTransport | None = None
        self._reading: tuple[asyncio.Protocol, FrameReader] | None = None
        self.indexed = False
        """Whether audio goes out by :meth:`audio` alone, its side in front (``option.subscribe``)."""
        self.wrap: Callable[[bytes], str] | None = None
        """Turns the leg's audio into a JSON event (``option.binaryEvents``)."""

    # --- with the tick --------------------------------------------------------------------

    def reads(self, protocol: asyncio.Protocol, frames: FrameReader) -> None:
        """Allow that the connection is shared from now on; a reader takes its binary messages."""
        self._reading = protocol, frames

    def share(self, queue: FeedSocket) -> None:
        """Leave audio to the tick of the media engine, where that is possible; do nothing where it was."""
        if self._reading is None or self._shared is not None or self._closing is not None:
            return
        listens = not self.indexed and self.wrap is None
        shared = share(self.transport, *self._reading, queue, listens=listens)
        if shared is not None:
            self._shared = shared
            self._writer.through(shared)
            if isinstance(self._ws, ServerSocket):
                self._ws.sharing = shared

    def unshare(self) -> None:
        """Leave all to the event loop from now on; idempotent."""
        shared, self._shared = self._shared, None
        if shared is not None:
            self._writer.through(self.transport)
            if isinstance(self._ws, ServerSocket):
                self._ws.sharing = None
            shared.end()

    def look(self) -> None:
        """See to what the tick has left."""
        if self._shared is not None:
            self._shared.look()

    def _part(self) -> None:
        self._writer.end()
        self._reading = None
        self.unshare()

    # --- what is sent -----------------------------------------------------------------------

    def event(self, event: Event, seq: int) -> None:
        """Send an event."""
        self.text(self._render(event, seq))

    def text(self, message: str) -> None:
        """Send a message that is no event of the call."""
        if not self._writer.control(message.encode("utf-8", "replace")):
            self._on_slow()
            self.close(WSCloseCode.TRY_AGAIN_LATER, "the client reads too slowly")

    def send_audio(self, data: bytes) -> None:
        """Send the audio of the leg itself, where the tick does not."""
        if self._shared is not None:
            self._shared.handled()
        if self.wrap is not None:
            self.text(self.wrap(data))
        elif not self.indexed:
            self._writer.media(data)

    def audio(self, side: int, pcm: bytes) -> None:
        """Send shared audio with the number of its side."""
        self._writer.media(bytes((side,)) + pcm)

    def close(self, code: int, reason: str) -> None:
        """Close the socket; idempotent."""
        if self._closing is None:
            self._writer.end()
            message = reason.encode()[:120].decode(errors="ignore").encode()
            closing = self._ws.close(code=code, message=message)
            self._closing = spawn(closing, package="web", name="close a WebSocket")

    async def closed(self) -> None:
        """Wait until a close that was begun is through."""
        if self._closing is not None:
            await self._closing
