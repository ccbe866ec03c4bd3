"""The places of people in a mixed room: a connection of one's own, or the leg of a call."""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from softswitch.call import events, reports
from softswitch.call.needs import Candidate, Endpoint, EndpointFactory, LegRequest
from softswitch.call.parties import PARTY
from softswitch.call.room import Room
from softswitch.call.room_parts import Stats
from softswitch.call.state import State
from softswitch.media import messages as m
from softswitch.switch.conversation import Conversation
from softswitch.switch.resources import Resources

VAD = "energy"
"""Who is loud is all that is asked here: whether it is speech matters to nobody, and this costs nothing."""
STOP_MS = 400

Act = Callable[[Callable[[Room, float], None]], None]
"""Do something with the room, and all that follows from it."""


class Seat(Protocol):
    """Somebody's place in the mix."""

    port: int

    def mute(self, muted: bool) -> None:
        """Silence it, or not any more."""

    def vacate(self, reason: str) -> None:
        """Take it out of the mix; idempotent."""


class PeerSeat:
    """A WebRTC connection that the switch answers for a room."""

    def __init__(
        self,
        participant: str,
        resources: Resources,
        act: Act,
        opened: Callable[["PeerSeat"], None],
        gone: Callable[["PeerSeat"], None],
    ) -> None:
        """Prepare; :meth:`answer` begins.

        Args:
            participant: Whose it is.
            resources: Engine and routes.
            act: Tells the room.
            opened: Told when the port is there.
            gone: Told when the connection has ended by itself.
        """
        self.participant = participant
        self.port = next(resources.ids)
        self._resources = resources
        self._act = act
        self._opened, self._gone = opened, gone
        self._endpoint: Endpoint | None = None
        self._has_port = False

    def answer(self, make: EndpointFactory, request: LegRequest) -> None:
        """Answer an offer."""
        self._resources.routes.reports(self.port, self._take)
        self._endpoint = make(request, self._report)
        self._endpoint.answer()

    def offer(self, sdp: str) -> None:
        """Take a later offer."""
        if self._endpoint is not None:
            self._endpoint.offer(sdp)

    def candidate(self, candidate: Mapping[str, object]) -> None:
        """Take a candidate."""
        if self._endpoint is None:
            return
        mid, line = candidate.get("sdpMid"), candidate.get("sdpMLineIndex")
        self._endpoint.candidates(
            [
                Candidate(
                    str(candidate["candidate"]),
                    # A client may name the section by its kind, as the document's example does.
                    None if mid == "audio" or not isinstance(mid, str) else mid,
                    line if isinstance(line, int) else None,
                )
            ]
        )

    def mute(self, muted: bool) -> None:
        """Silence it, or not any more."""
        if self._has_port:
            self._resources.engine.post(m.SetMuted(self.port, muted))

    def vacate(self, reason: str) -> None:
        """End the connection; its figures follow."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            endpoint.hangup(reason)
        if not self._has_port:
            self._resources.routes.remove(self.port)

    def _report(self, report: reports.Report) -> None:
        if self._endpoint is None:
            return
        who = self.participant
        match report:
            case reports.LegAnswered():
                self._has_port = True
                self._resources.engine.post(m.SetVad(self.port, VAD, stop_ms=STOP_MS))
                self._opened(self)
                self._act(lambda room, now: room.answered(who, report.sdp, now))
            case reports.LegUpdated():
                self._act(lambda room, now: room.answered(who, report.sdp, now))
            case reports.LegWarned():
                self._act(lambda room, now: room.seat_failed(who, report.error, now, over=False))
            case reports.LegFailed():
                self._over()
                self._act(lambda room, now: room.seat_failed(who, report.error, now, over=True))
            case reports.LegEnded():
                self._over()
                self._act(lambda room, now: room.seat_lost(who, now))
            case _:
                pass  # Hold and the rest are of no consequence in a room.

    def _over(self) -> None:
        self._gone(self)
        self.vacate("")

    def _take(self, report: m.Report) -> None:
        who = self.participant
        match report:
            # A tick may still tell of a port whose connection is gone, when another has the seat already.
            case m.MediaResumed() if self._endpoint is not None:
                self._act(lambda room, now: room.flowing(who, now))
            case m.SpeechStarted() | m.SpeechStopped() if self._endpoint is not None:
                speaking = isinstance(report, m.SpeechStarted)
                self._act(lambda room, now: room.spoke(who, speaking, now))
            case m.PortFailed() if self._endpoint is not None:
                self._over()
                self._act(lambda room, now: room.seat_failed(who, "the port failed", now, over=True))
            case m.PortClosed():
                self._resources.routes.remove(self.port)
                self._act(lambda room, now: room.measured(who, stats_of(report.statistics)))
            case _:
                pass  # Silence of the network is not told: the connection itself says when it is gone.


class CallSeat:
    """The party of a call, moved into the room's mix; a subscriber of that call."""

    def __init__(
        self,
        participant: str,
        conversation: Conversation,
        mix: int,
        act: Act,
        opened: Callable[["CallSeat"], None],
        ended: Callable[[str], None],
    ) -> None:
        """Go in at once where the call is answered, else when it is.

        Args:
            participant: Whose it is.
            conversation: The call.
            mix: The room's.
            act: Tells the room.
            opened: Told when the leg is in the mix.
            ended: Told when the room has let it go.
        """
        self.participant = participant
        self.port = 0
        self.conversation = conversation
        self._resources = conversation.resources
        self._mix = mix
        self._act = act
        self._opened, self._ended = opened, ended
        self._in = self._closed = False
        conversation.subscribe(self)

    def begin(self) -> None:
        """Go in where the call is answered already."""
        if self.conversation.call.state is State.UP:
            self._enter()

    def mute(self, muted: bool) -> None:
        """Silence it, or not any more."""
        if self._in:
            self._resources.engine.post(m.SetMuted(self.port, muted))

    def vacate(self, reason: str) -> None:
        """Give the leg back to its call, which may end with it."""
        if self._closed:
            return
        self._closed = True
        self.conversation.unsubscribe(self)
        if self._in and not self.conversation.over:
            self._resources.engine.post(m.JoinMix(self.port, self.conversation.carrier.mix))
        self._ended(reason)

    async def measure(self) -> Stats | None:
        """Wait until the call has given everything back, and return its party's figures."""
        await self.conversation.released.wait()
        statistics = self.conversation.carrier.legs.statistics.get(PARTY)
        return stats_of(statistics) if statistics else None

    def event(self, event: events.Event, seq: int) -> None:
        """Take an event of the call."""
        if getattr(event, "track_id", self.conversation.id) != self.conversation.id:
            return
        who = self.participant
        match event:
            case events.Answer():
                self._enter()
            case events.Speaking() | events.Silence():
                speaking = isinstance(event, events.Speaking)
                self._act(lambda room, now: room.spoke(who, speaking, now))
            case _:
                pass  # The room has no ear for the rest.

    def audio(self, side: int, pcm: bytes) -> None:
        """Leave audio out."""

    def close(self, code: int, reason: str) -> None:
        """Do nothing: a call that is over hangs its leg in the room up."""

    def _enter(self) -> None:
        if self._in or self._closed:
            return
        self._in = True
        who = self.participant
        self.port = self.conversation.carrier.legs.port(PARTY)
        self._resources.engine.post(m.JoinMix(self.port, self._mix))
        if not self.conversation.carrier.detects(PARTY):
            self._resources.engine.post(m.SetVad(self.port, VAD, stop_ms=STOP_MS))
        self._opened(self)
        self._act(lambda room, now: room.flowing(who, now))


