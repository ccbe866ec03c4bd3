"""A caller who waits in a queue: who is rung, when the wait ends, and how."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from softswitch.call.authority import Principal
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.commands import CallOption
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.settings import Settings
from softswitch.settings.queue import Queue
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.origin import Origin
from softswitch.switch.queues.line import Line
from softswitch.switch.queues.queues import Queues
from tests.switch.harness import FakeTelephone, House

QUEUE = Queue("sales", ("anna", "bert"), position="", rest_s=0.1, most=2, accounts=("shop",))


class Office:
    """A switch with one queue."""

    def __init__(self, folder: Path, queue: Queue = QUEUE) -> None:
        self.house = House(folder, Settings(queue=(queue,)))
        self.queues = Queues(self.house.switch)
        self.house.resources.dialers = {**self.house.resources.dialers, "queue": self.queues}
        self.house.resources.refuse_callee = self.queues.refuse_callee

    async def caller(self, name: str = "x") -> Conversation:
        conversation = await self.house.switch.open(name, "websocket", self.house.endpoint, Origin("shop"))
        conversation.command(c.Invite(option=CallOption(caller="+49", callee="queue:sales")))
        return conversation

    async def rung(self, number: int) -> FakeTelephone:
        """Return the phone that is rung as the given one, from 1."""
        await until(lambda: len(self.house.telephones.legs) >= number)
        return self.house.telephones.legs[number - 1]

    @property
    def line(self) -> Line:
        return self.queues.lines(None)[0]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


async def test_caller_waits_for_a_user_and_is_connected(office: Office) -> None:
    call = await office.caller()
    await until(lambda: len(office.line.waiting) == 1)
    waiting = office.line.waiting[0]
    await until(lambda: waiting.inner.call.option.waits)
    assert not office.house.telephones.legs
    office.house.telephones.there.add("anna")
    phone = await office.rung(1)
    assert (phone.request.callee, phone.request.caller) == ("user:anna", "+49")
    assert not office.queues.is_free("anna")
    phone.says(r.LegAnswered)
    await until(lambda: call.bridged_with)
    await until(lambda: waiting.inner.over)
    assert call.call.second is None
    assert (office.line.figures.entered, office.line.figures.answered) == (1, 1)
    assert not office.line.waiting
    phone.says(r.LegEnded)
    await until(lambda: call.over)
    await office.queues.stop()


async def test_next_user_is_rung_where_one_refuses(office: Office) -> None:
    office.house.telephones.there |= {"anna", "bert"}
    await office.caller()
    first = await office.rung(1)
    first.says(r.LegRejected, 486, "Busy Here")
    second = await office.rung(2)
    assert [first.request.callee, second.request.callee] == ["user:anna", "user:bert"]
    second.says(r.LegRejected, 480, "Away")
    third = await office.rung(3)
    assert third.request.callee == "user:anna"
    assert office.line.figures.missed == 2
    await office.queues.stop()


async def test_callers_are_served_in_their_order(office: Office) -> None:
    one = await office.caller("x")
    await until(lambda: len(office.line.waiting) == 1)
    two = await office.caller("y")
    await until(lambda: len(office.line.waiting) == 2)
    office.house.telephones.there.add("anna")
    phone = await office.rung(1)
    assert office.line.waiting[0].rung == "anna"
    office.house.telephones.there.add("bert")
    other = await office.rung(2)
    assert office.line.waiting[1].rung == "bert"
    other.says(r.LegAnswered)
    await until(lambda: two.bridged_with)
    one.end("caller", "caller")
    await until(lambda: "hangup" in phone.verbs())
    await until(lambda: office.line.figures.abandoned == 1)
    await office.queues.stop()


async def test_full_queue_and_foreign_accounts_are_refused(office: Office) -> None:
    refuse = office.queues.refuse_callee
    assert refuse("queue:sales", Principal("bank")) == (
        404,
        "callee: there is no [[queue]] named 'sales'",
    )
    assert refuse("queue:other", Principal("shop")) is not None
    assert refuse("echo", Principal("bank")) is None
    assert office.queues.lines("bank") == []
    for name in ("x", "y"):
        assert refuse("queue:sales", Principal("shop")) is None
        await office.caller(name)
    await until(lambda: len(office.line.waiting) == 2)
    assert (refuse("queue:sales", Principal("shop")) or (0, ""))[0] == 486
    third = await office.caller("z")
    await until(lambda: third.call.second is None)
    assert office.line.figures.refused == 1
    await office.queues.stop()


async def test_longest_wait_ends_the_call(tmp_path: Path) -> None:
    office = Office(tmp_path, Queue("sales", ("anna",), position="", timeout_s=0.05))
    call = await office.caller()
    await until(lambda: call.over)
    assert call.call.reason == "no_answer"
    assert office.line.figures.timed_out == 1
    await office.queues.stop()


async def test_longest_wait_leads_to_the_callee_of_the_settings(tmp_path: Path) -> None:
    office = Office(tmp_path, Queue("sales", ("anna",), position="", timeout_s=0.05, timeout_to="user:bert"))
    call = await office.caller()
    phone = await office.rung(1)
    assert phone.request.callee == "user:bert"
    phone.says(r.LegRejected, 486, "Busy Here")
    await until(lambda: call.over)
    assert call.call.reason == "no_answer"
    await office.queues.stop()


async def test_caller_hears_greeting_place_and_music(tmp_path: Path) -> None:
    office = Office(tmp_path, Queue("sales", ("anna",), greeting="Welcome.", music="song.wav"))
    await office.caller()
    await until(lambda: office.line.waiting)
    inner = office.line.waiting[0].inner
    await until(lambda: inner.call.state.value == "up")
    await until(lambda: len(office.house.providers.spoken) >= 1)
    office.line.queue = Queue("sales", ("anna",), position="{position}.", greeting="x.wav")
    assert office.line.position(office.line.waiting[0]) == 1
    with pytest.raises(CommandRejected):
        inner.command(c.Accept())
    await office.queues.stop()


async def test_users_who_talk_or_are_away_are_not_free(office: Office) -> None:
    assert not office.queues.is_free("anna")
    office.house.telephones.there.add("anna")
    assert office.queues.is_free("anna")
    conversation = await office.house.switch.open("z", "sip", None, Origin("shop"))
    conversation.command(c.Invite(option=CallOption(callee="user:anna")))
    assert not office.queues.is_free("anna")
    conversation.end("killed", "system")
    await until(lambda: office.queues.is_free("anna"))
