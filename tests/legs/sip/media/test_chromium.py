"""A browser phone in Chromium is called: offers have ICE and DTLS, later ones go either way."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from softswitch.legs.sip.media.shared import MediaOptions
from softswitch.media.messages import ConnectSecure
from tests.conftest import require_tool
from tests.legs.sip.media.media_pair import Pair, pair
from tests.legs.webrtc.test_chromium import ACCEPT, FLAGS, OFFER, STATS
from tests.support.waiting import until

pytestmark = [pytest.mark.client, pytest.mark.asyncio(loop_scope="module")]

ANSWER = """
async (sdp) => {
  const pc = window.pc = new RTCPeerConnection();
  const audio = new AudioContext(), tone = audio.createOscillator();
  const out = audio.createMediaStreamDestination();
  tone.frequency.value = 700; tone.connect(out); tone.start();
  window.sender = pc.addTrack(out.stream.getAudioTracks()[0], out.stream);
  pc.ontrack = e => { const sink = window.sink = new Audio(); sink.srcObject = e.streams[0]; sink.play(); };
  await pc.setRemoteDescription({type: 'offer', sdp});
  await pc.setLocalDescription();
  await new Promise(done => {
    if (pc.iceGatheringState === 'complete') done();
    pc.onicegatheringstatechange = () => { if (pc.iceGatheringState === 'complete') done(); };
  });
  return pc.localDescription.sdp;
}
"""
"""As JsSIP does: the answer waits for all candidates."""

METER = """
() => {
  window.context = new AudioContext();
  window.meter = new AnalyserNode(context, {fftSize: 4096});
  pc.addEventListener('track', ({streams: [stream]}) =>
    new MediaStreamAudioSourceNode(context, {mediaStream: stream}).connect(meter));
}
"""
"""A page that takes the sound apart, as many do."""

LEVEL = """
() => {
  const wave = new Float32Array(meter.fftSize);
  meter.getFloatTimeDomainData(wave);
  return Math.max(...wave);
}
"""

AGAIN = """
async (sdp) => {
  await pc.setRemoteDescription({type: 'offer', sdp});
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    program = require_tool("chromium", "chromium-browser", "google-chrome")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        await browser.close()


async def call(both: Pair, page: Page) -> None:
    media = both.a.media
    await media.take_answer(await page.evaluate(ANSWER, await media.offer()))
    both.a.listen()
    both.a.say(440)
    await both.a.hears(700)


@pytest.mark.parametrize("codec", ["opus", "PCMA"])
async def test_chromium_is_called_and_hears(chromium: Browser, codec: str) -> None:
    async with pair(MediaOptions(is_browser=True, preferred=codec)) as both:
        page = await chromium.new_page()
        await call(both, page)
        assert both.a.media.agreement is not None
        assert both.a.media.agreement.codec.name == codec
        for _ in range(100):
            stats = await page.evaluate(STATS)
            if stats.get("totalAudioEnergy", 0) > 0.01:
                break
            await page.wait_for_timeout(50)
        assert stats["totalAudioEnergy"] > 0.01
        assert stats["mimeType"].lower() == f"audio/{codec.lower()}"
        assert both.a.media.send_digits("9")
        await page.evaluate("sender.dtmf.insertDTMF('15#', 100, 70)")
        await both.digits("15#", 1)
        await page.close()


async def test_later_offers_of_either_side_keep_the_sound(chromium: Browser) -> None:
    async with pair(MediaOptions(is_browser=True)) as both:
        page, media = await chromium.new_page(), both.a.media
        await call(both, page)
        await page.evaluate(METER)
        # Hold and resume by us, hold and resume by the browser, an ICE restart of its own.
        for direction in ("sendonly", "sendrecv"):
            answer = await page.evaluate(AGAIN, media.reoffer(direction))
            await media.take_answer(answer)
        for direction in ("sendonly", "sendrecv"):
            await page.evaluate("d => { pc.getTransceivers()[0].direction = d; }", direction)
            await page.evaluate(ACCEPT, await media.answer(await page.evaluate(OFFER, False)))
        assert both.a.owner.held == [True, False]
        for _ in range(100):
            if await page.evaluate(LEVEL) > 0.05:
                break
            await page.wait_for_timeout(50)
        assert await page.evaluate(LEVEL) > 0.05
        assert len(both.engine.of(ConnectSecure, 1)) == 1
        await page.evaluate(ACCEPT, await media.answer(await page.evaluate(OFFER, True)))
        await until(lambda: len(both.engine.of(ConnectSecure, 1)) > 1)
        count = len(both.a.heard)
        await until(lambda: len(both.a.heard) > count + 32000)
        await both.a.hears(700)
        assert (both.a.owner.failed, both.a.owner.warned) == ([], [])
        await page.evaluate("pc.close()")
        await until(lambda: bool(both.a.owner.ended))
        assert both.a.owner.ended == ["caller"]
        await page.close()
