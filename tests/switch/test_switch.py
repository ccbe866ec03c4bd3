"""The table of calls."""

import asyncio
from pathlib import Path

import pytest

from softswitch.call import commands as c
from softswitch.call import events as e
from softswitch.call.commands import CallOption, CommandRejected
from softswitch.call.state import State
from softswitch.errors import ForbiddenError, NotNowError
from softswitch.media import messages as m
from softswitch.switch.conversation import Conversation
from softswitch.switch.switch import Origin, Taken
from tests.switch.house import House, settle

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
    record = house.store.records[0]
    assert (record.id, record.caller, record.callee, record.reason) == ("a", "1", "2", "done")
    assert "***" in record.option_json
    assert "packets_lost" in record.statistics_json


async def test_bridge_joins_the_mixes_and_hangup_parts_them(house: House) -> None:
    first, second = await up(house, "a"), await up(house, "b")
    first.command(c.Bridge(other="b"))
    joined = house.engine.told(m.JoinMix)
    assert [(j.port, j.mix) for j in joined] == [(house.endpoints[1].request.port, first.carrier.mix)]
    assert second.bridged_with == "a"
    second.command(c.Hangup())
    assert first.bridged_with is None
    assert first.call.state is State.UP
    assert house.engine.told(m.JoinMix)[-1].mix == first.carrier.mix


async def test_bridge_with_nobody_is_refused_and_the_call_lives(house: House) -> None:
    listener = Listener()
    conversation = await up(house)
    conversation.subscribe(listener)
    conversation.command(c.Bridge(other="nobody", request_id="7"))
    assert [event.error for _, event in listener.events if isinstance(event, e.Error)]
    assert conversation.call.state is State.UP


async def test_bridge_with_another_owners_call_is_refused(house: House) -> None:
    conversation = await up(house)
    other = await house.switch.open("b", "websocket", house.endpoint, Origin("other"))
    other.command(c.Invite())
    conversation.command(c.Bridge(other="b"))
    assert other.bridged_with is None


async def test_token_brings_a_client_back_once(house: House) -> None:
    conversation = await up(house, resumable=True)
    token = conversation.call.resume_token
    assert token
    with pytest.raises(ForbiddenError):
        house.switch.reattach("a", "wrong", ME)
    with pytest.raises(ForbiddenError):
        house.switch.reattach("a", token, Origin("somebody else"))
    assert house.switch.reattach("a", token, ME) is conversation
    with pytest.raises(ForbiddenError):
        house.switch.reattach("a", token, ME)


async def test_missed_events_are_replayed_by_number(house: House) -> None:
    conversation = await up(house, resumable=True)
    conversation.command(c.AddHistory(speaker="x", text="1"))
    listener = Listener()
    conversation.subscribe(listener, since=2)
    assert [seq for seq, _ in listener.events] == [3]


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


async def test_views_list_calls_without_secrets(house: House) -> None:
    await up(house, option=CallOption(caller="1", shown={"caller": "1"}))
    view = house.switch.views()[0]
    assert (view.id, view.kind, view.state, view.option) == ("a", "websocket", "up", {"caller": "1"})


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
