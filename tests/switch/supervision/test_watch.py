"""What a supervisor is told of the supervised call: levels and texts."""

from pathlib import Path

import numpy as np
import pytest

from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import events as e
from softswitch.call.vocabulary.commands import AsrOption, CallOption
from softswitch.call.vocabulary.reports import Transcribed
from softswitch.media import messages as m
from softswitch.speech import provider as speech
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.origin import Origin
from softswitch.switch.supervision.watch import TICKS, Watch
from tests.switch.harness import House, settle
from tests.switch.test_switch import Listener


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def up(house: House, name: str, **option: object) -> Conversation:
    conversation = await house.switch.open(name, "websocket", house.endpoint, Origin("shop"))
    conversation.command(c.Invite(option=CallOption(**option)))  # type: ignore[arg-type]
    await settle()
    return conversation


def taps(house: House) -> dict[str, int]:
    """Return the taps of levels that are open, by their direction."""
    removed = {message.tap for message in house.engine.told(m.RemoveTap)}
    opened = house.engine.told(m.AddTap)
    return {one.direction: one.tap for one in opened if one.tap not in removed and one.sample_rate == 8000}


def speak(house: House, level: int, *directions: str) -> None:
    frame = np.full(160, level, "<i2").tobytes()
    open_now = taps(house)
    for _ in range(TICKS):
        frames = [(open_now[direction], frame) for direction in directions]
        house.resources.routes.deliver(m.Output(frames=frames))


async def test_levels_of_both_sides_come_together(house: House) -> None:
    call, boss = await up(house, "x"), await up(house, "boss")
    ear = Listener()
    boss.subscribe(ear)
    watch = Watch(boss, call)
    watch.move(call.executor.legs.port("party"), transcribes=False)
    speak(house, 3277, "inbound", "outbound")
    speak(house, 0, "outbound")
    levels = [event for _, event in ear.events if isinstance(event, e.Levels)]
    assert [(one.first, one.second) for one in levels] == [(-20, -20), (-127, -127)]
    assert levels[0].other == "x"
    before = taps(house)
    watch.move(call.executor.legs.port("party"), transcribes=False)
    assert taps(house) == before
    watch.move(None, transcribes=False)
    assert taps(house) == {}
    watch.close()
    watch.close()


async def test_sides_are_recognised_for_the_supervisor(house: House) -> None:
    call, boss = await up(house, "x"), await up(house, "boss")
    ear = Listener()
    boss.subscribe(ear)
    watch = Watch(boss, call)
    watch.move(call.executor.legs.port("party"), transcribes=True)
    await settle()
    assert len(house.providers.heard) == 2
    for number, one in enumerate(house.providers.heard):
        one.outputs.put_nowait(speech.AsrFinal(number, f"text {number}", 0, 100))
    await settle()
    told = [event for _, event in ear.events if isinstance(event, e.Overheard)]
    assert sorted((one.side, one.text, one.final) for one in told) == [
        ("first", "text 1", True),
        ("second", "text 0", True),
    ]
    watch.move(call.executor.legs.port("party"), transcribes=False)
    await settle()
    assert all(one.closed for one in house.providers.heard)
    assert house.resources.recognitions == 0


async def test_what_the_call_recognises_is_passed_on(house: House) -> None:
    call, boss = await up(house, "x", asr=AsrOption()), await up(house, "boss")
    ear = Listener()
    boss.subscribe(ear)
    watch = Watch(boss, call)
    watch.move(call.executor.legs.port("party"), transcribes=True)
    await settle()
    assert len(house.providers.heard) == 2, "its own, and the other side"
    call.report(Transcribed("party", 0, "hello", 1.0, 2.0, final=False))
    told = [event for _, event in ear.events if isinstance(event, e.Overheard)]
    assert [(one.side, one.text, one.final) for one in told] == [("first", "hello", False)]
    watch.close()
    call.report(Transcribed("party", 0, "hello", 1.0, 2.0, final=True))
    assert len([event for _, event in ear.events if isinstance(event, e.Overheard)]) == 1
