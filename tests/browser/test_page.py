"""The page by itself, against a switch that pretends: what it shows, what it survives, what it sends."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import open_page
from tests.browser.fake_switch import PITCH_HZ, RATE, FakeCall, FakeSwitch
from tests.browser.listen import call_from, listen, until, until_heard

pytestmark = [pytest.mark.client, pytest.mark.asyncio(loop_scope="package")]

EVERY_EVENT = json.loads((Path(__file__).parent / "events.json").read_text(encoding="utf-8"))


def only_call(fake: FakeSwitch) -> FakeCall:
    (call,) = fake.calls.values()
    return call


@pytest.mark.parametrize("way", ["WebRTC", "WebSocket"])
async def test_call_is_greeted_understood_interrupted_and_ended(browser: Browser, url: str, way: str) -> None:
    async with open_page(browser, url) as page:
        await page.fill("[name=greeting]", "This is your switch. " * 8)
        await call_from(page, way)
        await expect(page.locator("#connection")).to_have_text("Connected")
        await until_heard(page, "far")
        greeting = await listen(page, "far", 1.5)
        assert abs(greeting.pitch - PITCH_HZ) < 8
        assert greeting.loudest > -30
        await expect(page.locator("#transcript .cut")).to_contain_text("This is your switch", timeout=15_000)
        await expect(page.locator("#transcript .near:not(.delta)").first).to_contain_text(
            "hello from the browser", timeout=15_000
        )
        await page.click("#hangup")
        await expect(page.locator("#connection")).to_have_text("Disconnected")
        await expect(page.locator("#stage-line")).to_have_text("You hung up")
        await expect(page.locator("#call")).to_be_focused()


async def test_page_shows_every_event_of_the_wire_and_survives_nonsense(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        await call_from(page, "WebSocket")
        call = only_call(fake)
        for event in EVERY_EVENT:
            await call.socket.send_str(json.dumps(event))
        for nonsense in [
            "[]",
            "5",
            "null",
            '"text"',
            "not json",
            "{}",
            '{"event":7}',
            '{"event":"dtmf"}',
            '{"event":"asrFinal"}',
        ]:
            await call.socket.send_str(nonsense)
        await call.emit("custom", sender="last")
        await page.click("#tab-log")
        await expect(page.locator('#log [data-name="custom"]').last).to_contain_text("last")
        shown = await page.eval_on_selector_all(
            "#log [data-direction=in]", "rows => rows.map(row => row.dataset.name)"
        )
        assert {event["event"] for event in EVERY_EVENT} <= set(shown)
        assert await page.evaluate("softswitch.session.state") == "connected"
        await call.emit("hangup", reason="inactivity", initiator="system")
        await expect(page.locator("#stage-line")).to_have_text("Nothing happened for too long")


async def test_keypad_sounds_in_band_on_the_websocket_way(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        await call_from(page, "WebSocket")
        call = only_call(fake)
        await page.keyboard.press("m")
        call.keep = []
        await page.keyboard.press("5")
        await page.click('#keys [data-digit="#"]')
        await expect(page.locator("#pressed")).to_have_text("5#")
        await asyncio.sleep(1)
        assert [tone_pair(burst) for burst in bursts(np.concatenate(call.keep))] == [(770, 1336), (941, 1477)]


def bursts(pcm: np.ndarray) -> list[np.ndarray]:
    """Cut a recording into what sounds, leaving out the silence between."""
    blocks = pcm[: len(pcm) // 160 * 160].reshape(-1, 160).astype(float)
    loud = np.flatnonzero(np.abs(blocks).max(axis=1) > 1000)
    return [blocks[group].ravel() for group in np.split(loud, np.flatnonzero(np.diff(loud) > 1) + 1)]


def tone_pair(burst: np.ndarray) -> tuple[int, int]:
    """Return the strongest frequency of each DTMF group."""
    spectrum = np.abs(np.fft.rfft(burst * np.hanning(len(burst)), 16000))
    low, high = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
    return max(low, key=spectrum.__getitem__), max(high, key=spectrum.__getitem__)


async def test_mute_sends_silence_and_a_key_press_mutes(browser: Browser, url: str) -> None:
    async with open_page(browser, url) as page:
        await call_from(page, "WebSocket")
        await page.keyboard.press("m")
        await expect(page.locator("#mute")).to_have_text("Unmute")
        assert (await listen(page, "near", 2.5)).loudest < -80


async def test_typing_in_a_field_presses_no_keys(browser: Browser, url: str) -> None:
    async with open_page(browser, url) as page:
        await call_from(page, "WebSocket")
        await page.fill("#speak-text", "")
        await page.type("#speak-text", "room 42")
        await expect(page.locator("#pressed")).to_have_text("")


async def test_streamed_text_is_one_line_and_is_closed(browser: Browser, fake: FakeSwitch, url: str) -> None:
    async with open_page(browser, url) as page:
        await page.fill("[name=greeting]", "")
        await call_from(page, "WebSocket")
        await page.fill("#speak-text", "one two three")
        await page.check("[name=streaming]")
        await page.click("#say")
        await page.click("#tab-log")
        await expect(page.locator('#log [data-name="tts"]')).to_have_count(4)
        last = json.loads(await page.locator('#log [data-name="tts"] code').last.text_content() or "")
        assert (last["text"], last["streaming"], last["endOfStream"]) == ("", True, True)
        await expect(page.locator("#transcript .far .words")).to_have_text("one two three")


async def test_pause_and_interrupt_are_offered_only_while_something_plays(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        await page.fill("[name=greeting]", "")
        await call_from(page, "WebSocket")
        await expect(page.locator("#pause")).to_be_disabled()
        await page.fill("#speak-text", "A sentence that takes a while to say, so that it can be held.")
        await page.keyboard.press("Enter")
        await page.click("#pause")
        await expect(page.locator("#pause")).to_have_text("Resume")
        assert only_call(fake).paused
        await page.click("#pause")
        await page.click("#interrupt")
        await expect(page.locator("#pause")).to_be_disabled()
        await expect(page.locator("#transcript .cut")).to_have_count(1)


async def test_copied_curl_never_shows_the_key(browser: Browser, url: str) -> None:
    async with open_page(browser, url) as page:
        line = await page.evaluate(
            """async () => {
                const { requestSnippet } = await import("./static/js/snippets.js");
                softswitch.server.token = "secret";
                const body = JSON.stringify({command: "tts", text: "it's"});
                const asked = { method: "POST", path: "command/a%20b", body };
                return requestSnippet("curl", softswitch.server, asked);
            }"""
        )
        assert "secret" not in line
        assert f"'{url}command/a%20b'" in line
        assert """'{"command":"tts","text":"it'\\''s"}'""" in line