def stats_of(statistics: Mapping[str, float]) -> Stats:
    """Return the figures of a session from those of a port: what we received is what was sent."""
    figure = statistics.get
    if "packets_received" in statistics:
        got, lost = figure("packets_received", 0.0), figure("packets_lost", 0.0)
        sent = figure("packets_sent", 0.0)
    else:  # A WebSocket has no packets: count its audio in frames of 20 ms.
        got, sent, lost = figure("received_ms", 0.0) / 20, figure("sent_ms", 0.0) / 20, 0.0
    return Stats(
        voice_packets_sent=round(got),
        voice_packets_received=round(sent),
        bytes_sent=round(figure("octets_received", 0.0)),
        bytes_received=round(figure("octets_sent", 0.0)),
        packet_loss_percent=round(100 * max(0.0, lost) / (got + max(0.0, lost)), 2) if got else 0.0,
        avg_latency_ms=round(max(0.0, figure("round_trip_ms", 0.0))),
        source="switch",
    )


class RoomEndpoint:
    """The room as the second leg of a call (an ``Endpoint``): nothing but a way in and out."""

    def __init__(
        self,
        request: LegRequest,
        report: Callable[[reports.Report], None],
        resources: Resources,
        enter: Callable[["RoomEndpoint"], None],
        leave: Callable[["RoomEndpoint"], None],
    ) -> None:
        """Prepare; :meth:`answer` goes in."""
        self.request = request
        self._report: Callable[[reports.Report], None] | None = report
        self._resources = resources
        self._enter, self._leave = enter, leave

    def ring(self, early_media: bool = False) -> None:
        """Do nothing: a room does not ring."""

    def answer(self) -> None:
        """Ask the room for a seat; what comes of it is reported."""
        self._enter(self)

    def answered(self) -> None:
        """Report that the call has a seat."""
        self._tell(reports.LegAnswered(self.request.leg, "", "pcm", 24000, 20))

    def refused(self, code: int, reason: str) -> None:
        """Report that it has none."""
        self._tell(reports.LegRejected(self.request.leg, code, reason))

    def ended(self, reason: str) -> None:
        """Report that the room has let the call go."""
        self._tell(reports.LegEnded(self.request.leg, reason, "callee"))

    def offer(self, sdp: str) -> None:
        """Do nothing: there is no SDP here."""

    def candidates(self, candidates: object) -> None:
        """Do nothing: there is no ICE here."""

    def dtmf(self, digits: str) -> None:
        """Do nothing: nobody listens for digits."""

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Leave; idempotent."""
        if self._report is None:
            return
        self._report = None
        self._leave(self)
        # This leg never had a port of its own, for whose last figures the call would wait.
        closed = m.PortClosed(self.request.port, time.monotonic(), {})
        self._resources.routes.deliver(m.Output(reports=[closed]))

    async def closed(self) -> None:
        """Return at once: nothing is held."""

    def _tell(self, report: reports.Report) -> None:
        if self._report is not None:
            self._report(report)
