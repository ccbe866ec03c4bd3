import pytest

from softswitch.endpoints.sip.media_shared import MediaWish
from softswitch.media.messages import ConnectSecure
from tests.endpoints.sip.media_pair import pair


@pytest.mark.parametrize("codec", ["PCMU", "opus"])
async def test_tones_go_both_ways_by_dtls(codec: str) -> None:
    async with pair(MediaWish(codecs=(codec,), srtp="dtls")) as both:
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
    async with pair(MediaWish(codecs=(codec,), far_webrtc=True)) as both:
        offer, answer = await both.connect()
        assert "UDP/TLS/RTP/SAVPF " in offer
        assert "a=group:BUNDLE 0\r\n" in offer
        assert "a=group:BUNDLE 0\r\n" in answer
        await both.talk()


async def test_a_far_end_without_rtcp_mux_gets_a_second_association() -> None:
    async with pair(MediaWish(codecs=("PCMU",), srtp="dtls")) as both:
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
