"""Rooms of all nodes: each is owned by one, and every node knows which."""

import logging
import zlib
from collections.abc import Callable

import msgspec

from softswitch.bus.bus import Bus, BusError
from softswitch.call.authority import OPERATOR, Principal, Target, denial
from softswitch.call.interfaces import Endpoint, IncomingCall, LegRequest
from softswitch.call.kind import LegKind
from softswitch.call.vocabulary.commands import Connect
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.call.vocabulary.reports import LegRejected, Report
from softswitch.cluster.owned import Owned
from softswitch.cluster.peers import Peers
from softswitch.errors import NotNowError
from softswitch.legs.internal import InternalLegs
from softswitch.log.tasks import Tasks
from softswitch.signals import MediaResumed
from softswitch.store.store import RoomRecord
from softswitch.switch.origin import Origin
from softswitch.switch.rooms.rooms import Rooms
from softswitch.switch.rooms.running import RunningRoom
from softswitch.switch.switch import Switch

logger = logging.getLogger(__name__)

LEFT = "left-room:"
"""Prefix of the entries of rooms that a node has left open when it ended."""


class Opened(msgspec.Struct, frozen=True, array_like=True):
    """A room that a node has opened."""

    id: str
    account: str


class FromCall(msgspec.Struct, frozen=True):
    """What a node says with an internal leg into a room."""

    caller: str = ""
    by: Principal | None = None
    """The client that asked for the room; None: a rule of the settings did."""


