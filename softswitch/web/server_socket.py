"""aiohttp's WebSocket, closed as RFC 6455 demands; every WebSocket that the switch serves is one.

aiohttp closes TCP at once where another task reads while it says Close, and answers each Close with 1000. It
cuts a peer off in the middle of a message that is too large. The peer sees 1006 in place of the reason. It
takes drafts of the protocol (versions 7 and 8) for version 13, and frames without a mask.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_protocol import RequestHandler

from softswitch.legs.websocket.frame_reader import FrameReader, give_back, take_early, watch_frames
from softswitch.legs.websocket.frames import PING, PONG, close_frame, header
from softswitch.legs.websocket.heartbeat import Heartbeat
from softswitch.legs.websocket.shared_transport import SharedTransport
from softswitch.log.tasks import spawn

CLOSE_S = 2.0
"""Time that a peer has to answer a Close, in seconds (RFC 6455 section 7.1.1)."""
VERSION = "13"
"""The one version of the protocol (section 4.4)."""
_TAKES_FRAMES = hasattr(RequestHandler, "_payload_parser")
"""Whether this aiohttp lets a frame reader in, which counts the reads of heartbeats."""
_GONE = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


class ServerSocket(web.WebSocketResponse):
    """A WebSocket whose TCP connection ends after the peer's Close, or two seconds after its own."""

    def __init__(
        self, *, most: int, heartbeat_s: float | None = None, protocols: tuple[str, ...] = ()
    ) -> None:
        """Prepare.

        Args:
            most: bytes of the longest message; a longer one is not kept, and closes with 1009.
            heartbeat_s: time between pings, in seconds.
            protocols: sub-protocols that are spoken.
        """
        super().__init__(
            # The frame reader judges sizes first: aiohttp stops reading, and with it the peer's Close.
            max_msg_size=most + 1,
            heartbeat=None if _TAKES_FRAMES else heartbeat_s,
            protocols=protocols,
            compress=False,
            timeout=CLOSE_S,
            autoclose=False,
        )
        self.frames: FrameReader | None = None
        """Takes audio off the connection; None before `prepare`, and where this aiohttp is another."""
        self.parting: Callable[[], None] | None = None
        """Called before a Close is sent: no data may follow it (section 5.5.1)."""
        self.sharing: SharedTransport | None = None
        """Writes while the tick of the media engine writes, too."""
        self._most = most
        self._heartbeat_s = heartbeat_s or 0.0
        self._watch: Heartbeat | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._receiving: asyncio.Task[Any] | None = None
        self._left = False
        """The task that read was cancelled."""
        self._changed = asyncio.Event()
        self._said = False
        self._heard = False
        self._has_parted = False
        """A Close is sent, or about to be: no ping may follow it (section 5.5.1)."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Shake hands, and look at frames from the first on.

        Raises:
            web.HTTPException: This is no handshake (400), or one of another version (426).
        """
        if request.headers.get("Upgrade", "").strip().lower() == "websocket":
            _check_version(request)
        early = take_early(request.protocol)
        try:
            writer = await super().prepare(request)
        except web.HTTPException:
            give_back(request.protocol, early)
            raise
        self._transport = request.transport
        if self.frames is None:  # aiohttp prepares a second time when the handler has returned
            frames = watch_frames(request.protocol, most=self._most, on_fault=self._fault, early=early)
            self.frames = frames
            if frames is not None and self._heartbeat_s:
                self._watch = Heartbeat(
                    lambda: frames.heard + (self.sharing.heard if self.sharing is not None else 0),
                    self._heartbeat_s,
                    ping=self._ask,
                    dead=self._give_up,
                )
        return writer

    async def receive(self, timeout: float | None = None) -> WSMessage:  # noqa: ASYNC109
        """Return the next message; the peer's Close is answered with its own code (section 5.5.1)."""
        self._receiving = asyncio.current_task()
        self._left = True
        try:
            message: WSMessage = await super().receive(timeout)
            self._left = False
        finally:
            self._receiving = None
            self._changed.set()
        if message.type is WSMsgType.CLOSE:
            await self._answer(message)
        if message.type in _GONE:
            self._heard = True
            self._changed.set()
            self._unwatch()
        return message

    async def pong(self, message: bytes = b"") -> None:
        """Answer a ping."""
        if self.sharing is None:
            await super().pong(message)
        elif not self.sharing.is_closing():
            self.sharing.write(header(PONG, len(message)) + message)

    async def _answer(self, message: WSMessage) -> None:
        if self._said:
            self._hang_up()
        else:
            self._part()
            code = message.data if isinstance(message.data, int) and message.data >= 1000 else WSCloseCode.OK
            await super().close(code=code, drain=False)

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        """Say Close, and wait for the peer's; False where that was done before."""
        if self._said or self.closed:
            return False
        self._part()
        if self._receiving is None or self._receiving is asyncio.current_task():
            try:
                return await super().close(code=code, message=message, drain=drain)
            finally:
                self._hang_up()
        self._said = True
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(close_frame(code, message))
        try:
            with contextlib.suppress(TimeoutError, RuntimeError):
                async with asyncio.timeout(CLOSE_S):
                    await self._farewell()
        finally:
            self._hang_up()
        return True

    async def _farewell(self) -> None:
        """Wait until the peer's Close is read: by the task that reads, or here where that was cancelled."""
        while not self._heard:
            if self._receiving is None and self._left:
                await self.receive()
            else:
                self._changed.clear()
                await self._changed.wait()

    def _fault(self, code: int, reason: str) -> None:
        if self.frames is not None and self.frames.closing:
            self._heard = True  # It said Close, though not as it should: nothing more is to be expected.
        spawn(self.close(code=code, message=reason.encode()), package="web", name="close a WebSocket")

    def _part(self) -> None:
        self._has_parted = True
        parting, self.parting = self.parting, None
        if parting is not None:
            parting()

    def _ask(self) -> None:
        if not self._has_parted and self._transport is not None and not self._transport.is_closing():
            (self.sharing or self._transport).write(header(PING, 0))

    def _give_up(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _unwatch(self) -> None:
        # Without it the socket is freed at once, not by the garbage collector: the watch holds its methods.
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()

    def _hang_up(self) -> None:
        """End TCP; what a peer has not read by now is not kept for it."""
        self._unwatch()
        if self._transport is None:
            return
        if not self._heard and self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()


def _check_version(request: web.BaseRequest) -> None:
    """Raise 426 for a handshake of another version; the answer names version 13 (section 4.2.2)."""
    if request.headers.get("Sec-WebSocket-Version", "").strip() != VERSION:
        raise web.HTTPUpgradeRequired(
            headers={"Sec-WebSocket-Version": VERSION, "Upgrade": "websocket"},
            text=f"Sec-WebSocket-Version: only {VERSION} is spoken",
        )
