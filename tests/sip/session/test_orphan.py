"""Calls of an agent that is gone, ended by another agent."""

import itertools

import msgspec
import pytest

from softswitch.sip.agent import UserAgent
from softswitch.sip.session.invitation import Invitation
from softswitch.sip.session.orphan import SKIP, Orphan
from softswitch.sip.syntax.message import Request, Response, parse
from softswitch.sip.transaction.flow import Flow

HERE = Flow("udp", "192.0.2.1", 5060, 0, "192.0.2.9", 5060)
SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"


def agent(mark=""):
    numbers = itertools.count(1)
    return UserAgent(entropy=lambda size: next(numbers).to_bytes(size, "big"), mark=mark)


def sent(of):
    return [parse(message.data) for message in of.take_outgoing()]


def through_the_bus(orphan):
    assert orphan is not None
    return msgspec.msgpack.decode(msgspec.msgpack.encode(orphan), type=Orphan)


def pass_on(source, target, now=0.0):
    """Deliver what one agent has sent to the other; return it."""
    messages = sent(source)
    for message in messages:
        target.receive(parse(bytes(message)), HERE, now)
    return messages


@pytest.fixture
def parties():
    """An agent that dies, its peer, and its heir."""
    return agent("s0001"), agent(), agent("s0002")


def invite(caller):
    return caller.invite(
        Invitation("sip:b@192.0.2.1", "<sip:a@192.0.2.9>", "<sip:b@192.0.2.1>", (HERE,), sdp=SDP), 0.0
    )


def answered(dying, peer):
    session = invite(dying)
    pass_on(dying, peer)
    far = peer.take_events()[0].session
    peer.answer(far, SDP, 0.0)
    pass_on(peer, dying)
    pass_on(dying, peer)
    peer.take_events()
    return session


def test_a_call_in_progress_gets_bye(parties):
    dying, peer, heir = parties
    orphan = through_the_bus(dying.orphan(answered(dying, peer)))
    heir.end_orphan(orphan, None, 1.0)
    (bye,) = pass_on(heir, peer, 1.0)
    assert isinstance(bye, Request)
    assert (bye.method, bye.cseq.sequence) == ("BYE", 1 + SKIP + 1)
    assert [type(event).__name__ for event in peer.take_events()] == ["Ended"]
    (ok,) = pass_on(peer, heir, 1.0)
    assert isinstance(ok, Response)
    assert ok.code == 200


def test_a_call_that_was_received_gets_bye_too(parties):
    dying, peer, heir = parties
    invite(peer)
    pass_on(peer, dying)
    session = dying.take_events()[0].session
    dying.answer(session, SDP, 0.0)
    pass_on(dying, peer)
    pass_on(peer, dying)
    peer.take_events()
    heir.end_orphan(through_the_bus(dying.orphan(session)), None, 1.0)
    pass_on(heir, peer, 1.0)
    assert [type(event).__name__ for event in peer.take_events()] == ["Ended"]


def test_an_invite_that_rings_is_cancelled_on_its_own_branch(parties):
    dying, peer, heir = parties
    session = invite(dying)
    (request,) = pass_on(dying, peer)
    peer.ring(peer.take_events()[0].session, 0.0)
    pass_on(peer, dying)
    heir.end_orphan(through_the_bus(dying.orphan(session)), None, 1.0)
    (cancel,) = pass_on(heir, peer, 1.0)
    assert cancel.method == "CANCEL"
    assert cancel.via[0].parameters["branch"] == request.via[0].parameters["branch"]
    assert [type(event).__name__ for event in peer.take_events()] == ["Cancelled"]
    pass_on(peer, heir, 1.0)
    (ack,) = pass_on(heir, peer, 1.0)
    assert ack.method == "ACK"


def test_a_late_answer_gets_ack_and_bye(parties):
    dying, peer, heir = parties
    session = invite(dying)
    pass_on(dying, peer)
    far = peer.take_events()[0].session
    peer.ring(far, 0.0)
    pass_on(peer, dying)
    heir.end_orphan(through_the_bus(dying.orphan(session)), None, 1.0)
    sent(heir)  # the CANCEL is lost
    peer.answer(far, SDP, 1.0)
    pass_on(peer, heir, 1.0)
    assert [message.method for message in pass_on(heir, peer, 1.0)] == ["ACK", "BYE"]


def test_an_invite_without_an_answer_gets_500(parties):
    dying, peer, heir = parties
    invite(peer)
    pass_on(peer, dying)
    session = dying.take_events()[0].session
    dying.ring(session, 0.0)
    pass_on(dying, peer)
    peer.take_events()
    heir.end_orphan(through_the_bus(dying.orphan(session)), None, 1.0)
    (refusal,) = pass_on(heir, peer, 1.0)
    assert isinstance(refusal, Response)
    assert refusal.code == 500
    assert [type(event).__name__ for event in peer.take_events()] == ["Rejected"]


def test_an_ended_call_leaves_nothing(parties):
    dying, peer, _ = parties
    session = answered(dying, peer)
    dying.bye(session, 0.0)
    assert dying.orphan(session) is None
    assert dying.progress(session) is None
