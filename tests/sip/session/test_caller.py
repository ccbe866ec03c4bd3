"""Outgoing calls until they are answered."""

import pytest

from softswitch.sip.agent import Flow, Invitation
from softswitch.sip.events import (
    Answered,
    Confirmed,
    Ended,
    Invited,
    Offered,
    Progressed,
    Rejected,
)
from softswitch.sip.syntax.grammar import MalformedError
from softswitch.sip.syntax.message import Request
from tests.sip.link import ANSWER, OFFER, Link


def ringing(**wish):
    link = Link("anna", "bert", "carl")
    anna, bert = link["anna"], link["bert"]
    session = anna.call(bert, **wish)
    link.run(0.1)
    return link, anna, bert, session


def test_call_is_offered_rung_answered_and_acknowledged():
    link, anna, bert, session = ringing()
    berts = bert.the(Invited)
    assert berts.offer == OFFER
    bert.agent.ring(berts.session, link.now)
    bert.agent.answer(berts.session, ANSWER, link.now, headers={"X-Name": "value"})
    link.run()
    assert anna.the(Progressed).code == 180
    assert anna.the(Answered).sdp == ANSWER
    assert anna.the(Answered).headers["X-Name"] == "value"
    assert bert.the(Confirmed).session == berts.session
    assert link.flows() == [
        "anna>bert INVITE",
        "bert>anna 100 INVITE",
        "bert>anna 180 INVITE",
        "bert>anna 200 INVITE",
        "anna>bert ACK",
    ]
    call_id, annas, other = anna.agent.dialog(session)
    assert bert.agent.dialog(berts.session) == (call_id, other, annas)


def test_refusal_is_acknowledged_within_the_transaction():
    link, anna, bert, session = ringing()
    bert.agent.reject(bert.the(Invited).session, 486, link.now, headers={"Reason": "Q.850;cause=17"})
    link.run()
    rejected = anna.the(Rejected)
    assert (rejected.session, rejected.code, rejected.local) == (session, 486, False)
    assert rejected.headers["Reason"] == "Q.850;cause=17"
    invite, ack = link.sent[0][2], link.sent[-1][2]
    assert isinstance(ack, Request)
    assert ack.method == "ACK"
    assert ack.via[0].parameters["branch"] == invite.via[0].parameters["branch"]
    assert bert.the(Ended).reason == "rejected"


def test_cancel_waits_for_a_provisional_response():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    link.filter = lambda sender, _receiver, sent: sender == "anna"
    session = anna.call(bert)
    link.run(0.1)
    anna.agent.bye(session, link.now)
    link.run(0.1)
    assert link.count("anna>bert CANCEL") == 0
    link.filter = lambda *_: True
    link.run(1.0)
    assert link.count("anna>bert CANCEL") == 1
    assert link.count("bert>anna 200 CANCEL") == 1
    assert anna.the(Rejected).code == 487
    assert len(bert.happened) == 2


def test_answer_that_crosses_the_cancel_is_ended_with_bye():
    link, anna, bert, session = ringing()
    berts = bert.the(Invited).session
    link.filter = lambda _sender, _receiver, sent: not (isinstance(sent, Request) and sent.method == "CANCEL")
    anna.agent.bye(session, link.now)
    link.run(0.1)
    bert.agent.answer(berts, ANSWER, link.now)
    link.run()
    assert anna.the(Rejected).code == 487
    assert bert.last(Ended).reason == "bye"
    assert link.count("anna>bert ACK") == 1


def test_cancelled_call_ends_though_487_never_comes():
    link, anna, _bert, session = ringing()
    link.filter = lambda sender, *_: sender == "anna"
    anna.agent.bye(session, link.now)
    link.run(40)
    assert anna.the(Rejected).local
    link.run(200)
    assert anna.agent.deadline() is None


def test_silence_is_408_and_a_refused_transport_503():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    link.filter = lambda *_: False
    anna.call(bert)
    link.run(31.0)
    assert not anna.of(Rejected)
    link.run(2.0)
    assert (anna.the(Rejected).code, anna.the(Rejected).local) == (408, True)
    assert link.count("anna>bert INVITE") == 7
    anna.happened.clear()
    anna.call(bert)
    anna.agent.send_failed(anna.agent.take_outgoing()[0].transaction, link.now)
    link.run()
    assert (anna.the(Rejected).code, anna.the(Rejected).local) == (503, True)


@pytest.mark.parametrize("how", ["silence", "refused", "503"])
def test_next_server_is_tried(how):
    link = Link("anna", "bert", "carl")
    anna, bert, carl = link["anna"], link["bert"], link["carl"]
    targets = (anna.flow_to(bert), anna.flow_to(carl))
    if how == "silence":
        link.filter = lambda _sender, receiver, _sent: receiver != "bert"
    if how == "503":
        bert.reactions[Invited] = lambda one: bert.agent.reject(one.session, 503, link.now)
    session = anna.call(bert, targets=targets)
    if how == "refused":
        anna.agent.send_failed(anna.agent.take_outgoing()[0].transaction, link.now)
    link.run(7)
    berts = carl.the(Invited)
    carl.agent.answer(berts.session, ANSWER, link.now)
    link.run()
    assert anna.the(Answered).session == session
    assert carl.the(Confirmed)


