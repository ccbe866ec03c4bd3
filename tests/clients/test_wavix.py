"""As a new user would: a phone calls in, a bot answers, streams, plays, is cleared and hangs up."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright

from softswitch.web.docs.interfaces import sockets
from tests.browser.conftest import launch, open_page, write_wav
from tests.browser.listen import call_from, until, until_page_hears
from tests.clients.telephony import Telephony, hears, voice
from tests.conftest import ROOT
from tests.support import sound
from tests.support.baresip import RATES, Baresip
from tests.support.bots import Bot, Stream
from tests.support.control import Control, Hooks
from tests.support.ports import free_port
from tests.support.schema import faults, message_faults, source

pytestmark = pytest.mark.client
RATE = 24000


def valid(stream: Stream) -> None:
    """Check everything a bot got against our description and the source document's."""
    local = sockets()
    document = source()
    for message in stream.messages:
        described = local["components"]["messages"][f"stream.send.{message['event']}"]["payload"]
        assert faults(message, described, local) == []
        assert message_faults(message, document) == []


async def test_phone_calls_in_and_the_bot_does_everything(tmp_path: Path) -> None:
    async with Bot() as bot, Hooks() as hooks:
        settings = f'[webhook]\nurl = "{hooks.url()}"\nformat = "wavix"\n'
        with Telephony(tmp_path / "data", settings) as switch:
            async with Control(switch, "/v1/calls") as control:

                async def answer(body: dict[str, Any]) -> int:
                    if body["event_type"] == "call_setup":
                        wish = {"stream_type": "twoway", "stream_channel": "both"}
                        await control.post(f"/{body['uuid']}/answer", stream_url=bot.url(), **wish)
                    return 200

                hooks.answer = answer
                account = f"<sip:phone@127.0.0.1:{switch.sip_port}>;regint=0"
                mine = voice(440, RATES["g711"])
                async with Baresip(tmp_path / "phone", account, mine) as phone:
                    phone.command("dial", f"sip:100@127.0.0.1:{switch.sip_port}")
                    await phone.until("CALL_ESTABLISHED")
                    stream = await bot.stream()
                    call = (await stream.wait("start"))["call_id"]
                    await stream.until(lambda: sound.loud_ms(stream.heard(), RATE, 1000) > 500)
                    for number in range(5):
                        await stream.speak(sound.tone(1000, 2.0, RATE))
                        await stream.mark(f"mark-{number}")
                    await asyncio.sleep(4.5)
                    assert stream.marks() == ["mark-0", "mark-1"]
                    await stream.clear()
                    await stream.wait("mark", 5)
                    assert stream.marks() == [f"mark-{number}" for number in range(5)]
                    await asyncio.sleep(1.0)
                    assert (await control.delete(f"/{call}")).body == {"success": True}
                    await phone.until("CALL_CLOSED")
                    await stream.ended()
                await hooks.wait("completed")
        heard = phone.heard()
        hears(heard, phone.rate, 1000)
        assert 3.5 < sound.loud_ms(heard, phone.rate, 1000) / 1000 < 6.0, "the rest was cleared"
        hears(stream.heard(), RATE, 440)
        assert {len(frame) for frame in stream.frames()} == {960}
        assert stream.messages[-1]["event"] == "stop"
        assert stream.close_code == 1000
        valid(stream)


@contextmanager
def example(name: str) -> Iterator[int]:
    """Run a bot of the examples; give its port."""
    port = free_port()
    command = [sys.executable, str(ROOT / "examples" / name), str(port)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
    try:
        assert process.stdout is not None
        assert b"Running" in process.stdout.readline()
        yield port
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close() if process.stdout else None


async def test_call_of_the_page_is_streamed_to_the_bot_and_hears_it(tmp_path: Path) -> None:
    microphone = write_wav(tmp_path / "mic.wav", voice(1000, 48000, 30))
    async with Bot() as bot, async_playwright() as playwright, launch(playwright, microphone) as browser:
        with Telephony(tmp_path / "data", "") as switch:
            async with Control(switch, "/v1/calls") as control, open_page(browser, switch.url("/")) as page:
                await page.click("#setup details:last-of-type summary")
                for option in ("asr", "bargeIn", "record"):
                    await page.set_checked(f"[name={option}]", False)
                await page.fill("[name=greeting]", "")
                await call_from(page, "WebRTC")
                call = await page.evaluate("softswitch.session.id")
                await control.stream(call, bot.url())
                stream = await bot.stream()
                await stream.until(lambda: sound.loud_ms(stream.heard(), RATE, 1000) > 1500)
                await stream.speak(sound.tone(440, 8.0, RATE))
                await until_page_hears(page, 440)
                assert (await control.delete(f"/{call}")).body == {"success": True}
                await until(page, "softswitch.session.state === 'disconnected'")
                await stream.ended()
            await switch.no_calls()
            assert switch.tracebacks() == []
    hears(stream.heard(), RATE, 1000, but_not=(440,))
    valid(stream)


async def test_echo_bot_of_the_examples_says_back_what_a_caller_says(tmp_path: Path) -> None:
    with example("wavix_echo_bot.py") as port, Telephony(tmp_path / "data", "") as switch:
        async with switch.client(id="caller") as client, Control(switch) as control:
            await client.invite(vad=False)
            await control.stream("caller", f"ws://127.0.0.1:{port}/")
            await client.speak(sound.tone(440, 1.0))
            await client.hear(0.5)
            async with asyncio.timeout(60):
                while sound.loud_ms(client.heard(), 16000, 1000) < 700:
                    await client.binary(bytes(640))
                    await asyncio.sleep(0.02)
            assert sound.share(client.heard(), 440) > 0.6
            await client.hang_up()


async def test_marks_bot_of_the_examples_stops_when_somebody_speaks(tmp_path: Path) -> None:
    with example("wavix_marks_bot.py") as port, Telephony(tmp_path / "data", "") as switch:
        async with switch.client(id="caller") as client, Control(switch) as control:
            await client.invite(vad=False)
            await control.stream("caller", f"ws://127.0.0.1:{port}/")
            await client.hear(1.0)
            await client.speak(sound.tone(440, 0.5))
            await asyncio.sleep(1.0)
            loud = sound.loud_ms(client.heard(), 16000, 1000)
            assert 900 < loud < 4000, loud
            await asyncio.sleep(0.5)
            assert sound.loud_ms(client.heard(), 16000, 1000) <= loud + 40
            await client.hang_up()


async def test_streams_are_stopped_in_order_when_the_switch_goes_down(tmp_path: Path) -> None:
    async with Bot() as bot:
        with Telephony(tmp_path / "data", "[limits]\ndrain_s = 0.5\n") as switch:
            control = Control(switch)
            await control.__aenter__()
            call = await control.call()
            await control.stream(call, bot.url())
            stream = await bot.stream()
            await stream.wait("media", 5)
            switch.terminate()
            await stream.ended()
            await control._session.close()
            assert await asyncio.to_thread(switch.process.wait, 20) == 0
        assert stream.messages[-1]["event"] == "stop"
        assert stream.close_code == 1000
        assert switch.tracebacks() == []
