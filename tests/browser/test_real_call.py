"""The first call as a person makes it: the real page in Chromium, the real switch as its own process.

The fake microphone plays a sentence of the switch's own voice twice: once into the silence after the
greeting, once over the machine.
"""

import asyncio
import contextlib
import io
import re
import time
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Playwright, expect

from tests.browser.conftest import MIC_RATE, launch, open_page, write_wav
from tests.browser.listen import HEARD_DB, call_from, listen, until, until_heard
from tests.browser.real_switch import cable, get_bytes, get_json, real_switch, spoken, word_error_rate

pytestmark = [pytest.mark.client, pytest.mark.asyncio(loop_scope="package")]

GREETING = "Hello! This is your switch speaking. Please say something now."
SENTENCE = "please tell me about the weather tomorrow"
LONG = "This is a long story that goes on and on, so that there is time enough to speak over it. " * 3
BEFORE_S, BETWEEN_S, AFTER_S = 9.0, 14.0, 9.0
"""Silence of the microphone before the first sentence, between the two, and after the second."""
VOICE_HZ = (70.0, 300.0)
ALIGNED_MS = 40


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def switch(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Address of one real switch for all tests of this file."""
    async with real_switch(tmp_path_factory.mktemp("switch")) as url:
        yield url


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def speaker(
    playwright: Playwright, switch: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Browser]:
    """Chromium whose microphone says the sentence."""
    sentence = await spoken(switch, SENTENCE)
    assert len(sentence) > MIC_RATE
    pauses = [np.zeros(int(seconds * MIC_RATE), np.int16) for seconds in (BEFORE_S, BETWEEN_S, AFTER_S)]
    pcm = np.concatenate([pauses[0], sentence, pauses[1], sentence, pauses[2]])
    async with launch(playwright, write_wav(tmp_path_factory.mktemp("mic") / "mic.wav", pcm)) as running:
        yield running


async def events(page: Page, name: str) -> list[dict[str, Any]]:
    """Return all events of this name that the page has received."""
    found: list[dict[str, Any]] = await page.evaluate(
        "name => [...document.querySelectorAll(`#log [data-direction=in][data-name=${name}] code`)]"
        ".map(code => JSON.parse(code.textContent))",
        name,
    )
    return found


async def until_event(page: Page, name: str, *, seconds: float) -> dict[str, Any]:
    """Wait for the first event of this name."""
    end = time.monotonic() + seconds
    while not (found := await events(page, name)):
        assert time.monotonic() < end, f"no {name} within {seconds} s"
        await asyncio.sleep(0.05)
    return found[0]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["WebRTC", "WebSocket"])
async def test_person_is_greeted_understood_interrupts_presses_keys_and_hangs_up(
    speaker: Browser, switch: str, way: str
) -> None:
    async with open_page(speaker, switch) as page:
        await page.fill("#setup [name=greeting]", GREETING)
        await call_from(page, way)
        call_id = await page.evaluate("softswitch.session.id")

        await until_heard(page, "far", seconds=60)
        greeting = await listen(page, "far", 2.0)
        assert greeting.loudest > -35
        assert VOICE_HZ[0] < greeting.pitch < VOICE_HZ[1]

        final = await until_event(page, "asrFinal", seconds=60)
        assert word_error_rate(SENTENCE, final["text"]) <= 0.2, final["text"]
        await expect(page.locator("#transcript .near:not(.delta) .words").first).to_have_text(final["text"])

        await page.fill("#speak-text", LONG)
        await page.keyboard.press("Enter")
        await until_heard(page, "far", seconds=60)
        await until_heard(page, "near", seconds=60, above=-40)
        interruption = await until_event(page, "interruption", seconds=60)
        await until(page, f"({SILENT})()", seconds=2)
        assert interruption["position"] > 0
        await expect(page.locator("#transcript .cut")).to_have_count(1)

        for key in "159#":
            await page.click(f'#keys [data-digit="{key}"]')
        # A tone in the sound is heard as two where the machine stood still in the middle of it.
        wanted = "^159#$" if way == "WebRTC" else "^1+5+9+#+$"
        # Words that become final in between part the keys into two lines.
        await until(page, f"/{wanted}/.test({KEYS})")
        digits = await events(page, "dtmf")
        assert re.match(wanted, "".join(event["digit"] for event in digits))
        assert {event["method"] for event in digits} == {"rfc4733" if way == "WebRTC" else "inband"}

        await page.click("#hangup")
        await expect(page.locator("#connection")).to_have_text("Disconnected")
        assert (await events(page, "hangup"))[0]["reason"] == "user_requested"

    assert_sides(*await recording_of(switch, call_id))


KEYS = "[...document.querySelectorAll('#transcript .key .words')].map(each => each.textContent).join('')"
SILENT = f"""() => {{
  const samples = new Float32Array(2048);
  softswitch.session.sound.far.getFloatTimeDomainData(samples);
  return 10 * Math.log10(samples.reduce((sum, value) => sum + value * value, 0) / 2048 + 1e-12) < {HEARD_DB};
}}"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["WebRTC", "WebSocket"])
async def test_recording_has_both_sides_in_step(speaker: Browser, switch: str, way: str) -> None:
    """Bridge the browser with a second call: each recording has both voices, on opposite sides.

    Were a recording's right late against its left, the two voices would lie differently far apart in both.
    """
    async with open_page(speaker, switch) as page, burst_caller(switch, f"other-{way}") as burst:
        await page.fill("#setup [name=greeting]", "")
        await call_from(page, way)
        call_id = await page.evaluate("softswitch.session.id")
        await page.click("#tab-calls")
        other = page.locator("#live li", has_text=f"other-{way}")
        await other.get_by_role("button", name="Join").click()
        await expect(page.get_by_role("button", name="Part")).to_be_visible()
        await until_heard(page, "near", seconds=60, above=-40)
        await asyncio.sleep(3)
        burst.set()
        await until_heard(page, "far", seconds=60)
        await asyncio.sleep(1)
        await page.click("#tab-talk")
        await page.click("#hangup")
        await expect(page.locator("#connection")).to_have_text("Disconnected")
    left, right, rate = await recording_of(switch, call_id)
    other_left, other_right, _ = await recording_of(switch, f"other-{way}")
    by_sentence = lag_ms(left, other_right, rate)
    by_burst = lag_ms(right, other_left, rate)
    assert abs(by_sentence - by_burst) <= ALIGNED_MS


@contextlib.asynccontextmanager
async def burst_caller(switch: str, call_id: str) -> AsyncIterator[asyncio.Event]:
    """Hold a recorded `/call` that is silent until the event is set, then gives half a second of noise."""
    rate = 16000
    noise = np.random.default_rng(5).normal(0, 4000, rate // 2).astype("<i2").tobytes()
    option = {"caller": call_id, "vad": False, "recorder": {"samplerate": rate, "format": "wav"}}
    now = asyncio.Event()

    async def talk(ws: aiohttp.ClientWebSocketResponse) -> None:
        due, waiting = time.monotonic(), noise
        while not ws.closed:
            frame, waiting = (waiting[:640], waiting[640:]) if now.is_set() else (b"", waiting)
            await ws.send_bytes(frame or bytes(640))
            due += 0.02
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async with aiohttp.ClientSession() as client, client.ws_connect(f"{switch}call?id={call_id}") as ws:
        await ws.send_json({"command": "invite", "option": option})
        talking = asyncio.create_task(talk(ws))
        try:
            yield now
        finally:
            talking.cancel()
            await ws.send_json({"command": "hangup"})
            async for _ in ws:
                pass


async def test_call_is_held_and_taken_back(browser: Browser, switch: str) -> None:
    async with open_page(browser, switch) as page:
        await page.fill("#setup [name=greeting]", LONG)
        await call_from(page, "WebRTC")
        await until_heard(page, "far", seconds=60)
        for _ in range(2):
            await page.click("#hold")
            await expect(page.locator("#stage-title")).to_have_text("On hold")
            await asyncio.sleep(0.5)
            assert (await listen(page, "far", 1.0)).loudest < HEARD_DB
            await page.click("#hold")
            await expect(page.locator("#stage-title")).to_have_text("You are talking")
            await page.fill("#speak-text", "Thank you for waiting.")
            await page.keyboard.press("Enter")
            await until_heard(page, "far", seconds=60)


async def test_sound_goes_on_over_a_new_path(browser: Browser, switch: str) -> None:
    async with open_page(browser, switch) as page:
        await page.fill("#setup [name=greeting]", "")
        await call_from(page, "WebRTC")
        await until(page, "softswitch.session.transport.peer.connectionState === 'connected'")
        await page.evaluate("softswitch.session.transport.renegotiate({iceRestart: true})")
        await until(page, "softswitch.session.transport.peer.signalingState === 'stable'")
        await asyncio.sleep(2)
        await page.fill("#speak-text", "Another way, the same call.")
        await page.keyboard.press("Enter")
        await until_heard(page, "far", seconds=60)
        assert await page.evaluate("softswitch.session.state") == "connected"


async def test_key_opens_calls_and_recordings_of_a_guarded_switch(browser: Browser, tmp_path: Path) -> None:
    running = real_switch(tmp_path, AUTH_API_KEYS="page:k3y.of-the_page")
    async with running as url, open_page(browser, url, quiet=False) as page:
        await page.click("#call")
        await expect(page.locator("#connection")).to_have_text("Failed")
        await page.click("#key-open")
        await page.fill("#key", "k3y.of-the_page")
        await page.keyboard.press("Enter")
        await call_from(page, "WebSocket")
        await until_heard(page, "far", seconds=60)
        await asyncio.sleep(2)
        await page.click("#hangup")
        # The recording is listed once its file is closed: the view shows what is there when it is opened.
        play = page.get_by_role("button", name="Play")
        for _ in range(20):
            await page.click("#tab-talk")
            await page.click("#tab-recordings")
            await asyncio.sleep(0.5)
            if await play.count():
                break
        await play.first.click()
        await until(page, "document.getElementById('player-audio').currentTime > 0.2")


@pytest.mark.parametrize("way", ["WebRTC", "WebSocket"])
async def test_lost_socket_is_won_back_and_the_call_goes_on(browser: Browser, switch: str, way: str) -> None:
    async with cable(switch) as line, open_page(browser, line.url, quiet=False) as page:
        await page.fill("#setup [name=greeting]", "")
        await call_from(page, way)
        call_id = await page.evaluate("softswitch.session.id")
        await page.evaluate(
            "window.states = []; softswitch.session.addEventListener("
            "'state', ({detail}) => window.states.push(detail.state))"
        )
        line.cut()
        await until(page, "window.states.at(-1) === 'connected'")
        assert await page.evaluate("window.states") == ["reconnecting", "connected"]
        assert await page.evaluate("softswitch.session.id") == call_id
        await page.fill("#speak-text", "Here I am again, and you can hear me.")
        await page.keyboard.press("Enter")
        await until_heard(page, "far", seconds=60)
        await page.click("#hangup")
        await expect(page.locator("#stage-line")).to_have_text("You hung up")


@pytest.mark.parametrize("way", ["WebRTC", "WebSocket"])
async def test_a_reload_in_mid_call_comes_back_to_it(browser: Browser, switch: str, way: str) -> None:
    async with open_page(browser, switch) as page:
        await page.fill("#setup [name=greeting]", "")
        await call_from(page, way)
        call_id = await page.evaluate("softswitch.session.id")
        await page.reload()
        await page.click("#come-back")
        await expect(page.locator("#connection")).to_have_text("Connected")
        assert await page.evaluate("softswitch.session.id") == call_id
        await page.fill("#speak-text", "Here I am again, and you can hear me.")
        await page.keyboard.press("Enter")
        await until_heard(page, "far", seconds=60)
        await page.click("#hangup")
        await expect(page.locator("#stage-line")).to_have_text("You hung up")


async def recording_of(switch: str, call_id: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Return left, right and sample rate of a call's recording, once it has stopped growing."""
    size = -1
    async with asyncio.timeout(60):
        while True:
            await asyncio.sleep(0.5)
            listed = (await get_json(f"{switch}recordings"))["recordings"]
            mine = [each for each in listed if each["callId"] == call_id]
            if mine and mine[0]["size"] == size:
                return read_stereo(await get_bytes(f"{switch}recordings/{mine[0]['name']}"))
            size = mine[0]["size"] if mine else -1


def read_stereo(data: bytes) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the left and right channel and the sample rate."""
    with wave.open(io.BytesIO(data)) as file:
        assert file.getnchannels() == 2
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).astype(np.float64)
        return pcm[:, 0], pcm[:, 1], file.getframerate()


def activity(pcm: np.ndarray, rate: int) -> np.ndarray:
    """Return for each 20 ms whether there was sound."""
    frame = rate // 50
    blocks = pcm[: len(pcm) // frame * frame].reshape(-1, frame)
    return np.asarray(np.sqrt(np.mean(blocks**2, axis=1)) > 300)


def assert_sides(left: np.ndarray, right: np.ndarray, rate: int) -> None:
    """The machine greets first on the right alone; the caller answers on the left alone."""
    near, far = activity(left, rate), activity(right, rate)
    assert far.any()
    assert near.any()
    greeting, sentence = int(np.argmax(far)), int(np.argmax(near))
    assert greeting < sentence
    assert not near[greeting : greeting + 75].any()
    assert not far[sentence : sentence + 50].any()


def lag_ms(first: np.ndarray, second: np.ndarray, rate: int) -> float:
    """Return how much later the same sound comes in `second` than in `first`."""
    size = 1 << (len(first) + len(second)).bit_length()
    product = np.fft.rfft(second, size) * np.conj(np.fft.rfft(first, size))
    correlation = np.fft.irfft(product, size)
    at = int(np.argmax(correlation))
    return 1000 * (at if at < size // 2 else at - size) / rate
