"""All rooms of this process: made, found, listed, joined and closed here; and calls that join one."""

import asyncio
import contextlib
import json
import logging
import re
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from softswitch.call.authority import ANY_ROOM, OPERATOR, Principal, Target, denial, reaches
from softswitch.call.interfaces import Endpoint, EndpointFactory, LegRequest
from softswitch.call.vocabulary.reports import Report
from softswitch.errors import NotNowError, OurError
from softswitch.log.tasks import Tasks
from softswitch.room.model import Participant, RoomOptions, RoomTimes
from softswitch.room.rejection import RoomReason, RoomRefused
from softswitch.room.room import Room
from softswitch.settings.rooms import Rooms as RoomSettings
from softswitch.store.store import Recording, RoomRecord, SessionRecord
from softswitch.switch.rooms.announcer import RoomAnnouncer
from softswitch.switch.rooms.request import ReadOptions, RoomRequest
from softswitch.switch.rooms.running import RoomSocket, RunningRoom
from softswitch.switch.rooms.seats import CallSeat, RoomEndpoint
from softswitch.switch.switch import Switch

logger = logging.getLogger(__name__)

ROOM_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.@:-]{0,127}")
Claim = Callable[[str, str], Awaitable[bool]]
"""Tells whether this node may have a room of an account."""
PAGE = 1000
"""Stored rooms that are read at once at the start."""
AT_ONCE = 50
"""Rooms that are closed in one round of the loop when the switch goes down."""


