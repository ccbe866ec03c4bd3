"""Messages to one URL: in order, tried again, bounded."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from softswitch.egress.http import Door
from softswitch.egress.signature import HEADER, signature
from softswitch.switch import courier as module
from softswitch.switch.courier import MOST_WAITING, Courier, CourierCounters, CourierTerms
from tests.support.control import Hooks


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    async with Hooks() as server:
        yield server


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES_S", (0.01,) * 4)


def make(url: str, allow: str = "127.0.0.0/8", **terms) -> tuple[Courier, CourierCounters]:
    counters = CourierCounters()
    return Courier(Door((allow,) if allow else ()), url, CourierTerms(**terms), counters), counters


async def test_messages_come_in_order_and_signed(hooks):
    courier, counters = make(hooks.url(), secret="s")
    outcomes = [courier.post(b'{"n":%d}' % number) for number in range(5)]
    courier.finish()
    await courier.run()
    assert [body["n"] for body in hooks.bodies] == list(range(5))
    assert [outcome.result() for outcome in outcomes] == [""] * 5
    _, headers, data = hooks.requests[0]
    seconds = int(headers[HEADER].partition(",")[0].removeprefix("t="))
    assert headers[HEADER] == signature("s", seconds, data)
    assert counters.delivered == 5


async def test_failing_url_is_tried_and_then_passed_over(hooks):
    hooks.answer = lambda body: _status(500 if body["n"] == 0 else 204)
    courier, counters = make(hooks.url())
    first, second = courier.post(b'{"n":0}'), courier.post(b'{"n":1}')
    courier.finish()
    await courier.run()
    assert first.result() == "the webhook answered 500"
    assert second.result() == ""
    assert (counters.failed, counters.retried, counters.delivered) == (1, 2, 1)


async def _status(status: int) -> int:
    return status


async def test_silent_url_is_given_up_in_time(hooks):
    async def hang(body):
        await asyncio.sleep(5)
        return 200

    hooks.answer = hang
    courier, counters = make(hooks.url(), timeout_s=0.1, tries=2)
    outcome = courier.post(b"{}")
    courier.finish()
    async with asyncio.timeout(4):
        await courier.run()
    assert "did not answer within" in outcome.result()
    assert counters.failed == 1


async def test_refused_url_is_not_tried_again(hooks):
    courier, counters = make(hooks.url(), allow="")
    outcome = courier.post(b"{}")
    courier.finish()
    await courier.run()
    assert "[egress] allow" in outcome.result()
    assert (counters.retried, hooks.requests) == (0, [])


async def test_oldest_message_is_dropped_when_too_many_wait():
    courier, counters = make("http://127.0.0.1:1/")
    outcomes = [courier.post(b"{}") for _ in range(MOST_WAITING + 2)]
    assert counters.dropped == 2
    assert [outcome.done() for outcome in outcomes[:3]] == [True, True, False]


async def test_courier_waits_for_messages_and_ends_when_told(hooks):
    courier, _ = make(hooks.url())
    running = asyncio.ensure_future(courier.run())
    await asyncio.sleep(0.01)
    assert await courier.post(b'{"n":1}') == ""
    assert not running.done()
    courier.finish()
    await asyncio.wait_for(running, 5)
