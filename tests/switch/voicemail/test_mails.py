"""E-mail of voicemail: sent, tried again, given up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from softswitch.egress import EgressClient
from softswitch.settings import Mail, Settings, User
from softswitch.settings.voicemail import Voicemail
from softswitch.store.database_store import DatabaseStore
from softswitch.switch import rounds
from softswitch.switch.resources import Resources
from softswitch.switch.voicemail import mails as module
from softswitch.switch.voicemail.mailboxes import Mailboxes
from softswitch.switch.voicemail.mails import LEFT_S, MOST_AGE_S, Mails
from tests.support.mail import MailServer
from tests.switch.voicemail.test_mailboxes import message

USERS = (User(name="anna", password="x", email="anna@home.test"), User(name="bert", password="x"))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DatabaseStore]:
    made = DatabaseStore(tmp_path, free_bytes=0)
    await made.start()
    yield made
    await made.close()


class Clock:
    """Epoch seconds that a test sets."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def mails_of(store: DatabaseStore, server: MailServer, *, alone: bool = True, **voicemail: Any) -> Mails:
    settings = Settings(
        mail=Mail(server="127.0.0.1", port=server.port, tls="off", sender="pbx@home.test"),
        voicemail=Voicemail(**voicemail),
        user=USERS,
    )
    parts = SimpleNamespace(settings=settings, store=store, egress=EgressClient())
    return Mails(cast("Resources", parts), Mailboxes(store, 100), alone=alone, clock=Clock())


async def leave(store: DatabaseStore, mails: Mails, name: str, user: str = "anna") -> None:
    await message(store, name, user)
    await store.settled()
    found = await Mailboxes(store, 100).get(user, name, None)
    assert found is not None
    mails.add(found)


@asynccontextmanager
async def running(mails: Mails) -> AsyncIterator[None]:
    task = asyncio.ensure_future(mails.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


async def none_waits(store: DatabaseStore) -> None:
    async with asyncio.timeout(60):
        while await store.records.waiting_mails(10):
            await asyncio.sleep(0.01)


def figures(mails: Mails) -> dict[str, float]:
    return {one.name.removeprefix("voicemail_mails_"): one.value for one in mails.figures()}


async def test_message_is_sent_with_its_sound_to_users_with_an_address(store: DatabaseStore) -> None:
    async with MailServer() as server:
        mails = mails_of(store, server)
        async with running(mails):
            await leave(store, mails, "other", "bert")
            await leave(store, mails, "call/1")
            assert mails.waits("call/1")
            await until(lambda: len(server.letters) == 1)
            await none_waits(store)
    (letter,) = server.letters
    assert letter.recipients == ["anna@home.test"]
    assert letter.message["Subject"] == "Voice message from +49 (0:04)"
    assert letter.message["Message-ID"] == "<call%2F1.voicemail@home.test>"
    body, sound = letter.message.iter_parts()
    assert "+49 has left a voice message of 0:04 on 1970-01-01" in body.get_content()
    assert sound.get_content_type() == "audio/wav"
    assert sound.get_payload(decode=True) == bytes(100)
    assert figures(mails) == {"sent": 1, "retried": 0, "failed": 0, "waiting": 0}
    assert not mails.waits("call/1")


async def test_link_takes_the_place_of_the_sound(store: DatabaseStore) -> None:
    async with MailServer() as server:
        mails = mails_of(store, server, mail="link", page="https://calls.home.test/")
        async with running(mails):
            await leave(store, mails, "a")
            await until(lambda: len(server.letters) == 1)
    (letter,) = server.letters
    assert not letter.message.is_multipart()
    assert "Listen to it: https://calls.home.test/" in letter.message.get_content()


async def test_sound_that_is_too_large_is_not_attached(
    store: DatabaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ATTACHED", 99)
    async with MailServer() as server:
        mails = mails_of(store, server)
        async with running(mails):
            await leave(store, mails, "a")
            await until(lambda: len(server.letters) == 1)
    assert "too long for an e-mail" in server.letters[0].message.get_content()


async def test_mail_is_tried_again_and_the_operator_is_warned(
    store: DatabaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "FIRST_PAUSE_S", 0.01)
    async with MailServer(answers={"MAIL": ["451 secret-address@home.test later"] * 4}) as server:
        mails, warnings = mails_of(store, server), []
        async with running(mails):
            await leave(store, mails, "a")
            while not server.letters:
                warnings += mails.warnings()
                await asyncio.sleep(0.001)
            await none_waits(store)
            await until(lambda: mails.warnings() == [])
    assert set(warnings) == {"mail: the mail server answered 451"}
    assert figures(mails)["retried"] == 4


async def test_mail_that_the_server_never_takes_is_given_up(store: DatabaseStore) -> None:
    async with MailServer(answers={"RCPT": ["550 no such mailbox"]}) as server:
        mails = mails_of(store, server)
        async with running(mails):
            await leave(store, mails, "a")
            await until(lambda: figures(mails)["failed"] == 1)
            await none_waits(store)
            await leave(store, mails, "b")
            await until(lambda: len(server.letters) == 1)
    assert server.letters[0].message["Message-ID"] == "<b.voicemail@home.test>"


async def test_mail_that_waits_is_sent_after_a_restart(store: DatabaseStore) -> None:
    async with MailServer() as server:
        await leave(store, mails_of(store, server), "a")
        await store.settled()
        async with running(mails_of(store, server)):
            await until(lambda: len(server.letters) == 1)


async def test_mail_of_another_process_is_sent_once_it_was_left(store: DatabaseStore) -> None:
    async with MailServer() as server:
        await leave(store, mails_of(store, server, alone=False), "a")
        await store.settled()
        other = mails_of(store, server, alone=False)
        async with running(other):
            await until(lambda: figures(other)["waiting"] == 1)
        assert server.letters == []
        cast("Clock", other._clock).now += LEFT_S
        async with running(other):
            await until(lambda: len(server.letters) == 1)


async def test_mail_of_a_deleted_message_is_not_sent(store: DatabaseStore) -> None:
    async with MailServer() as server:
        mails = mails_of(store, server)
        await leave(store, mails, "a")
        await store.settled()
        assert await Mailboxes(store, 100).delete("anna", "a", None)
        await store.settled()
        async with running(mails):
            await none_waits(store)
    assert server.letters == []


async def test_mail_of_another_machine_waits_for_it_and_is_given_up_after_days(store: DatabaseStore) -> None:
    async with MailServer() as server:
        await leave(store, mails_of(store, server, alone=False), "a")
        await store.settled()
        await store.drop_file("a.wav")
        other = mails_of(store, server, alone=False)
        cast("Clock", other._clock).now += LEFT_S
        async with running(other):
            await until(lambda: figures(other)["waiting"] == 1)
        assert len(await store.records.waiting_mails(9)) == 1
        cast("Clock", other._clock).now += MOST_AGE_S
        async with running(other):
            await none_waits(store)
    assert server.letters == []
