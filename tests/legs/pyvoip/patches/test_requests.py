"""Unusual requests of peers, at a local phone on a real socket."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from softswitch.call.vocabulary.reports import DigitReceived, LegAnswered, LegEnded, LegHeld
from softswitch.settings import Sip
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


async def answered(bench: Bench, peer: Peer, call: str = "call-1", **words: str | int) -> tuple[Leg, str]:
    """Return an answered call and the local tag."""
    peer.invite(call=call, **words)  # type: ignore[arg-type]
    _, leg = await bench.called()
    leg.endpoint.answer()
    response = await peer.until("SIP/2.0 200")
    peer.ack(response, call=call)
    await leg.until(LegAnswered)
    return leg, response.tag


async def test_options_is_answered_with_what_is_understood(peer: Peer) -> None:
    peer.request("OPTIONS")
    response = await peer.next()
    assert response.code == 200
    assert "INVITE" in response["Allow"]
    assert response["Accept"] == "application/sdp"


@pytest.mark.parametrize("method", ["REFER", "MESSAGE", "SUBSCRIBE", "UPDATE", "REGISTER", "FOO"])
async def test_methods_that_pyvoip_has_not_get_405(peer: Peer, method: str) -> None:
    peer.request(method)
    response = await peer.next()
    assert (response.code, response.tag != "") == (405, True)
    assert "BYE" in response["Allow"]


async def test_required_extension_is_refused_by_its_name(peer: Peer) -> None:
    peer.invite(headers="Require: 100rel, foo\r\n")
    response = await peer.next()
    assert (response.code, response["Unsupported"]) == (420, "100rel, foo")
    peer.ack(response)


@pytest.mark.parametrize("method", ["BYE", "INFO"])
async def test_request_of_no_call_gets_481(peer: Peer, method: str) -> None:
    peer.request(method, to_tag="none")
    assert (await peer.next()).code == 481


async def test_empty_supported_compact_and_folded_headers_are_read(bench: Bench, peer: Peer) -> None:
    body = SDP.format(port=40000, more="a=foo:bar:baz\r\na=bare\r\n")
    peer.send(
        f"INVITE sip:echo@127.0.0.1 SIP/2.0\r\nv: SIP/2.0/UDP 127.0.0.1:{peer.port};branch=z9hG4bKa;rport\r\n"
        f"f: sip:far@127.0.0.1;tag=far\r\nt: <sip:echo@127.0.0.1>\r\ni: compact\r\nCSeq: 7\r\n INVITE\r\n"
        f"m: <sip:far@127.0.0.1:{peer.port}>\r\nSupported:\r\nSupported: \r\nc: application/sdp\r\n"
        f"l: {len(body)}\r\n\r\n{body}"
    )
    call, leg = await bench.called()
    assert (call.id, call.caller, call.callee) == ("compact", "far", "echo")
    assert call.sdp == body
    leg.endpoint.reject(603, "Decline")
    assert (await peer.until("SIP/2.0 603")).first == "SIP/2.0 603 Decline"


async def test_copies_of_an_invite_are_one_call_and_get_the_same_answer(bench: Bench, peer: Peer) -> None:
    for _ in range(3):
        peer.invite(branch="z9hG4bKsame")
    _, leg = await bench.called()
    leg.endpoint.answer()
    first = await peer.until("SIP/2.0 200")
    peer.invite(branch="z9hG4bKsame")
    again = await peer.until("SIP/2.0 200")
    assert again.text == first.text
    peer.ack(first)
    assert bench.incoming.empty()
    await leg.end()


async def test_two_calls_at_once_are_both_answered(bench: Bench, peer: Peer) -> None:
    for name in ("one", "two"):
        peer.invite(call=name)
    legs = [(await bench.called())[1] for _ in range(2)]
    for leg in legs:
        leg.endpoint.answer()
    answers = [await peer.until("SIP/2.0 200") for _ in range(2)]
    for response in answers:
        peer.ack(response, call=response["Call-ID"])
    for leg in legs:
        await leg.until(LegAnswered)
        await leg.end()


async def test_answer_is_repeated_until_it_is_acknowledged(bench: Bench, peer: Peer) -> None:
    peer.invite()
    _, leg = await bench.called()
    leg.endpoint.answer()
    first = await peer.until("SIP/2.0 200")
    assert (await peer.next()).text == first.text
    peer.ack(first)
    assert await peer.silent(1.2)
    await leg.end()


async def test_cancel_gets_its_200_and_the_invite_its_487(bench: Bench, peer: Peer) -> None:
    branch = peer.invite()
    _, leg = await bench.called()
    leg.endpoint.ring()
    ringing = await peer.until("SIP/2.0 180")
    peer.request("CANCEL", branch=branch)
    ok, terminated = await peer.next(), await peer.next()
    assert (ok.code, ok["CSeq"]) == (200, "1 CANCEL")
    assert (terminated.code, terminated["CSeq"]) == (487, "1 INVITE")
    assert ringing.tag == ok.tag == terminated.tag
    peer.ack(terminated, branch=branch)
    assert (await leg.until(LegEnded)).reason == "caller"
    await leg.endpoint.closed()
    assert await peer.silent(0.7)


async def test_cancel_of_another_branch_cancels_nothing(bench: Bench, peer: Peer) -> None:
    peer.invite()
    _, leg = await bench.called()
    peer.request("CANCEL", branch="z9hG4bKother")
    assert (await peer.until("SIP/2.0 481"))["CSeq"] == "1 CANCEL"
    await leg.end()
    assert (await peer.until("SIP/2.0 480")).code == 480


async def test_caller_may_give_up_before_anybody_was_asked_for_the_leg(bench: Bench, peer: Peer) -> None:
    branch = peer.invite()
    call = await bench.incoming.get()
    peer.request("CANCEL", branch=branch)
    await peer.until("SIP/2.0 487")
    leg = Leg(bench)
    leg.endpoint = call.party(leg.request(), leg.report)  # type: ignore[assignment]
    assert (await leg.until(LegEnded)).reason == "caller"
    await leg.endpoint.closed()


@pytest.mark.parametrize(
    "words", [{"tag": "forged"}, {"to_tag": "forged"}, {"call": "forged"}], ids=["from", "to", "call"]
)
async def test_forged_bye_ends_nothing(bench: Bench, peer: Peer, words: dict[str, str]) -> None:
    leg, tag = await answered(bench, peer)
    peer.request("BYE", sequence=2, **({"to_tag": tag} | words))
    assert (await peer.next()).code == 481
    assert not leg.told(LegEnded)
    peer.request("BYE", sequence=3, to_tag=tag, headers="X-Reason: enough\r\n")
    assert (await peer.next()).code == 200
    ended = await leg.until(LegEnded)
    assert (ended.reason, ended.initiator, ended.headers) == ("caller", "caller", {"X-Reason": "enough"})
    await leg.endpoint.closed()


async def test_request_out_of_order_gets_500(bench: Bench, peer: Peer) -> None:
    leg, tag = await answered(bench, peer, sequence=5)
    peer.request("BYE", sequence=4, to_tag=tag)
    assert (await peer.next()).code == 500
    await leg.end()


@pytest.mark.parametrize(
    ("more", "direction", "held"),
    [
        ("a=sendonly\r\n", "recvonly", True),
        ("a=inactive\r\n", "inactive", True),
        ("a=recvonly\r\n", "sendonly", False),
        ("c=IN IP4 0.0.0.0\r\n", "recvonly", True),
    ],
)
async def test_hold_is_answered_in_the_direction_that_fits(
    bench: Bench, peer: Peer, more: str, direction: str, held: bool
) -> None:
    leg, tag = await answered(bench, peer)
    peer.invite(sequence=2, to_tag=tag, more=more)
    response = await peer.until("SIP/2.0 200")
    peer.ack(response, sequence=2)
    assert f"a={direction}" in response.body
    assert bool(leg.told(LegHeld)) is held or (await leg.until(LegHeld)).held is held
    peer.invite(sequence=3, to_tag=tag)
    response = await peer.until("SIP/2.0 200")
    peer.ack(response, sequence=3)
    assert "a=sendrecv" in response.body
    versions = [line.split()[2] for line in response.body.splitlines() if line.startswith("o=")]
    assert len(versions) == 1
    if held:
        assert not (await leg.until(LegHeld, after=1)).held
    await leg.end()


async def test_other_sections_of_an_offer_are_refused_with_port_zero(bench: Bench, peer: Peer) -> None:
    peer.invite(more="m=video 40002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=image 40004 udptl t38\r\n")
    _, leg = await bench.called()
    leg.endpoint.answer()
    response = await peer.until("SIP/2.0 200")
    peer.ack(response)
    sections = [line for line in response.body.splitlines() if line.startswith("m=")]
    assert [line.split()[:2] for line in sections[1:]] == [["m=video", "0"], ["m=image", "0"]]
    assert sections[0].split()[3:] == ["8", "101"]
    await leg.end()


@pytest.mark.parametrize(
    ("old", "new"), [("RTP/AVP", "RTP/SAVP"), ("8 0 101", "9 18"), ("40000", "80"), ("IP4 127", "IP6 ::1 ")]
)
async def test_offer_that_cannot_be_met_is_refused_and_the_reason_logged(
    peer: Peer, caplog: pytest.LogCaptureFixture, old: str, new: str
) -> None:
    caplog.set_level("INFO")
    peer.request("INVITE", body=SDP.format(port=40000, more="").replace(old, new))
    response = await peer.until("SIP/2.0 4")
    assert response.code == 488
    assert response.first.endswith("488 Not Acceptable Here")
    assert not response.all("Warning"), "error texts of the switch are for its own log"
    assert any(getattr(record, "reason", "") for record in caplog.records)
    peer.ack(response)


async def test_invite_without_an_offer_is_refused(peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    peer.request("INVITE")
    response = await peer.until("SIP/2.0 4")
    assert response.code == 488
    assert any("offer" in getattr(record, "reason", "") for record in caplog.records)
    peer.ack(response)


@pytest.mark.parametrize(
    ("kind", "body"),
    [("application/dtmf-relay", "Signal=5\r\nDuration=240\r\n"), ("application/dtmf", "5")],
)
async def test_key_in_an_info_is_told(bench: Bench, peer: Peer, kind: str, body: str) -> None:
    leg, tag = await answered(bench, peer)
    peer.request("INFO", sequence=2, to_tag=tag, body=body, headers=f"Content-Type: {kind}\r\n")
    assert (await peer.next()).code == 200
    pressed = await leg.until(DigitReceived)
    assert (pressed.digit, pressed.method) == ("5", "info")
    peer.request("INFO", sequence=3, to_tag=tag, body="?", headers="Content-Type: text/plain\r\n")
    assert (await peer.next()).code == 415
    await leg.end()


async def test_own_bye_has_both_tags_the_route_and_the_contact(bench: Bench, peer: Peer) -> None:
    routes = (
        "Record-Route: <sip:one.example;lr>, <sip:two.example;lr>\r\nRecord-Route: <sip:three.example;lr>\r\n"
    )
    leg, tag = await answered(bench, peer, headers=routes)
    leg.endpoint.hangup("done", {"X-Note": "bye"})
    bye = await peer.until("BYE")
    assert bye.first == f"BYE sip:far@127.0.0.1:{peer.port} SIP/2.0"
    assert bye["From"].endswith(f"tag={tag}")
    assert bye.tag == "far"
    assert bye["X-Note"] == "bye"
    routed = ", ".join(bye.all("Route"))
    assert [name for name in ("one", "two", "three") if f"{name}.example" in routed] == [
        "one",
        "two",
        "three",
    ]
    await leg.endpoint.closed()
    assert not leg.told(LegEnded)


async def test_strangers_get_no_answer() -> None:
    quiet = Sip(port=0, engine="pyvoip", allow=("10.0.0.0/8",))
    async with Bench(sip=quiet) as bench, Peer(bench.endpoints.own_port) as peer:
        peer.request("OPTIONS")
        peer.invite()
        assert await peer.silent()
        assert bench.endpoints.numbers()["strangers"] == 2


async def test_malformed_messages_are_answered_or_dropped_and_counted(bench: Bench, peer: Peer) -> None:
    peer.send(b"\r\n\r\n")
    peer.send(b"\x00" * 40 + b"nonsense\r\n\r\n")
    peer.request("OPTIONS", headers="Content-Length: 9999\r\n")
    assert (await peer.next()).code == 400
    await bench.until(lambda: bench.endpoints.numbers()["messages_malformed"] == 2)
    peer.request("OPTIONS")
    assert (await peer.next()).code == 200


async def test_calls_beyond_the_limit_are_refused_with_503(bench: Bench, peer: Peer) -> None:
    bench.endpoints.limits.most = 1
    leg, _ = await answered(bench, peer)
    peer.invite(call="second")
    response = await peer.until("SIP/2.0 5")
    assert (response.code, response["Retry-After"]) == (503, "10")
    peer.ack(response, call="second")
    await leg.end()
    await peer.until("BYE")
    again, _ = await answered(bench, peer, call="third")
    await asyncio.sleep(0)
    await again.end()
