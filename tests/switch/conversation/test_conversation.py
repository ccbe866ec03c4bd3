"""Dispatcher of clients: what is asked of the table of authority before a command is carried out."""

import ast
from pathlib import Path

import pytest

import softswitch.web
from softswitch.call.authority import OPERATOR, Principal
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import events as e
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.dialects.wording import words
from softswitch.switch.conversation.conversation import MAX_ASKERS, Conversation
from softswitch.switch.origin import Origin
from tests.switch.harness import House, settle

ME = Principal("me", frozenset({"call"}), "me")
YOU = Principal("you", frozenset({"call"}), "you")
ROOMS = Principal("me", frozenset({"rooms"}), "me")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def up(house: House, call_id: str, by: Principal) -> Conversation:
    call = await house.switch.open(call_id, "websocket", house.endpoint, Origin(by.account, by=by))
    call.order(c.Invite(), by)
    await settle()
    return call


def refusal(call: Conversation, command: c.Command, by: Principal) -> tuple[int, str]:
    with pytest.raises(CommandRejected) as rejected:
        call.order(command, by)
    return rejected.value.code, words(rejected.value.rejection)


async def test_order_is_carried_out_for_the_account_of_the_call_and_for_the_administrator(
    house: House,
) -> None:
    call = await up(house, "a", ME)
    for by in (ME, OPERATOR):
        call.order(c.Say(text="hello"), by)
    assert refusal(call, c.Say(text="hello", request_id="7"), YOU) == (404, "the call does not exist")
    assert refusal(call, c.Say(text="hello"), ROOMS)[0] == 403
    assert house.resources.metrics.commands_denied.labels("Say")._value.get() == 2


async def test_order_in_a_room_makes_no_calls_without_the_scope_for_calls(house: House) -> None:
    call = await up(house, "a", ME)
    call.room = "r1"
    call.order(c.Say(text="hello"), ROOMS)
    code, error = refusal(call, c.Refer(callee="+49301"), ROOMS)
    assert (code, "'call'" in error) == (403, True)
    assert house.telephones.legs == []
    call.order(c.Refer(callee="+49301"), Principal("me", frozenset({"rooms", "call"}), "me"))
    assert len(house.telephones.legs) == 1


async def test_bridge_finds_foreign_calls_as_little_as_absent_ones(house: House) -> None:
    mine, _ = await up(house, "mine", ME), await up(house, "yours", YOU)
    foreign = refusal(mine, c.Bridge(other="yours"), ME)
    absent = refusal(mine, c.Bridge(other="absent"), ME)
    assert foreign == (404, "targetSessionId: no answered call 'yours'")
    assert absent == (404, "targetSessionId: no answered call 'absent'")
    assert mine.bridged_with is None


async def test_bridge_asks_for_authority_over_both_calls(house: House) -> None:
    mine, inside = await up(house, "mine", ME), await up(house, "inside", ME)
    inside.room = "r1"
    guest = Principal("me", frozenset({"call", "rooms"}), "anna", {"r1": frozenset({"join", "hear"})})
    assert refusal(mine, c.Bridge(other="inside"), guest)[0] == 404
    mine.order(c.Bridge(other="inside"), Principal("me", frozenset({"call", "rooms"}), "me"))
    assert mine.bridged_with == "inside"


async def test_call_that_waits_may_be_taken_by_every_account_and_not_listened_to(house: House) -> None:
    call = await up(house, "a", ME)
    call.owner, call.awaits_client = "", True
    assert refusal(call, c.StartStream(stream="s", option=c.StreamOption("wss://bot.example")), YOU)[0] == 403
    call.order(c.Hangup(), YOU)


async def test_call_that_a_rule_connected_is_the_administrators(house: House) -> None:
    call = await up(house, "a", ME)
    call.owner = ""
    assert refusal(call, c.Hangup(), YOU)[0] == 404
    call.order(c.Hangup(), OPERATOR)


async def test_call_remembers_who_asked_for_a_callee_within_bounds(house: House) -> None:
    call = await up(house, "a", ME)
    for number in range(MAX_ASKERS + 9):
        with pytest.raises(CommandRejected):
            call.order(c.Connect(callee=f"room:{number}"), OPERATOR)
    assert call.requester("room:1") is None
    assert call.requester(f"room:{MAX_ASKERS}") is OPERATOR
    assert len(call._askers) == MAX_ASKERS


class Heard:
    """A subscriber that remembers the names of events."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def event(self, event: e.Event, seq: int) -> None:
        self.names.append(f"{seq} {type(event).__name__}")

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        self.names.append("close")


async def test_subscriber_is_given_the_kinds_that_it_wants_and_the_end(house: House) -> None:
    call = await house.switch.open("a", "websocket", house.endpoint, Origin("me", by=ME), keep_events=True)
    every, some, late = Heard(), Heard(), Heard()
    call.subscribe(every)
    call.subscribe(some, kinds=frozenset({e.Answer, e.HungUp}))
    call.order(c.Invite(), ME)
    await settle()
    call.subscribe(late, since=0, kinds=frozenset({e.Answer}))
    call.unsubscribe(every)
    call.order(c.Hangup(), ME)
    assert every.names == ["1 Answer", "2 TrackStart", "3 MediaReady"]
    assert some.names == ["1 Answer", "5 HungUp", "close"]
    assert late.names == ["1 Answer", "close"]


def test_nothing_of_the_web_floor_goes_round_the_table() -> None:
    """A client's command names the client, whose authority is then asked; `Conversation.command` does not."""
    found: list[str] = []
    for path in Path(softswitch.web.__path__[0]).rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        calls = [(ast.unparse(node.func), node) for node in nodes if isinstance(node, ast.Call)]
        found += [
            f"{path.name}: {called}"
            for called, node in calls
            if called.endswith(".command") and len(node.args) != 2
        ]
    assert set(found) <= {"client_session.py: self._dump.command"}
