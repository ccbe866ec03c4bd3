"""Who is told of calls."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import events as e
from softswitch.call.vocabulary.values import party_of
from softswitch.dialects.wavix.notifier import WavixNotifier
from softswitch.egress.http import EgressClient
from softswitch.egress.signature import EVENT_ID, HEADER, webhook_signature
from softswitch.errors import UnavailableError
from softswitch.store.store import WebhookRecord
from softswitch.switch.notify.notifier import Gathered
from softswitch.switch.notify.webhook_sender import WebhookSender, WebhookTerms
from softswitch.switch.notify.webhooks import MOST_PER_ACCOUNT, Feed, TooMany, Webhooks
from softswitch.switch.origin import Origin, Source
from tests.support.control import Hooks
from tests.switch.harness import House, settle


class Store:
    """Keeps webhooks, or fails."""

    def __init__(self) -> None:
        self.rows: dict[int, WebhookRecord] = {}
        self.good = True

    async def webhooks(self) -> list[WebhookRecord]:
        return list(self.rows.values())

    def save_webhook(self, webhook: WebhookRecord) -> "asyncio.Future[bool]":
        self.rows[webhook.id] = webhook
        return self._done()

    def delete_webhook(self, number: int) -> "asyncio.Future[bool]":
        del self.rows[number]
        return self._done()

    def _done(self) -> "asyncio.Future[bool]":
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        future.set_result(self.good)
        return future


class Setting:
    def __init__(self, folder: Path) -> None:
        self.house = House(folder)
        self.store = Store()
        self.house.store.records.webhooks = self.store.webhooks
        for name in ("save_webhook", "delete_webhook"):
            setattr(self.house.store, name, getattr(self.store, name))
        self.house.resources.egress = EgressClient(("127.0.0.0/8",))
        self.sender = WebhookSender(self.house.resources.egress, WebhookTerms())
        self.webhooks = self.make()
        self.house.switch.followers.append(self.webhooks.follow)

    def make(self) -> Webhooks:
        return Webhooks(self.house.resources, self.sender, WavixNotifier())

    async def call(self, owner: str = "me", call_id: str = "a", direction: str = "outbound"):
        origin = Origin(owner, source=Source(direction))
        return await self.house.switch.open(call_id, "websocket", self.house.endpoint, origin)


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    made = Setting(tmp_path)
    yield made
    await made.sender.close()


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    async with Hooks() as server:
        yield server


async def test_webhooks_are_kept_bounded_and_read_again(setting):
    for number in range(MOST_PER_ACCOUNT):
        await setting.webhooks.add("me", f"https://x/{number}", "on-call")
    with pytest.raises(TooMany):
        await setting.webhooks.add("me", "https://x/more", "on-call")
    await setting.webhooks.add("you", "https://x/more", "on-call")
    again = setting.make()
    await again.start()
    assert len(again.of("me")) == MOST_PER_ACCOUNT
    assert await again.remove("me", url="https://x/3") == 1
    assert await again.remove("me") == MOST_PER_ACCOUNT - 1
    assert len(again.of("you")) == 1


async def test_webhook_that_cannot_be_kept_is_not_there(setting):
    setting.store.good = False
    with pytest.raises(UnavailableError):
        await setting.webhooks.add("me", "https://x/", "on-call")
    assert setting.webhooks.of("me") == []


async def test_account_is_told_of_its_calls_and_of_those_nobody_has_taken(setting, hooks):
    await setting.webhooks.add("me", hooks.url("me"), "on-call")
    await setting.webhooks.add("you", hooks.url("you"), "on-call")
    mine = await setting.call("me", "mine")
    mine.command(c.Invite())
    free = await setting.call("", "free")
    free.awaits_client = True
    free.command(c.Invite())
    ruled = await setting.call("", "ruled")
    ruled.command(c.Invite())
    await settle()
    for call in (ruled, mine, free):
        call.command(c.Hangup())
    await hooks.until(lambda: hooks.types().count("completed") == 3)
    paths = {(path, body["uuid"]) for (path, _, _), body in zip(hooks.requests, hooks.bodies, strict=True)}
    assert paths == {("/me", "mine"), ("/me", "free"), ("/you", "free")}


async def test_callback_of_a_call_is_told_instead_of_its_account(setting, hooks):
    await setting.webhooks.add("me", hooks.url("account"), "on-call")
    call = await setting.call()
    call.callback = hooks.url("call")
    call.command(c.Invite())
    await settle()
    call.command(c.Hangup())
    await hooks.wait("completed")
    assert {path for path, _, _ in hooks.requests} == {"/call"}


async def test_feed_is_told_of_what_concerns_its_account_until_it_goes(setting):
    heard: list[bytes] = []
    ends = setting.webhooks.listen(Feed("me", heard.append))
    assert setting.webhooks.wanted()
    (await setting.call("you", "remote")).command(c.Invite())
    (await setting.call("me", "mine")).command(c.Invite())
    await settle()
    assert len(heard) == 2
    assert all(b'"uuid":"mine"' in message for message in heard)
    ends()
    assert not setting.webhooks.wanted()


async def test_record_is_posted_after_the_call(setting, hooks):
    await setting.webhooks.add("me", hooks.url(), "post-call")
    assert not setting.webhooks.wanted(), "a record is no way to learn of a call that comes in"
    call = await setting.call()
    call.command(c.Invite())
    await settle()
    call.command(c.Hangup())
    await hooks.until(lambda: hooks.bodies)
    assert [body["disposition"] for body in hooks.bodies] == ["answered"]
    assert not setting.webhooks.begin("a"), "nothing is kept of a call that has ended"


async def test_nothing_is_left_when_calls_are_over(setting, hooks):
    await setting.webhooks.add("me", hooks.url(), "on-call")
    for number in range(5):
        call = await setting.call(call_id=f"call-{number}")
        call.command(c.Invite())
        await settle()
        call.command(c.Hangup())
    await hooks.until(lambda: hooks.types().count("completed") == 5)
    await setting.sender._tasks.join(5)
    assert (setting.sender.waiting, setting.webhooks._followers) == (0, {})


async def test_result_of_several_attempts_is_told_once(setting, hooks):
    await setting.webhooks.add("me", hooks.url(), "on-call")
    call = await setting.call()
    call.command(c.Invite())
    await settle()
    setting.webhooks.gather("a", "me")
    collected = e.Collected(timestamp=0.001, subject=party_of("a"), digits="1", reason="timeout")
    call.publish(collected)
    setting.webhooks.gathered("a", "me", Gathered("12", "complete", 2))
    setting.webhooks.gathered("a", "me", Gathered("3", "complete", 1), hooks.url("once"))
    await hooks.until(lambda: hooks.types().count("on_call_event") == 3)
    told = {
        (path, *(body["event_payload"]["payload"][name] for name in ("status", "digits")))
        for (path, _, _), body in zip(hooks.requests, hooks.bodies, strict=True)
        if body["event_type"] == "on_call_event"
    }
    assert told == {("/hook", "started", ""), ("/hook", "completed", "12"), ("/once", "completed", "3")}


async def test_message_of_an_account_is_signed_with_its_own_secret(tmp_path, hooks):
    setting = Setting(tmp_path)
    terms = WebhookTerms(secrets={"me": "mine", "you": "yours"})
    setting.sender = WebhookSender(setting.house.resources.egress, terms)
    webhooks = setting.make()
    setting.house.switch.followers[:] = [webhooks.follow]
    for account in ("me", "you"):
        await webhooks.add(account, hooks.url(account), "on-call")
        (await setting.call(account, f"call of {account}")).command(c.Invite())
    await settle()
    await hooks.until(lambda: {path for path, _, _ in hooks.requests} == {"/me", "/you"})
    for path, headers, body in hooks.requests:
        seconds = int(headers[HEADER].partition(",")[0].removeprefix("t="))
        secret = {"/me": "mine", "/you": "yours"}[path]
        assert headers[HEADER] == webhook_signature(secret, seconds, headers[EVENT_ID], body)
    await setting.sender.close()
