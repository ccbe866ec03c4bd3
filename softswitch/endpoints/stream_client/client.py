"""A stream to an outside service: we are the WebSocket client, and the dialect is that of Wavix."""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from softswitch.call.needs import StreamEar, StreamOver, StreamRequest, StreamTrack
from softswitch.dialects.wavix import stream_messages as w
from softswitch.dialects.wavix.stream_text import StreamText
from softswitch.egress.errors import EgressError, EgressRefused
from softswitch.egress.http import Door
from softswitch.egress.signature import HEADER, signature
from softswitch.egress.websocket import MAX_MESSAGE, Parser, Socket, connect
from softswitch.endpoints.stream_client.clock import WallClock
from softswitch.endpoints.stream_client.counters import StreamCounters
from softswitch.endpoints.stream_client.reader import MessageReader
from softswitch.endpoints.stream_client.writer import MaskedWriter
from softswitch.errors import MalformedError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

PAUSES_S = (0.0, 0.5, 2.0)
"""Before each try to reach the service."""
DIAL_S = 10.0
"""For all of them together."""
HEARTBEAT_S = 20.0
"""A service that was silent for so long is pinged, and given up after as long again."""
FLUSH_S = 2.0
"""What waits for a slow service at the end has this long to be sent."""
KERNEL_BYTES = 65_536
"""What the system may hold of a stream that is not read: left alone it takes a minute of audio."""
_NORMAL = frozenset({1000, 1001, 1005})
"""Close codes of a service that means to go."""


@dataclass(frozen=True, slots=True)
class StreamTerms:
    """What the settings say of all streams."""

    secret: str = ""
    """Signs the handshake; empty: no signature."""
    ticks: bool = False
    """Timestamps count 24 kHz samples instead of milliseconds."""
    trusted: Callable[[str], bool] = lambda url: False
    """Whether the operator wrote a URL."""


