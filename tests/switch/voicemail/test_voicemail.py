"""A caller who leaves a message: who is refused, what ends it, and what is kept."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from softswitch.audio.pcm import FULL_SCALE
from softswitch.call.authority import Principal
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary.commands import CallOption
from softswitch.settings import Settings, User
from softswitch.settings.voicemail import Voicemail as Section
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.notify.webhook_sender import WebhookSender, WebhookTerms
from softswitch.switch.origin import Origin
from softswitch.switch.voicemail.voicemail import RATE, Voicemail, beep
from tests.switch.harness import House


class Office:
    def __init__(self, folder: Path) -> None:
        settings = Settings(user=(User("anna", "secret"),), voicemail=Section(greeting=""))
        self.house = House(folder, settings)
        self.voicemail = Voicemail(
            self.house.switch, WebhookSender(self.house.resources.egress, WebhookTerms.of(settings.webhook))
        )
        self.counted = (0, 0)
        self.voicemail.mailboxes.count = self.count  # type: ignore[method-assign]
        self.house.resources.dialers = {**self.house.resources.dialers, "voicemail": self.voicemail}

    async def count(self, user: str) -> tuple[int, int]:
        return self.counted

    async def caller(self, user: str) -> Conversation:
        conversation = await self.house.switch.open("x", "websocket", self.house.endpoint, Origin("shop"))
        conversation.command(c.Invite(option=CallOption(callee=f"voicemail:{user}")))
        return conversation


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_beep_has_soft_ends() -> None:
    pcm = np.frombuffer(beep(), "<i2")
    assert len(pcm) == 0.4 * RATE
    assert max(abs(int(pcm[0])), abs(int(pcm[-1]))) < 100
    assert 7000 < np.abs(pcm).max() < FULL_SCALE


def test_mailbox_of_no_user_is_refused(office: Office) -> None:
    refuse = office.voicemail.refuse_callee
    assert refuse("voicemail:bert", Principal("shop")) == (404, "callee: there is no [[user]] named 'bert'")
    assert refuse("voicemail:anna", Principal("shop")) is None
    assert refuse("echo", Principal("shop")) is None


@pytest.mark.parametrize(("user", "counted"), [("bert", (0, 0)), ("anna", (49, 1))])
async def test_caller_of_a_mailbox_that_takes_none_is_refused(
    office: Office, user: str, counted: tuple[int, int]
) -> None:
    office.counted = counted
    call = await office.caller(user)
    await until(lambda: call.call.second is None)
    assert [one.value for one in office.voicemail.figures() if "refused" in one.name] == [1]
    assert len(office.house.switch) == 1
    await office.voicemail.stop()


async def test_caller_is_answered_by_a_call_of_its_own(office: Office) -> None:
    call = await office.caller("anna")
    await until(lambda: len(office.house.switch) == 2 and call.call.second and call.call.second.up)
    inner = next(one for one in office.house.switch.conversations() if one is not call)
    assert (inner.call.kind.value, inner.owner) == ("voicemail", "shop")
    call.end("caller", "caller")
    await until(lambda: inner.over)
    await until(lambda: len(office.house.switch) == 0)
    assert not office.house.store.begun, "nothing was recorded before the tone had ended"
    await office.voicemail.stop()


async def test_change_is_told_to_phones_and_other_processes(office: Office) -> None:
    told: list[tuple[object, ...]] = []
    office.voicemail.tell = lambda *what: told.append(what)
    office.voicemail.on_changed = lambda user: told.append((user,))
    office.counted = (2, 1)
    await office.voicemail.changed("anna")
    await office.voicemail.told("anna")
    assert told == [("anna", 2, 1, True), ("anna",), ("anna", 2, 1, False)]
