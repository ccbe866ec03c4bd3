"""One open room: its core, its timer, the sockets of its participants and their seats in the mix."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any, Protocol

from softswitch.call.interfaces import EndpointFactory, LegRequest
from softswitch.log.tasks import Tasks
from softswitch.room import events as ev
from softswitch.room.model import Participant
from softswitch.room.rejection import RoomReason, RoomRefused
from softswitch.room.room import Room
from softswitch.store.store import ParticipantRecord, RoomRecord, SessionRecord
from softswitch.switch.resources import Resources
from softswitch.switch.rooms.announcer import RoomAnnouncer
from softswitch.switch.rooms.recording import RoomRecordings
from softswitch.switch.rooms.seats import CallSeat, PeerSeat

MEASURE_S = 2.0
"""Longest wait for the last figures of participants after a room has closed, in seconds."""

MOST_SENT = 100
"""Sockets that get events in one round of the loop: sending to all at once would hold up other calls."""


class RoomSocket(Protocol):
    """A client's connection, which may stand for participants of several rooms."""

    def room_event(self, event: ev.RoomEvent) -> None:
        """Send an event; never blocks, never raises."""

    def unbound(self, participant: str) -> None:
        """Note that the connection does not stand for a participant any more."""

    def replaced(self, participant: str) -> None:
        """Note that another connection of the same client stands for a participant from now on."""


