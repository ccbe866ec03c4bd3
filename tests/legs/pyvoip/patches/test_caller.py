"""Outgoing calls, to peers with unusual responses."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from softswitch.call.vocabulary.reports import LegAnswered, LegEnded, LegFailed, LegRejected, LegRinging
from tests.legs.pyvoip.peer import SDP, Message, Peer
from tests.legs.pyvoip.rig import Bench, Leg, credentials

ANSWER = SDP.format(port=40000, more="")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench() as made:
        yield made


@pytest.fixture
async def peer(bench: Bench) -> AsyncIterator[Peer]:
    async with Peer(bench.endpoints.own_port) as made:
        yield made


async def dialled(bench: Bench, peer: Peer, **words: object) -> tuple[Leg, Message]:
    """Place a call; return it with its INVITE."""
    leg = bench.call(f"sip:bob@127.0.0.1:{peer.port}", **words)
    return leg, await peer.until("INVITE")


async def test_invite_says_who_calls_whom_and_what_with(bench: Bench, peer: Peer) -> None:
    leg, invite = await dialled(
        bench, peer, caller="+4930123", headers={"X-Order": "7"}, sip=credentials("", "")
    )
    assert invite.first == f"INVITE sip:bob@127.0.0.1:{peer.port} SIP/2.0"
    assert invite["From"].startswith("<sip:+4930123@127.0.0.1>;tag=")
    assert invite["X-Order"] == "7"
    assert "a=rtpmap:0 PCMU/8000" in invite.body
    assert "a=rtpmap:101 telephone-event/8000" in invite.body
    peer.reply(invite, 486, "Busy Here")
    assert (await peer.until("ACK"))["CSeq"] == "1 ACK"
    rejected = await leg.until(LegRejected)
    assert (rejected.code, rejected.reason) == (486, "Busy Here")
    await leg.endpoint.closed()


async def test_invite_is_repeated_until_something_comes_back(bench: Bench, peer: Peer) -> None:
    leg, first = await dialled(bench, peer)
    assert (await peer.next()).text == first.text
    peer.reply(first, 100)
    assert await peer.silent(1.2)
    peer.reply(first, 404, "Not Found")
    assert (await leg.until(LegRejected)).code == 404


async def test_ack_goes_to_the_contact_by_the_route_with_the_tag_of_the_answer(
    bench: Bench, peer: Peer
) -> None:
    leg, invite = await dialled(bench, peer)
    routes = "Record-Route: <sip:near.example;lr>\r\nRecord-Route: <sip:far.example;lr>\r\n"
    peer.reply(invite, 200, "OK", peer.contact() + routes, ANSWER)
    ack = await peer.until("ACK")
    assert ack.first == f"ACK sip:there@127.0.0.1:{peer.port} SIP/2.0"
    assert ack.tag == "far"
    assert [route.partition(".")[0] for route in ack.all("Route")] == ["<sip:far", "<sip:near"]
    assert ack["CSeq"] == "1 ACK"
    answered = await leg.until(LegAnswered)
    assert answered.codec == "pcma"
    peer.reply(invite, 200, "OK", peer.contact() + routes, ANSWER)
    assert (await peer.until("ACK")).text == ack.text
    await leg.end()


@pytest.mark.parametrize("code", [401, 407])
async def test_challenge_is_met_once(bench: Bench, peer: Peer, code: int) -> None:
    leg, invite = await dialled(bench, peer, sip=credentials("alice", "secret"))
    asked, given = {
        401: ("WWW-Authenticate", "Authorization"),
        407: ("Proxy-Authenticate", "Proxy-Authorization"),
    }[code]
    challenge = f'{asked}: Digest realm="r", nonce="n1", algorithm=MD5, qop="auth"\r\n'
    peer.reply(invite, code, "-", challenge)
    assert (await peer.until("ACK"))["CSeq"] == "1 ACK"
    again = await peer.until("INVITE")
    assert again["CSeq"] == "2 INVITE"
    assert 'username="alice"' in again[given]
    assert "secret" not in again.text
    assert again["Call-ID"] == invite["Call-ID"]
    assert again["From"] == invite["From"]
    assert again["Via"] != invite["Via"]
    peer.reply(again, code, "-", challenge)
    await peer.until("ACK")
    assert (await leg.until(LegRejected)).code == code


async def test_call_without_a_password_ends_where_one_is_asked_for(bench: Bench, peer: Peer) -> None:
    leg, invite = await dialled(bench, peer)
    peer.reply(invite, 407, "-", 'Proxy-Authenticate: Digest realm="r", nonce="n1"\r\n')
    assert (await leg.until(LegRejected)).code == 407


@pytest.mark.parametrize("code", [302, 404, 480, 488, 503, 603, 699])
async def test_refusal_of_any_code_is_told_and_acknowledged(bench: Bench, peer: Peer, code: int) -> None:
    leg, invite = await dialled(bench, peer)
    peer.reply(invite, code, "As You Like")
    ack = await peer.until("ACK")
    assert ack["Via"] == invite["Via"]
    rejected = await leg.until(LegRejected)
    assert (rejected.code, rejected.reason) == (code, "As You Like")
    peer.reply(invite, code, "As You Like")
    assert (await peer.until("ACK")).text == ack.text
    await leg.endpoint.closed()


async def test_hangup_waits_with_the_cancel_until_it_may_be_sent(bench: Bench, peer: Peer) -> None:
    leg, invite = await dialled(bench, peer)
    leg.endpoint.hangup()
    assert await peer.silent(0.2)
    peer.reply(invite, 180)
    cancel = await peer.until("CANCEL")
    assert cancel["Via"] == invite["Via"]
    assert cancel["CSeq"] == "1 CANCEL"
    peer.reply(cancel, 200)
    peer.reply(invite, 487, "Request Terminated")
    await peer.until("ACK")
    await leg.endpoint.closed()
    assert leg.reports == []


async def test_answer_that_crosses_the_cancel_is_hung_up(bench: Bench, peer: Peer) -> None:
    leg, invite = await dialled(bench, peer)
    peer.reply(invite, 180)
    await leg.until(LegRinging)
    leg.endpoint.hangup()
    await peer.until("CANCEL")
    peer.reply(invite, 200, "OK", peer.contact(), ANSWER)
    await peer.until("ACK")
    await peer.until("BYE")
    await leg.endpoint.closed()


async def test_ringing_for_too_long_is_given_up_with_408(bench: Bench, peer: Peer) -> None:
    leg, invite = await dialled(bench, peer, ring_s=0.3)
    peer.reply(invite, 180)
    cancel = await peer.until("CANCEL")
    assert (await leg.until(LegRejected)).code == 408
    peer.reply(cancel, 200)
    peer.reply(invite, 487)
    await peer.until("ACK")
    await leg.endpoint.closed()


async def test_early_media_is_told_and_the_answer_needs_no_second_description(
    bench: Bench, peer: Peer
) -> None:
    leg, invite = await dialled(bench, peer)
    peer.reply(invite, 183, "Session Progress", peer.contact(), ANSWER)
    assert (await leg.until(LegRinging)).early_media
    peer.reply(invite, 180, "Ringing", peer.contact())
    peer.reply(invite, 200, "OK", peer.contact())
    await leg.until(LegAnswered)
    assert len(leg.told(LegRinging)) == 1
    await leg.end()


async def test_second_callee_of_a_fork_gets_ack_and_bye(bench: Bench, peer: Peer) -> None:
    leg, invite = await dialled(bench, peer)
    peer.reply(invite, 200, "OK", peer.contact(), ANSWER)
    await peer.until("ACK")
    await leg.until(LegAnswered)
    peer.polite = False
    other = Message(invite.text.replace(invite["To"], invite["To"] + ";tag=other"))
    peer.reply(other, 200, "OK", peer.contact(), ANSWER)
    assert (await peer.until("ACK")).tag == "other"
    bye = await peer.until("BYE")
    assert bye.tag == "other"
    peer.reply(bye, 200)
    assert not leg.told(LegEnded)
    peer.polite = True
    await leg.end()


@pytest.mark.parametrize("answer", ["", ANSWER.replace("8 0 101", "9"), "nonsense"])
async def test_answer_that_cannot_be_met_ends_the_call(bench: Bench, peer: Peer, answer: str) -> None:
    leg, invite = await dialled(bench, peer)
    peer.reply(invite, 200, "OK", peer.contact(), answer)
    await peer.until("ACK")
    await peer.until("BYE")
    await leg.until(LegFailed)
    await leg.endpoint.closed()


async def test_callee_who_hangs_up_is_told_as_the_callee(bench: Bench, peer: Peer) -> None:
    leg, invite = await dialled(bench, peer)
    peer.reply(invite, 200, "OK", peer.contact(), ANSWER)
    ack = await peer.until("ACK")
    tag = ack["From"].partition("tag=")[2]
    await leg.until(LegAnswered)
    peer.request("BYE", call=invite["Call-ID"], tag="far", to_tag=tag, sequence=1)
    ended = await leg.until(LegEnded)
    assert (ended.reason, ended.initiator) == ("callee", "callee")


@pytest.mark.parametrize(
    ("callee", "code"),
    [
        ("4930123", 404),
        ("sip:bob@example.org", 404),
        ("sip:bob@192.0.2.1", 403),
        ("sip:b b@127.0.0.1", 400),
        ("sip:bob@[::1]", 404),
    ],
)
async def test_callee_that_the_local_phone_cannot_reach_is_refused_at_once(
    bench: Bench, callee: str, code: int
) -> None:
    leg = bench.call(callee)
    assert (await leg.until(LegRejected)).code == code
    await leg.endpoint.closed()


@pytest.mark.parametrize("headers", [{"Via": "x"}, {"X": "a\r\nb"}, {"not a name": "x"}])
async def test_headers_that_are_ours_or_malformed_are_refused(bench: Bench, headers: dict[str, str]) -> None:
    leg = bench.call("sip:bob@127.0.0.1", headers=headers)
    assert (await leg.until(LegRejected)).code == 400


async def test_call_beyond_the_limit_is_refused_with_a_clear_message(bench: Bench, peer: Peer) -> None:
    bench.endpoints.limits.most = 0
    leg = bench.call(f"sip:bob@127.0.0.1:{peer.port}")
    rejected = await leg.until(LegRejected)
    assert rejected.code == 503
    assert rejected.reason.startswith("pyVoIP: the limit of 0 calls is reached")
    bench.endpoints.limits.most = 30
    await asyncio.sleep(0)
    assert await peer.silent(0.1)
