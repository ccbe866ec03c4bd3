"""Waiting for the answer of a call."""

import asyncio
from pathlib import Path

from softswitch.call.authority import OPERATOR
from softswitch.call.vocabulary import commands as c
from softswitch.switch.answering import until_answered
from softswitch.switch.origin import Origin
from tests.switch.harness import House, settle


async def test_answer_is_waited_for(tmp_path: Path):
    house = House(tmp_path)
    call, _ = await house.calls.open("websocket", Origin(), house.endpoint)
    waiting = asyncio.ensure_future(until_answered(call, 5))
    await settle()
    await call.command(c.Invite(), OPERATOR)
    assert await waiting is True
    assert await until_answered(call, 0) is True
    await call.command(c.Hangup(), OPERATOR)
    assert await until_answered(call, 0) is False


async def test_call_that_ends_or_takes_too_long_is_not_answered(tmp_path: Path):
    house = House(tmp_path)
    call, _ = await house.calls.open("websocket", Origin(), house.endpoint)
    assert await until_answered(call, 0.01) is False
    waiting = asyncio.ensure_future(until_answered(call, 5))
    await settle()
    await call.command(c.Hangup(), OPERATOR)
    assert await waiting is False
