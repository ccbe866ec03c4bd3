"""The directory of rooms: `web` makes, finds and joins rooms here, and reaches each of them by a handle.

A handle takes and gives values only, as that of a call does (:mod:`softswitch.switch.directory`). Only
:meth:`RoomDirectory.join` takes an object of this process, the socket of the client.
"""

from typing import Any, Literal, Protocol

import msgspec

from softswitch.call.authority import Principal, act_of
from softswitch.call.vocabulary.commands import Command, StopStream
from softswitch.room.model import Participant, RoomOptions, Stats
from softswitch.room.rejection import RoomReason, RoomRefused
from softswitch.store.store import Recording, RoomRecord, SessionRecord
from softswitch.switch.conversation.conversation import Subscriber
from softswitch.switch.rooms.request import RoomRequest
from softswitch.switch.rooms.rooms import Rooms, settings_of
from softswitch.switch.rooms.running import RoomSocket, RunningRoom


class ParticipantSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A participant as it stands at one moment."""

    id: str
    agent: str
    status: str
    display_name: str
    metadata: dict[str, object]
    joined_ms: int
    """Epoch milliseconds, as all times here."""


class RoomSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A room as it stands at one moment; a closed one as it was."""

    id: str
    name: str
    status: str
    settings: dict[str, Any]
    """As the client gave them."""
    created_ms: int
    updated_ms: int
    topology: Literal["mix", "p2p", ""] = ""
    """Whether the switch mixes the audio; empty: the room is closed."""
    participants: int = 0
    """Their number."""


class RoomHandle(Protocol):
    """An open room of this process, or of another one."""

    @property
    def id(self) -> str:
        """Return the id of the room."""

    def snapshot(self) -> RoomSnapshot:
        """Return the room as it stands."""

    def update(self, request: RoomRequest, by: Principal) -> None:
        """Change name and settings; raises RoomRefused where the client may not."""

    def close(self) -> None:
        """Close the room."""

    def remove(self, participant: str, by: Principal) -> None:
        """Remove a participant; raises RoomRefused: it is not there, or belongs to another client."""

    async def command(self, command: Command, by: Principal) -> None:
        """Carry out a command in the call inside the room.

        Raises:
            RoomRefused: The switch does not speak in this room, or no stream is open that could be stopped.
            CommandRejected: The call cannot.
        """

    async def subscribe(self, subscriber: Subscriber) -> None:
        """Add a recipient of the events of the call inside the room, which is told of the call's end."""


class SeatHandle(Protocol):
    """A participant that a client's socket stands for."""

    @property
    def room(self) -> str:
        """Return the id of the room."""

    def leave(self) -> None:
        """Leave the room. All methods raise RoomRefused where the participant is not in the room."""

    def drop(self) -> None:
        """Note that the socket is lost; the participant may come back within `[rooms] grace_s`."""

    def offer(self, sdp: str) -> None:
        """Take an SDP offer."""

    def answer(self, sdp: str) -> None:
        """Take an SDP answer."""

    def candidate(self, candidate: dict[str, Any]) -> None:
        """Take an ICE candidate."""

    def mute(self, muted: bool) -> None:
        """Mute the participant, or end that."""

    def tell_state(self, state: str) -> None:
        """Note the state of the participant's connection."""

    def tell_stats(self, stats: Stats) -> None:
        """Note figures that the participant measured."""


class RoomDirectory:
    """The rooms that clients of this process can reach."""

    def __init__(self, rooms: Rooms) -> None:
        """Reach the rooms of a table."""
        self._rooms = rooms
        self.settings = rooms.settings

    def create(self, request: RoomRequest, by: Principal) -> RoomSnapshot:
        """Make a room; raises RoomRefused or NotNowError as :meth:`Rooms.create`."""
        return _snapshot(self._rooms.create(request, by))

    def find(self, room_id: str, by: Principal, act: str = "see a room") -> RoomHandle:
        """Return an open room; raises RoomRefused as :meth:`Rooms.find`."""
        return _LocalRoom(self._rooms, self._rooms.find(room_id, by, act))

    def look(self, room_id: str, by: Principal) -> RoomSnapshot:
        """Return a room, open or closed, as it stands; raises RoomRefused."""
        return _snapshot(self._rooms.look(room_id, by))

    def participants(self, room_id: str, by: Principal) -> list[ParticipantSnapshot]:
        """Return the participants of a room, none of a closed one; raises RoomRefused."""
        room = self._rooms.look(room_id, by)
        if not isinstance(room, RunningRoom):
            return []
        return [_participant(room, one) for one in room.room.people.values()]

    def page(self, limit: int, offset: int, status: str, by: Principal) -> tuple[list[RoomSnapshot], int]:
        """Return a page of the rooms a client may see, the newest first, and their number in all."""
        rooms, total = self._rooms.page(limit, offset, status, by)
        return [_snapshot(room) for room in rooms], total

    def join(
        self,
        room_id: str,
        agent: str,
        metadata: dict[str, Any],
        by: Principal,
        socket: RoomSocket | None = None,
    ) -> tuple[ParticipantSnapshot, SeatHandle | None]:
        """Admit a participant; raises RoomRefused.

        Returns:
            The participant, and its seat; None where it has left again already.
        """
        running, one = self._rooms.join(room_id, agent, metadata, by, socket)
        seat = _LocalSeat(running, one.id) if one.id in running.room.people else None
        return _participant(running, one), seat

    async def session(self, session_id: str, by: Principal) -> tuple[SessionRecord, int]:
        """Return a session and the time by its room's clock; raises RoomRefused."""
        return await self._rooms.session(session_id, by)

    async def sessions(
        self, room_id: str, limit: int, offset: int, by: Principal
    ) -> tuple[list[SessionRecord], int]:
        """Return a page of the sessions a client may see, and their number in all; raises RoomRefused."""
        return await self._rooms.sessions(room_id, limit, offset, by)

    async def recordings(self, room_id: str, by: Principal) -> list[Recording]:
        """Return the recordings of a room, open or closed; raises RoomRefused."""
        return await self._rooms.recordings(room_id, by)