@pytest.mark.parametrize("key", ["k-1", "with space/and?signs"])
async def test_api_key_is_asked_for_kept_in_the_tab_and_sent(
    browser: Browser, fake: FakeSwitch, url: str, key: str
) -> None:
    fake.key = key
    async with open_page(browser, url, quiet=False) as page:
        await page.click("#tab-calls")
        await expect(page.locator("#notice")).to_have_text("The switch asks for an API key.")
        await page.click("#key-open")
        await page.fill("#key", key)
        await page.keyboard.press("Enter")
        await expect(page.locator("#notice")).to_be_hidden()
        assert await page.evaluate("[sessionStorage.length, localStorage.getItem('softswitch.api-key')]") == [
            1,
            None,
        ]
        await page.click("#tab-talk")
        await call_from(page, "WebSocket")


async def test_refused_socket_shows_failed_with_a_reason(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    fake.key = "k-1"
    async with open_page(browser, url, quiet=False) as page:
        await page.get_by_text("WebSocket", exact=True).click()
        await page.click("#call")
        await expect(page.locator("#connection")).to_have_text("Failed")
        await expect(page.locator("#stage-line")).not_to_be_empty()
        await expect(page.locator("#call")).to_be_visible()


async def test_lost_socket_without_a_second_chance_shows_failed(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url, quiet=False) as page:
        await call_from(page, "WebSocket")
        transport = only_call(fake).socket._req.transport  # type: ignore[union-attr]
        assert transport
        transport.abort()
        await expect(page.locator("#connection")).to_have_text("Failed")


async def test_insecure_address_is_told_and_call_is_off(browser: Browser, url: str) -> None:
    async with open_page(browser, url.replace("127.0.0.1", "switch.test"), quiet=False) as page:
        await expect(page.locator("#notice")).to_contain_text(
            "The microphone is not available on this address"
        )
        await expect(page.locator("#call")).to_be_disabled()


REFUSE = (
    "() => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', NAME); }; }"
)


@pytest.mark.parametrize("way", ["WebRTC", "WebSocket"])
async def test_machine_without_a_microphone_calls_with_silence(browser: Browser, url: str, way: str) -> None:
    async with open_page(browser, url) as page:
        await page.evaluate(REFUSE.replace("NAME", "'NotFoundError'"))
        await call_from(page, way)
        await until_heard(page, "far")
        await expect(page.locator("#stage-line")).to_contain_text("No microphone was found")


async def test_refused_microphone_is_told_in_words_and_reaches_no_switch(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        await page.evaluate(REFUSE.replace("NAME", "'NotAllowedError'"))
        await page.click("#call")
        await expect(page.locator("#connection")).to_have_text("Failed")
        await expect(page.locator("#stage-line")).to_contain_text("Allow it in the address bar")
    assert not fake.calls


async def test_page_works_behind_a_path_prefix(browser: Browser, fake: FakeSwitch) -> None:
    front = web.Application()
    front.add_subapp("/pbx/", fake.app)
    async with (
        TestServer(front, host="127.0.0.1") as server,
        open_page(browser, str(server.make_url("/pbx/"))) as page,
    ):
        await call_from(page, "WebSocket")
        await page.click("#tab-recordings")
        await expect(page.locator("#recordings-empty")).to_be_visible()


async def test_calls_view_lists_a_call_and_ends_it_after_asking(browser: Browser, url: str) -> None:
    async with open_page(browser, url) as page:
        await call_from(page, "WebSocket")
        await page.click("#tab-calls")
        row = page.locator("#live li")
        await expect(row).to_contain_text("browser → assistant")
        end = row.get_by_role("button", name="End")
        await end.click()
        await expect(end).to_contain_text("End it?")
        await end.click()
        await expect(page.locator("#connection")).to_have_text("Disconnected")
        await expect(page.locator("#live-empty")).to_be_visible()


async def test_call_is_recorded_from_the_list_with_pauses(
    browser: Browser, fake: FakeSwitch, url: str
) -> None:
    async with open_page(browser, url) as page:
        await call_from(page, "WebSocket")
        call = only_call(fake)
        await page.click("#tab-calls")
        row = page.locator("#live li")
        await row.get_by_role("button", name="Record the call").click()
        await expect(row.get_by_role("button", name="Pause recording")).to_be_focused()
        await page.keyboard.press("Enter")
        await row.get_by_role("button", name="Resume recording").click()
        await row.get_by_role("button", name="Stop recording").click()
        await expect(row.get_by_role("button", name="Record the call")).to_be_visible()
        told = [(one["id"], one["action"], one.get("recorder")) for one in fake.told]
        actions = ["pause", "resume", "stop"]
        assert told[0] == (call.ident, "start", {"transcribe": True})
        assert told[1:] == [(call.ident, action, None) for action in actions]


async def test_finished_call_leads_to_its_recording(browser: Browser, fake: FakeSwitch, url: str) -> None:
    fake.recordings["x.wav"] = stereo_wav()
    fake.past.append(
        {
            "id": "x",
            "type": "webrtc",
            "caller": "ann",
            "callee": "bob",
            "createdAt": "2030-01-02T03:04:05Z",
            "durationMs": 61000,
            "reason": "callee",
            "recording": "x.wav",
        }
    )
    async with open_page(browser, f"{url}#calls") as page:
        await expect(page.locator("#past li")).to_contain_text("01:01")
        await page.get_by_role("link", name="Listen").click()
        await expect(page.locator("#recordings li")).to_contain_text("ann → bob")
        await until(page, "document.getElementById('player-audio').currentTime > 0.2")


async def test_recording_is_played_and_deleted(
    browser: Browser, fake: FakeSwitch, url: str, tmp_path: Path
) -> None:
    fake.recordings["a call.wav"] = stereo_wav()
    async with open_page(browser, f"{url}#recordings") as page:
        await page.get_by_role("button", name="Play a call.wav").click()
        await until(page, "document.getElementById('player-audio').currentTime > 0.2")
        await expect(page.locator("#player-title")).to_have_text("a call.wav")
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download a call.wav").click()
        assert (await download.value).suggested_filename == "a call.wav"
        delete = page.get_by_role("button", name="Delete")
        await delete.click()
        await page.get_by_role("button", name="Delete it?").click()
        await expect(page.locator("#recordings-empty")).to_be_visible()
        await expect(page.locator("#player")).to_be_hidden()
    assert not fake.recordings


def stereo_wav() -> bytes:
    """Two seconds, the caller first and the switch after it."""
    t = np.arange(2 * RATE) / RATE
    tone = 8000 * np.sin(2 * np.pi * 300 * t)
    pcm = np.stack([tone * (t < 1), tone * (t >= 1)], axis=1).astype("<i2").tobytes()
    head = b"RIFF" + (36 + len(pcm)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    rates = RATE.to_bytes(4, "little") + (4 * RATE).to_bytes(4, "little")
    form = (
        (1).to_bytes(2, "little")
        + (2).to_bytes(2, "little")
        + rates
        + (4).to_bytes(2, "little")
        + (16).to_bytes(2, "little")
    )
    return head + form + b"data" + len(pcm).to_bytes(4, "little") + pcm


async def test_embedded_element_calls_and_tells(browser: Browser, url: str) -> None:
    async with open_page(browser, f"{url}static/embed.html") as page:
        await page.get_by_role("button", name="Call us").click()
        await until(page, "document.querySelector('softswitch-call').state === 'connected'")
        await expect(page.locator("#told")).to_contain_text("answer")
        await page.get_by_role("button", name="Hang up").click()
        await until(page, "document.querySelector('softswitch-call').state === 'disconnected'")


async def test_theme_follows_the_system_until_it_is_chosen(browser: Browser, url: str) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    async with open_page(browser, url, color_scheme="dark") as page:
        dark = await page.evaluate(ground)
        await page.click("#theme")
        light = await page.evaluate(ground)
        assert dark != light
        await page.reload()
        assert await page.evaluate(ground) == light


async def test_choices_are_remembered(browser: Browser, url: str) -> None:
    async with open_page(browser, url) as page:
        await page.get_by_text("WebSocket", exact=True).click()
        await page.fill("[name=greeting]", "Good day")
        await page.keyboard.press("Tab")
        await page.reload()
        await expect(page.locator("#setup [name=greeting]")).to_have_value("Good day")
        assert await page.evaluate("document.forms.setup.elements.transport.value") == "websocket"
        await expect(page.locator("#codec option").first).to_have_text("PCM 16 kHz")


@pytest.mark.parametrize("width", [320, 390, 768, 780, 1024, 1120])
async def test_nothing_sticks_out_on_a_narrow_screen(browser: Browser, url: str, width: int) -> None:
    """Every view fits, also in a font that is an eighth wider than the one of this machine."""
    async with open_page(browser, url, viewport={"width": width, "height": 800}) as page:
        for spacing in ("normal", "0.07em"):
            await page.evaluate("spacing => { document.body.style.letterSpacing = spacing; }", spacing)
            for view in ("talk", "overview", "phones", "rooms", "calls", "recordings", "admin"):
                await page.click(f"#tab-{view}")
                found = await page.evaluate("document.documentElement.scrollWidth")
                assert found <= width, f"{view} with letter spacing {spacing}: {found} px"


async def test_tabs_move_by_arrow_keys(browser: Browser, url: str) -> None:
    async with open_page(browser, url) as page:
        await page.focus("#tab-talk")
        await page.keyboard.press("ArrowRight")
        await expect(page.locator("#view-overview")).to_be_visible()
        await page.keyboard.press("End")
        await expect(page.locator("#tab-admin")).to_be_focused()
        assert await visible_views(page) == ["view-admin"]


async def visible_views(page: Page) -> list[str]:
    found: list[str] = await page.eval_on_selector_all(
        ".view:not([hidden])", "views => views.map(view => view.id)"
    )
    return found
