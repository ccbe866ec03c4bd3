"""The switch between real peers: kamailio as provider, baresip as caller, an application, a browser."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from tests.browser.conftest import launch, open_page, write_wav
from tests.browser.listen import call_from, until, until_page_hears
from tests.clients.telephony import Telephony, Webhook, hears, voice
from tests.support.baresip import RATES, Baresip
from tests.support.kamailio import Kamailio

pytestmark = pytest.mark.client

TRUNK = """
[[trunk]]
name = "provider"
servers = ["{host}:{port}"]
username = "switch"
password = "{password}"
from_domain = "{domain}"
register = true
{more}

[webhook]
url = "{webhook}"
"""


def trunk(provider: Kamailio, webhook: Webhook, more: str = "") -> str:
    """Return the ten lines of settings that a new user writes."""
    return TRUNK.format(
        host=provider.host,
        port=provider.port,
        password=provider.password,
        domain=provider.domain,
        webhook=webhook.url("incoming"),
        more=more,
    )


def account(provider: Kamailio, name: str, more: str = "") -> str:
    """Return a customer's account at the provider."""
    server = f"{provider.host}:{provider.port}"
    return (
        f"<sip:{name}@{provider.domain};transport=udp>;auth_user={name};auth_pass={provider.password}"
        f';outbound="sip:{server};transport=udp";regint=60{more}'
    )


@pytest.mark.parametrize("engine", ["builtin", "pyvoip"])
async def test_call_over_a_trunk_is_announced_greeted_understood_and_joined_with_a_browser(
    tmp_path: Path, engine: str
) -> None:
    with Kamailio(tmp_path / "kamailio") as provider:
        async with Webhook() as webhook:
            text = trunk(provider, webhook, f'engine = "{engine}"')
            with Telephony(tmp_path / "data", text) as switch:
                await switch.until("/admin/trunks", lambda shown: shown["trunks"][0]["state"] == "registered")
                await _walk_through(tmp_path, provider, webhook, switch)
                await switch.no_calls()
                assert switch.tracebacks() == []


async def _walk_through(tmp_path: Path, provider: Kamailio, webhook: Webhook, switch: Telephony) -> None:
    rate = RATES["g711"]
    phone = Baresip(tmp_path / "alice", account(provider, "alice"), voice(440, rate))
    async with phone:
        await phone.registered()
        phone.command("dial", f"sip:switch@{provider.domain}")
        announced = await webhook.next()
        assert (announced["event"], announced["caller"]) == ("invite", "alice")
        async with switch.client("/call/sip", id=announced["dialogId"]) as application:
            assert (await application.wait("incoming"))["caller"] == "alice"
            await application.send("ringing")
            await phone.until("CALL_RINGING")
            await application.send("accept", option={"tts": {}, "asr": {}, "recorder": {"recorderFile": "a"}})
            await application.wait("answer")
            await phone.until("CALL_ESTABLISHED")
            await application.send("tts", text="Welcome. Press one two three.", playId="greeting")
            await application.send("collect", minDigits=3, maxDigits=3, timeoutMs=10000)
            await application.wait("trackStart", lambda event: event.get("playId") == "greeting")
            phone.press("123")
            collected = await application.wait("collect")
            assert (collected["digits"], collected["reason"]) == ("123", "complete")
            async with switch.rtc(id="browser") as browser:
                await browser.call(callee="agent", recorder={"recorderFile": "b"})
                browser.voice.say(voice(1000, 16000, 20))
                await application.send("bridge", targetSessionId="browser", requestId="join")
                await application.wait("ack", lambda event: event.get("requestId") == "join")
                heard = await browser.hear(3)
                hears(heard[48000:], 48000, 440, but_not=(1000,))
                await asyncio.sleep(1.5)
                await application.hang_up()
                await browser.hang_up()
    hears(phone.heard(), rate, 1000, but_not=(440,))
    # Both recordings have both voices: the caller of that call on the left, what it heard on the right.
    for call_id, own, other in ((announced["dialogId"], 440, 1000), ("browser", 1000, 440)):
        left, right, recorded = await switch.recording(call_id)
        hears(left, recorded, own, but_not=(other,))
        hears(right, recorded, other, but_not=(own,))


async def test_caller_is_joined_with_the_page_and_both_hear_each_other(tmp_path: Path) -> None:
    microphone = write_wav(tmp_path / "mic.wav", voice(1000, 48000, 30))
    rate = RATES["g711"]
    with Kamailio(tmp_path / "kamailio") as provider:
        async with Webhook() as webhook:
            with Telephony(tmp_path / "data", trunk(provider, webhook)) as switch:
                phone = Baresip(tmp_path / "alice", account(provider, "alice"), voice(440, rate))
                await switch.until("/admin/trunks", lambda shown: shown["trunks"][0]["state"] == "registered")
                async with phone, async_playwright() as playwright, launch(playwright, microphone) as browser:
                    await phone.registered()
                    async with open_page(browser, switch.url("/")) as page:
                        await page.click("#setup details:last-of-type summary")
                        for option in ("asr", "bargeIn", "record"):
                            await page.set_checked(f"[name={option}]", False)
                        await page.fill("[name=greeting]", "")
                        await call_from(page, "WebRTC")
                        phone.command("dial", f"sip:switch@{provider.domain}")
                        await page.click("#tab-phones")
                        announced = await webhook.next()
                        async with switch.client("/call/sip", id=announced["dialogId"]) as application:
                            await application.send("accept", option={"vad": False})
                            await application.wait("answer")
                            own = await page.evaluate("softswitch.session.id")
                            await application.send("bridge", targetSessionId=own, requestId="join")
                            await application.wait("ack", lambda event: event.get("requestId") == "join")
                            await until_page_hears(page, 440)
                            await application.hang_up()
                        await until(page, "softswitch.session.state === 'connected'")
                        await page.click("#tab-talk")
                        await page.click("#hangup")
                hears(phone.heard(), rate, 1000, but_not=(440,))
                await switch.no_calls()
                assert switch.tracebacks() == []
