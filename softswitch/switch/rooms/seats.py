"""The seats of participants in the mix of a room: a WebRTC connection, or the leg of a call."""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from softswitch.call.interfaces import Endpoint, EndpointFactory, LegRequest
from softswitch.call.parties import PARTY
from softswitch.call.state import State
from softswitch.call.vocabulary import events, reports
from softswitch.call.vocabulary.values import Candidate, party_of
from softswitch.media import messages as m
from softswitch.room.model import Stats
from softswitch.room.room import Room
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.resources import Resources

VAD = "energy"
"""Detector of speech for the events `voice:*`: they tell who is loud, and this one costs little."""
STOP_MS = 400
"""Silence after which a participant is taken to have stopped speaking, in milliseconds."""

Act = Callable[[Callable[[Room, float], None]], None]
"""Calls a verb of the core of a room with the time, and carries out what it decided."""


class Seat(Protocol):
    """A participant's place in the mix."""

    port: int

    def mute(self, muted: bool) -> None:
        """Mute the participant, or end that."""

    def vacate(self, reason: str) -> None:
        """Take the participant out of the mix; idempotent."""


class PeerSeat:
    """A WebRTC connection that the switch answers for a room."""

    def __init__(
        self,
        participant: str,
        resources: Resources,
        act: Act,
        on_opened: Callable[["PeerSeat"], None],
        on_ended: Callable[["PeerSeat"], None],
    ) -> None:
        """Prepare; :meth:`answer` begins.

        Args:
            participant: Id of the participant.
            resources: Engine and routes.
            act: Calls verbs of the room.
            on_opened: Called when the port is open.
            on_ended: Called when the connection has ended by itself.
        """
        self.participant = participant
        self.port = next(resources.ids)
        self._resources = resources
        self._act = act
        self._on_opened, self._on_ended = on_opened, on_ended
        self._endpoint: Endpoint | None = None
        self._has_port = False

    def answer(self, make: EndpointFactory, request: LegRequest) -> None:
        """Answer the first offer of the participant."""
        self._resources.routes.reports(self.port, self._take)
        self._endpoint = make(request, self._report)
        self._endpoint.answer()

    def offer(self, sdp: str) -> None:
        """Answer a later offer."""
        if self._endpoint is not None:
            self._endpoint.offer(sdp)

    def candidate(self, candidate: Mapping[str, object]) -> None:
        """Pass on a trickled ICE candidate (RFC 8840)."""
        if self._endpoint is None:
            return
        mid, line = candidate.get("sdpMid"), candidate.get("sdpMLineIndex")
        self._endpoint.candidates(
            [
                Candidate(
                    str(candidate["candidate"]),
                    # A client may name the media section by its kind, as the example of the rooms API does.
                    None if mid == "audio" or not isinstance(mid, str) else mid,
                    line if isinstance(line, int) else None,
                )
            ]
        )

    def mute(self, muted: bool) -> None:
        """Mute the participant, or end that."""
        if self._has_port:
            self._resources.engine.post(m.SetMuted(self.port, muted))

    def vacate(self, reason: str) -> None:
        """End the connection; its figures follow with the report of its port."""
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
                self._on_opened(self)
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
                pass  # Hold and early media change nothing in a room.

    def _over(self) -> None:
        self._on_ended(self)
        self.vacate("")

    def _take(self, report: m.Report) -> None:
        who = self.participant
        match report:
            # A tick may still report about a port after its connection ended and another took the seat.
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
                pass  # Missing packets mean nothing here: the connection itself reports when it is lost.


