"""One open room: its core, its timer, the sockets that speak for people and their seats in the mix."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from softswitch.call import room_events as ev
from softswitch.call.needs import EndpointFactory, LegRequest
from softswitch.call.room import Room
from softswitch.call.room_parts import Participant
from softswitch.dialects.rooms.rest import stats_shown
from softswitch.store.store import ParticipantRecord, RoomRecord, SessionRecord
from softswitch.switch.resources import Resources
from softswitch.switch.room_machine import RoomMachine
from softswitch.switch.room_recording import RoomRecordings
from softswitch.switch.room_seats import CallSeat, PeerSeat

logger = logging.getLogger(__name__)

MEASURE_S = 2.0
"""How long the last figures are waited for when a room is over."""


class RoomSocket(Protocol):
    """A client's connection, which may speak for people in several rooms."""

    def room_event(self, event: ev.RoomEvent) -> None:
        """Tell it something; never blocks, never raises."""

    def unbound(self, participant: str) -> None:
        """Note that it does not speak for somebody any more."""


class RunningRoom:
    """Runs one room. All methods belong to the event loop."""

    def __init__(
        self,
        room: Room,
        resources: Resources,
        webrtc: EndpointFactory,
        machine: Callable[[str, int], RoomMachine],
        over: Callable[["RunningRoom"], None],
        *,
        created_ms: int,
        owner: str = "",
    ) -> None:
        """Prepare.

        Args:
            room: The core.
            resources: Engine, routes, store.
            webrtc: Makes connections of people.
            machine: Makes what speaks in the room, from its id and mix.
            over: Told once when the room is closed.
            created_ms: When it was made, epoch milliseconds.
            owner: Name of the credentials it was made with.
        """
        self.room = room
        self.owner = owner
        self.created_ms = created_ms
        self.mix = next(resources.ids)
        self.sockets: dict[str, RoomSocket] = {}
        self.machine = machine(room.id, self.mix)
        self._resources = resources
        self._webrtc = webrtc
        self._over = over
        self._seats: dict[str, PeerSeat | CallSeat] = {}
        self._recordings = RoomRecordings(room.id, self.mix, resources, self.spawn)
        self._offset_ms = created_ms - room.created * 1000
        self._timer: asyncio.TimerHandle | None = None
        self._settling = False
        self._tasks: set[asyncio.Task[None]] = set()

    # --- for the table ------------------------------------------------------------------

    def act(self, verb: Callable[[Room, float], None]) -> None:
        """Do something with the room, and all that follows from it; raises RoomRefused."""
        try:
            verb(self.room, time.monotonic())
        finally:
            self.settle()

    def join(self, one: Participant, socket: RoomSocket | None) -> Participant:
        """Give somebody a seat; raises RoomRefused."""
        try:
            one = self.room.join(one, time.monotonic(), bound=socket is not None)
            if socket is not None:
                self.sockets[one.id] = socket
        finally:
            self.settle()
        return one

    def seat(self, participant: str, seat: CallSeat) -> None:
        """Give the leg of a call its seat."""
        self._seats[participant] = seat
        self.spawn(self._measure(participant, seat))
        seat.begin()

    def opened(self, seat: PeerSeat | CallSeat) -> None:
        """Note that somebody's audio has come into the mix."""
        one = self.room.people.get(seat.participant)
        if one is None:
            return
        if one.muted:
            seat.mute(True)
        self._recordings.add(seat.port, one.agent)

    def epoch_ms(self, monotonic: float) -> int:
        """Return epoch milliseconds of a monotonic time by this room's own clock."""
        return round(monotonic * 1000 + self._offset_ms)

    def record(self) -> RoomRecord:
        """Return the room as it is stored."""
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
        """Return somebody's session as it is stored."""
        return SessionRecord(
            id=one.session,
            room_id=self.room.id,
            participant_id=one.id,
            start_time=self.epoch_ms(one.joined),
            end_time=None if one.left is None else self.epoch_ms(one.left),
            status="active" if one.left is None else "completed",
            stats_json=json.dumps(stats_shown(one.stats)),
        )

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something as part of the room; its failure is logged and harms nobody."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a part of a room failed", extra={"room": self.room.id}, exc_info=error)

    async def release(self) -> None:
        """Wait until files and figures are in, within a bounded time."""
        await self._recordings.closed()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=MEASURE_S)

    # --- carrying out -------------------------------------------------------------------

    def settle(self) -> None:
        """Tell and do everything that was decided, in order; what comes meanwhile is done in turn."""
        if self._settling:
            return
        self._settling = True
        try:
            while True:
                told, effects = self.room.take_told(), self.room.take_effects()
                if not told and not effects:
                    break
                for each in told:
                    self._tell(each)
                for effect in effects:
                    self._carry(effect)
        finally:
            self._settling = False
            self._schedule()

    def _tell(self, told: ev.Told) -> None:
        for participant in told.to:
            if socket := self.sockets.get(participant):
                socket.room_event(told.event)

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
                self._keep(effect.participant)
            case ev.Unbind():
                if socket := self.sockets.pop(effect.participant, None):
                    socket.unbound(effect.participant)
            case ev.Finish():
                self.machine.close()
                self._over(self)
            case _:
                raise TypeError(f"nobody carries out {type(effect).__name__}")

    def _open_seat(self, effect: ev.OpenSeat) -> None:
        who = effect.participant
        if before := self._seats.pop(who, None):
            before.vacate("replaced")
        seat = PeerSeat(who, self._resources, self.act, self.opened, self._gone)
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

    def _gone(self, seat: PeerSeat) -> None:
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

    def _keep(self, participant: str) -> None:
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
