"""Client of one stream: the WebSocket to an outside service that hears a call, and may speak in it.

The client knows no dialect. A :class:`.dialect.StreamSession` builds the messages and reads those of the
service; the client dials (:mod:`.dialling`), reads (:mod:`.reading`), serves one connection after the other
(:mod:`.connection`), and carries out what the service says.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import assert_never, cast

from softswitch.call.interfaces import (
    PlaybackStatus,
    StreamEar,
    StreamFrames,
    StreamOver,
    StreamRequest,
    StreamSocket,
)
from softswitch.call.vocabulary.stream_words import (
    CallerText,
    KeyPressed,
    PartySpeech,
    ServiceText,
    ToolCall,
    ToolCancelled,
    ToolResult,
    ToService,
)
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.egress.errors import EgressError
from softswitch.egress.http import EgressClient
from softswitch.egress.websocket import Socket
from softswitch.legs.stream import dialect as d
from softswitch.legs.stream.connection import Connection
from softswitch.legs.stream.counters import StreamCounters
from softswitch.legs.stream.dialling import Dialler, StreamTerms, either
from softswitch.legs.stream.encoding import Convert, decoder
from softswitch.legs.stream.reading import ServiceReader
from softswitch.legs.stream.stream_log import StreamLog
from softswitch.legs.websocket.shared_transport import FeedSocket

READY_S = 10.0
"""A service whose dialect announces that it is ready has this long to do so."""


class StreamClient:
    """One stream, from the first attempt to dial to the close (an ``OutsideStream``)."""

    def __init__(
        self,
        request: StreamRequest,
        session: d.StreamSession,
        ear: StreamEar,
        egress: EgressClient,
        *,
        terms: StreamTerms,
        counters: StreamCounters,
        sockets: set[StreamSocket],
        now_ms: Callable[[], int],
    ) -> None:
        """Prepare; nothing is dialled before :meth:`run`.

        Args:
            request: What the stream is to be.
            session: The stream in the dialect of its service.
            ear: Receives what the service sends.
            egress: Opens the connection under the egress rules.
            terms: What the settings say.
            counters: Shared by all streams.
            sockets: Gets what the engine serves of the stream, for the time of its life.
            now_ms: Returns epoch milliseconds.
        """
        self._request, self._session, self._ear = request, session, ear
        self._counters, self._now_ms = counters, now_ms
        self._traits = session.traits
        self._log = StreamLog(request)
        self._stopping = asyncio.Event()
        self._reader = ServiceReader(session, self, counters=counters, log=self._log, now_ms=now_ms)
        self._dialler = Dialler(
            request,
            session,
            egress,
            terms,
            now_ms=now_ms,
            before=self._reader.before,
            stopping=self._stopping,
        )
        self._decoders: dict[d.Encoding, Convert] = {}
        self._connection: Connection | None = None
        self._out: Connection | None = None
        """The connection, as long as the stream may send."""
        self._is_ready = False
        """Whether the service takes audio now."""
        self._is_opened = False
        """Whether the switch was told of this connection."""
        self._parted = asyncio.Event()
        """The service has sent its last message."""
        self._frames: dict[StreamTrack, int] = dict.fromkeys(request.tracks, 0)
        self._sockets = sockets
        self._socket: StreamSocket | None = None
        """Serves the connection within the media engine."""
        self._taps: Mapping[StreamTrack, StreamFrames] = {}

    @property
    def sample_rate(self) -> int:
        """Return the rate of the audio that :meth:`frame` takes, Hz."""
        return self._traits.sends.sample_rate

    @property
    def encoding(self) -> d.Encoding:
        """Return the encoding of the audio that :meth:`frame` takes."""
        return self._traits.sends.encoding

    @property
    def frame_ms(self) -> int:
        """Return the duration of the audio that :meth:`frame` takes, milliseconds."""
        return self._traits.frame_ms

    @property
    def follows_speech(self) -> bool:
        """Return whether the service needs to be told when the party speaks."""
        return self._traits.follows_speech

    # --- from the switch ------------------------------------------------------------------

    def frame(self, track: StreamTrack, audio: bytes) -> None:
        """Send a frame of a track; without a service that takes it, it is only counted."""
        if (tap := self._taps.get(track)) is not None:
            number = tap.frames
            tap.handled()
        else:
            number = self._frames[track]
            self._frames[track] = number + 1
        out = self._out
        if out is not None and self._is_ready:
            message = self._session.media(track, number, audio, self._now_ms())
            if message:
                self._counters.media_sent += 1
                out.media(message)

    def media_words(self, track: StreamTrack) -> tuple[bytes, int] | None:
        """Return how the media engine writes media messages of a track; None where it cannot."""
        return None if self._traits.binary_media else self._session.media_words(track)

    def share(self, socket: StreamSocket, frames: Mapping[StreamTrack, StreamFrames]) -> None:
        """Leave audio to the media engine where that is possible, on this connection and on later ones."""
        if self._socket is None:
            self._socket, self._taps = socket, frames
            self._sockets.add(socket)
            self._session.count_with(socket)
        self._share()

    def _share(self) -> None:
        # What the service sent too early is read first.
        if self._socket is None or self._out is None or not (self._is_opened and self._reader.is_plain):
            return
        self._out.share(cast("FeedSocket", self._socket), reads=self._request.two_way)

    def look(self) -> None:
        """See to what the engine has left."""
        if self._connection is not None:
            self._connection.look()

    def passed(self, name: str, cleared: bool) -> None:
        """Acknowledge a mark, where the dialect does."""
        now_ms = self._now_ms()
        if self._traits.acknowledges_marks:
            if self._out is None:
                self._counters.marks_unheard += 1
            else:
                self._out.send(self._session.mark(name, cleared, now_ms))
        # What was heard is told to the call even when the service has gone.
        self._carry_out_all(self._session.heard(name, cleared, now_ms))

    def playback(self, status: PlaybackStatus, played_ms: int | None = None) -> None:
        """Report what happened to the audio of the service, where its dialect has a message for it."""
        if status == "cleared" and played_ms is not None:
            self._carry_out_all(self._session.cut(played_ms, self._now_ms()))
        if self._traits.follows_playback and self._out is not None:
            self._out.send(self._session.playback(status, played_ms, self._now_ms()))

    def tell(self, word: ToService) -> None:
        """Report a key, speech of the party, or the result of a tool call, as the dialect has it."""
        if (out := self._out) is None:
            return
        match word:
            case KeyPressed():
                out.send(self._session.dtmf(word.digit, self._now_ms()))
            case PartySpeech():
                if self._traits.follows_speech and self._is_ready:
                    self._carry_out_all(self._session.speech(word.speaking, self._now_ms()))
            case ToolResult():
                out.send(self._session.tool_result(word, self._now_ms()))
            case _:
                assert_never(word)

    def stop(self) -> None:
        """Send the last messages of the stream; nothing is sent after them."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if not self._traits.farewell_s:
            self._reader.ignore()
        out, self._out = self._out, None
        if out is not None:
            out.unshare()
            out.send(self._session.stop(self._now_ms()))

    # --- life -----------------------------------------------------------------------------

    async def run(self) -> StreamOver:
        """Dial and serve until the service goes, the connection is lost for good, or :meth:`stop`."""
        try:
            return await self._run()
        finally:
            if self._socket is not None:
                self._sockets.discard(self._socket)
                self._counters.media_sent += self._socket.sent

    async def _run(self) -> StreamOver:
        try:
            socket = await self._dialler.dial()
        except EgressError as error:
            self._counters.failed += 1
            self._log.warn("a stream's service was not reached", str(error))
            return StreamOver("failed", str(error))
        while socket is not None:
            over = await self._serve(socket)
            if over.status == "failed":
                self._counters.failed += 1
            if over.status != "lost":
                return over
            self._counters.lost += 1
            if not (self._request.reconnect_s and self._traits.reconnects):
                return over
            try:
                socket = await self._dialler.redial()
            except EgressError as error:
                self._log.warn("a stream's service was not reached again", str(error))
                return StreamOver("lost", str(error))
            self._counters.reconnected += 1
        return StreamOver("stopped")

    async def _serve(self, socket: Socket) -> StreamOver:
        """Serve one connection until it is over."""
        transport = socket.transport
        if transport is None:
            await socket.close()
            return StreamOver("lost", "the connection broke at once")
        connection = Connection(
            socket,
            transport,
            self._reader,
            self._log,
            self._dropped,
            binary_media=self._traits.binary_media,
        )
        self._connection = self._out = connection
        self._counters.opened += 1
        self._counters.open += 1
        receiving = asyncio.ensure_future(connection.receive())
        tasks = [receiving]
        if self._traits.keepalive_s:
            tasks.append(asyncio.ensure_future(self._keep_alive()))
        try:
            connection.send(self._session.opened(self._now_ms()))
            if self._traits.awaits_ready:
                tasks.append(asyncio.ensure_future(self._expect_ready(connection)))
            else:
                self._ready()
            self._reader.begin()
            self._share()
            await either(receiving, self._stopping)
            if not receiving.done():
                await connection.flush()
                if self._traits.farewell_s:
                    await either(receiving, self._parted, self._traits.farewell_s)
                await connection.leave()
            await receiving
            if self._stopping.is_set():
                return StreamOver("stopped")
            if self._is_opened:
                self._carry_out_all(self._session.ended(self._now_ms()))
            return connection.over()
        finally:
            connection.unshare()
            self._counters.open -= 1
            self._connection = self._out = None
            self._is_ready = self._is_opened = False
            self._reader.end()
            for task in tasks:
                if not task.cancel() and not task.cancelled() and (error := task.exception()) is not None:
                    self._log.failed("a task of a stream failed", error)
            await connection.release()

    async def _keep_alive(self) -> None:
        """Send the messages that the dialect owes from time to time."""
        while True:
            await asyncio.sleep(self._traits.keepalive_s)
            self._send(self._session.keepalive(self._now_ms()))

    async def _expect_ready(self, connection: Connection) -> None:
        """Give up a service that does not become ready in time."""
        await asyncio.sleep(READY_S)
        if not self._is_opened and not connection.is_parting:
            reason = f"the service did not become ready within {READY_S:g} s"
            self._reader.ignore()
            connection.abort(StreamOver("failed", reason))

    # --- from the service (a ``Receiver``) --------------------------------------------------

    def take(self, values: d.Values) -> None:
        """Carry out what a message means; once the stream is stopped only the farewell counts."""
        for value in values:
            if not self._stopping.is_set() or isinstance(value, d.Close):
                self._carry_out(value)

    def unreadable(self, reason: str) -> None:
        """Report a message that could not be read, where the dialect has a message for it."""
        self._send(self._session.unreadable(reason, self._now_ms()))

    def violated(self, code: int, reason: str) -> None:
        """Part from a service that violates WebSocket."""
        if self._connection is not None:
            self._connection.close(code, reason)

    def _carry_out_all(self, values: d.Values) -> None:
        for value in values:
            self._carry_out(value)

    def _carry_out(self, value: d.StreamValue) -> None:
        match value:
            case d.Audio():
                if self._may_speak(value):
                    form = value.format or self._traits.receives
                    self._ear.audio(self._decoded(form.encoding, value.data), form.sample_rate)
            case d.PlaceMark():
                if self._may_speak(value):
                    self._ear.mark(value.name)
            case d.Clear():
                if self._may_speak(value):
                    self._ear.clear()
            case d.HangUp():
                self._ear.hang_up(drain=value.drain)
            case d.Ready():
                self._ready()
            case d.Pause():
                self._is_ready = False
            case d.Reply():
                self._send((value.message,))
            case d.Close():
                self._part(value)
            case d.Misdirected():
                self._counters.wrong_id += 1
            case CallerText() | ServiceText() | ToolCall() | ToolCancelled():
                self._ear.told(value)
            case d.Complaint():
                self._counters.complaints += 1
                self._log.warn("the service of a stream reports an error", value.text)
            case _:
                assert_never(value)

    def _may_speak(self, value: d.StreamValue) -> bool:
        """Tell whether the service may be heard; a message of one that may not is counted."""
        if self._request.two_way and self._is_opened:
            return True
        self._counters.deaf += 1
        what = "speaks before it is ready" if self._request.two_way else "that may only listen speaks"
        self._log.warn(f"a service {what}", type(value).__name__)
        return False

    def _decoded(self, encoding: d.Encoding, data: bytes) -> bytes:
        convert = self._decoders.get(encoding)
        if convert is None:
            convert = self._decoders[encoding] = decoder(encoding)
        return convert(data)

    def _part(self, value: d.Close) -> None:
        """Close the WebSocket because the service has ended the stream by a message."""
        self._parted.set()
        if self._connection is not None and not self._stopping.is_set():
            self._reader.ignore()
            over = StreamOver("closed" if self._is_opened else "failed", value.reason)
            self._connection.close(value.code, value.reason, over)

    def _ready(self) -> None:
        """Begin to send audio, or go on after a pause."""
        if self._is_ready:
            return
        self._is_ready = True
        if not self._is_opened:
            self._is_opened = True
            self._ear.opened()

    def _send(self, messages: d.Messages) -> None:
        if self._out is not None:
            self._out.send(messages)

    def _dropped(self) -> None:
        self._counters.media_dropped += 1


def epoch_ms() -> int:
    """Return the time of day, epoch milliseconds."""
    return int(time.time() * 1000)
