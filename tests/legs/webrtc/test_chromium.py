"""Chromium as the peer: its offers, digits, ICE restart and hold, with the real engine."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from softswitch.call.interfaces import LegRequest
from softswitch.call.vocabulary.reports import LegAnswered, LegEnded, LegHeld, LegUpdated, LegWarned
from softswitch.legs.webrtc.leg import WebRtcLeg
from softswitch.media.messages import AddTap, AddTrack, ConnectSecure, DigitReceived, FeedTrack, Message
from softswitch.sdp import parse
from tests.conftest import require_tool
from tests.files.audio_files import sine
from tests.legs.webrtc.test_engine import TAP, Harness, harness
from tests.support.waiting import until

pytestmark = [pytest.mark.client, pytest.mark.asyncio(loop_scope="module")]

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
]

SCRIPT = """
async (codec) => {
  const pc = window.pc = new RTCPeerConnection();
  const audio = new AudioContext(), tone = audio.createOscillator();
  const out = audio.createMediaStreamDestination();
  tone.frequency.value = 700; tone.connect(out); tone.start();
  const sender = window.sender = pc.addTrack(out.stream.getAudioTracks()[0], out.stream);
  if (codec) {
    const all = RTCRtpReceiver.getCapabilities('audio').codecs;
    const wanted = ['audio/' + codec, 'audio/telephone-event'];
    const kept = all.filter(c => wanted.includes(c.mimeType.toLowerCase()));
    pc.getTransceivers()[0].setCodecPreferences(kept);
  }
  window.candidates = [];
  pc.onicecandidate = e => { if (e.candidate) window.candidates.push(e.candidate.candidate); };
  pc.ontrack = e => { const sink = window.sink = new Audio(); sink.srcObject = e.streams[0]; sink.play(); };
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}
"""
OFFER = """
async (restart) => {
  if (restart) pc.restartIce();
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}
"""
ACCEPT = "async (sdp) => { await pc.setRemoteDescription({type: 'answer', sdp}); }"
STATS = """
async () => {
  const found = {};
  for (const item of (await pc.getStats()).values()) {
    if (item.type === 'inbound-rtp') Object.assign(found, item);
    if (item.type === 'codec') found.mimeType = item.mimeType;
  }
  return found;
}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    program = require_tool("chromium", "chromium-browser", "google-chrome")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        await browser.close()


MAX_BUNDLE = """
async () => {
  const pc = window.pc = new RTCPeerConnection({bundlePolicy: 'max-bundle'});
  const audio = new AudioContext(), tone = audio.createOscillator();
  const out = audio.createMediaStreamDestination();
  tone.frequency.value = 700; tone.connect(out); tone.start();
  pc.addTransceiver('video', {direction: 'recvonly'});
  pc.addTrack(out.stream.getAudioTracks()[0], out.stream);
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}
"""


class Caller:
    """A page with one peer connection, and the leg that answers it."""

    def __init__(self, page: Page, place: Harness) -> None:
        self.page = page
        self.place = place
        self.posted: list[Message] = []
        post = place.engine.post

        def watched(message: Message) -> None:
            self.posted.append(message)
            post(message)

        place.engine.post = watched  # type: ignore[method-assign]

    async def call(self, codec: str = "", script: str = SCRIPT) -> WebRtcLeg:
        offer = await self.page.evaluate(script, codec)
        request = LegRequest(call="c", leg="a", port=1, mix=100, offer=offer)
        leg = self.place.endpoints(request, self.place.reports.append)
        leg.answer()
        answer = await self.report(LegAnswered)
        self.place.engine.post(AddTap(TAP, 1, sample_rate=16000))
        await self.page.evaluate(ACCEPT, answer.sdp)
        await until(lambda: len(self.place.heard) > 32000)
        return leg

    async def report(self, kind: type[Any], count: int = 1) -> Any:
        def found() -> list[Any]:
            return [item for item in self.place.reports if isinstance(item, kind)]

        await until(lambda: len(found()) >= count)
        return found()[count - 1]

    def connections(self) -> list[ConnectSecure]:
        return [item for item in self.posted if isinstance(item, ConnectSecure)]

    async def wait_for(self, script: str) -> bool:
        """Wait until an expression is true in the page."""
        for _ in range(200):
            if await self.page.evaluate(script):
                return True
            await asyncio.sleep(0.05)
        return False


@pytest.mark.parametrize("codec", ["opus", "g722", "pcmu", "pcma"])
async def test_chromium_is_heard_and_hears_in_every_codec(chromium: Browser, codec: str) -> None:
    async with harness() as place:
        caller = Caller(await chromium.new_page(), place)
        leg = await caller.call(codec)
        place.engine.post(AddTrack(50, 100))
        place.engine.post(FeedTrack(50, 24000, sine(5.0, 24000).tobytes()))
        await until(lambda: len(place.heard) > 64000)
        assert place.tone_heard() == pytest.approx(700, abs=8)
        assert await caller.wait_for(f"({STATS})().then(s => s.totalAudioEnergy > 0.01)")
        stats = await caller.page.evaluate(STATS)
        assert stats["mimeType"].lower() == f"audio/{codec}"
        assert stats["packetsLost"] == 0
        leg.hangup()
        await leg.closed()