class RunningRoom:
    """An open room. All methods belong to the event loop."""

    def __init__(
        self,
        room: Room,
        resources: Resources,
        webrtc: EndpointFactory,
        announcer: Callable[[str, int], RoomAnnouncer],
        on_closed: Callable[["RunningRoom"], None],
        *,
        created_ms: int,
        owner: str = "",
    ) -> None:
        """Prepare.

        Args:
            room: The core.
            resources: Engine, routes, store.
            webrtc: Makes the connections of participants.
            announcer: Makes the inner call of the room, from its id and mix.
            on_closed: Called once, when the room has closed.
            created_ms: When the room was made, epoch milliseconds.
            owner: Account of the room; empty: the administrator's.
        """
        self.room = room
        self.owner = owner
        self.created_ms = created_ms
        self.mix = next(resources.ids)
        self.sockets: dict[str, RoomSocket] = {}
        self.announcer = announcer(room.id, self.mix)
        self._resources = resources
        self._webrtc = webrtc
        self._on_closed = on_closed
        self._seats: dict[str, PeerSeat | CallSeat] = {}
        self._recordings = RoomRecordings(room.id, self.mix, resources, self.spawn, account=owner)
        self._offset_ms = created_ms - room.created * 1000
        self._timer: asyncio.TimerHandle | None = None
        self._settling = False
        self._unsent: deque[tuple[ev.RoomEvent, list[RoomSocket]]] = deque()
        """Events and the sockets that have not got them: a large room takes several rounds of the loop."""
        self._tasks = Tasks("switch")

    # --- for the table ------------------------------------------------------------------

    def act(self, verb: Callable[[Room, float], None]) -> None:
        """Call a verb of the core with the time, and carry out what it decided; raises RoomRefused."""
        try:
            verb(self.room, time.monotonic())
        finally:
            self.settle()

    def join(self, one: Participant, socket: RoomSocket | None) -> Participant:
        """Admit a participant; raises RoomRefused."""
        try:
            known = self.room.seat_of(one.agent)
            before = self.sockets.get(known.id) if known is not None else None
            if before is not None and before is socket:
                raise RoomRefused(RoomReason.ALREADY_JOINED, value=one.agent)
            one = self.room.join(one, time.monotonic(), bound=socket is not None)
            if socket is not None:
                self.sockets[one.id] = socket
                if before is not None:
                    before.replaced(one.id)
        finally:
            self.settle()
        return one

    def seat(self, participant: str, seat: CallSeat) -> None:
        """Seat the leg of a call in the mix."""
        self._seats[participant] = seat
        self.spawn(self._measure(participant, seat))
        seat.begin()

    def opened(self, seat: PeerSeat | CallSeat) -> None:
        """Mute and record a participant whose port has just come into the mix, as the room says."""
        one = self.room.people.get(seat.participant)
        if one is None:
            return
        if one.muted:
            seat.mute(True)
        self._recordings.add(seat.port, one.agent)

    def epoch_ms(self, monotonic: float) -> int:
        """Return a monotonic time as epoch milliseconds, by the clock that the room began with."""
        return round(monotonic * 1000 + self._offset_ms)

    def record(self) -> RoomRecord:
        """Return the record of the room for the store."""
        room = self.room
        return RoomRecord(
            id=room.id,
            name=room.name,
            status=room.state.value,
            settings_json=json.dumps(room.settings),
            created_at=self.created_ms,
            updated_at=self.epoch_ms(room.updated),
            reason=room.reason,
            owner=self.owner,
        )

    def session(self, one: Participant) -> SessionRecord:
        """Return the record of a participant's session for the store."""
        return SessionRecord(
            id=one.session,
            room_id=self.room.id,
            participant_id=one.id,
            account=self.owner,
            start_time=self.epoch_ms(one.joined),
            end_time=None if one.left is None else self.epoch_ms(one.left),
            status="active" if one.left is None else "completed",
            stats_json=json.dumps(asdict(one.stats)),
        )

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a background task of the room; its failure is logged and counted, and the room goes on."""
        return self._tasks.spawn(work, name="part of a room", call=self.room.id)

    async def release(self) -> None:
        """Wait until recordings and figures are complete, for a bounded time."""
        await self._recordings.closed()
        await self._tasks.join(MEASURE_S)

    # --- carrying out -------------------------------------------------------------------

    def settle(self) -> None:
        """Send and carry out what the core decided, in order, until it decides nothing further.

        Verbs that are called meanwhile only change the core: their effects are carried out in the same loop.
        """
        if self._settling:
            return
        self._settling = True
        try:
            while True:
                told, effects = self.room.take_told(), self.room.take_effects()
                if not told and not effects:
                    break
                for each in told:
                    self._send(each)
                for effect in effects:
                    self._carry(effect)
        finally:
            self._settling = False
            self._schedule()

    def _send(self, told: ev.Delivery) -> None:
        sockets = [socket for participant in told.to if (socket := self.sockets.get(participant))]
        if self._unsent:
            self._unsent.append((told.event, sockets))
            return
        for socket in sockets[:MOST_SENT]:
            socket.room_event(told.event)
        if rest := sockets[MOST_SENT:]:
            self._unsent.appendleft((told.event, rest))
            asyncio.get_running_loop().call_soon(self._send_rest)

    def _send_rest(self) -> None:
        """Go on where the last round ended; events keep the order in which they were decided."""
        budget = MOST_SENT
        while self._unsent and budget > 0:
            event, sockets = self._unsent.popleft()
            for socket in sockets[:budget]:
                socket.room_event(event)
            if rest := sockets[budget:]:
                self._unsent.appendleft((event, rest))
            budget -= max(len(sockets), 1)
        if self._unsent:
            asyncio.get_running_loop().call_soon(self._send_rest)

    def _carry(self, effect: ev.RoomEffect) -> None:
        match effect:
            case ev.OpenSeat():
                self._open_seat(effect)
            case ev.CloseSeat():
                if seat := self._seats.pop(effect.participant, None):
                    self._recordings.remove(seat.port)
                    seat.vacate(effect.reason)
            case ev.OfferSeat():
                seat = self._seats.get(effect.participant)
                if isinstance(seat, PeerSeat):
                    seat.offer(effect.sdp)
            case ev.AddSeatCandidate():
                seat = self._seats.get(effect.participant)
                if isinstance(seat, PeerSeat):
                    seat.candidate(effect.candidate)
            case ev.MuteSeat():
                if seat := self._seats.get(effect.participant):
                    seat.mute(effect.muted)
            case ev.SetRecording():
                self._record(effect.on)
            case ev.KeepRoom():
                self._resources.store.save_room(self.record())
            case ev.KeepParticipant():
                self._store(effect.participant)
            case ev.Unbind():
                if socket := self.sockets.pop(effect.participant, None):
                    socket.unbound(effect.participant)
            case ev.Finish():
                self.announcer.close()
                self._on_closed(self)
            case _:
                raise TypeError(f"no code carries out {type(effect).__name__}")

    def _open_seat(self, effect: ev.OpenSeat) -> None:
        who = effect.participant
        if before := self._seats.pop(who, None):
            before.vacate("replaced")
        seat = PeerSeat(who, self._resources, self.act, self.opened, self._on_ended)
        self._seats[who] = seat
        wish = self.room.wish
        seat.answer(
            self._webrtc,
            LegRequest(
                call=self.room.id,
                leg=who,
                port=seat.port,
                mix=self.mix,
                offer=effect.sdp,
                codec=wish.codec,
                bitrate=wish.bitrate,
            ),
        )

    def _on_ended(self, seat: PeerSeat) -> None:
        if self._seats.get(seat.participant) is seat:
            del self._seats[seat.participant]
        self._recordings.remove(seat.port)

    async def _measure(self, participant: str, seat: CallSeat) -> None:
        if stats := await seat.measure():
            self.act(lambda room, now: room.measured(participant, stats))

    def _record(self, on: bool) -> None:
        if not on:
            self._recordings.stop()
            return
        self._recordings.start(self.room.wish.container)
        for seat in self._seats.values():
            self.opened(seat)

    def _store(self, participant: str) -> None:
        one = self.room.people.get(participant) or self.room.gone.get(participant)
        if one is None:
            return
        record = ParticipantRecord(
            id=one.id,
            room_id=self.room.id,
            agent_id=one.agent,
            status=one.state.value,
            metadata_json=json.dumps(one.metadata),
            joined_at=self.epoch_ms(one.joined),
            left_at=None if one.left is None else self.epoch_ms(one.left),
            reason=one.reason,
        )
        self._resources.store.save_participant(record, self.session(one))

    # --- time ---------------------------------------------------------------------------

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.room.deadline()
        if due is not None:
            delay = max(0.0, due - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._elapse)

    def _elapse(self) -> None:
        self._timer = None
        self.act(lambda room, now: room.elapse(now))
