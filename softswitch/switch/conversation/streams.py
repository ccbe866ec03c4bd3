"""The streams of one call: taps and a track in the engine, joined with services outside.

Audio and marks go straight from one to the other: what a service says is appended to its track, marks behind
it, and the engine's reports of marks go back. The call itself is told of the beginning and the end only.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial

from softswitch.audio.pcm import TICK_MS
from softswitch.call.interfaces import OutsideStream, StreamFrames, StreamOver, StreamRequest, StreamSocket
from softswitch.call.vocabulary import effects as fx
from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.commands import Hangup
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.call.vocabulary.stream_words import FromService, ToService
from softswitch.call.vocabulary.values import StreamTrack
from softswitch.errors import MalformedError
from softswitch.media import messages as m
from softswitch.switch.conversation.owner import Owner

BUFFER_MS = 120_000
"""Audio that a service may be ahead; what is beyond is refused and counted."""
DRAIN_S = BUFFER_MS / 1000 + 5.0
"""What a service has said before it went is heard for at most this long."""


class CallStreams:
    """Opens and ends the streams of a call."""

    def __init__(self, owner: Owner, mix: int) -> None:
        """Hold none; ``mix`` is that of the call."""
        self._owner = owner
        self._mix = mix
        self._streams: dict[str, _Stream] = {}

    def carry(
        self, effect: fx.OpenStream | fx.CloseStream | fx.TellStream, port: Callable[[str], int]
    ) -> None:
        """Do what the call decided; a stream that is gone is left alone.

        Args:
            effect: What.
            port: Returns the port of a leg, or raises CommandRejected.
        """
        match effect:
            case fx.OpenStream():
                self._open(effect, port(effect.leg))
            case fx.CloseStream() if found := self._streams.get(effect.stream):
                found.stop()
            case fx.TellStream() if found := self._streams.get(effect.stream):
                found.tell(effect.word)

    @property
    def is_empty(self) -> bool:
        """Whether there is no stream to end."""
        return not self._streams

    async def release(self) -> None:
        """End all streams and wait until their services were told; the caller bounds the time."""
        for stream in self._streams.values():
            stream.stop()
        await asyncio.gather(*(stream.over.wait() for stream in self._streams.values()))

    def _open(self, effect: fx.OpenStream, port: int) -> None:
        factory = self._owner.resources.streams
        if factory is None:
            self._owner.report(r.StreamEnded(effect.stream, "failed", "this switch has no streams"))
            return
        request = self._request(effect)
        stream = _Stream(self._owner, request, self._mix, port)
        try:
            stream.service = factory(request, stream)
        except MalformedError as error:
            self._owner.report(r.StreamEnded(effect.stream, "failed", str(error)))
            return
        self._streams[effect.stream] = stream
        self._owner.spawn(self._run(effect.stream, stream))

    async def _run(self, name: str, stream: "_Stream") -> None:
        try:
            over = await stream.run()
        finally:
            stream.release()
            del self._streams[name]
        self._owner.report(r.StreamEnded(name, over.status, over.reason))

    def _request(self, effect: fx.OpenStream) -> StreamRequest:
        option, call = effect.option, self._owner.call
        return StreamRequest(
            call=self._owner.id,
            stream=effect.stream,
            url=option.url,
            two_way=option.two_way,
            channel=option.channel,
            headers=option.headers,
            reconnect_s=option.reconnect_s,
            extras=option.extras,
            live=option.live,
            buffer_ms=BUFFER_MS,
            caller=call.option.caller,
            callee=call.option.callee,
            incoming=self._owner.direction == "inbound",
            tag=self._owner.tag,
            account=self._owner.asker.account,
            protocol=option.protocol,
            encoding=option.encoding,
            sample_rate=option.sample_rate,
            parameters=option.parameters,
            session=option.session,
        )


class _Stream:
    """One stream: its taps and track in the engine, and the receiver of its service (a ``StreamEar``)."""

    def __init__(self, owner: Owner, request: StreamRequest, mix: int, port: int) -> None:
        self._owner = owner
        self._resources = owner.resources
        self._request = request
        self._mix, self._port = mix, port
        self.service: OutsideStream | None = None
        self.over = asyncio.Event()
        self._track = 0
        self._taps: list[int] = []
        self._number = 0
        """Id of what serves the socket within the engine."""
        self._served: tuple[StreamSocket, Mapping[StreamTrack, StreamFrames]] | None = None
        self._drained = asyncio.Event()
        self._stopped = False
        self._hangs_up = False
        """Whether the call ends when what the service has said was heard."""
        self._explanation = _explanation(owner, request)
        """What a stream of both channels sends of a room; told once."""

    # --- life -----------------------------------------------------------------------------

    async def run(self) -> StreamOver:
        """Serve until the end; audio that a service sent before it closed is still played."""
        assert self.service is not None  # noqa: S101  (it is set before the task begins)
        over = await self.service.run()
        self._end_taps()
        if self._track and over.status in ("closed", "lost") and not self._stopped:
            self._resources.engine.post(m.EndTrack(self._track))
            try:
                async with asyncio.timeout(DRAIN_S):
                    await self._drained.wait()
            except TimeoutError:
                return StreamOver(over.status, f"{over.reason}; its audio was not heard to the end")
        return over

    def stop(self) -> None:
        """End the stream without playing the rest of its audio."""
        self._stopped = True
        self._drained.set()
        if self.service is not None:
            self.service.stop()

    def tell(self, word: ToService) -> None:
        """Tell the service something besides the audio."""
        if self.service is not None:
            self.service.tell(word)

    def release(self) -> None:
        """Release taps and track in the engine."""
        self._end_taps()
        if self._track:
            self._resources.engine.post(m.DropTrack(self._track))
            self._resources.routes.remove(self._track)
            self._track = 0
        self._resources.routes.remove(self._number)
        self.over.set()

    def _end_taps(self) -> None:
        for tap in self._taps:
            self._resources.engine.post(m.RemoveTap(tap))
            self._resources.routes.remove(tap)
        self._taps.clear()

    # --- what the service says --------------------------------------------------------------

    def opened(self) -> None:
        """Begin to send what it wants to hear; a service that has come back finds all as it was."""
        if not self._taps:
            self._open()
        if self._served is not None and self.service is not None:
            self.service.share(*self._served)
        follows = self.service is not None and self.service.follows_speech
        self._owner.report(r.StreamOpened(self._request.stream, follows))
        if self._explanation:
            self._owner.report(r.StreamWarned(self._request.stream, self._explanation))
            self._explanation = ""

    def audio(self, pcm: bytes, sample_rate: int) -> None:
        """Append what it says."""
        self._resources.engine.post(m.FeedTrack(self._track, sample_rate, pcm))

    def mark(self, name: str) -> None:
        """Put a mark behind what it has said."""
        self._resources.engine.post(m.PlaceMark(self._track, name))

    def clear(self) -> None:
        """Drop what it has said; the marks come back by themselves."""
        self._resources.engine.post(m.ClearTrack(self._track))

    def hang_up(self, *, drain: bool = False) -> None:
        """End the call; ``drain``: once what the service has said was heard."""
        if drain and self._track:
            self._hangs_up = True
            self._resources.engine.post(m.EndTrack(self._track))
            return
        with contextlib.suppress(CommandRejected):  # It is over already.
            self._owner.command(Hangup(reason="callee", initiator="callee"))

    def told(self, word: FromService) -> None:
        """Report what it tells besides its audio."""
        self._owner.report(r.StreamTold(self._request.stream, word))

    # --- the engine -------------------------------------------------------------------------

    def _open(self) -> None:
        """Open what hears for the service, and what speaks for it."""
        service, request, resources = self.service, self._request, self._resources
        if service is None:
            return
        self._taps = [next(resources.ids) for _ in request.tracks]
        self._number = next(resources.ids)
        self._serve(service)
        self._open_taps(service)
        if request.two_way:
            self._track = self._number
            self._open_track()

    def _serve(self, service: OutsideStream) -> None:
        """Have the engine serve the socket, where it can write and read the messages of the service."""
        request, resources = self._request, self._resources
        words = [service.media_words(track) for track in request.tracks]
        if not all(words):
            return
        # A text that is too long is written by the event loop.
        with contextlib.suppress(MemoryError):
            socket = resources.engine.open_stream(self._number, request.stream, request.buffer_ms)
            if socket is not None:
                found = zip(request.tracks, self._taps, words, strict=True)
                frames = {track: socket.tap(tap, *text) for track, tap, text in found if text}
                self._served = socket, frames
                resources.routes.roused(self._number, service.look)

    def _open_taps(self, service: OutsideStream) -> None:
        rate, form = service.sample_rate, service.encoding
        # The engine gives 20 ms at a time by itself; for longer messages it gathers 1 or 2 bytes a sample.
        width = 2 if form == "pcm16" else 1
        packet_bytes = width * rate * service.frame_ms // 1000 if service.frame_ms != TICK_MS else 0
        stream = self._number if self._served is not None else 0
        for tap, track in zip(self._taps, self._request.tracks, strict=True):
            self._resources.routes.frames(tap, partial(service.frame, track))
            self._resources.engine.post(m.AddTap(tap, self._port, track, rate, packet_bytes, form, stream))

    def _open_track(self) -> None:
        prebuffer_ms = self._resources.settings.wavix.prebuffer_ms
        self._resources.routes.reports(self._track, self._take)
        self._resources.engine.post(
            m.AddTrack(
                self._track,
                self._mix,
                capacity_ms=self._request.buffer_ms,
                prebuffer_ms=prebuffer_ms,
                live=self._request.live,
            )
        )

    def _take(self, report: m.Report) -> None:
        match report:
            case m.MarkReached() if self.service is not None:
                self.service.passed(report.name, report.cleared)
            case m.TrackStarted() if self.service is not None:
                self.service.playback("started")
            case m.TrackDrained() if self.service is not None:
                self.service.playback("drained")
            case m.TrackCleared() if self.service is not None:
                self.service.playback("cleared", report.played_ms)
            case m.TrackFull():
                most_s = self._request.buffer_ms / 1000
                reason = (
                    f"the service is more than {most_s:g} s ahead: audio beyond that is refused, "
                    "and the marks behind it come back as cleared"
                )
                self._owner.report(r.StreamWarned(self._request.stream, reason))
            case m.TrackEnded() | m.TrackDropped():
                self._drained.set()
                if self._hangs_up:
                    self._hangs_up = False
                    self.hang_up()
            case _:
                pass


def _explanation(owner: Owner, request: StreamRequest) -> str:
    """Return what a stream of both channels sends where the party is a room; else an empty text."""
    if request.channel != "both" or not (owner.room or owner.call.option.callee.startswith("room:")):
        return ""
    if request.two_way:
        return "channel both: a two-way stream sends inbound only, which is the room without this participant"
    return (
        "channel both: inbound is the room without this participant, outbound is what this call says to the "
        "room; they are two tracks, not a mix"
    )
