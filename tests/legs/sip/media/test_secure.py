import socket

import numpy as np
import pytest
from aiortc import RTCSessionDescription

from softswitch.legs.sip.media.ice import RESTARTS
from softswitch.legs.sip.media.negotiation import SipMedia
from softswitch.legs.sip.media.shared import MediaOptions
from softswitch.media.messages import ConnectSecure
from softswitch.sdp import parse
from tests.legs.sip.media.media_pair import Owner, Pair, Side, pair
from tests.legs.webrtc.rtc import Far, ToneTrack
from tests.support.waiting import until


@pytest.mark.parametrize("codec", ["PCMU", "opus"])
async def test_tones_go_both_ways_by_dtls(codec: str) -> None:
    async with pair(MediaOptions(codecs=(codec,), srtp="dtls")) as both:
        offer, answer = await both.connect()
        assert "UDP/TLS/RTP/SAVP " in offer
        assert "a=setup:actpass\r\n" in offer
        assert "a=setup:passive\r\n" in answer
        assert "ice" not in offer + answer
        await both.talk()
        for port in (1, 2):
            assert len(both.engine.of(ConnectSecure, port)) == 1
        statistics = await both.statistics()
        for port in (1, 2):
            assert statistics[port].get("srtp_errors", 0) == 0


@pytest.mark.parametrize("codec", ["PCMU", "G722", "opus"])
async def test_tones_go_both_ways_by_ice_and_dtls(codec: str) -> None:
    async with pair(MediaOptions(codecs=(codec,), is_browser=True)) as both:
        offer, answer = await both.connect()
        assert "UDP/TLS/RTP/SAVPF " in offer
        assert "a=group:BUNDLE 0\r\n" in offer
        assert "a=group:BUNDLE 0\r\n" in answer
        await both.talk()


async def test_a_peer_without_rtcp_mux_gets_a_second_association() -> None:
    async with pair(MediaOptions(codecs=("PCMU",), srtp="dtls")) as both:
        offer = await both.a.media.offer()
        answer = await both.b.media.answer(offer.replace("a=rtcp-mux\r\n", ""))
        assert "rtcp-mux" not in answer
        await both.a.media.take_answer(answer)
        both.a.listen()
        both.b.listen()
        await both.talk()
        for port in (1, 2):
            [order] = both.engine.of(ConnectSecure, port)
            assert order.rtcp_receive_key not in (b"", order.receive_key)
        await both.reports_come()
        statistics = await both.statistics()
        for port in (1, 2):
            assert statistics[port].get("srtp_errors", 0) == 0


class Browser(Far):
    """A browser that is called."""

    async def answer(self, offer: str) -> str:
        await self.pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        return str(self.pc.localDescription.sdp)

    def pitch(self) -> float:
        frames = self.received[-25:]
        if len(frames) < 25:
            return 0.0
        channels = len(frames[-1].layout.channels)
        told = np.concatenate([frame.to_ndarray().reshape(-1, channels)[:, 0] for frame in frames])
        spectrum = np.abs(np.fft.rfft(told.astype(np.float64) * np.hanning(len(told))))
        return float(np.argmax(spectrum) * frames[-1].sample_rate / len(told))


@pytest.mark.usefixtures("loopback_client")
@pytest.mark.parametrize("calls", [True, False])
@pytest.mark.parametrize("codec", ["opus", "PCMU"])
async def test_browser_calls_and_is_called(codec: str, calls: bool) -> None:
    async with pair(MediaOptions(is_browser=True, preferred=codec)) as both:
        browser, media = Browser(track=ToneTrack(700)), both.a.media
        try:
            if calls:
                answer = await media.answer(await browser.offer())
                assert "a=setup:active\r\n" in answer
                await browser.accept(answer)
            else:
                await media.take_answer(await browser.answer(await media.offer()))
            assert media.agreement is not None
            assert media.agreement.codec.name == codec
            both.a.listen()
            both.a.say(440)
            await both.a.hears(700)
            await until(lambda: abs(browser.pitch() - 440) < 8)
            assert browser.pitch() == pytest.approx(440, abs=8)
            # A session refresh: what is there goes on.
            refresh = media.reoffer()
            assert "a=ice-ufrag" in refresh
            assert "a=setup:actpass\r\n" in refresh
            assert len(both.engine.of(ConnectSecure, 1)) == 1
        finally:
            await browser.close()
        assert both.a.owner.ended == []  # its BYE has time to say more
        await until(lambda: bool(both.a.owner.ended))
        assert both.a.owner.ended == ["caller"]


@pytest.mark.parametrize("sender", ["dtls", "ice"])
async def test_peer_that_never_shakes_hands_is_told_of(sender: str) -> None:
    async with pair(MediaOptions(srtp="dtls", is_browser=sender == "ice", handshake_s=0.2)) as both:
        offer = await both.a.media.offer()
        await both.b.media.answer(offer)
        await until(lambda: bool(both.b.owner.failed))
        [(told, text, code)] = both.b.owner.failed
        assert (told, code) == (sender, 504)
        assert text


async def test_peer_that_closes_its_association_is_gone() -> None:
    async with pair(MediaOptions(srtp="dtls", codecs=("PCMU",))) as both:
        await both.connect()
        await both.talk()
        both.a.media.close()
        await until(lambda: bool(both.b.owner.ended))
        assert both.b.owner.ended == ["caller"]


