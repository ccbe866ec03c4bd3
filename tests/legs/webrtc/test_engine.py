"""A browser-like client, the WebRTC endpoint and the real engine: sound goes both ways."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from softswitch.call.interfaces import LegRequest
from softswitch.call.vocabulary.reports import LegAnswered, Report
from softswitch.legs.rtp_parameters import StreamIdentity
from softswitch.legs.webrtc.endpoints import WebRtcEndpoints
from softswitch.legs.webrtc.leg import WebRtcLeg
from softswitch.media.engine.engine import Engine
from softswitch.media.messages import AddTap, AddTrack, DigitReceived, FeedTrack, Output, PortClosed
from softswitch.media.messages import Report as EngineReport
from tests.files.audio_files import sine
from tests.legs.webrtc.rtc import LOOPBACK, Far, ToneTrack
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("loopback_client")

TAP = 7


class Harness:
    """Engine and endpoints, put together as the application does."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.endpoints = WebRtcEndpoints(self.engine, LOOPBACK)
        self.reports: list[Report] = []
        self.engine_reports: list[EngineReport] = []
        self.heard = bytearray()
        self.fars: list[Far] = []
        self.legs: list[WebRtcLeg] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def emit(output: Output) -> None:
            loop.call_soon_threadsafe(self._take, output)

        self.engine.start(emit)

    def _take(self, output: Output) -> None:
        self.engine_reports += output.reports
        for port, datagram, source in output.strays:
            self.endpoints.stray(port, datagram, source)
        for port, datagram in output.datagrams:
            self.endpoints.send(port, datagram)
        for port, pcm in output.frames:
            if port == TAP:
                self.heard += pcm

    async def call(self, far: Far, codec: str = "") -> WebRtcLeg:
        self.fars.append(far)
        request = LegRequest(call="c", leg="a", port=1, mix=100, offer=await far.offer(), codec=codec)
        leg = self.endpoints(request, self.reports.append)
        self.legs.append(leg)
        leg.answer()
        await until(lambda: bool(self.reports))
        [answer] = self.reports
        assert isinstance(answer, LegAnswered)
        self.engine.post(AddTap(TAP, 1, sample_rate=16000))
        await far.accept(answer.sdp)
        await until(lambda: far.state == "connected")
        return leg

    def tone_heard(self) -> float:
        """Return the frequency of what the tap heard in its last second."""
        return pitch(np.frombuffer(bytes(self.heard[-32000:]), np.int16), 16000)


def pitch(pcm: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(pcm.astype(np.float64) * np.hanning(len(pcm))))
    return float(np.argmax(spectrum) * rate / len(pcm))


@asynccontextmanager
async def harness() -> AsyncIterator[Harness]:
    place = Harness()
    place.start()
    try:
        yield place
    finally:
        for leg in place.legs:
            leg.hangup()
            await leg.closed()
        for far in place.fars:
            await far.close()
        place.engine.stop()


@pytest.mark.parametrize("codec", ["opus", "PCMU", "PCMA", "G722"])
async def test_a_tone_goes_both_ways(codec: str) -> None:
    async with harness() as place:
        far = Far(track=ToneTrack(700))
        leg = await place.call(far, codec)
        place.engine.post(AddTrack(50, 100))
        place.engine.post(FeedTrack(50, 24000, sine(6.0, 24000).tobytes()))
        await until(lambda: len(place.heard) > 64000 and len(far.received) > 80)
        assert place.tone_heard() == pytest.approx(700, abs=6)
        frames = [frame.to_ndarray()[0] for frame in far.received[-40:]]
        rate, layout = far.received[-1].sample_rate, len(far.received[-1].layout.channels)
        told = np.concatenate([frame.reshape(-1, layout)[:, 0] for frame in frames])
        assert pitch(told, rate) == pytest.approx(440, abs=6)
        assert np.abs(told).max() > 5000
        leg.hangup()
        await leg.closed()
        await until(lambda: any(isinstance(item, PortClosed) for item in place.engine_reports))
        [closed] = [item for item in place.engine_reports if isinstance(item, PortClosed)]
        assert closed.statistics["packets_received"] > 50
        assert closed.statistics.get("packets_rejected", 0) == 0


