"""Voicemail with phones: a message is left, told by webhook and light, listed, played, marked, deleted."""

import asyncio
import io
import json
import wave
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from softswitch.audio.pcm import FULL_SCALE
from softswitch.sip import events as hp
from tests.support.mail import MailServer
from tests.support.ports import free_port
from tests.support.sound import level, share, tone, wav
from tests.support.speakers import RATE, WAIT_S, Speaker, is_tone, speakers
from tests.support.switch import SwitchThread

ONE, TWO = "key-of-account-one", "key-of-account-two"
BEEP = 1000.0


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchThread]:
    folder = tmp_path_factory.mktemp("voicemail")
    sections = {
        "sip": {"port": free_port()},
        "auth": {"api_keys": [f"one:{ONE}:call", f"two:{TWO}:call"]},
        "user": [{"name": name, "password": "secret"} for name in ("anna", "bert")],
        "voicemail": {"greeting": "", "most": 2},
        "route": [{"match": r"\*1", "to": "voicemail:bert", "account": "one"}],
    }
    with SwitchThread(folder, sections) as made:
        sounds = folder / "sounds"
        sounds.mkdir(exist_ok=True)
        (sounds / "voicemail-bert.wav").write_bytes(wav(tone(700.0, 0.6, 16000, 0.2).astype(np.int16), 16000))
        yield made
        made.check()


async def ask(
    switch: SwitchThread, method: str, path: str, key: str = ONE, **more: object
) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession() as http,
        http.request(
            method,
            switch.url(f"/voicemail/bert{path}"),
            headers={"Authorization": f"Bearer {key}"},
            **more,  # type: ignore[arg-type]
        ) as response,
    ):
        return response.status, await response.read()


async def messages(switch: SwitchThread, key: str = ONE) -> list[dict[str, object]]:
    status, body = await ask(switch, "GET", "", key)
    assert status == 200
    found: list[dict[str, object]] = json.loads(body)["messages"]
    return found


async def leave(switch: SwitchThread, anna: Speaker, seconds: float) -> None:
    """Call the mailbox, and hang up so long after the beep."""
    await anna.call(switch.settings.sip.port, "*1")
    await anna.until(is_tone(700.0), 0.2, "greeting")
    await anna.until(is_tone(BEEP), 0.2, "beep")
    await asyncio.sleep(0.5 + seconds)
    anna.far.do("bye", anna.session)


async def until_there_are(switch: SwitchThread, number: int) -> list[dict[str, object]]:
    async with asyncio.timeout(WAIT_S):
        while len(found := await messages(switch)) != number:
            await asyncio.sleep(0.05)
        return found


async def test_message_is_left_told_listed_played_and_deleted(guarded: SwitchThread) -> None:
    port = guarded.settings.sip.port
    async with speakers(("anna", 1100.0), ("bert", 1500.0)) as (anna, bert):
        for one in (anna, bert):
            assert await one.far.register(port, one.name, "secret") == 200
        await leave(guarded, anna, 1.6)
        (message,) = await until_there_are(guarded, 1)
        assert (message["caller"], message["heard"], message["account"]) == ("anna", False, "one")
        assert await messages(guarded, TWO) == []
        path = f"/{message['id']}"
        assert (await ask(guarded, "GET", path, TWO))[0] == 404
        status, body = await ask(guarded, "GET", path)
        assert status == 200
        with wave.open(io.BytesIO(body)) as file:
            pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)[:, 0]
        said = pcm[RATE // 2 : RATE // 2 + RATE]
        assert share(said.astype(np.int16), 1100.0, RATE) > 0.9
        assert 300 < level(said.astype(np.int16)) < FULL_SCALE
        assert (await ask(guarded, "PATCH", path, TWO, json={"heard": True}))[0] == 404
        assert (await ask(guarded, "PATCH", path, json={"heard": "x"}))[0] == 400
        assert (await ask(guarded, "PATCH", path, json={"heard": True}))[0] == 200
        assert (await messages(guarded))[0]["heard"] is True
        await leave(guarded, anna, 1.6)
        await until_there_are(guarded, 2)
        # The mailbox is full, and the caller is told before it is answered.
        session = anna.far.invite(port, "*1", anna.sdp())
        assert session
        rejected = await anna.far.until(hp.Rejected)
        assert rejected.code in (401, 407, 486)
        assert (await ask(guarded, "DELETE", path))[0] == 200
        assert (await ask(guarded, "DELETE", path))[0] == 404
        assert len(await messages(guarded)) == 1


async def test_message_comes_by_e_mail(tmp_path: Path) -> None:
    async with MailServer(answers={"RCPT": ["451 later"]}) as server:
        sections = {
            "sip": {"port": free_port()},
            "user": [
                {"name": "anna", "password": "secret"},
                {"name": "bert", "password": "secret", "email": "bert@home.test"},
            ],
            "mail": {"server": "127.0.0.1", "port": server.port, "tls": "off", "sender": "pbx@home.test"},
            "voicemail": {"greeting": ""},
            "route": [{"match": r"\*1", "to": "voicemail:bert"}],
        }
        with SwitchThread(tmp_path, sections) as switch:
            async with speakers(("anna", 1100.0)) as (anna,):
                await anna.far.register(switch.settings.sip.port, "anna", "secret")
                await anna.call(switch.settings.sip.port, "*1")
                await anna.until(is_tone(BEEP), 0.2, "beep")
                await asyncio.sleep(2.1)
                anna.far.do("bye", anna.session)
            async with asyncio.timeout(WAIT_S):
                while not server.letters:
                    await asyncio.sleep(0.05)
            switch.check()
    (letter,) = server.letters
    assert letter.recipients == ["bert@home.test"]
    assert letter.message["Subject"].startswith("Voice message from anna (0:0")
    (sound,) = letter.message.iter_attachments()
    with wave.open(io.BytesIO(sound.get_content())) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)[:, 0]
    assert share(pcm[RATE // 2 : RATE // 2 + RATE].astype(np.int16), 1100.0, RATE) > 0.9


async def test_short_message_is_not_kept(guarded: SwitchThread) -> None:
    before = await messages(guarded)
    async with speakers(("anna", 1100.0)) as (anna,):
        await anna.far.register(guarded.settings.sip.port, "anna", "secret")
        await leave(guarded, anna, -0.3)
        async with asyncio.timeout(WAIT_S):
            while guarded.calls_now():
                await asyncio.sleep(0.05)
    assert await messages(guarded) == before


async def test_key_ends_a_message(guarded: SwitchThread) -> None:
    for message in await messages(guarded):
        await ask(guarded, "DELETE", f"/{message['id']}")
    async with speakers(("anna", 1100.0)) as (anna,):
        await anna.far.register(guarded.settings.sip.port, "anna", "secret")
        await anna.call(guarded.settings.sip.port, "*1")
        await anna.until(is_tone(BEEP), 0.2, "beep")
        await asyncio.sleep(1.8)
        await anna.press("#")
        await anna.far.until(hp.Ended)
    await until_there_are(guarded, 1)
