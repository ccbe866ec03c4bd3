"""All rooms of this process: make, find, list, join, close; and calls that are put into one."""

import asyncio
import contextlib
import json
import logging
import re
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from softswitch.call.needs import Endpoint, EndpointFactory, LegRequest
from softswitch.call.reports import Report
from softswitch.call.room import Room
from softswitch.call.room_parts import Participant, RoomRefused, RoomTimes, RoomWish
from softswitch.dialects.rooms.rest import RoomBody
from softswitch.dialects.rooms.wishes import Faults, read_wish
from softswitch.errors import NotNowError, OurError
from softswitch.settings.rooms import Rooms as RoomSettings
from softswitch.store.store import RoomRecord, SessionRecord
from softswitch.switch.room_machine import RoomMachine
from softswitch.switch.room_seats import CallSeat, RoomEndpoint
from softswitch.switch.running_room import RoomSocket, RunningRoom
from softswitch.switch.switch import Switch

logger = logging.getLogger(__name__)

ROOM_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.@:-]{0,127}")
PAGE = 1000
AT_ONCE = 50
"""Rooms closed in one go at the end."""


class Rooms:
    """The table of rooms. All methods belong to the event loop."""

    def __init__(self, switch: Switch, webrtc: EndpointFactory) -> None:
        """Start without rooms; :meth:`start` brings back those of before."""
        self.settings: RoomSettings = switch.resources.settings.rooms
        self._switch = switch
        self._resources = switch.resources
        self._webrtc = webrtc
        self._rooms: OrderedDict[str, RunningRoom | RoomRecord] = OrderedDict()
        """All rooms there are, the oldest first: closed ones as their records."""
        self._open = 0
        self._inside: dict[int, tuple[RunningRoom, str]] = {}
        """Calls in rooms: by the port of the leg that stands for the room."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._times = RoomTimes(
            self.settings.grace_s, self.settings.connect_timeout_s, self.settings.max_participants
        )

    async def start(self) -> None:
        """Bring back what was kept; a store that cannot be read costs the past, not the present."""
        kept: list[RoomRecord] = []
        try:
            while len(kept) < self.settings.kept:
                page = await self._resources.store.rooms(PAGE, len(kept))
                kept += page
                if len(page) < PAGE:
                    break
        except OurError as error:
            logger.error("the rooms of before cannot be read", extra={"error": str(error)})
        for record in reversed(kept):
            if record.status == "closed" or self._open >= self.settings.max_rooms:
                self._rooms[record.id] = record
            else:
                self._revive(record)

    async def stop(self) -> None:
        """Close the rooms that people are in; those that wait for their first one are kept."""
        running = [room for room in self._rooms.values() if isinstance(room, RunningRoom)]
        for number, room in enumerate(room for room in running if room.room.people):
            room.act(lambda core, now: core.close("server_shutdown", now))
            if number % AT_ONCE == AT_ONCE - 1:
                # The store takes so much at a time, and the loop has others to serve.
                await asyncio.sleep(0.02)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=6.0)

    async def drain(self, seconds: float) -> None:
        """Let people who are in rooms go on for at most ``seconds``."""
        end = time.monotonic() + seconds
        while self._talking() and time.monotonic() < end:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(0.2)

    def _talking(self) -> bool:
        """Tell whether somebody is there; a seat that was only asked for holds nothing up."""
        rooms = (room for room in self._rooms.values() if isinstance(room, RunningRoom))
        return any(one.bound or one.seated for room in rooms for one in room.room.people.values())

    # --- making and finding ---------------------------------------------------------------

    def create(self, body: RoomBody, owner: str, room_id: str | None = None) -> RunningRoom:
        """Make a room; raises NotNowError where there are too many."""
        if self._switch.draining:
            raise NotNowError("the switch is going down", retry_after_s=30.0)
        if self._open >= self.settings.max_rooms:
            raise NotNowError("[rooms] max_rooms is reached", retry_after_s=5.0)
        room = Room(
            room_id or str(uuid.uuid4()),
            str(uuid.uuid4()),
            time.monotonic(),
            name=body.name,
            settings=body.settings,
            wish=body.wish,
            times=self._times,
        )
        running = self._run(room, int(time.time() * 1000), owner)
        self._resources.store.save_room(running.record())
        return running

    def find(self, room_id: str) -> RunningRoom:
        """Return an open room; raises RoomRefused."""
        room = self._rooms.get(room_id)
        if not isinstance(room, RunningRoom):
            raise RoomRefused("ROOM_NOT_FOUND", "Room does not exist")
        return room

    def look(self, room_id: str) -> RunningRoom | RoomRecord:
        """Return a room, be it closed; raises RoomRefused."""
        room = self._rooms.get(room_id)
        if room is None:
            raise RoomRefused("ROOM_NOT_FOUND", "Room does not exist")
        return room

    def page(self, limit: int, offset: int, status: str = "") -> tuple[list[RunningRoom | RoomRecord], int]:
        """Return some rooms, the newest first, and how many there are in all."""
        if not status:
            newest = reversed(self._rooms.values())
            return [room for at, room in zip(range(offset + limit), newest, strict=False) if at >= offset], (
                len(self._rooms)
            )
        fitting = [room for room in reversed(self._rooms.values()) if status_of(room) == status]
        return fitting[offset : offset + limit], len(fitting)

    async def session(self, session_id: str) -> tuple[SessionRecord, int]:
        """Return a session and the time by its room's clock; raises RoomRefused.

        What is under way, or has just ended, is newer here than in the store.
        """
        for found in self._rooms.values():
            if isinstance(found, RunningRoom):
                for one in (*found.room.people.values(), *found.room.gone.values()):
                    if one.session == session_id:
                        return found.session(one), found.epoch_ms(time.monotonic())
        await self._resources.store.settled()
        kept = await self._resources.store.session(session_id)
        if kept is None:
            raise RoomRefused("SESSION_NOT_FOUND", "Session does not exist")
        return kept, int(time.time() * 1000)

    async def sessions(self, room_id: str, limit: int, offset: int) -> tuple[list[SessionRecord], int]:
        """Return some sessions, the newest first, and how many there are in all."""
        store = self._resources.store
        await store.settled()
        return await store.sessions(room_id, limit, offset), await store.count_sessions(room_id)

    # --- people -----------------------------------------------------------------------------

    def join(
        self, room_id: str, agent: str, metadata: dict[str, Any], owner: str, socket: RoomSocket | None = None
    ) -> tuple[RunningRoom, Participant]:
        """Give somebody a seat; raises RoomRefused."""
        running = self.find(room_id)
        one = Participant(
            str(uuid.uuid4()), str(uuid.uuid4()), agent, owner, time.monotonic(), metadata=dict(metadata)
        )
        return running, running.join(one, socket)

    # --- calls --------------------------------------------------------------------------------

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make the endpoint of a leg to ``room:<id>`` (an ``EndpointFactory``)."""
        return RoomEndpoint(request, report, self._resources, self._enter, self._leave)

    def _enter(self, endpoint: RoomEndpoint) -> None:
        request = endpoint.request
        conversation = self._switch.find(request.call)
        if conversation is None:
            endpoint.refused(404, "the call is over")
            return
        room_id = request.callee.removeprefix("room:")
        try:
            # A rule of the settings names a room that need not be there before somebody calls.
            running = self._for_rule(room_id) if conversation.call.connected else self.find(room_id)
            one = running.join(self._caller(running, request), None)
        except RoomRefused as refused:
            endpoint.refused(refused.code, f"{refused.room_code}: {refused}")
            return
        except NotNowError as error:
            endpoint.refused(503, str(error))
            return
        self._inside[request.port] = (running, one.id)
        endpoint.answered()
        running.seat(
            one.id,
            CallSeat(one.id, conversation, running.mix, running.act, running.opened, endpoint.ended),
        )

    def _for_rule(self, room_id: str) -> RunningRoom:
        room = self._rooms.get(room_id)
        if isinstance(room, RunningRoom):
            return room
        if not ROOM_ID.fullmatch(room_id):
            raise RoomRefused("ROOM_NOT_FOUND", "Room does not exist")
        wish = RoomWish(topology="mix")
        return self.create(RoomBody(room_id, {"topology": "mix"}, wish), "", room_id)

    def _caller(self, running: RunningRoom, request: LegRequest) -> Participant:
        name = request.caller or request.call
        if any(one.agent == name for one in running.room.people.values()):
            name = request.call
        metadata: dict[str, object] = {"display_name": request.caller} if request.caller else {}
        return Participant(
            str(uuid.uuid4()),
            str(uuid.uuid4()),
            name[:128],
            "",
            time.monotonic(),
            metadata=metadata,
            kind="call",
        )

    def _leave(self, endpoint: RoomEndpoint) -> None:
        found = self._inside.pop(endpoint.request.port, None)
        if found is None:
            return
        running, participant = found
        with contextlib.suppress(RoomRefused):  # The room has let it go by itself.
            running.act(lambda room, now: room.leave(participant, now))

    # --- inside -------------------------------------------------------------------------------

    def _run(self, room: Room, created_ms: int, owner: str) -> RunningRoom:
        running = RunningRoom(
            room,
            self._resources,
            self._webrtc,
            lambda room_id, mix: RoomMachine(room_id, mix, self._switch),
            self._over,
            created_ms=created_ms,
            owner=owner,
        )
        self._rooms.pop(room.id, None)
        self._rooms[room.id] = running
        self._open += 1
        return running

    def _revive(self, record: RoomRecord) -> None:
        """Bring an idle room back."""
        settings = json.loads(record.settings_json)
        now, now_ms = time.monotonic(), time.time() * 1000
        room = Room(
            record.id,
            str(uuid.uuid4()),
            now - (now_ms - record.created_at) / 1000,
            name=record.name,
            settings=settings,
            wish=read_wish(settings, self.settings.max_participants, Faults()),
            times=self._times,
        )
        room.updated = room.created + (record.updated_at - record.created_at) / 1000
        self._run(room, record.created_at, record.owner)

    def _over(self, running: RunningRoom) -> None:
        self._open -= 1
        self._rooms[running.room.id] = running.record()
        closed = len(self._rooms) - self._open
        if closed > self.settings.kept:
            oldest = next(key for key, room in self._rooms.items() if isinstance(room, RoomRecord))
            del self._rooms[oldest]
        task = asyncio.get_running_loop().create_task(running.release())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def numbers(self) -> dict[str, int]:
        """Return how many rooms are open and how many people are in them."""
        running = [room for room in self._rooms.values() if isinstance(room, RunningRoom)]
        return {
            "open": len(running),
            "participants": sum(len(room.room.people) for room in running),
        }


def status_of(room: RunningRoom | RoomRecord) -> str:
    """Return the status of a room."""
    return room.room.state.value if isinstance(room, RunningRoom) else room.status


def settings_of(room: RunningRoom | RoomRecord) -> dict[str, Any]:
    """Return the settings of a room as they were given."""
    if isinstance(room, RunningRoom):
        return room.room.settings
    settings: dict[str, Any] = msgspec.json.decode(room.settings_json)
    return settings
