"""The table of rooms: whose they are, bounds of accounts, expiry, what is forgotten."""

import asyncio
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from softswitch.call.authority import OPERATOR, Principal
from softswitch.call.vocabulary.commands import CallOption, Invite
from softswitch.call.vocabulary.reports import LegAnswered
from softswitch.dialects.rooms.options import stored_options
from softswitch.dialects.rustpbx.notifier import RustpbxNotifier
from softswitch.room.model import RoomOptions
from softswitch.room.rejection import RoomReason, RoomRefused
from softswitch.settings import Route, Settings
from softswitch.settings.rooms import Rooms as RoomSettings
from softswitch.store.store import RoomRecord
from softswitch.switch.incoming.incoming import Incoming
from softswitch.switch.notify.webhook_sender import WebhookSender, WebhookTerms
from softswitch.switch.origin import Origin
from softswitch.switch.rooms.request import RoomRequest
from softswitch.switch.rooms.rooms import Rooms, id_of
from softswitch.switch.rooms.running import RunningRoom
from tests.switch.harness import Caller, FakeStore, House, settle

SHOP = Principal("shop", frozenset({"rooms"}), "shop")
BANK = Principal("bank", frozenset({"rooms"}), "bank")


class Shelf(FakeStore):
    """A store that remembers rooms."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.rooms_kept: dict[str, RoomRecord] = {}
        self.records.rooms = self.rooms
        self.expired = asyncio.Event()

    def save_room(self, room: RoomRecord) -> None:
        self.rooms_kept[room.id] = room
        if room.reason == "expired":
            self.expired.set()

    def save_participant(self, participant: object, session: object) -> None:
        pass

    async def rooms(self, limit: int, offset: int) -> list[RoomRecord]:
        newest = sorted(self.rooms_kept.values(), key=lambda room: -room.created_at)
        return newest[offset : offset + limit]


def make(
    folder: Path, shelf: Shelf | None = None, *, routes: tuple[Route, ...] = (), **settings: Any
) -> tuple[Rooms, House, Shelf]:
    house = House(folder, Settings(rooms=RoomSettings(**settings), route=routes))
    shelf = shelf or Shelf(folder)
    house.resources.store = cast("Any", shelf)
    rooms = Rooms(house.switch, house.endpoint, stored_options)
    house.resources.dialers = {"room": rooms}
    return rooms, house, shelf


def body(topology: str = "") -> RoomRequest:
    return RoomRequest("a room", {}, RoomOptions(topology=topology))  # type: ignore[arg-type]


def ids(rooms: Rooms, by: Principal) -> list[str]:
    return [id_of(room) for room in rooms.page(100, 0, "", by)[0]]


def close(room: RunningRoom) -> None:
    room.act(lambda core, now: core.close("deleted", now))


async def test_room_belongs_to_the_account_that_made_it(tmp_path: Path) -> None:
    rooms, _, shelf = make(tmp_path)
    mine = rooms.create(body(), SHOP).room.id
    assert shelf.rooms_kept[mine].owner == "shop"
    assert (ids(rooms, SHOP), ids(rooms, BANK), ids(rooms, OPERATOR)) == ([mine], [], [mine])
    for act in ("see a room", "join a room", "change or delete a room"):
        assert rooms.find(mine, SHOP, act)
        with pytest.raises(RoomRefused) as refused:
            rooms.find(mine, BANK, act)
        assert refused.value.reason is RoomReason.UNKNOWN_ROOM


async def test_pages_count_the_rooms_of_the_account(tmp_path: Path) -> None:
    rooms, _, _ = make(tmp_path)
    made = [rooms.create(body(), by).room.id for by in (SHOP, BANK, SHOP, BANK, SHOP)]
    page, total = rooms.page(1, 1, "", SHOP)
    assert ([id_of(room) for room in page], total) == ([made[2]], 3)
    page, total = rooms.page(1, 1, "created", SHOP)
    assert ([id_of(room) for room in page], total) == ([made[2]], 3)
    assert rooms.page(2, 0, "closed", SHOP) == ([], 0)


async def test_account_has_a_bound_of_its_own(tmp_path: Path) -> None:
    rooms, house, _ = make(tmp_path, rooms_per_account=2)
    first = rooms.create(body(), SHOP)
    rooms.create(body(), SHOP)
    with pytest.raises(RoomRefused) as refused:
        rooms.create(body(), SHOP)
    assert (refused.value.code, refused.value.reason) == (429, RoomReason.TOO_MANY_ROOMS)
    assert house.resources.metrics.rooms_refused.labels("rooms_per_account")._value.get() == 1
    rooms.create(body(), BANK)
    for _ in range(3):
        rooms.create(body(), OPERATOR)
    close(first)
    rooms.create(body(), SHOP)


async def test_room_that_is_not_entered_expires_also_after_a_restart(tmp_path: Path) -> None:
    rooms, _, shelf = make(tmp_path, empty_s=0.05)
    gone, used = rooms.create(body(), SHOP), rooms.create(body(), SHOP)
    rooms.join(used.room.id, "a", {}, SHOP)
    async with asyncio.timeout(60):
        await shelf.expired.wait()
    assert shelf.rooms_kept[gone.room.id].reason == "expired"
    assert used.room.state.value == "waiting"
    close(used)

    stale = msgspec.structs.replace(shelf.rooms_kept[gone.room.id], id="stale", status="created", reason="")
    again = Shelf(tmp_path)
    again.save_room(stale)
    restarted, _, _ = make(tmp_path, again, empty_s=0.05)
    await restarted.start()
    async with asyncio.timeout(60):
        await again.expired.wait()
    assert again.rooms_kept["stale"].status == "closed"
    await restarted.stop()


async def test_history_of_an_account_is_not_pushed_out_by_another(tmp_path: Path) -> None:
    rooms, _, _ = make(tmp_path, kept=3)
    mine = rooms.create(body(), SHOP)
    close(mine)
    for _ in range(6):
        close(rooms.create(body(), BANK))
    assert ids(rooms, SHOP) == [mine.room.id]
    assert len(ids(rooms, BANK)) == 2
    assert rooms.page(100, 0, "closed", OPERATOR)[1] == 3
    await rooms.stop()


async def test_what_was_kept_is_revived_for_its_account(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    for number, (owner, status) in enumerate([("shop", "created"), ("", "closed"), ("bank", "closed")]):
        shelf.save_room(
            RoomRecord(id=f"r{number}", status=status, created_at=number, updated_at=number, owner=owner)
        )
    rooms, _, _ = make(tmp_path, shelf, empty_s=0)
    await rooms.start()
    assert (ids(rooms, SHOP), ids(rooms, BANK)) == (["r0"], ["r2"])
    assert ids(rooms, OPERATOR) == ["r2", "r1", "r0"]
    with pytest.raises(RoomRefused):
        rooms.look("r1", SHOP)


async def test_call_enters_rooms_of_who_asked_for_them(tmp_path: Path) -> None:
    rooms, house, _ = make(tmp_path)
    room = rooms.create(body("mix"), SHOP)
    callee = f"room:{room.room.id}"
    answers = {}
    for account in ("shop", "bank"):
        by = Principal(account, frozenset({"call"}), account)
        call = await house.switch.open(account, "websocket", house.endpoint, Origin(account, by=by))
        call.order(Invite(option=CallOption(callee=callee)), by)
        await settle()
        answers[account] = [one.agent for one in room.room.people.values()]
    assert answers == {"shop": ["shop"], "bank": ["shop"]}
    await house.switch.end_all()
    await settle()


async def test_call_inside_a_room_is_its_accounts(tmp_path: Path) -> None:
    rooms, house, _ = make(tmp_path)
    room = rooms.create(body("mix"), SHOP)
    call = await room.announcer.call()
    assert (call.owner, call.target.whose, call.target.room) == ("shop", "room", room.room.id)
    await house.switch.end_all()
    await settle()


async def test_rule_makes_its_room_for_its_account(tmp_path: Path) -> None:
    routes = (Route("700", "room:lobby", account="shop"), Route("701", "room:hall"))
    rooms, house, _ = make(tmp_path, routes=routes)
    sender = WebhookSender(house.resources.egress, WebhookTerms())
    incoming = Incoming(house.switch, sender, RustpbxNotifier())
    callers = [Caller(house, callee, id=callee) for callee in ("700", "701")]
    for caller in callers:
        incoming(caller.call)
        await settle()
        caller.leg.says(LegAnswered)
        await settle()
    assert (ids(rooms, SHOP), ids(rooms, BANK)) == (["lobby"], [])
    assert ids(rooms, OPERATOR) == ["hall", "lobby"]
    assert [call.owner for call in house.switch.conversations()] == ["shop", ""]
    await house.switch.end_all()
    await settle()