class StreamClient:
    """One stream, from the first try to dial to the close (an ``OutsideStream``)."""

    def __init__(
        self,
        request: StreamRequest,
        ear: StreamEar,
        door: Door,
        terms: StreamTerms,
        counters: StreamCounters,
        clock: WallClock,
    ) -> None:
        """Prepare; nothing is dialled before :meth:`run`.

        Args:
            request: What the stream is to be.
            ear: Told what the service says.
            door: The one way outwards.
            terms: What the settings say.
            counters: Shared by all streams.
            clock: Shared by all streams.
        """
        self._request, self._ear, self._door = request, ear, door
        self._terms, self._counters, self._clock = terms, counters, clock
        self._text = StreamText(request.call, request.stream, ticks=terms.ticks)
        self._writer: MaskedWriter | None = None
        self._reader: MessageReader | None = None
        self._socket: Socket | None = None
        self._frames: dict[StreamTrack, int] = dict.fromkeys(request.tracks, 0)
        self._stopping = asyncio.Event()
        self._warned: set[str] = set()

    # --- what the switch tells ----------------------------------------------------------

    def frame(self, track: StreamTrack, pcm: bytes) -> None:
        """Send 20 ms of a track; while nobody is connected it is only counted."""
        number = self._frames[track]
        self._frames[track] = number + 1
        writer = self._writer
        if writer is not None:
            self._counters.media_sent += 1
            writer.media(self._text.media(self._clock.data(), track, number, pcm))

    def passed(self, name: str, cleared: bool) -> None:
        """Acknowledge a mark."""
        status: w.MarkStatus | None = None
        if "mark_status" in self._request.extras:
            status = "cleared" if cleared else "played"
        if self._writer is None:
            self._counters.marks_unheard += 1
        else:
            self._control(self._text.mark(self._clock.text(), name, status))

    def digit(self, digit: str) -> None:
        """Tell that the party pressed a key, where the service wants to know."""
        if "dtmf" in self._request.extras and self._writer is not None:
            self._control(self._text.dtmf(self._clock.text(), digit))

    def stop(self) -> None:
        """Say that the stream stops; nothing is sent after it."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.control(self._text.stop(self._clock.text()))

    # --- life -----------------------------------------------------------------------------

    async def run(self) -> StreamOver:
        """Dial and serve until the service goes, the connection is lost for good, or :meth:`stop`."""
        try:
            socket = await self._unless_stopped(self._dial(PAUSES_S, DIAL_S))
        except EgressError as error:
            self._counters.failed += 1
            return StreamOver("failed", str(error))
        while socket is not None:
            over = await self._serve(socket)
            if over.status != "lost":
                return over
            self._counters.lost += 1
            if not self._request.reconnect_s:
                return over
            try:
                socket = await self._unless_stopped(self._redial())
            except EgressError as error:
                return StreamOver("lost", str(error))
            self._counters.reconnected += 1
        return StreamOver("stopped")

    async def _dial(self, pauses_s: tuple[float, ...], within_s: float) -> Socket:
        """Try to reach the service; what is refused by our own rules is not tried again."""
        failure = EgressError("the service did not answer in time")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                for pause in pauses_s:
                    await asyncio.sleep(pause)
                    try:
                        return await self._connect()
                    except EgressRefused:
                        raise
                    except EgressError as error:
                        failure = error
        raise failure

    async def _redial(self) -> Socket:
        """Try again and again, ever more slowly, as long as the stream allows."""
        pauses = [0.0, 0.25, 0.5, 1.0, 2.0]
        pauses += [4.0] * int(self._request.reconnect_s / 4.0)
        return await self._dial(tuple(pauses), self._request.reconnect_s)

    async def _connect(self) -> Socket:
        headers = dict(self._request.headers)
        if self._terms.secret:
            signed = f"{self._request.call}.{self._request.stream}.{self._request.url}".encode()
            headers[HEADER] = signature(self._terms.secret, int(time.time()), signed)
        trusted = self._terms.trusted(self._request.url)
        return await connect(
            self._door,
            self._request.url,
            headers=headers,
            trusted=trusted,
            heartbeat_s=0.0,
            before=self._before,
        )

    def _before(self, parser: Parser) -> Parser:
        self._reader = MessageReader(
            parser, self._take, self._take_binary, self._take_large, most=MAX_MESSAGE
        )
        return self._reader

    async def _serve(self, socket: Socket) -> StreamOver:
        """Serve one connection until it is over."""
        transport = socket.transport
        if transport is None:
            await socket.close()
            return StreamOver("lost", "the connection broke at once")
        self._socket = socket
        _narrow(transport)
        writer = self._writer = MaskedWriter(transport, self._dropped)
        self._counters.opened += 1
        self._counters.open += 1
        receiving = asyncio.ensure_future(self._receive(socket))
        watching = asyncio.ensure_future(self._watch(socket))
        try:
            self._greet(writer)
            self._ear.opened()
            await self._until_stopped(receiving)
            if not receiving.done():
                await self._flush(writer)
                await socket.close(1000)
            await receiving
            return StreamOver("stopped") if self._stopping.is_set() else self._parted(socket)
        finally:
            self._counters.open -= 1
            self._writer = self._socket = None
            writer.end()
            receiving.cancel()
            watching.cancel()
            await socket.close(1000)

    def _greet(self, writer: MaskedWriter) -> None:
        request = self._request
        extra = None
        if "start" in request.extras:
            extra = w.StartExtra(
                from_=request.caller,
                to=request.callee,
                direction="inbound" if request.incoming else "outbound",
                tag=request.tag,
            )
        kind: w.StreamType = "twoway" if request.two_way else "oneway"
        now = self._clock.text()
        writer.control(self._text.connected(now))
        writer.control(self._text.start(now, kind, request.channel, extra))

    async def _receive(self, socket: Socket) -> None:
        """Wait for the end; messages come this way only where the reader could not be put in."""
        while (message := await socket.receive()) is not None:
            if isinstance(message, str):
                self._take(message.encode())
            else:
                self._take_binary(message)

    async def _watch(self, socket: Socket) -> None:
        """Ping a service that is silent, and part from one that is dead (RFC 6455 §5.5.2)."""
        pinged = False
        while (reader := self._reader) is not None:
            heard = reader.heard
            await asyncio.sleep(HEARTBEAT_S)
            if reader.heard != heard:
                pinged = False
            elif pinged:
                self._warn("the service of a stream is dead", f"silent for {2 * HEARTBEAT_S:g} s")
                if socket.transport is not None:
                    socket.transport.abort()
                return
            else:
                pinged = True
                with contextlib.suppress(EgressError):  # Whoever reads finds out, too.
                    await socket.ping()

    def _parted(self, socket: Socket) -> StreamOver:
        code = socket.close_code
        said = self._reader.closing if self._reader is not None else code in _NORMAL
        if said and (code in _NORMAL or code is None):
            return StreamOver("closed", "the service closed the connection")
        return StreamOver("lost", f"the connection broke ({code})")

    async def _flush(self, writer: MaskedWriter) -> None:
        """Give a slow service some time to read what waits, the word that the stream stops at the end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                while writer.waiting:
                    writer.flush()
                    await asyncio.sleep(0.02)

    async def _unless_stopped(self, work: Coroutine[object, object, Result]) -> Result | None:
        """Return what comes of some work; None where the stream is stopped meanwhile."""
        working = asyncio.ensure_future(work)
        try:
            await self._until_stopped(working)
            return working.result() if working.done() else None
        finally:
            if not working.done():
                working.cancel()
                await asyncio.wait({working})

    async def _until_stopped(self, working: "asyncio.Future[Any]") -> None:
        """Wait until some work is done or the stream is stopped."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        both: set[asyncio.Future[Any]] = {working, stopping}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()

    # --- what the service says ------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        """Carry out a message of the service; whatever is wrong with it, the stream goes on."""
        if self._stopping.is_set():
            return
        try:
            message = w.read(data)
        except MalformedError as error:
            self._counters.junk += 1
            self._warn("a message of a stream cannot be read", str(error))
            return
        if message.stream_id is not None and message.stream_id != self._request.stream:
            self._counters.wrong_id += 1
            return
        if isinstance(message, w.HangUp):
            if "hangup" in self._request.extras:
                self._ear.hang_up()
            return
        if not self._request.two_way:
            self._counters.deaf += 1
            self._warn("a service that may only listen speaks", type(message).__name__)
            return
        match message:
            case w.PlayMedia():
                self._ear.audio(message.media.payload)
            case w.PlaceMark():
                self._ear.mark(message.mark.name)
            case w.Clear():
                self._ear.clear()

    def _take_binary(self, data: bytes) -> None:
        self._counters.binary += 1
        self._warn("a stream got a binary message", f"{len(data)} bytes")

    def _take_large(self) -> None:
        """Part from a service that sends more than any message may have: nothing of it was kept."""
        self._counters.too_large += 1
        self._warn("a message of a stream is too large", f"more than {MAX_MESSAGE} bytes")
        if self._socket is not None and self._socket.transport is not None:
            self._socket.transport.close()

    def _warn(self, what: str, detail: str) -> None:
        """Say once for each stream what is wrong: a service in error is in error all the time."""
        if what not in self._warned:
            self._warned.add(what)
            logger.warning(
                what, extra={"stream": self._request.stream, "call_id": self._request.call, "detail": detail}
            )

    # --- to the service -------------------------------------------------------------------

    def _control(self, message: bytes) -> None:
        writer = self._writer
        if writer is not None and not writer.control(message):
            self._warn("a service has not read for too long", f"{writer.waiting} messages wait")
            if self._socket is not None and self._socket.transport is not None:
                self._socket.transport.abort()

    def _dropped(self) -> None:
        self._counters.media_dropped += 1


def _narrow(transport: asyncio.WriteTransport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