class Rooms:
    """The table of rooms. All methods belong to the event loop."""

    def __init__(
        self,
        switch: Switch,
        webrtc: EndpointFactory,
        read_options: ReadOptions,
        words: Callable[[RoomRefused], str] = str,
    ) -> None:
        """Start without rooms; :meth:`start` brings back those that were stored.

        Args:
            switch: Table of calls.
            webrtc: Makes the connections of participants.
            read_options: Reads the options of stored rooms.
            words: Returns the reason phrase for a call that a room refuses, in the words of a dialect.
        """
        self._words = words
        self.settings: RoomSettings = switch.resources.settings.rooms
        self._switch = switch
        self._resources = switch.resources
        self._webrtc = webrtc
        self._read_options = read_options
        self._rooms: OrderedDict[str, RunningRoom | RoomRecord] = OrderedDict()
        """Open rooms, and closed ones as their records; the oldest first."""
        self._by_account: dict[str, dict[str, None]] = {}
        """Ids of rooms by account, the oldest first."""
        self._closed: Counter[str] = Counter()
        """Number of closed rooms by account."""
        self._open = 0
        self._participants: dict[int, tuple[RunningRoom, str]] = {}
        """Room and participant of each call in a room, by the port of its leg `room:<id>`."""
        self._tasks = Tasks("switch")
        self.on_opened: Callable[[RunningRoom], None] = lambda running: None
        """Called with each room that is opened."""
        self.on_record: Callable[[RoomRecord], None] = lambda record: None
        """Called with the record of each room that is closed."""
        self._times = RoomTimes(
            self.settings.grace_s,
            self.settings.connect_timeout_s,
            self.settings.max_participants,
            self.settings.empty_s,
        )

    async def start(self, claim: Claim | None = None, *, only: set[str] | None = None) -> None:
        """Bring back the stored rooms. Where the store cannot be read, the switch starts without them.

        Args:
            claim: Tells whether this node may have a room, where several nodes share the store; None: it may.
            only: Ids of the rooms; None: all.
        """
        kept: list[RoomRecord] = []
        try:
            while len(kept) < self.settings.kept:
                page = await self._resources.store.records.rooms(PAGE, len(kept))
                kept += page
                if len(page) < PAGE:
                    break
        except OurError as error:
            logger.error("stored rooms cannot be read: starting without them", extra={"error": str(error)})
        for record in reversed(kept):
            if (only is not None and record.id not in only) or self.is_open(record.id):
                continue
            if record.status == "closed" or self._open >= self.settings.max_rooms:
                self._rooms[record.id] = record
                self._by_account.setdefault(record.owner, {})[record.id] = None
                self._closed[record.owner] += 1
            elif claim is None or await claim(record.id, record.owner):
                self._revive(record)

    def is_open(self, room_id: str) -> bool:
        """Tell whether a room is open here."""
        return isinstance(self._rooms.get(room_id), RunningRoom)

    def open_ids(self) -> list[str]:
        """Return the ids of the rooms that are open here."""
        return [room_id for room_id in self._rooms if self.is_open(room_id)]

    def learn_closed(self, record: RoomRecord) -> None:
        """Remember a room that another node has closed."""
        if record.id not in self._rooms:
            self._rooms[record.id] = record
            self._by_account.setdefault(record.owner, {})[record.id] = None
            self._closed[record.owner] += 1

    async def stop(self) -> None:
        """Close the rooms that have participants; empty ones stay stored as open."""
        running = [room for room in self._rooms.values() if isinstance(room, RunningRoom)]
        for number, room in enumerate(room for room in running if room.room.people):
            room.act(lambda core, now: core.close("server_shutdown", now))
            if number % AT_ONCE == AT_ONCE - 1:
                # Each closed room is written to the store; other work of the loop gets its turn in between.
                await asyncio.sleep(0.02)
        await self._tasks.join(6.0)

    async def drain(self, seconds: float) -> None:
        """Wait until no participant is connected, for at most ``seconds``."""
        end = time.monotonic() + seconds
        while self.talking() and time.monotonic() < end:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(0.2)

    def talking(self) -> bool:
        """Tell whether a participant is connected; one that has only been announced is not waited for."""
        rooms = (room for room in self._rooms.values() if isinstance(room, RunningRoom))
        return any(one.bound or one.seated for room in rooms for one in room.room.people.values())

    # --- making and finding ---------------------------------------------------------------

    def create(self, request: RoomRequest, by: Principal, room_id: str | None = None) -> RunningRoom:
        """Make a room, which belongs to the account of the client.

        Args:
            request: The room.
            by: The client.
            room_id: Id of the room; None makes one.

        Raises:
            RoomRefused: The client may not, or its account has `[rooms] rooms_per_account` open rooms.
            NotNowError: The switch has `[rooms] max_rooms` open rooms, or is going down.
        """
        owner = by.account
        for act in ("make a room", "record a room") if request.options.record else ("make a room",):
            denied = denial(by, act, Target(owner, "room", ANY_ROOM))
            if denied is not None:
                # There is nothing yet that could be hidden.
                self._resources.metrics.commands_denied.labels(act).inc()
                reason = f"{act}: this token is for single rooms" if denied.hidden else denied.reason
                raise RoomRefused(RoomReason.FORBIDDEN, reason)
        bound = self.settings.rooms_per_account
        if (
            owner
            and bound
            and not by.administers
            and len(self._by_account.get(owner, ())) - self._closed[owner] >= bound
        ):
            self._resources.metrics.rooms_refused.labels("rooms_per_account").inc()
            raise RoomRefused(RoomReason.TOO_MANY_ROOMS, f"[rooms] rooms_per_account: {bound} rooms are open")
        if self._switch.draining:
            raise NotNowError("the switch is going down", retry_after_s=30.0)
        if self._open >= self.settings.max_rooms:
            self._resources.metrics.rooms_refused.labels("max_rooms").inc()
            raise NotNowError("[rooms] max_rooms is reached", retry_after_s=5.0)
        room = Room(
            room_id or str(uuid.uuid4()),
            str(uuid.uuid4()),
            time.monotonic(),
            name=request.name,
            settings=request.settings,
            wish=request.options,
            times=self._times,
        )
        running = self._run(room, int(time.time() * 1000), owner)
        running.settle()
        self._resources.store.save_room(running.record())
        return running

    def find(self, room_id: str, by: Principal, act: str = "see a room") -> RunningRoom:
        """Return an open room.

        Args:
            room_id: Id of the room.
            by: The client.
            act: What the client wants to do: a key of the table of authority.

        Raises:
            RoomRefused: There is no such room for this client, or the client may not do this in it.
        """
        room = self.look(room_id, by, act)
        if not isinstance(room, RunningRoom):
            raise RoomRefused(RoomReason.UNKNOWN_ROOM)
        return room

    def look(self, room_id: str, by: Principal, act: str = "see a room") -> RunningRoom | RoomRecord:
        """Return a room, open or closed; raises RoomRefused as :meth:`find`."""
        room = self._rooms.get(room_id)
        if room is None:
            raise RoomRefused(RoomReason.UNKNOWN_ROOM)
        self._check(by, act, Target(room.owner, "room", room_id))
        return room

    def may(self, by: Principal, act: str, running: RunningRoom) -> None:
        """Raise RoomRefused where a principal may not do something in a room."""
        self._check(by, act, Target(running.owner, "room", running.room.id))

    def _check(self, by: Principal, act: str, target: Target) -> None:
        denied = denial(by, act, target)
        if denied is None:
            return
        self._resources.metrics.commands_denied.labels(act).inc()
        raise RoomRefused(RoomReason.UNKNOWN_ROOM if denied.hidden else RoomReason.FORBIDDEN, denied.reason)

    def page(
        self, limit: int, offset: int, status: str, by: Principal
    ) -> tuple[list[RunningRoom | RoomRecord], int]:
        """Return a page of the rooms a principal may see, the newest first, and their number in all."""
        own = self._rooms if by.administers else self._by_account.get(by.account, {})
        if not status and (by.administers or by.rooms is None):
            newest = zip(range(offset + limit), reversed(own), strict=False)
            return [self._rooms[room] for at, room in newest if at >= offset], len(own)
        fitting = [
            room
            for room in (self._rooms[key] for key in reversed(own))
            if status in ("", status_of(room)) and reaches(by, Target(room.owner, "room", id_of(room)))
        ]
        return fitting[offset : offset + limit], len(fitting)

    async def session(self, session_id: str, by: Principal) -> tuple[SessionRecord, int]:
        """Return a session and the time by its room's clock; raises RoomRefused.

        A session that runs, or has just ended, is newer here than in the store.
        """
        for found in self._rooms.values():
            if isinstance(found, RunningRoom):
                for one in (*found.room.people.values(), *found.room.gone.values()):
                    if one.session == session_id:
                        self._check_session(by, found.owner, found.room.id)
                        return found.session(one), found.epoch_ms(time.monotonic())
        await self._resources.store.settled()
        kept = await self._resources.store.records.session(session_id)
        if kept is None:
            raise RoomRefused(RoomReason.UNKNOWN_SESSION)
        self._check_session(by, kept.account, kept.room_id)
        return kept, int(time.time() * 1000)

    def _check_session(self, by: Principal, account: str, room_id: str) -> None:
        if not reaches(by, Target(account, "room", room_id)):
            raise RoomRefused(RoomReason.UNKNOWN_SESSION)

    async def sessions(
        self, room_id: str, limit: int, offset: int, by: Principal
    ) -> tuple[list[SessionRecord], int]:
        """Return a page of the sessions a principal may see, the newest first, and their number in all.

        Raises:
            RoomRefused: The token of the client names rooms, and the request names none.
        """
        if room_id:
            if not reaches(by, Target(by.account, "room", room_id)):
                return [], 0
        elif not (by.administers or by.grants(ANY_ROOM)):
            raise RoomRefused(
                RoomReason.FORBIDDEN, "room_id: this token is for single rooms, so one must be named"
            )
        store, account = self._resources.store, None if by.administers else by.account
        await store.settled()
        return (
            await store.records.sessions(room_id, limit, offset, account),
            await store.records.count_sessions(room_id, account),
        )

    async def recordings(self, room_id: str, by: Principal) -> list[Recording]:
        """Return the recordings of a room, open or closed; raises RoomRefused."""
        room = self.look(room_id, by, "record a room")
        store = self._resources.store
        await store.settled()
        return await store.records.recordings_of(room_id, room.owner)

    # --- participants -----------------------------------------------------------------------------

    def join(
        self,
        room_id: str,
        agent: str,
        metadata: dict[str, Any],
        by: Principal,
        socket: RoomSocket | None = None,
    ) -> tuple[RunningRoom, Participant]:
        """Admit a participant; raises RoomRefused."""
        running = self.find(room_id, by, "join a room")
        one = Participant(
            str(uuid.uuid4()),
            str(uuid.uuid4()),
            agent,
            by.seat,
            time.monotonic(),
            metadata=dict(metadata),
            may_speak="speak" in by.grants(room_id),
        )
        return running, running.join(one, socket)

    # --- calls --------------------------------------------------------------------------------

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make the endpoint of a leg to ``room:<id>`` (an ``EndpointFactory``)."""
        return RoomEndpoint(request, report, self._resources, self._enter, self._leave)

    def refuse_callee(self, callee: str, by: Principal) -> tuple[int, str] | None:
        """Return code and reason why a client cannot call a room, None if it can or the callee is no room."""
        if not callee.startswith("room:"):
            return None
        try:
            self.find(callee.removeprefix("room:"), by, "put a call into a room")
        except RoomRefused as refused:
            return refused.code, f"callee: {self._words(refused)}"
        return None

    def _enter(self, endpoint: RoomEndpoint) -> None:
        request = endpoint.request
        conversation = self._switch.find(request.call)
        if conversation is None:
            endpoint.refused(404, "the call is over")
            return
        room_id = request.callee.removeprefix("room:")
        try:
            by = conversation.requester(request.callee)
            if by is None:
                # A rule of the settings names a room, which is made with its first call.
                running, by = self._for_rule(room_id), OPERATOR
            else:
                running = self.find(room_id, by, "put a call into a room")
            one = running.join(self._caller(running, request, by), None)
        except RoomRefused as refused:
            endpoint.refused(refused.code, self._words(refused))
            return
        except NotNowError as error:
            endpoint.refused(503, str(error))
            return
        self._participants[request.port] = (running, one.id)
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
            raise RoomRefused(RoomReason.UNKNOWN_ROOM)
        rules = self._resources.settings.route
        account = next((rule.account for rule in rules if rule.to == f"room:{room_id}"), "")
        options, by = RoomOptions(topology="mix"), msgspec.structs.replace(OPERATOR, account=account)
        return self.create(RoomRequest(room_id, {"topology": "mix"}, options), by, room_id)

    def _caller(self, running: RunningRoom, request: LegRequest, by: Principal) -> Participant:
        name = request.caller or request.call
        if any(one.agent == name for one in running.room.people.values()):
            name = request.call
        metadata: dict[str, object] = {"display_name": request.caller} if request.caller else {}
        return Participant(
            str(uuid.uuid4()),
            str(uuid.uuid4()),
            name[:128],
            by.seat,
            time.monotonic(),
            metadata=metadata,
            kind="call",
        )

    def _leave(self, endpoint: RoomEndpoint) -> None:
        found = self._participants.pop(endpoint.request.port, None)
        if found is None:
            return
        running, participant = found
        with contextlib.suppress(RoomRefused):  # The participant has left already.
            running.act(lambda room, now: room.leave(participant, now))

    # --- inside -------------------------------------------------------------------------------

    def _run(self, room: Room, created_ms: int, owner: str) -> RunningRoom:
        running = RunningRoom(
            room,
            self._resources,
            self._webrtc,
            lambda room_id, mix: RoomAnnouncer(room_id, mix, self._switch, owner),
            self._on_closed,
            created_ms=created_ms,
            owner=owner,
        )
        self._remove_closed(room.id)
        self._rooms[room.id] = running
        self._by_account.setdefault(owner, {})[room.id] = None
        self._open += 1
        self.on_opened(running)
        return running

    def _revive(self, record: RoomRecord) -> None:
        """Bring back a room that was open when the process before ended."""
        settings = json.loads(record.settings_json)
        now, now_ms = time.monotonic(), time.time() * 1000
        room = Room(
            record.id,
            str(uuid.uuid4()),
            now - (now_ms - record.created_at) / 1000,
            name=record.name,
            settings=settings,
            wish=self._read_options(settings, self.settings.max_participants),
            times=self._times,
        )
        room.updated = room.created + (record.updated_at - record.created_at) / 1000
        # The timer of an empty room, after which it expires, starts with this.
        self._run(room, record.created_at, record.owner).settle()

    def _on_closed(self, running: RunningRoom) -> None:
        self._open -= 1
        record = self._rooms[running.room.id] = running.record()
        self.on_record(record)
        self._closed[running.owner] += 1
        if len(self._rooms) - self._open > self.settings.kept:
            # The account with the most closed rooms loses its oldest: it pushes out no room of others.
            most = max(self._closed, key=self._closed.__getitem__)
            own = self._by_account[most]
            self._remove_closed(next(key for key in own if isinstance(self._rooms[key], RoomRecord)))
        self._tasks.spawn(running.release(), name="closed room", call=running.room.id)

    def _remove_closed(self, room_id: str) -> None:
        """Remove a closed room from the table, where it is there."""
        removed = self._rooms.pop(room_id, None)
        if removed is None:
            return
        account = removed.owner
        del self._by_account[account][room_id]
        if not self._by_account[account]:
            del self._by_account[account]
        self._closed[account] -= 1
        if not self._closed[account]:
            del self._closed[account]

    def numbers(self) -> dict[str, int]:
        """Return how many rooms are open and how many participants they have."""
        running = [room for room in self._rooms.values() if isinstance(room, RunningRoom)]
        return {
            "open": len(running),
            "participants": sum(len(room.room.people) for room in running),
        }


def id_of(room: RunningRoom | RoomRecord) -> str:
    """Return the id of a room."""
    return room.room.id if isinstance(room, RunningRoom) else room.id


def status_of(room: RunningRoom | RoomRecord) -> str:
    """Return the status of a room."""
    return room.room.state.value if isinstance(room, RunningRoom) else room.status


def settings_of(room: RunningRoom | RoomRecord) -> dict[str, Any]:
    """Return the settings of a room as they were given."""
    if isinstance(room, RunningRoom):
        return room.room.settings
    settings: dict[str, Any] = msgspec.json.decode(room.settings_json)
    return settings