class _LocalRoom:
    """A room of this process (a `RoomHandle`)."""

    def __init__(self, rooms: Rooms, running: RunningRoom) -> None:
        self._rooms, self._running = rooms, running

    @property
    def id(self) -> str:
        return self._running.room.id

    def snapshot(self) -> RoomSnapshot:
        return _snapshot(self._running)

    def update(self, request: RoomRequest, by: Principal) -> None:
        core = self._running.room
        recorded = _recording(request.options) != _recording(core.wish)
        if recorded:
            self._rooms.may(by, "record a room", self._running)
        if not recorded or request.name != core.name or not _differ_in_recording_only(core.settings, request):
            self._rooms.may(by, "change or delete a room", self._running)
        self._running.act(
            lambda room, now: room.update(
                now, name=request.name, settings=request.settings, wish=request.options
            )
        )

    def close(self) -> None:
        self._running.act(lambda room, now: room.close("deleted", now))

    def remove(self, participant: str, by: Principal) -> None:
        one = self._running.room.people.get(participant)
        if one is None or one.owner != by.seat:
            self._rooms.may(by, "remove a participant", self._running)
        self._running.act(lambda room, now: room.leave(participant, now))

    async def command(self, command: Command, by: Principal) -> None:
        self._rooms.may(by, act_of(command), self._running)
        announcer = self._running.announcer
        if isinstance(command, StopStream):
            if not announcer.is_live:
                raise RoomRefused(RoomReason.INVALID, "no stream of this id")
        elif not self._running.room.mixed:
            raise RoomRefused(RoomReason.INVALID, "topology: the switch does not speak in a p2p room")
        await announcer.order(command, by)

    async def subscribe(self, subscriber: Subscriber) -> None:
        (await self._running.announcer.call()).subscribe(subscriber)


class _LocalSeat:
    """A participant of a room of this process (a `SeatHandle`)."""

    def __init__(self, running: RunningRoom, participant: str) -> None:
        self._running, self._who = running, participant

    @property
    def room(self) -> str:
        return self._running.room.id

    def leave(self) -> None:
        self._running.act(lambda room, now: room.leave(self._who, now))

    def drop(self) -> None:
        self._running.sockets.pop(self._who, None)
        self._running.act(lambda room, now: room.drop(self._who, now))

    def offer(self, sdp: str) -> None:
        self._running.act(lambda room, now: room.offer(self._who, sdp, now))

    def answer(self, sdp: str) -> None:
        self._running.act(lambda room, now: room.answer(self._who, sdp, now))

    def candidate(self, candidate: dict[str, Any]) -> None:
        self._running.act(lambda room, now: room.candidate(self._who, candidate, now))

    def mute(self, muted: bool) -> None:
        self._running.act(lambda room, now: room.mute(self._who, muted, now))

    def tell_state(self, state: str) -> None:
        self._running.act(lambda room, now: room.tell_state(self._who, state, now))

    def tell_stats(self, stats: Stats) -> None:
        self._running.act(lambda room, now: room.tell_stats(self._who, stats, now))


def _recording(options: RoomOptions) -> tuple[bool, str]:
    return options.record, options.container


def _differ_in_recording_only(settings: dict[str, Any], request: RoomRequest) -> bool:
    """Return whether a request changes no setting but `recording`."""
    kept = {"recording": request.settings.get("recording")} if "recording" in request.settings else {}
    return {**settings, **kept} == {**request.settings, **kept}


def _snapshot(room: RunningRoom | RoomRecord) -> RoomSnapshot:
    record, core = (room.record(), room.room) if isinstance(room, RunningRoom) else (room, None)
    return RoomSnapshot(
        id=record.id,
        name=record.name,
        status=record.status,
        settings=settings_of(room),
        created_ms=record.created_at,
        updated_ms=record.updated_at,
        topology="" if core is None else "mix" if core.mixed else "p2p",
        participants=0 if core is None else len(core.people),
    )


def _participant(running: RunningRoom, one: Participant) -> ParticipantSnapshot:
    return ParticipantSnapshot(
        id=one.id,
        agent=one.agent,
        status=one.state.value,
        display_name=one.display_name,
        metadata=one.metadata,
        joined_ms=running.epoch_ms(one.joined),
    )
