"""The commands of a pyVoIP leg."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from softswitch.call.vocabulary.reports import (
    LegAnswered,
    LegEnded,
    LegRejected,
    LegRinging,
    LegWarned,
    MediaResumed,
    MediaSilent,
)
from softswitch.legs.pyvoip import silence
from softswitch.media import messages as m
from tests.legs.pyvoip.peer import SDP, Peer
from tests.legs.pyvoip.rig import Bench, Leg


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench() as made:
        yield made


@pytest.fixture
async def peer(bench: Bench) -> AsyncIterator[Peer]:
    async with Peer(bench.endpoints.own_port) as made:
        yield made


async def answered(bench: Bench, peer: Peer, body: str = "") -> Leg:
    peer.request("INVITE", body=body or SDP.format(port=40000, more=""))
    _, leg = await bench.called()
    leg.endpoint.answer()
    peer.ack(await peer.until("SIP/2.0 200"))
    await leg.until(LegAnswered)
    return leg


async def test_what_pyvoip_cannot_do_is_warned_of_and_the_call_goes_on(bench: Bench, peer: Peer) -> None:
    leg = await answered(bench, peer)
    leg.endpoint.refer("sip:carol@127.0.0.1")
    leg.endpoint.message("hello", "text/plain")
    leg.endpoint.offer("v=0")
    leg.endpoint.candidates([])
    leg.endpoint.accept_transfer()
    leg.endpoint.transfer_progress(200, "OK")
    warned = leg.told(LegWarned)
    assert [(one.sender, one.code) for one in warned] == [
        ("refer", 501), ("message", 501), ("offer", 409), ("candidate", 409), ("refer", 501),
    ]  # fmt: skip
    assert "REFER" in warned[0].error
    assert not leg.told(LegEnded)
    await leg.end()


async def test_ringing_with_early_media_describes_audio_and_opens_the_port(bench: Bench, peer: Peer) -> None:
    peer.invite()
    _, leg = await bench.called()
    leg.endpoint.ring(early_media=True)
    progress = await peer.until("SIP/2.0 183")
    assert "m=audio" in progress.body
    leg.endpoint.answer()
    response = await peer.until("SIP/2.0 200")
    assert (response.body, response.tag) == (progress.body, progress.tag)
    peer.ack(response)
    await leg.until(LegAnswered)
    await leg.end()
    await bench.until(lambda: leg.closed)


async def test_accept_asks_for_the_same_leg_again_and_reports_to_the_later_request(
    bench: Bench, peer: Peer
) -> None:
    peer.invite()
    call, leg = await bench.called()
    other = Leg(bench)
    assert call.party(other.request(), other.report) is leg.endpoint
    leg.endpoint.answer()
    leg.endpoint.answer()
    peer.ack(await peer.until("SIP/2.0 200"))
    await other.until(LegAnswered)
    assert leg.reports == []
    leg.endpoint.hangup()
    leg.endpoint.hangup()
    await leg.endpoint.closed()
    await bench.until(lambda: other.closed)


async def test_digits_become_tones_where_the_peer_knows_no_events(bench: Bench, peer: Peer) -> None:
    posted: list[m.Message] = []
    leg = await answered(bench, peer, SDP.format(port=40000, more="").replace(" 101\r\n", "\r\n"))
    post = bench.engine.post

    def remember(message: m.Message) -> None:
        posted.append(message)
        post(message)

    bench.engine.post = remember  # type: ignore[method-assign]
    leg.endpoint.dtmf("12")
    assert [(one.port, one.digits) for one in posted if isinstance(one, m.SendDigits)] == [(leg.port, "12")]
    await leg.end()


async def test_leg_that_is_rejected_is_refused_with_that_code_and_reports_nothing(
    bench: Bench, peer: Peer
) -> None:
    peer.invite()
    _, leg = await bench.called()
    leg.endpoint.reject(603, "Decline")
    leg.endpoint.hangup("rejected")
    response = await peer.until("SIP/2.0 6")
    assert response.first == "SIP/2.0 603 Decline"
    peer.ack(response)
    await leg.endpoint.closed()
    assert leg.reports == []


async def test_leg_that_never_dialled_is_closed_at_once(bench: Bench) -> None:
    leg = Leg(bench)
    leg.endpoint = bench.endpoints(leg.request(callee="sip:a@127.0.0.1"), leg.report)
    leg.endpoint.hangup()
    await leg.endpoint.closed()
    leg.endpoint.answer()
    leg.endpoint.ring()
    leg.endpoint.dtmf("1")
    assert leg.reports == []
    assert leg.endpoint.dialog == ("", "", "")


async def test_hangup_at_once_after_dialling_leaves_nothing_behind(bench: Bench, peer: Peer) -> None:
    leg = bench.call(f"sip:bob@127.0.0.1:{peer.port}")
    leg.endpoint.hangup()
    invite = await peer.until("INVITE")
    peer.reply(invite, 180)
    cancel = await peer.until("CANCEL")
    peer.reply(cancel, 200)
    peer.reply(invite, 487)
    await peer.until("ACK")
    await leg.endpoint.closed()
    assert (leg.told(LegRinging), leg.told(LegRejected)) == ([], [])


async def test_silence_of_the_peer_is_told_and_its_end_too(
    bench: Bench, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENT_S", 0.3)
    monkeypatch.setattr(silence, "_LOOK_S", 0.05)
    peer.invite(port=peer.port)
    _, leg = await bench.called()
    leg.endpoint.answer()
    response = await peer.until("SIP/2.0 200")
    peer.ack(response)
    assert (await leg.until(MediaSilent)).seconds >= 0.3
    peer.to = int(response.body.partition("m=audio ")[2].split()[0])
    for number in range(4):
        peer.send(
            b"\x80\x08\0" + bytes([number]) + bytes([0, 0, 0, 160 * number % 256]) + b"\0\0\0\7" + bytes(160)
        )
        await asyncio.sleep(0.02)
    await leg.until(MediaResumed)
    peer.to = bench.endpoints.own_port
    await leg.end()
