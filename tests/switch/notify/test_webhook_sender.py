"""The sender of webhooks: in order, signed, tried again, bounded for each account."""

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest
from aiohttp import web

from softswitch.egress.http import EgressClient
from softswitch.egress.signature import EVENT_ID, HEADER
from softswitch.settings import Webhook, WebhookAccount
from softswitch.switch.notify import webhook_sender as module
from softswitch.switch.notify.webhook_sender import (
    MOST_WAITING,
    OPERATOR,
    WebhookCounters,
    WebhookSender,
    WebhookTerms,
)
from tests.support.control import Hooks

pytestmark = pytest.mark.each_loop


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    async with Hooks() as server:
        yield server


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES_S", (0.01,) * 4)
    monkeypatch.setattr(module, "PAUSES_SOON_S", (0.01,))


def make(allow: str = "127.0.0.0/8", **terms) -> tuple[WebhookSender, WebhookCounters]:
    client = EgressClient((allow,) if allow else ())
    sender = WebhookSender(client, WebhookTerms(**terms), clock=lambda: 1000.0)
    return sender, sender.counters


async def _status(status: int) -> int:
    return status


def verifies(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Check a signature as docs/guides/webhooks.md shows it."""
    fields = dict(field.split("=", 1) for field in headers[HEADER].split(","))
    content = f"{fields['t']}.{headers[EVENT_ID]}.".encode() + body
    return hmac.compare_digest(hmac.new(secret.encode(), content, sha256).hexdigest(), fields["v2"])


async def test_messages_come_in_order_and_signed_with_the_secret_of_their_account(hooks):
    sender, counters = make(secrets={OPERATOR: "operator", "a": "secret of a"})
    mine, operators = sender.channel(hooks.url(), "a"), sender.channel(hooks.url("o"), trusted=True)
    outcomes = [mine.post(b'{"n":%d}' % number) for number in range(5)]
    assert await asyncio.gather(*outcomes) == [""] * 5
    assert [body["n"] for body in hooks.bodies] == list(range(5))
    for _, headers, body in hooks.requests:
        assert verifies("secret of a", headers, body)
        assert not verifies("operator", headers, body)
        assert headers[HEADER].startswith("t=1000,v1=")
    assert len({headers[EVENT_ID] for _, headers, _ in hooks.requests}) == 5
    assert await operators.post(b"{}") == ""
    assert verifies("operator", hooks.requests[-1][1], b"{}")
    assert counters.delivered == 6


async def test_account_without_a_secret_is_not_signed_with_that_of_another(hooks, caplog):
    sender, _ = make(secrets={OPERATOR: "operator"})
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert await sender.channel(hooks.url(), "b").post(b"{}") == ""
    assert all(HEADER not in headers for _, headers, _ in hooks.requests)
    assert [record.account for record in caplog.records] == ["b"], "it is told once"


def test_secrets_of_the_settings_go_to_their_accounts():
    settings = Webhook(secret="s", queue=7, account=(WebhookAccount("a", "of a"),))
    terms = WebhookTerms.of(settings, {"root"})
    assert dict(terms.secrets) == {OPERATOR: "s", "root": "s", "a": "of a"}
    assert (terms.tries, terms.queue) == (3, 7)
    assert WebhookTerms.of(Webhook(), {"root"}).secrets == {}


async def test_failing_url_is_tried_with_one_id_and_then_passed_over(hooks):
    hooks.answer = lambda body: _status(500 if body["n"] == 0 else 204)
    sender, counters = make()
    channel = sender.channel(hooks.url())
    first, second = channel.post(b'{"n":0}'), channel.post(b'{"n":1}')
    assert await asyncio.gather(first, second) == ["the webhook answered 500", ""]
    assert (counters.failed, counters.retried, counters.delivered) == (1, 2, 1)
    ids = [headers[EVENT_ID] for _, headers, _ in hooks.requests]
    assert len(set(ids[:3])) == 1, "a receiver can tell a second try from a second message"
    assert ids[3] != ids[0]


@pytest.mark.parametrize("status", [404, 410])
async def test_receiver_that_says_there_is_nothing_is_not_asked_again(hooks, status):
    hooks.answer = lambda body: _status(status)
    sender, counters = make()
    assert await sender.channel(hooks.url()).post(b"{}") == f"the webhook answered {status}"
    assert (len(hooks.requests), counters.retried, counters.failed) == (1, 0, 1)


async def test_redirect_is_not_followed_but_named(aiohttp_server):
    seen = []

    async def moved(request: web.Request) -> web.Response:
        seen.append((request.method, request.path))
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", moved)
    server = await aiohttp_server(app)
    sender, counters = make()
    wrong = await sender.channel(f"http://127.0.0.1:{server.port}/hook").post(b"{}")
    assert wrong == "the webhook answered 302 to '/elsewhere': redirects are not followed"
    assert seen == [("POST", "/hook")]
    assert (counters.redirected, counters.failed) == (1, 1)


async def test_silent_url_is_given_up_in_time(hooks):
    silent = asyncio.Event()

    async def hang(body):
        await silent.wait()
        return 200

    hooks.answer = hang
    sender, counters = make(timeout_s=0.1, tries=2)
    async with asyncio.timeout(4):
        assert "did not answer within 0.1 s" in await sender.channel(hooks.url()).post(b"{}")
    assert counters.failed == 1
    silent.set()


async def test_message_that_a_caller_waits_for_has_a_bounded_time_in_all(hooks):
    silent = asyncio.Event()

    async def hang(body):
        await silent.wait()
        return 200

    hooks.answer = hang
    sender, _ = make(timeout_s=60.0, tries=100)
    async with asyncio.timeout(4):
        assert "did not answer" in await sender.channel(hooks.url()).post(b"{}", within_s=0.2)
    silent.set()


async def test_message_that_a_caller_waits_for_is_tried_again_within_its_time(hooks):
    statuses = iter((500, 502, 200))
    hooks.answer = lambda body: _status(next(statuses))
    sender, counters = make()
    assert await sender.channel(hooks.url()).post(b"{}", within_s=30.0) == ""
    assert counters.retried == 2


async def test_refused_url_is_not_tried_again(hooks):
    sender, counters = make(allow="")
    assert "[egress] allow" in await sender.channel(hooks.url(), "a").post(b"{}")
    assert (counters.retried, hooks.requests) == (0, [])


async def test_oldest_message_of_a_channel_is_dropped_when_too_many_wait():
    sender, counters = make(queue=10_000)
    channel = sender.channel("http://127.0.0.1:1/")
    outcomes = [channel.post(b"{}") for _ in range(MOST_WAITING + 2)]
    assert counters.dropped == 2
    assert [outcome.done() for outcome in outcomes[:3]] == [True, True, False]
    assert sender.waiting == MOST_WAITING
    sender._tasks.cancel()


async def test_account_that_waits_too_much_costs_no_other_account(hooks):
    blocked = asyncio.Event()

    async def block(body):
        await blocked.wait()
        return 200

    hooks.answer = block
    sender, counters = make(queue=3)
    outcomes = [sender.channel(hooks.url(), "a").post(b"{}") for _ in range(5)]
    assert counters.dropped == 2, "each is of a call of its own: none older can make room"
    other = sender.channel(hooks.url("b"), "b").post(b"{}")
    assert not other.done()
    blocked.set()
    assert await other == ""
    assert sorted(await asyncio.gather(*outcomes)) == ["", "", "", *["too many messages waited"] * 2]
    assert sender.waiting == 0


async def test_bytes_that_wait_are_bounded_too(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    sender, counters = make()
    channel = sender.channel("http://127.0.0.1:1/", "a")
    channel.post(b"x" * 60)
    channel.post(b"x" * 60)
    assert (counters.dropped, sender.waiting) == (1, 1), "the newer one pushes the older one out"
    assert await sender.channel("http://127.0.0.1:1/", "a").post(b"x" * 101) == "too many messages waited"
    sender._tasks.cancel()


async def test_channel_is_idle_between_messages_and_nothing_is_left(hooks):
    sender, _ = make()
    channel = sender.channel(hooks.url())
    for number in range(2):
        assert await channel.post(b'{"n":%d}' % number) == ""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(sender._tasks) == 0
    assert sender.waiting == 0


async def test_messages_that_wait_at_the_end_are_told_to_be_lost(hooks, monkeypatch):
    monkeypatch.setattr(module, "CLOSE_S", 0.01)
    blocked = asyncio.Event()

    async def block(body):
        await blocked.wait()
        return 200

    hooks.answer = block
    sender, _ = make()
    channel = sender.channel(hooks.url())
    outcomes = [channel.post(b"{}") for _ in range(2)]
    await asyncio.sleep(0)
    await sender.close()
    assert all(await asyncio.gather(*outcomes))
    assert sender.waiting == 0
    blocked.set()
