"""Rooms as the web sees them: snapshots, handles and seats, with authority checked behind them."""

from pathlib import Path

import pytest

from softswitch.call.authority import OPERATOR, Principal
from softswitch.call.vocabulary.commands import Say, StopStream
from softswitch.room import events as ev
from softswitch.room.model import RoomOptions
from softswitch.room.rejection import RoomReason, RoomRefused
from softswitch.switch.rooms.directory import RoomDirectory
from softswitch.switch.rooms.request import RoomRequest
from tests.switch.rooms.test_rooms import BANK, SHOP, make


class Socket:
    """A client's connection that keeps what it was sent."""

    def __init__(self) -> None:
        self.events: list[ev.RoomEvent] = []
        self.lost: list[str] = []

    def room_event(self, event: ev.RoomEvent) -> None:
        self.events.append(event)

    def unbound(self, participant: str) -> None:
        pass

    def replaced(self, participant: str) -> None:
        self.lost = [participant]


def request(name: str = "a room", topology: str = "", **settings: object) -> RoomRequest:
    options = RoomOptions(topology=topology, record=bool(settings.get("recording")))  # type: ignore[arg-type]
    return RoomRequest(name, settings, options)


async def test_snapshot_is_a_value_that_later_changes_do_not_reach(tmp_path: Path) -> None:
    rooms = RoomDirectory(make(tmp_path)[0])
    room = rooms.create(request(topology="mix"), SHOP)
    rooms.join(room.id, "a", {"display_name": "Ann"}, SHOP)
    now = rooms.look(room.id, SHOP)
    assert (room.status, room.topology, room.participants) == ("created", "mix", 0)
    assert (now.status, now.participants) == ("waiting", 1)
    (ann,) = rooms.participants(room.id, SHOP)
    assert (ann.agent, ann.display_name) == ("a", "Ann")
    rooms.find(room.id, SHOP).close()
    closed = rooms.look(room.id, SHOP)
    assert (closed.status, closed.topology, closed.participants) == ("closed", "", 0)
    assert rooms.participants(room.id, SHOP) == []
    assert [each.id for each in rooms.page(10, 0, "closed", SHOP)[0]] == [room.id]
    assert rooms.page(10, 0, "", BANK) == ([], 0)


async def test_update_needs_the_right_for_what_it_changes(tmp_path: Path) -> None:
    rooms = RoomDirectory(make(tmp_path)[0])
    room = rooms.create(request(), OPERATOR)
    handle = rooms.find(room.id, OPERATOR)
    stranger = Principal("guest", frozenset({"rooms"}), "")
    for changed in (request("another name"), request(recording=True)):
        with pytest.raises(RoomRefused):
            handle.update(changed, stranger)
    handle.update(request("another name"), OPERATOR)
    assert handle.snapshot().name == "another name"


async def test_participant_is_removed_by_its_own_client_or_with_the_right(tmp_path: Path) -> None:
    rooms = RoomDirectory(make(tmp_path)[0])
    room = rooms.create(request(), SHOP)
    one, _ = rooms.join(room.id, "a", {}, SHOP)
    handle = rooms.find(room.id, SHOP)
    with pytest.raises(RoomRefused):
        handle.remove(one.id, BANK)
    handle.remove(one.id, SHOP)
    assert handle.snapshot().participants == 0


async def test_commands_need_a_mixed_room_and_streams_an_open_call(tmp_path: Path) -> None:
    rooms = RoomDirectory(make(tmp_path)[0])
    handle = rooms.find(rooms.create(request(topology="p2p"), SHOP).id, SHOP)
    with pytest.raises(RoomRefused, match="p2p room"):
        await handle.command(Say(text="hello"), SHOP)
    with pytest.raises(RoomRefused, match="no stream of this id"):
        await handle.command(StopStream(stream="s"), SHOP)
    with pytest.raises(RoomRefused) as refused:
        await handle.command(Say(text="hello"), BANK)
    assert refused.value.reason is RoomReason.UNKNOWN_ROOM


async def test_seat_acts_for_its_participant_until_it_has_left(tmp_path: Path) -> None:
    rooms = RoomDirectory(make(tmp_path)[0])
    room = rooms.create(request(), SHOP)
    socket, other = Socket(), Socket()
    _, seat = rooms.join(room.id, "a", {}, SHOP, socket)
    rooms.join(room.id, "b", {}, SHOP, other)
    assert seat is not None
    assert seat.room == room.id
    seat.offer("v=0")
    assert any(isinstance(event, ev.OfferCame) for event in other.events)
    seat.leave()
    assert rooms.look(room.id, SHOP).participants == 1
    with pytest.raises(RoomRefused):
        seat.leave()
