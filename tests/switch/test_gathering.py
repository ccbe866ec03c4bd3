"""Gathering keys in several attempts."""

import asyncio
from pathlib import Path

import pytest

from softswitch.call import commands as c
from softswitch.call import reports as r
from softswitch.switch.answering import until_answered
from softswitch.switch.conversation import Conversation
from softswitch.switch.gathering import Gathered, Gathering
from softswitch.switch.switch import Origin
from tests.switch.house import House, settle

COLLECT = c.Collect(min_digits=1, max_digits=2, timeout_ms=100, terminators="#")


@pytest.fixture
async def call(tmp_path: Path) -> Conversation:
    house = House(tmp_path)
    conversation = await house.switch.open("a", "websocket", house.endpoint, Origin())
    conversation.command(c.Invite())
    await settle()
    return conversation


def gather(call: Conversation, attempts: int = 1) -> tuple[list[Gathered], list[int]]:
    told: list[Gathered] = []
    prompts: list[int] = []

    def prompt(attempt: int) -> None:
        prompts.append(attempt)

    Gathering(call, COLLECT, prompt, attempts, told.append).start()
    return told, prompts


def press(call: Conversation, digits: str) -> None:
    for digit in digits:
        call.report(r.DigitReceived("party", digit))


async def test_keys_are_told_once(call):
    told, _ = gather(call)
    press(call, "12345")
    assert told == [Gathered("12", "complete", 1)]


async def test_too_few_keys_are_asked_for_again(call):
    told, prompts = gather(call, attempts=3)
    press(call, "#")
    await settle()
    async with asyncio.timeout(5):
        while len(prompts) < 3:
            await asyncio.sleep(0.02)
    press(call, "7#")
    assert told == [Gathered("7", "terminator", 3)]
    assert prompts == [1, 2, 3]


async def test_last_attempt_tells_what_there_is(call):
    told, prompts = gather(call, attempts=2)
    async with asyncio.timeout(5):
        while not told:
            await asyncio.sleep(0.02)
    assert told == [Gathered("", "timeout", 2)]
    assert prompts == [1, 2]


async def test_end_of_the_call_interrupts(call):
    told, _ = gather(call, attempts=3)
    press(call, "1")
    call.command(c.Hangup())
    await settle()
    assert len(told) == 1
    assert told[0].reason == "interrupted"


async def test_answer_is_waited_for(tmp_path: Path):
    house = House(tmp_path)
    conversation = await house.switch.open("a", "websocket", house.endpoint, Origin())
    waiting = asyncio.ensure_future(until_answered(conversation, 5))
    await settle()
    conversation.command(c.Invite())
    assert await waiting is True
    assert await until_answered(conversation, 0) is True
    conversation.command(c.Hangup())
    assert await until_answered(conversation, 0) is False


async def test_call_that_ends_or_takes_too_long_is_not_answered(tmp_path: Path):
    house = House(tmp_path)
    conversation = await house.switch.open("a", "websocket", house.endpoint, Origin())
    assert await until_answered(conversation, 0.01) is False
    waiting = asyncio.ensure_future(until_answered(conversation, 5))
    await settle()
    conversation.command(c.Hangup())
    assert await waiting is False
