"""The light of a telephone that tells of messages: baresip subscribes, and is told of each change."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.clients.telephony import Telephony, voice
from tests.support.baresip import RATES, Baresip
from tests.support.servers import Files

pytestmark = pytest.mark.client

SETTINGS = """
[[user]]
name = "alice"
password = "secret"

[[user]]
name = "bob"
password = "secret"

[voicemail]
greeting = ""
url = "{url}"

[[route]]
match = "700"
to = "voicemail:bob"
"""
RATE = RATES["g711"]


def phone(switch: Telephony, folder: Path, name: str, *applications: str) -> Baresip:
    account = f"<sip:{name}@127.0.0.1:{switch.sip_port};transport=udp>;auth_pass=secret;regint=60"
    return Baresip(folder / name, account, voice(440, RATE), applications=applications)


async def told(one: Baresip, text: str) -> None:
    """Wait until a phone has written a text."""
    try:
        async with asyncio.timeout(60):
            while text not in one.log():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{text!r} is not in:\n{one.log()[-4000:]}") from None


async def test_light_goes_on_with_a_message_and_off_once_it_was_heard(tmp_path: Path) -> None:
    posted: asyncio.Queue[dict[str, object]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        posted.put_nowait(await request.json())
        return web.Response()

    async with Files() as files:
        files.answers["message"] = take
        with Telephony(tmp_path / "data", SETTINGS.format(url=files.url("message"))) as switch:
            async with (
                phone(switch, tmp_path, "bob", "mwi") as bob,
                phone(switch, tmp_path, "alice") as alice,
            ):
                await bob.registered()
                await alice.registered()
                await told(bob, "Voice-Message: 0/0")
                alice.command("dial", f"sip:700@127.0.0.1:{switch.sip_port}")
                await alice.until("CALL_ESTABLISHED")
                await asyncio.sleep(4)
                alice.command("hangup")
                await told(bob, "Voice-Message: 1/0")
                async with asyncio.timeout(60):
                    message = await posted.get()
                assert (message["event"], message["user"], message["caller"]) == ("voicemail", "bob", "alice")
                async with (
                    aiohttp.ClientSession() as http,
                    http.patch(switch.url(str(message["path"])), json={"heard": True}) as answer,
                ):
                    assert answer.status == 200
                await told(bob, "Voice-Message: 0/1")
                await switch.no_calls()
            assert switch.tracebacks() == []
            assert json.dumps(message)