class ClusterRooms:
    """The rooms of this node among those of all."""

    def __init__(self, rooms: Rooms, switch: Switch, owned: Owned, peers: Peers, legs: InternalLegs) -> None:
        """Follow the rooms of this node, and listen to the others."""
        self._rooms = rooms
        self._switch = switch
        self._owned = owned
        self._peers = peers
        self._legs = legs
        self._bus: Bus = peers.bus
        self._places: dict[str, tuple[str, str]] = {}
        """Node and account of each room of other nodes."""
        self._tasks = Tasks("cluster")
        rooms.on_opened, rooms.on_record = self._opened, self._closed
        self._bus.subscribe("room-opened", self._heard_opened)
        self._bus.subscribe("room-closed", self._heard_closed)
        self._bus.on_lost(self._lost)

    # --- life ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Learn the rooms of other nodes, and claim those that no node has."""
        try:
            for entry in await self._bus.scan("room:"):
                if entry.node != self._bus.node:
                    self._places[entry.key.removeprefix("room:")] = entry.node, entry.value.decode()
        except BusError as error:
            logger.warning("the rooms of other nodes are not known", extra={"error": str(error)})
        await self._rooms.start(self._claim)

    async def leave(self) -> None:
        """Leave the rooms that are open and empty to other nodes."""
        for room in self._rooms.open_ids():
            try:
                await self._bus.put(LEFT + room, b"")
            except BusError:
                return

    async def adopt(self, node: str, entries: dict[str, bytes]) -> None:
        """Open the rooms that a node has left when it ended."""
        left = {key.removeprefix(LEFT) for key in entries if key.startswith(LEFT)}
        if left:
            await self._rooms.start(self._claim, only=left)

    async def _claim(self, room: str, account: str) -> bool:
        return await self._owned.claim(f"room:{room}", account.encode())

    # --- where rooms are ----------------------------------------------------------------------

    def elsewhere(self, room: str) -> str:
        """Return the other node that owns a room; empty: this one or none does."""
        return self._places.get(room, ("", ""))[0]

    def refuse_callee(self, callee: str, by: Principal) -> tuple[int, str] | None:
        """Return code and reason why a client cannot call a room, as :meth:`Rooms.refuse_callee`."""
        node, account = self._places.get(callee.removeprefix("room:"), ("", ""))
        if not callee.startswith("room:") or not node:
            return self._rooms.refuse_callee(callee, by)
        room = callee.removeprefix("room:")
        denied = denial(by, "put a call into a room", Target(account, "room", room))
        if denied is None:
            return None
        return (404, "callee: Room does not exist") if denied.hidden else (403, f"callee: {denied.reason}")

    def _opened(self, running: RunningRoom) -> None:
        room = running.room.id
        self._places.pop(room, None)
        self._owned.put(f"room:{room}", running.owner.encode())
        self._bus.publish("room-opened", msgspec.msgpack.encode(Opened(room, running.owner)))

    def _closed(self, record: RoomRecord) -> None:
        self._owned.delete(f"room:{record.id}")
        data = msgspec.msgpack.encode(record)
        try:
            self._bus.publish("room-closed", data)
        except ValueError:
            bare = msgspec.structs.replace(record, settings_json="{}")
            self._bus.publish("room-closed", msgspec.msgpack.encode(bare))

    def _heard_opened(self, data: bytes, node: str) -> None:
        opened = msgspec.msgpack.decode(data, type=Opened)
        self._places[opened.id] = node, opened.account

    def _heard_closed(self, data: bytes, node: str) -> None:
        record = msgspec.msgpack.decode(data, type=RoomRecord)
        if self._places.get(record.id, ("", ""))[0] == node:
            del self._places[record.id]
        self._rooms.learn_closed(record)

    def _lost(self, node: str) -> None:
        for room in [room for room, (owner, _) in self._places.items() if owner == node]:
            del self._places[room]

    # --- calls into rooms ---------------------------------------------------------------------

    def __call__(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make the endpoint of a leg to ``room:<id>``, here or at another node (an ``EndpointFactory``)."""
        room = request.callee.removeprefix("room:")
        conversation = self._switch.find(request.call)
        by = conversation.requester(request.callee) if conversation is not None else None
        node = self.elsewhere(room)
        if not node and by is None and not self._rooms.is_open(room):
            # A rule names a room that does not exist yet: all nodes choose the same one for it.
            nodes = self._bus.nodes()
            node = max(nodes, key=lambda one: zlib.crc32(f"{one} {room}".encode()))
        address = self._peers.sip_of(node) if node and node != self._bus.node else ""
        is_internal = conversation is not None and conversation.is_internal
        if not address or is_internal:
            # The other node is told the reason of a refusal, as its client would be.
            return self._rooms(request, _refusing(report, from_peer=True) if is_internal else report)
        said = msgspec.json.encode(FromCall(request.caller or request.call, by)).hex()
        # A room is no party whose audio begins: clients see what they see of a room of this node.
        self._switch.resources.routes.narrow(
            request.port, lambda one: not (isinstance(one, MediaResumed) and not one.seconds)
        )
        report = _refusing(report, from_peer=False)
        return self._legs.dial(node, address, f"room:{room}", said, request, report)

    def take(self, room: str, said: str, call: IncomingCall) -> None:
        """Take an internal leg into a room of this node."""
        try:
            told = msgspec.json.decode(bytes.fromhex(said), type=FromCall)
        except (ValueError, msgspec.MsgspecError):
            call.reject(400, "Bad Request")
            return
        self._tasks.spawn(self._enter(room, told, call), name="call into a room")

    async def _enter(self, room: str, told: FromCall, call: IncomingCall) -> None:
        by = told.by or OPERATOR
        try:
            conversation = await self._switch.open(
                None, LegKind.LOCAL.value, call.party, Origin(owner=by.account, by=by)
            )
        except NotNowError:
            call.reject(503, "Service Unavailable")
            return
        conversation.is_internal = True
        conversation.incoming(call)
        connect = Connect(callee=f"room:{room}", caller=told.caller)
        try:
            if told.by is None:
                conversation.command(connect)
            else:
                conversation.order(connect, told.by)
        except CommandRejected as rejected:
            logger.info("a call into a room was refused", extra={"reason": str(rejected)})
            conversation.end("rejected", "system", sip_code=404)


def _refusing(report: Callable[[Report], None], *, from_peer: bool) -> Callable[[Report], None]:
    """Return what passes reports on, with a refusal as one of a peer, or as one of this switch."""

    def pass_on(one: Report) -> None:
        report(msgspec.structs.replace(one, from_peer=from_peer) if isinstance(one, LegRejected) else one)

    return pass_on
