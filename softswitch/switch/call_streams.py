"""The streams of one call: taps and a track in the engine, joined with services outside.

Audio and marks go straight from one to the other: what a service says is appended to its track, marks behind
it, and the engine's reports of marks go back. The call itself is told of the beginning and the end only.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial

from softswitch.call import effects as fx
from softswitch.call import reports as r
from softswitch.call.commands import CommandRejected, Hangup
from softswitch.call.needs import OutsideStream, StreamOver, StreamRequest
from softswitch.media import messages as m
from softswitch.switch.owner import Owner

RATE = 24000
"""Of both ways, Hz: that of the engine's bus, so that nothing is resampled."""
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
                found.pressed(effect.digit)

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
        stream.service = factory(request, stream)
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
            caller=call.option.caller,
            callee=call.option.callee,
            incoming=self._owner.direction == "inbound",
            tag=self._owner.tag,
        )


class _Stream:
    """One stream: what the engine has of it, and what its service says (a ``StreamEar``)."""

    def __init__(self, owner: Owner, request: StreamRequest, mix: int, port: int) -> None:
        self._owner = owner
        self._resources = owner.resources
        self._request = request
        self._mix, self._port = mix, port
        self.service: OutsideStream | None = None
        self.over = asyncio.Event()
        self._track = 0
        self._taps: list[int] = []
        self._drained = asyncio.Event()
        self._stopped = False

    # --- life -----------------------------------------------------------------------------

    async def run(self) -> StreamOver:
        """Serve until the end; what a service said before it went by itself is still heard."""
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
        """End it: nothing more is heard of it."""
        self._stopped = True
        self._drained.set()
        if self.service is not None:
            self.service.stop()

    def pressed(self, digit: str) -> None:
        """Tell the service that the party pressed a key."""
        if self.service is not None:
            self.service.digit(digit)

    def release(self) -> None:
        """Give back what the engine has of it."""
        self._end_taps()
        if self._track:
            self._resources.engine.post(m.DropTrack(self._track))
            self._resources.routes.remove(self._track)
            self._track = 0
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
            self._open_taps()
        if self._request.two_way and not self._track:
            self._open_track()
        self._owner.report(r.StreamOpened(self._request.stream))

    def audio(self, pcm: bytes) -> None:
        """Append what it says."""
        self._resources.engine.post(m.FeedTrack(self._track, RATE, pcm))

    def mark(self, name: str) -> None:
        """Put a mark behind what it has said."""
        self._resources.engine.post(m.PlaceMark(self._track, name))

    def clear(self) -> None:
        """Drop what it has said; the marks come back by themselves."""
        self._resources.engine.post(m.ClearTrack(self._track))

    def hang_up(self) -> None:
        """End the call."""
        with contextlib.suppress(CommandRejected):  # It is over already.
            self._owner.command(Hangup(reason="callee", initiator="callee"))

    # --- the engine -------------------------------------------------------------------------

    def _open_taps(self) -> None:
        service = self.service
        if service is None:
            return
        for track in self._request.tracks:
            tap = next(self._resources.ids)
            self._taps.append(tap)
            self._resources.routes.frames(tap, partial(service.frame, track))
            self._resources.engine.post(m.AddTap(tap, self._port, track, RATE))

    def _open_track(self) -> None:
        self._track = next(self._resources.ids)
        prebuffer_ms = self._resources.settings.wavix.prebuffer_ms
        self._resources.routes.reports(self._track, self._take)
        self._resources.engine.post(
            m.AddTrack(self._track, self._mix, capacity_ms=BUFFER_MS, prebuffer_ms=prebuffer_ms)
        )

    def _take(self, report: m.Report) -> None:
        match report:
            case m.MarkReached() if self.service is not None:
                self.service.passed(report.name, report.cleared)
            case m.TrackEnded() | m.TrackDropped():
                self._drained.set()
            case _:
                pass  # When a service begins to speak, or pauses, is nobody's business.
