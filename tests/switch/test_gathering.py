"""Gathering digits in several attempts."""

import asyncio
from pathlib import Path

import pytest

from softswitch.call.authority import OPERATOR
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import reports as r
from softswitch.switch.directory import CallHandle
from softswitch.switch.gathering import Gathering
from softswitch.switch.notify.notifier import Gathered
from softswitch.switch.origin import Origin
from tests.switch.harness import House, settle

COLLECT = c.Collect(min_digits=1, max_digits=2, timeout_ms=100, terminators="#")


class Gather:
    """A collection of digits from an answered call."""

    def __init__(self, house: House, call: CallHandle) -> None:
        self.house, self.call = house, call
        self.results: list[Gathered] = []
        self.prompts: list[int] = []
        self.changed = asyncio.Condition()

    async def start(self, attempts: int = 1) -> None:
        await Gathering(self.call, OPERATOR, COLLECT, self._prompt, attempts, self._gathered).start()

    def press(self, digits: str) -> None:
        conversation = self.house.switch.find("a")
        assert conversation is not None
        for digit in digits:
            conversation.report(r.DigitReceived("party", 100.0, digit))

    async def until(self, attempts: int) -> None:
        """Wait for an attempt to begin, or for the result where ``attempts`` is 0."""
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(lambda: len(self.prompts) >= attempts if attempts else self.results)

    def _prompt(self, attempt: int) -> None:
        self.prompts.append(attempt)
        self._notify()

    def _gathered(self, gathered: Gathered) -> None:
        self.results.append(gathered)
        self._notify()

    def _notify(self) -> None:
        async def notify() -> None:
            async with self.changed:
                self.changed.notify_all()

        self._task = asyncio.ensure_future(notify())


@pytest.fixture
async def gather(tmp_path: Path) -> Gather:
    house = House(tmp_path)
    call, _ = await house.calls.open("websocket", Origin(), house.endpoint, call_id="a")
    await call.command(c.Invite(), OPERATOR)
    await settle()
    return Gather(house, call)


async def test_result_is_reported_once(gather):
    await gather.start()
    gather.press("12345")
    assert gather.results == [Gathered("12", "complete", 1)]


async def test_too_few_digits_are_asked_for_again(gather):
    await gather.start(attempts=3)
    gather.press("#")
    await gather.until(attempts=3)
    await settle()
    gather.press("7#")
    assert gather.results == [Gathered("7", "terminator", 3)]
    assert gather.prompts == [1, 2, 3]


async def test_last_attempt_reports_what_there_is(gather):
    await gather.start(attempts=2)
    await gather.until(attempts=0)
    assert gather.results == [Gathered("", "timeout", 2, enough=False)]
    assert gather.prompts == [1, 2]


async def test_end_of_the_call_interrupts(gather):
    await gather.start(attempts=3)
    gather.press("1")
    await gather.call.command(c.Hangup(), OPERATOR)
    await settle()
    assert [result.reason for result in gather.results] == ["interrupted"]