async def test_chromium_presses_keys(chromium: Browser) -> None:
    async with harness() as place:
        caller = Caller(await chromium.new_page(), place)
        leg = await caller.call()
        assert await caller.page.evaluate("sender.dtmf.canInsertDTMF")
        await caller.page.evaluate("sender.dtmf.insertDTMF('15#', 100, 70)")

        def digits() -> str:
            return "".join(item.digit for item in place.engine_reports if isinstance(item, DigitReceived))

        await until(lambda: len(digits()) == 3)
        assert digits() == "15#"
        leg.hangup()
        await leg.closed()


async def test_chromium_restarts_ice_within_a_call(chromium: Browser) -> None:
    async with harness() as place:
        caller = Caller(await chromium.new_page(), place)
        leg = await caller.call()
        before = parse(await caller.page.evaluate("pc.localDescription.sdp")).media[0].first("ice-ufrag")
        leg.offer(await caller.page.evaluate(OFFER, True))
        updated = await caller.report(LegUpdated)
        await caller.page.evaluate(ACCEPT, updated.sdp)
        after = parse(await caller.page.evaluate("pc.localDescription.sdp")).media[0].first("ice-ufrag")
        assert before != after
        await until(lambda: len(caller.connections()) > 1)
        first, *_, last = caller.connections()
        assert last.send_key == first.send_key
        count = len(place.heard)
        await until(lambda: len(place.heard) > count + 48000)
        assert place.tone_heard() == pytest.approx(700, abs=8)
        assert await caller.page.evaluate("pc.connectionState") == "connected"
        assert not [item for item in place.reports if isinstance(item, LegWarned | LegEnded)]
        leg.hangup()
        await leg.closed()


async def test_chromium_holds_and_resumes(chromium: Browser) -> None:
    async with harness() as place:
        caller = Caller(await chromium.new_page(), place)
        leg = await caller.call()
        for number, direction in enumerate(["sendonly", "inactive", "sendrecv"], 1):
            await caller.page.evaluate("d => { pc.getTransceivers()[0].direction = d; }", direction)
            leg.offer(await caller.page.evaluate(OFFER, False))
            updated = await caller.report(LegUpdated, number)
            await caller.page.evaluate(ACCEPT, updated.sdp)
        held = [item.held for item in place.reports if isinstance(item, LegHeld)]
        assert held == [True, False]
        assert len(caller.connections()) == 1
        leg.hangup()
        await leg.closed()


async def test_chromium_hides_its_addresses_and_is_reached_all_the_same(chromium: Browser) -> None:
    async with harness() as place:
        caller = Caller(await chromium.new_page(), place)
        leg = await caller.call()
        assert await caller.wait_for("window.candidates.length > 0")
        candidates = await caller.page.evaluate("window.candidates")
        assert any(".local " in text for text in candidates)
        await caller.page.evaluate("pc.close()")
        ended = await caller.report(LegEnded)
        assert ended.reason == "caller"
        await leg.closed()


async def test_chromium_bundles_everything_with_video_first(chromium: Browser) -> None:
    async with harness() as place:
        caller = Caller(await chromium.new_page(), place)
        leg = await caller.call(script=MAX_BUNDLE)
        assert place.tone_heard() == pytest.approx(700, abs=8)
        leg.offer(await caller.page.evaluate(OFFER, True))
        updated = await caller.report(LegUpdated)
        await caller.page.evaluate(ACCEPT, updated.sdp)
        await until(lambda: len(caller.connections()) > 1)
        leg.hangup()
        await leg.closed()


TWICE = SCRIPT.replace(
    "await pc.setLocalDescription();",
    r"""const {sdp} = await pc.createOffer();
  const line = sdp.match(/a=rtpmap:(\d+) opus.*/)[1];
  const twice = sdp.replace(`SAVPF ${line}`, `SAVPF 40 ${line}`)
    .replace(`a=rtpmap:${line} `, `a=rtpmap:40 opus/48000/2\r\na=fmtp:40 stereo=1\r\na=rtpmap:${line} `);
  await pc.setLocalDescription({type: 'offer', sdp: twice});""",
)


async def test_chromium_lists_a_codec_twice_and_is_heard(chromium: Browser) -> None:
    async with harness() as place:
        caller = Caller(await chromium.new_page(), place)
        leg = await caller.call(script=TWICE)
        place.engine.post(AddTrack(50, 100))
        place.engine.post(FeedTrack(50, 24000, sine(5.0, 24000).tobytes()))
        assert place.tone_heard() == pytest.approx(700, abs=8)
        assert await caller.wait_for(f"({STATS})().then(s => s.totalAudioEnergy > 0.01)")
        leg.hangup()
        await leg.closed()