async def test_peer_that_moves_takes_its_association_along() -> None:
    async with pair(MediaOptions(srtp="dtls", codecs=("PCMU",))) as both:
        offer, _ = await both.connect()
        await both.talk()
        port = parse(offer).media[0].port
        await both.b.media.answer(offer.replace(f"m=audio {port} ", "m=audio 45555 "))
        first, second = both.engine.of(ConnectSecure, 2)
        assert (first.remote_port, second.remote_port) == (port, 45555)
        assert first.receive_key == second.receive_key


async def test_forged_fingerprint_is_told_of() -> None:
    async with pair(MediaOptions(srtp="dtls")) as both:
        offer = await both.a.media.offer()
        [line] = [line for line in offer.split("\r\n") if line.startswith("a=fingerprint")]
        forged = line[:-2] + ("00" if line[-2:] != "00" else "01")
        answer = await both.b.media.answer(offer.replace(line, forged))
        await both.a.media.take_answer(answer)
        await until(lambda: bool(both.b.owner.failed))
        assert both.b.owner.failed == [("dtls", "the DTLS handshake failed", 488)]
        assert both.engine.of(ConnectSecure, 2) == []


async def test_another_certificate_in_a_later_offer_shakes_hands_anew() -> None:
    async with pair(MediaOptions(srtp="dtls", codecs=("PCMU",))) as both:
        await both.connect()
        await both.talk()
        third = SipMedia(both.shared, 3, 300, MediaOptions(srtp="dtls"), Owner())
        both.shared.webrtc._certificate_ends = 0.0
        try:
            await both.b.media.take_answer(await third.answer(both.b.media.reoffer()))
            await until(lambda: len(both.engine.of(ConnectSecure, 2)) == 2)
            orders = both.engine.of(ConnectSecure, 2)
            assert orders[0].receive_key != orders[1].receive_key
            assert both.b.owner.failed == []
        finally:
            third.close()
            await third.closed()


async def test_stranger_cannot_come_between_a_handshake() -> None:
    async with pair(MediaOptions(srtp="dtls", codecs=("PCMU",))) as both:
        offer = await both.a.media.offer()
        answer = await both.b.media.answer(offer)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for text in (offer, answer):
                port = parse(text).media[0].port
                for datagram in (
                    b"",
                    b"\x15\xfe\xfd" + bytes(12),
                    b"\x16\xfe\xff" + bytes(60),
                    b"\x80" + bytes(30),
                ):
                    stranger.sendto(datagram, ("127.0.0.1", port))
        await both.a.media.take_answer(answer)
        both.a.listen()
        both.b.listen()
        await both.talk()
        assert both.shared.numbers()["stranger"] > 0


async def restarted(side: Side, peer: Side) -> None:
    """Have a side offer another path because its address is said to be gone, and the other one answer."""
    offer = await side.media.restart(frozenset())
    assert offer
    await side.media.take_answer(await peer.media.answer(offer))


async def test_lost_address_restarts_ice_from_either_side_and_the_sound_goes_on() -> None:
    async with pair(MediaOptions(is_browser=True)) as both:
        await both.connect()
        assert not await both.a.media.restart(frozenset({"127.0.0.1"}))
        await both.talk()
        assert not await both.a.media.restart(frozenset({"127.0.0.1"}))
        for side, peer in ((both.a, both.b), (both.b, both.a)):
            before = [each for port in (1, 2) for each in both.engine.of(ConnectSecure, port)]
            first = both.engine.of(ConnectSecure, side.port)[-1]
            text = side.media.local_sdp
            await restarted(side, peer)
            assert parse(side.media.local_sdp).media[0].first("ice-ufrag") != parse(text).media[0].first(
                "ice-ufrag"
            )
            await connected_anew(both, before)
            after = both.engine.of(ConnectSecure, side.port)[-1]
            assert after.send_key == first.send_key
            assert after.remote_port != first.remote_port
            side.heard.clear()
            await side.hears(both_tone(side))
        assert not both.a.owner.warned + both.b.owner.warned
        assert not both.a.owner.failed + both.b.owner.failed


async def test_refused_restart_leaves_the_path_and_is_offered_a_few_times_only() -> None:
    async with pair(MediaOptions(is_browser=True)) as both:
        await both.connect()
        await both.talk()
        media = both.a.media
        for _ in range(RESTARTS):
            assert await media.restart(frozenset())
            assert not await media.restart(frozenset())
            await media.withdraw()
        assert not await media.restart(frozenset())
        # What follows describes the path in use again.
        await media.take_answer(await both.b.media.answer(media.reoffer()))
        both.a.heard.clear()
        await both.a.hears(both_tone(both.a))


async def connected_anew(both: Pair, before: list[ConnectSecure]) -> None:
    """Wait until both sides have a connection they did not have before."""
    await until(lambda: all(both.engine.of(ConnectSecure, port)[-1] not in before for port in (1, 2)))


def both_tone(side: Side) -> float:
    """Return the pitch that a side hears in `Pair.talk`."""
    return 700.0 if side.number == 1 else 440.0