class CallSeat:
    """The party of a call, moved into the room's mix; a subscriber of that call."""

    def __init__(
        self,
        participant: str,
        conversation: Conversation,
        mix: int,
        act: Act,
        on_opened: Callable[["CallSeat"], None],
        on_left: Callable[[str], None],
    ) -> None:
        """Subscribe to the call; :meth:`begin` or the answer of the call brings its party into the mix.

        Args:
            participant: Id of the participant.
            conversation: The call.
            mix: Mix of the room in the engine.
            act: Calls verbs of the room.
            on_opened: Called when the party is in the mix.
            on_left: Called with the reason when the party has left the room.
        """
        self.participant = participant
        self.port = 0
        self.conversation = conversation
        self._resources = conversation.resources
        self._mix = mix
        self._act = act
        self._on_opened, self._on_left = on_opened, on_left
        self._in = self._closed = False
        conversation.subscribe(self)

    def begin(self) -> None:
        """Bring the party into the mix where the call is answered already."""
        if self.conversation.call.state is State.UP:
            self._enter()

    def mute(self, muted: bool) -> None:
        """Mute the participant, or end that."""
        if self._in:
            self._resources.engine.post(m.SetMuted(self.port, muted))

    def vacate(self, reason: str) -> None:
        """Move the party back into the mix of its call, which may then end."""
        if self._closed:
            return
        self._closed = True
        self.conversation.unsubscribe(self)
        if self._in and not self.conversation.over:
            self._resources.engine.post(m.JoinMix(self.port, self.conversation.executor.mix))
        self._on_left(reason)

    async def measure(self) -> Stats | None:
        """Wait until the call is released; return the media figures of its party, if there are any."""
        await self.conversation.released.wait()
        statistics = self.conversation.executor.legs.statistics.get(PARTY)
        return stats_of(statistics) if statistics else None

    def event(self, event: events.Event, seq: int) -> None:
        """Enter with the answer of the call; pass on when its party speaks."""
        if isinstance(event, events.SubjectEvent) and event.subject != party_of(self.conversation.id):
            return
        who = self.participant
        match event:
            case events.Answer():
                self._enter()
            case events.Speaking() | events.Silence():
                speaking = isinstance(event, events.Speaking)
                self._act(lambda room, now: room.spoke(who, speaking, now))
            case _:
                pass  # No other event concerns the room.

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """Do nothing: a call that has ended hangs up its leg in the room."""

    def _enter(self) -> None:
        if self._in or self._closed:
            return
        self._in = True
        who = self.participant
        self.port = self.conversation.executor.legs.port(PARTY)
        self._resources.engine.post(m.JoinMix(self.port, self._mix))
        if not self.conversation.executor.detects(PARTY):
            self._resources.engine.post(m.SetVad(self.port, VAD, stop_ms=STOP_MS))
        self._on_opened(self)
        self._act(lambda room, now: room.flowing(who, now))


def stats_of(statistics: Mapping[str, float]) -> Stats:
    """Return the figures of a session from those of a port.

    They are seen from the participant: the packets that the port received are those that it sent.
    """
    figure = statistics.get
    if "packets_received" in statistics:
        got, lost = figure("packets_received", 0.0), figure("packets_lost", 0.0)
        sent = figure("packets_sent", 0.0)
    else:  # The audio of a WebSocket has no packets: it is counted in frames of 20 ms.
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
    """The room as the second leg of a call (an ``Endpoint``). The party of the call carries the audio."""

    def __init__(
        self,
        request: LegRequest,
        report: Callable[[reports.Report], None],
        resources: Resources,
        on_enter: Callable[["RoomEndpoint"], None],
        on_leave: Callable[["RoomEndpoint"], None],
    ) -> None:
        """Prepare; :meth:`answer` asks for a seat.

        Args:
            request: The leg; its callee is ``room:<id>``.
            report: Gets the reports of the leg.
            resources: Routes.
            on_enter: Called when the call wants a seat; :meth:`answered` or :meth:`refused` follows.
            on_leave: Called when the call has hung up.
        """
        self.request = request
        self._report: Callable[[reports.Report], None] | None = report
        self._resources = resources
        self._on_enter, self._on_leave = on_enter, on_leave

    def ring(self, early_media: bool = False) -> None:
        """Do nothing: a room does not ring."""

    def answer(self) -> None:
        """Ask the room for a seat; the outcome is reported."""
        self._on_enter(self)

    def answered(self) -> None:
        """Report that the call has a seat."""
        self._tell(reports.LegAnswered(self.request.leg, "", "pcm", 24000, 20))

    def refused(self, code: int, reason: str) -> None:
        """Report that the room has refused the call."""
        self._tell(reports.LegRejected(self.request.leg, code, reason))

    def ended(self, reason: str) -> None:
        """Report that the call has left the room."""
        self._tell(reports.LegEnded(self.request.leg, reason, "callee"))

    def offer(self, sdp: str) -> None:
        """Do nothing: a room has no SDP."""

    def candidates(self, candidates: object) -> None:
        """Do nothing: a room has no ICE."""

    def dtmf(self, digits: str) -> None:
        """Do nothing: a room does not collect digits."""

    def hangup(self, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """Leave the room; idempotent."""
        if self._report is None:
            return
        self._report = None
        self._on_leave(self)
        # The call waits for the figures of each leg. This leg has no port: an empty report ends the wait.
        closed = m.PortClosed(self.request.port, time.monotonic(), {})
        self._resources.routes.deliver(m.Output(reports=[closed]))

    async def closed(self) -> None:
        """Return at once: the endpoint holds nothing."""

    def _tell(self, report: reports.Report) -> None:
        if self._report is not None:
            self._report(report)
