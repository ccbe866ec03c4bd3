import dataclasses

import pytest

from softswitch.legs.sip.media.shared import MediaOptions, Srtp
from softswitch.media.messages import ConnectPlain, UpdateRtp
from softswitch.sdp import SUITES, crypto_lines, parse
from tests.legs.sip.media.media_pair import pair


@pytest.mark.parametrize("codec", ["PCMU", "PCMA", "G722", "opus"])
async def test_tones_go_both_ways_in_each_codec(codec: str) -> None:
    async with pair(MediaOptions(codecs=(codec,))) as both:
        offer, _ = await both.connect()
        assert "RTP/AVP " in offer
        await both.talk()
        statistics = await both.statistics()
        for port in (1, 2):
            assert statistics[port]["packets_received"] > 20
            assert statistics[port]["packets_rejected"] == 0


@pytest.mark.parametrize("suite", SUITES)
async def test_tones_go_both_ways_with_keys_of_each_suite(suite: str) -> None:
    async with pair(MediaOptions(codecs=("PCMU",), srtp="sdes")) as both:
        offer = await both.a.media.offer()
        assert "RTP/SAVP " in offer
        lines = [line for line in offer.split("\r\n") if not line.startswith("a=crypto") or suite in line]
        answer = await both.b.media.answer("\r\n".join(lines))
        await both.a.media.take_answer(answer)
        [line] = crypto_lines(parse(answer).media[0])
        assert line.suite.name == suite
        [order] = both.engine.of(ConnectPlain, 2)
        assert order.profile == SUITES[suite].profile
        assert order.send_key == line.key != order.receive_key
        both.a.listen()
        both.b.listen()
        await both.talk()
        statistics = await both.statistics()
        for port in (1, 2):
            assert statistics[port].get("srtp_errors", 0) == 0


@pytest.mark.parametrize("codec", ["PCMU", "G722", "opus"])
@pytest.mark.parametrize("ptime", [10, 20, 30, 40, 50, 60])
async def test_packets_have_the_length_that_was_asked_for(codec: str, ptime: int) -> None:
    async with pair(MediaOptions(codecs=(codec,), ptime_ms=ptime)) as both:
        _, answer = await both.connect()
        agreement = both.a.media.agreement
        assert agreement is not None
        length = {30: 20, 50: 40}.get(ptime, ptime) if codec == "opus" else ptime
        assert agreement.ptime_ms == length
        assert f"a=ptime:{length}\r\n" in answer
        await both.talk()
        statistics = await both.statistics()
        assert statistics[1]["packets_received"] == pytest.approx(statistics[2]["packets_sent"], abs=5)


async def test_a_peer_without_rtcp_mux_gets_reports_on_the_next_port() -> None:
    async with pair(MediaOptions(codecs=("PCMU",))) as both:
        offer = await both.a.media.offer()
        answer = await both.b.media.answer(offer.replace("a=rtcp-mux\r\n", ""))
        assert "rtcp-mux" not in answer
        await both.a.media.take_answer(answer)
        for port in (1, 2):
            [order] = both.engine.of(ConnectPlain, port)
            assert order.rtcp_fd >= 0
            assert order.rtcp_remote_port == order.remote_port + 1
        both.a.listen()
        both.b.listen()
        await both.talk()
        await both.reports_come()


async def test_digits_go_as_events() -> None:
    async with pair(MediaOptions(codecs=("opus", "PCMU"))) as both:
        await both.connect()
        assert both.a.media.send_digits("42#")
        await both.digits("42#", 2)


async def test_digits_go_as_tones_where_that_is_wished() -> None:
    options = MediaOptions(codecs=("PCMA",), dtmf="inband")
    async with pair(options, dataclasses.replace(options, dtmf="info")) as both:
        await both.connect()
        both.detect_tones(2)
        assert both.a.media.send_digits("7")
        assert not both.b.media.send_digits("8")
        await both.digits("7", 2, "inband")


@pytest.mark.parametrize(("before", "after"), [("allowed", "allowed"), ("allowed", "sdes"), ("sdes", "dtls")])
async def test_another_telephone_takes_the_call_over(before: Srtp, after: Srtp) -> None:
    async with pair(MediaOptions(codecs=("PCMU", "G722"), srtp=before)) as both:
        await both.connect()
        await both.talk()
        third = both.another(MediaOptions(codecs=("G722",), srtp=after))
        await third.media.take_answer(await both.a.media.answer(await third.media.offer()))
        both.b.media.close()
        third.listen()
        third.say(1000)
        await third.hears(440)
        await both.a.hears(1000)
        [update] = both.engine.of(UpdateRtp, 1)
        assert update.rtp.send.name == "G722"
        assert both.a.owner.failed == []
        third.media.close()
        await third.media.closed()