async def test_a_digit_for_a_peer_without_events_leaves_as_a_tone() -> None:
    async with harness() as place:
        far = Far()
        leg = await place.call(far, "PCMU")
        await until(lambda: len(far.received) > 20)
        leg.dtmf("5")
        count = len(far.received)
        await until(lambda: len(far.received) > count + 40)
        told = np.concatenate([frame.to_ndarray()[0] for frame in far.received[count:]])
        assert np.abs(told).max() > 1000


EVENT = 101


class KeyedFar(Far):
    """A peer that offers telephone-event and sends it by hand, since aiortc does not know it."""

    async def offer(self) -> str:
        lines = (await super().offer()).split("\r\n")
        at = next(number for number, line in enumerate(lines) if line.startswith("m=audio"))
        lines[at] += f" {EVENT}"
        lines.insert(len(lines) - 1, f"a=rtpmap:{EVENT} telephone-event/48000")
        return "\r\n".join(lines)

    async def accept(self, answer: str) -> None:
        assert f"a=rtpmap:{EVENT} telephone-event/48000" in answer
        await super().accept(answer.replace(f" 96 {EVENT}\r\n", " 96\r\n"))

    async def fall_silent(self) -> int:
        """Stop the audio, so that events may go on with its sequence numbers; return the next of them."""
        sender = self.pc.getTransceivers()[0].sender
        sender.replaceTrack(None)
        await asyncio.sleep(0.1)
        history = getattr(sender, "_RTCRtpSender__rtp_history")  # noqa: B009
        return 1 + max(int(packet.sequence_number) for packet in history.values())

    async def press(self, digit: int, sequence: int, timestamp: int, ssrc: int = 0, packets: int = 8) -> None:
        sender = self.pc.getTransceivers()[0].sender
        transport, source = sender.transport, (ssrc or sender._ssrc).to_bytes(4, "big")
        for number in range(packets):
            ends = number > 4
            head = bytes([0x80, EVENT | 0x80 * (number == 0)]) + (sequence + number).to_bytes(2, "big")
            body = bytes([digit, 0x8A if ends else 0x0A]) + (960 * min(number + 1, 6)).to_bytes(2, "big")
            await transport._send_rtp(head + timestamp.to_bytes(4, "big") + source + body)
            await asyncio.sleep(0.02)


async def test_digits_of_the_peer_arrive_once_each() -> None:
    async with harness() as place:
        far = KeyedFar()
        await place.call(far)
        await until(lambda: len(place.heard) > 16000)
        await far.press(1, 100, 1000, ssrc=4711, packets=1)  # of a stranger
        first = await far.fall_silent()
        await far.press(5, first, 1000)
        await far.press(11, first + 8, 20000)

        def digits() -> list[str]:
            return [item.digit for item in place.engine_reports if isinstance(item, DigitReceived)]

        await until(lambda: len(digits()) == 2)
        assert digits() == ["5", "#"]


async def test_another_nomination_after_the_sequence_has_wrapped_goes_unheard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    identity = StreamIdentity(ssrc=4711, sequence=65510, timestamp=0, cname="x")
    monkeypatch.setattr(StreamIdentity, "draw", lambda _: identity)
    async with harness() as place:
        far = Far()
        leg = await place.call(far, "PCMU")
        await until(lambda: len(far.received) > 60)
        assert leg._link is not None
        leg.link_ready(leg._link)  # same keys: SRTP's rollover counter must live on (RFC 3711 section 3.3.1)
        count, heard = len(far.received), len(place.heard)
        await until(lambda: len(far.received) > count + 30 and len(place.heard) > heard + 16000, seconds=5.0)
        assert len(far.received) > count + 30