def test_server_that_wakes_up_after_the_next_was_tried_is_told_to_stop():
    link = Link("anna", "bert", "carl")
    anna, bert, carl = link["anna"], link["bert"], link["carl"]
    link.filter = lambda sender, _receiver, _sent: sender != "bert"
    anna.call(bert, targets=(anna.flow_to(bert), anna.flow_to(carl)))
    link.run(7)
    carl.agent.answer(carl.the(Invited).session, ANSWER, link.now)
    link.filter = lambda *_: True
    bert.agent.answer(bert.the(Invited).session, ANSWER, link.now)
    link.run(1)
    assert bert.last(Ended).reason == "bye"
    assert not carl.of(Ended)
    anna.the(Answered)


def test_delayed_offer_is_answered_in_the_ack():
    link, anna, bert, session = ringing(sdp=None)
    berts = bert.the(Invited)
    assert berts.offer is None
    bert.agent.answer(berts.session, OFFER, link.now)
    link.run()
    answered = anna.the(Answered)
    assert (answered.sdp, answered.wants_answer) == (OFFER, True)
    assert not bert.of(Confirmed)
    anna.agent.accept_offer(session, ANSWER, link.now)
    link.run()
    assert bert.the(Confirmed).sdp == ANSWER


def test_delayed_offer_that_is_refused_ends_the_call():
    link, anna, bert, session = ringing(sdp=None)
    bert.agent.answer(bert.the(Invited).session, OFFER, link.now)
    link.run(0.1)
    anna.agent.refuse_offer(session, 488, link.now)
    link.run()
    assert anna.the(Ended).reason == "media_refused"
    assert bert.the(Ended).reason == "bye"


def test_early_media_is_told():
    link, anna, bert, _ = ringing(reliable="no")
    berts = bert.the(Invited).session
    bert.agent.ring(berts, link.now, code=183, sdp=ANSWER)
    link.run()
    assert (anna.the(Progressed).code, anna.the(Progressed).sdp) == (183, ANSWER)
    bert.agent.answer(berts, None, link.now)
    link.run()
    assert anna.the(Answered).sdp == ANSWER


def test_headers_of_the_stack_are_not_the_shells_to_write():
    link = Link("anna", "bert")
    link["anna"].call(
        link["bert"],
        headers={"Via": "x", "call-id": "y", "X-A": "1\r\nEvil: 2", "Bad Name": "z", "P-Id": "7"},
    )
    link.run(0.01)
    invite = link.sent[0][2]
    assert invite.headers["X-A"] == "1  Evil: 2"
    assert invite.headers["P-Id"] == "7"
    assert "Evil" not in invite.headers
    assert invite.call_id != "y"


def test_malformed_invitation_names_the_field():
    link = Link("anna", "bert")
    with pytest.raises(MalformedError) as caught:
        link["anna"].call(link["bert"], targets=())
    assert caught.value.field == "targets"
    there = (link["anna"].flow_to(link["bert"]),)
    with pytest.raises(MalformedError) as caught:
        link["anna"].agent.invite(Invitation("sip:b@c", "<sip:a@b>;tag=1", "<sip:b@c>", there), link.now)
    assert caught.value.field == "from_"


def test_contact_and_via_are_written_for_the_flow():
    link = Link("anna", "bert")
    flow = Flow("wss", "10.0.0.2", 443, 3, "switch.example.org", 443)
    link["anna"].call(link["bert"], targets=(flow,), contact_user="1000")
    out = link["anna"].agent.take_outgoing()[0]
    assert b"Via: SIP/2.0/WSS switch.example.org:443;" in out.data
    assert b"Contact: <sip:1000@switch.example.org:443;transport=ws>" in out.data
    assert out.to == flow


def test_early_offer_in_a_reliable_response_is_answered_by_prack():
    link, anna, bert, session = ringing(sdp=None, reliable="required")
    berts = bert.the(Invited).session
    bert.agent.ring(berts, link.now, code=183, sdp=OFFER)
    link.run()
    assert anna.the(Offered).method == "1xx"
    anna.agent.accept_offer(session, ANSWER, link.now)
    link.run()
    bert.agent.answer(berts, None, link.now)
    link.run()
    assert anna.the(Answered).wants_answer is False
    assert bert.the(Confirmed)


def test_hanging_up_instead_of_answering_a_late_offer_acknowledges_first():
    link, anna, bert, session = ringing(sdp=None)
    bert.agent.answer(bert.the(Invited).session, OFFER, link.now)
    link.run(0.1)
    anna.agent.bye(session, link.now)
    link.run()
    assert link.flows()[-3:] == ["anna>bert ACK", "anna>bert BYE", "bert>anna 200 BYE"]
