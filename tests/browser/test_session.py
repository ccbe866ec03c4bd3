"""The call of the page when people are impatient, networks change and pages are loaded again."""

import asyncio
import random

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import open_page
from tests.browser.fake_switch import FakeSwitch
from tests.browser.listen import call_from, until

pytestmark = [pytest.mark.client, pytest.mark.asyncio(loop_scope="package")]

PROMPT = """() => {
  const { mediaDevices } = navigator, open = mediaDevices.getUserMedia.bind(mediaDevices);
  window.prompts = [];
  window.streams = [];
  mediaDevices.getUserMedia = (constraints) => new Promise((resolve, reject) => {
    window.prompts.push(async (granted) => {
      if (!granted) return reject(new DOMException("denied", "NotAllowedError"));
      const stream = await open(constraints);
      window.streams.push(stream);
      return resolve(stream);
    });
  });
}"""
"""The browser asks for the microphone, and the test decides when and what the person answers."""
ANSWER_PROMPT = "granted => window.prompts.shift()?.(granted)"
LIVE = "window.streams.flatMap(s => s.getTracks()).filter(t => t.readyState === 'live').length"
CLICK = "id => { const b = document.getElementById(id); if (!b.hidden && !b.disabled) b.click(); }"


async def test_hanging_up_while_the_microphone_prompt_is_open_cancels_the_call(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        await page.evaluate(PROMPT)
        await page.click("#call")
        await until(page, "window.prompts.length === 1")
        await page.click("#hangup")
        await page.click("#call")
        await until(page, "window.prompts.length === 2")
        await page.evaluate(ANSWER_PROMPT, True)
        await until(page, "window.streams.length === 1")
        await page.click("#hangup")
        await page.evaluate(ANSWER_PROMPT, True)
        await until(page, "window.streams.length === 2")
        await until(page, f"{LIVE} === 0")
        assert await page.evaluate("softswitch.session.state") == "disconnected"
        assert fake.opened == []


@pytest.mark.parametrize("seed", range(3))
async def test_random_clicks_and_permissions_leave_no_call_and_no_microphone(
    browser: Browser, fake: FakeSwitch, url: str, seed: int
) -> None:
    drawn = random.Random(seed)
    errors: list[str] = []
    # Chromium warns of sockets that are closed while they are opened, which is what impatience does.
    async with open_page(browser, url, quiet=False) as page:
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.evaluate(PROMPT)
        await page.get_by_text(drawn.choice(["WebRTC", "WebSocket"]), exact=True).click()
        for _ in range(60):
            match drawn.choice(["call", "hangup", "grant", "grant", "deny", "pause"]):
                case "grant" | "deny" as answer:
                    await page.evaluate(ANSWER_PROMPT, answer == "grant")
                case "pause":
                    await asyncio.sleep(drawn.random() * 0.1)
                case button:
                    await page.evaluate(CLICK, button)
        await page.evaluate(CLICK, "hangup")
        while await page.evaluate("window.prompts.length"):
            await page.evaluate(ANSWER_PROMPT, True)
        await until(page, "!softswitch.session.active")
        await until(page, f"{LIVE} === 0")
        await until_gone(fake)
        assert len(set(fake.opened)) == len(fake.opened)
    assert errors == []


async def until_gone(fake: FakeSwitch) -> None:
    async with asyncio.timeout(60):
        while fake.calls:
            await asyncio.sleep(0.05)


async def test_a_browser_without_an_audio_output_calls_all_the_same(browser: Browser, url: str) -> None:
    async with open_page(browser, url) as page:
        await page.evaluate("""() => {
          AudioContext.prototype.resume = () => new Promise(() => {});
          Object.defineProperty(AudioContext.prototype, "state", { get: () => "suspended" });
        }""")
        await call_from(page, "WebRTC")


async def test_a_half_open_socket_is_said_at_once_and_replaced(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        fake.resumable = True
        await call_from(page, "WebRTC")
        fake.deaf = True
        await page.evaluate("window.dispatchEvent(new Event('online'))")
        # It is over within a blink here; the log of the page has kept what was said.
        said = page.locator("#log [data-name=reconnecting]")
        await expect(said).to_contain_text("The connection was lost", timeout=3000)
        fake.deaf = False
        await expect(page.locator("#connection")).to_have_text("Connected", timeout=3000)
        offers = "[...document.querySelectorAll('#log [data-name=offer]')].length"
        await until(page, f"{offers} === 1")  # A new path for the sound is looked for.
        assert len(fake.opened) == 2


async def test_a_reload_in_mid_call_offers_to_come_back(browser: Browser, fake: FakeSwitch, url: str) -> None:
    async with open_page(browser, url) as page:
        fake.resumable = True
        await call_from(page, "WebSocket")
        ident = await page.evaluate("softswitch.session.id")
        await page.reload()
        await page.click("#come-back")
        await expect(page.locator("#connection")).to_have_text("Connected")
        assert await page.evaluate("softswitch.session.id") == ident
        assert fake.opened == [ident, ident]
        await page.click("#hangup")
        await expect(page.locator("#connection")).to_have_text("Disconnected")
        await page.reload()
        await expect(page.locator("#notice")).to_be_hidden()


async def test_what_fails_during_a_call_is_said_beside_it(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        await call_from(page, "WebSocket")
        await page.fill("#play-url", "http://127.0.0.1/none.mp3")
        await page.click("#play")
        note = page.locator("#stage-note")
        await expect(note).to_have_text("The file could not be played: the address is not allowed")
        await page.click("#transfer")
        await page.fill("#transfer-callee", "busy")
        await page.get_by_role("button", name="Ring them").click()
        await expect(note).to_have_text("The transfer failed: Busy Here (486)")
        await page.click("#tab-phones")
        await page.click("#tab-talk")
        await page.click("#hangup")
        await expect(note).to_be_hidden()


async def test_a_finished_call_leaves_nothing_on_the_form_that_dials(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        await call_from(page, "WebSocket")
        await page.click("#hangup")
        await page.click("#tab-phones")
        await expect(page.locator("#dial-line")).to_contain_text("is rung")


async def test_only_what_was_not_heard_is_marked_as_interrupted(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        await page.fill("[name=greeting]", "")
        await call_from(page, "WebSocket")
        await page.evaluate("softswitch.session.say('one two three four', { playId: 'a' })")
        (call,) = fake.calls.values()
        await call.emit("interruption", playId="a", position=500, totalDuration=1000)
        line = page.locator("#transcript .far.cut")
        await expect(line.locator("s")).to_have_text(" three four")
        await expect(line.locator(".words")).to_have_text("one two three four")
