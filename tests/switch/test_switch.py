"""The table of calls."""

import asyncio
import time
from pathlib import Path

import pytest

from softswitch.call.state import State
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import events as e
from softswitch.call.vocabulary.commands import CallOption
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.errors import ForbiddenError, NotNowError
from softswitch.media import messages as m
from softswitch.switch import switch as switch_module
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.origin import Origin
from softswitch.switch.switch import Taken
from tests.switch.harness import House, settle

ME = Origin("me", "192.0.2.1")


class Listener:
    """A subscriber that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[int, e.Event]] = []
        self.closed: list[int] = []

    def event(self, event: e.Event, seq: int) -> None:
        self.events.append((seq, event))

    def audio(self, side: int, pcm: bytes) -> None:
        self.events.append((side, e.Event(timestamp=0)))

    def close(self, code: int, reason: str) -> None:
        self.closed.append(code)

    def names(self) -> list[str]:
        return [type(event).__name__ for _, event in self.events]


async def up(
    house: House, call_id: str = "a", option: CallOption | None = None, **kind: object
) -> Conversation:
    conversation = await house.switch.open(call_id, "websocket", house.endpoint, ME, **kind)  # type: ignore[arg-type]
    conversation.command(c.Invite(option=option or CallOption()))
    await settle()
    return conversation


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_open_gives_an_id_where_none_was_asked_for(house: House) -> None:
    conversation = await house.switch.open(None, "websocket", house.endpoint, ME)
    assert len(conversation.id) == 36
    assert house.switch.find(conversation.id) is conversation


async def test_live_id_is_taken_and_free_again_after_the_call(house: House) -> None:
    conversation = await up(house)
    with pytest.raises(Taken):
        await house.switch.open("a", "websocket", house.endpoint, ME)
    conversation.command(c.Hangup())
    await up(house)


async def test_id_of_a_connecting_client_is_reserved(house: House) -> None:
    with house.switch.reserved("a"), pytest.raises(Taken):
        house.switch.check("a", ME)
    house.switch.check("a", ME)


@pytest.mark.parametrize("limit", ["calls", "calls_per_ip", "calls_per_key"])
async def test_limits_refuse_a_further_call(tmp_path: Path, limit: str) -> None:
    house = House(tmp_path, **{limit: 1})
    conversation = await up(house)
    with pytest.raises(NotNowError, match=limit):
        await house.switch.open("b", "websocket", house.endpoint, ME)
    conversation.command(c.Hangup())
    await up(house, "b")


async def test_kill_hangs_up_and_closes_with_1000(house: House) -> None:
    listener = Listener()
    (await up(house)).subscribe(listener)
    assert house.switch.kill("a")
    assert listener.names()[-1] == "HungUp"
    assert listener.closed == [1000]
    assert not house.switch.kill("a")
    assert house.endpoints[0].hung_up == ["killed"]


async def test_drain_refuses_new_calls_and_ends_the_old_with_1001(house: House) -> None:
    listener = Listener()
    (await up(house)).subscribe(listener)
    await house.switch.drain(0.01)
    assert listener.closed == [1001]
    assert [event.reason for _, event in listener.events if isinstance(event, e.HungUp)] == [
        "server_shutdown"
    ]
    with pytest.raises(NotNowError):
        house.switch.check(None, ME)


async def test_all_calls_are_ended_a_few_at_a_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[int] = []
    for number in range(5):
        await up(house, f"call-{number}")

    async def breathe() -> None:
        turns.append(len(house.switch))
        await asyncio.sleep(0)

    monkeypatch.setattr(switch_module, "END_AT_ONCE", 2)
    monkeypatch.setattr(house.switch, "_breathe", breathe)
    await house.switch.end_all()
    assert turns == [3, 1]
    assert len(house.switch) == 0


async def test_overload_refuses_before_any_work(house: House) -> None:
    house.switch.admit()
    for step in range(20):
        house.resources.pressure.look(0.5, time.monotonic() + step / 10)
    house.resources.pressure.refuse()
    with pytest.raises(NotNowError, match="overloaded"):
        house.switch.admit()


async def test_drain_ends_as_soon_as_the_last_call_has(house: House) -> None:
    conversation = await up(house)
    draining = asyncio.ensure_future(house.switch.drain(60))
    await settle()
    conversation.command(c.Hangup())
    await asyncio.wait_for(draining, 5)


async def test_finished_call_is_recorded_with_its_masked_option(house: House) -> None:
    option = CallOption(caller="1", callee="2", shown={"asr": {"secretKey": "***"}})
    conversation = await up(house, option=option)
    conversation.command(c.Hangup(reason="done"))
    await conversation.released.wait()
    await settle()
    record = house.store.ended[0]
    assert (record.id, record.caller, record.callee, record.reason) == ("a", "1", "2", "done")
    assert "***" in record.option_json
    assert "packets_lost" in record.statistics_json


async def test_bridge_joins_the_mixes_and_hangup_parts_them(house: House) -> None:
    first, second = await up(house, "a"), await up(house, "b")
    first.command(c.Bridge(other="b"))
    joined = house.engine.told(m.JoinMix)
    assert [(j.port, j.mix) for j in joined] == [(house.endpoints[1].request.port, first.executor.mix)]
    assert second.bridged_with == "a"
    second.command(c.Hangup())
    assert first.bridged_with is None
    assert first.call.state is State.UP
    assert house.engine.told(m.JoinMix)[-1].mix == first.executor.mix


async def test_bridge_with_nobody_is_refused_and_the_call_lives(house: House) -> None:
    listener = Listener()
    conversation = await up(house)
    conversation.subscribe(listener)
    conversation.command(c.Bridge(other="no-such-call", request_id="7"))
    assert [event.error for _, event in listener.events if isinstance(event, e.Error)]
    assert conversation.call.state is State.UP


async def test_bridge_with_another_owners_call_is_refused(house: House) -> None:
    conversation = await up(house)
    other = await house.switch.open("b", "websocket", house.endpoint, Origin("other"))
    other.command(c.Invite())
    conversation.command(c.Bridge(other="b"))
    assert other.bridged_with is None


async def test_token_brings_its_owner_back(house: House) -> None:
    conversation = await up(house, resumable=True)
    token = conversation.call.resume_token
    assert token
    with pytest.raises(ForbiddenError):
        house.switch.reattach("a", "wrong", ME)
    with pytest.raises(ForbiddenError):
        house.switch.reattach("a", token, Origin("another account"))
    found, successor = house.switch.reattach("a", token, ME)
    assert found is conversation
    # Until the next token is used: the client may not have got it.
    assert house.switch.reattach("a", token, ME) == (conversation, successor)
    house.switch.reattach("a", successor, ME)
    with pytest.raises(ForbiddenError):
        house.switch.reattach("a", token, ME)


async def test_missed_events_are_replayed_by_number(house: House) -> None:
    conversation = await up(house, resumable=True)
    before = conversation.seq
    conversation.command(c.AddHistory(speaker="x", text="1"))
    listener = Listener()
    conversation.subscribe(listener, since=before)
    assert [seq for seq, _ in listener.events] == [before + 1]


async def test_failure_in_one_call_ends_that_call_alone(house: House) -> None:
    one, other = await up(house, "a"), await up(house, "b")
    listener = Listener()
    one.subscribe(listener)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("injected")

    one.call._playbacks.say = broken  # type: ignore[method-assign, assignment]
    one.command(c.Say(text="x"))
    assert listener.names()[-1] == "HungUp"
    assert listener.closed == [1011]
    assert other.call.state is State.UP
    await one.released.wait()


async def test_failure_of_a_task_ends_its_call_alone(house: House) -> None:
    one, other = await up(house, "a"), await up(house, "b")

    async def broken() -> None:
        raise ZeroDivisionError("injected")

    one.spawn(broken())
    await asyncio.wait_for(one.released.wait(), 5)
    assert one.call.state is State.OVER
    assert other.call.state is State.UP
    assert house.switch.find("a") is None


async def test_command_after_the_end_is_rejected(house: House) -> None:
    conversation = await up(house)
    conversation.command(c.Hangup())
    with pytest.raises(CommandRejected):
        conversation.command(c.Pause())


async def test_everything_is_given_back_after_a_call(house: House) -> None:
    before = len(house.resources.routes)
    option = CallOption(asr=c.AsrOption(), subscribe=True, recorder=c.RecorderOption())
    conversation = await up(house, option=option)
    conversation.command(c.Say(text="hello"))
    await settle()
    conversation.command(c.Hangup())
    recorder = house.engine.told(m.StartRecorder)[0]
    house.report(m.RecorderClosed(recorder.recorder, 1.0, recorder.path, 500, 1000))
    await asyncio.wait_for(conversation.released.wait(), 5)
    await settle()
    assert len(house.resources.routes) == before
    assert house.providers.heard[0].closed
    assert [recording.name for recording in house.store.kept] == ["a.wav"]
    assert {task.get_name() for task in asyncio.all_tasks()} == {asyncio.current_task().get_name()}  # type: ignore[union-attr]
