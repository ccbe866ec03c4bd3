"""Reliable provisional responses, both ways."""

import pytest

from softswitch.sip.events import (
    Answered,
    Cancelled,
    Ended,
    Invited,
    Offered,
)
from softswitch.sip.syntax.message import Request
from tests.sip.forgery import send_inside
from tests.sip.link import ANSWER, HELD, HOLD, OFFER, Link, short


@pytest.mark.parametrize("reliable", ["supported", "required"])
def test_early_media_is_sent_reliably_and_the_answer_waits_for_the_prack(reliable):
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    anna.call(bert, reliable=reliable)
    link.run(0.1)
    berts = bert.the(Invited).session
    bert.agent.ring(berts, link.now, code=183, sdp=ANSWER)
    bert.agent.answer(berts, ANSWER, link.now)
    link.run()
    assert link.flows()[2:] == [
        "bert>anna 183 INVITE",
        "anna>bert PRACK",
        "bert>anna 200 PRACK",
        "bert>anna 200 INVITE",
        "anna>bert ACK",
    ]
    assert anna.the(Answered).sdp is None


def test_reliable_response_is_sent_until_its_prack_then_the_call_is_refused():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    anna.call(bert, reliable="required")
    link.run(0.1)
    link.filter = lambda _s, _r, sent: not (isinstance(sent, Request) and sent.method == "PRACK")
    bert.agent.ring(bert.the(Invited).session, link.now)
    link.run(33)
    assert link.count("bert>anna 180 INVITE") == 7
    assert bert.the(Ended).reason == "no_ack"
    assert link.count("bert>anna 504 INVITE") >= 1


def test_prack_of_nothing_is_481():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    session = anna.call(bert, reliable="no")
    link.run(0.1)
    bert.agent.ring(bert.the(Invited).session, link.now)
    link.run(0.1)
    request, flow = anna.agent._sessions.by_id[session].state.dialog.request("PRACK")
    request.headers.set("RAck", "1 1 INVITE")
    heard = []
    anna.agent._context.send_request(request, flow, lambda _t, response, _m: heard.append(response.code))
    link.run(0.1)
    assert heard == [481]


def test_reliable_responses_go_one_after_the_other():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    anna.call(bert, reliable="required")
    link.run(0.1)
    berts = bert.the(Invited).session
    for code in (180, 182, 183):
        assert bert.agent.ring(berts, link.now, code=code)
    bert.agent.answer(berts, ANSWER, link.now)
    link.run()
    assert link.count("anna>bert PRACK") >= 1
    assert anna.the(Answered).sdp == ANSWER


def test_offer_in_a_prack_is_answered_in_its_200():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    session = anna.call(bert, reliable="required")
    link.run(0.1)
    berts = bert.the(Invited).session
    link.filter = lambda sender, _r, sent: sender == "bert" or short(sent) != "PRACK"
    bert.agent.ring(berts, link.now, code=183, sdp=ANSWER)
    link.run(0.1)
    link.filter = lambda *_: True
    rack = next(sent for _, _, sent in link.sent if isinstance(sent, Request) and sent.method == "PRACK")
    bert.reactions[Offered] = lambda one: bert.agent.accept_offer(one.session, HELD, link.now)
    codes = send_inside(link, anna, session, "PRACK", headers=[("RAck", rack.headers["RAck"])], sdp=HOLD)
    assert codes == [200]
    assert bert.the(Offered).method == "PRACK"
    assert next(sent for _, _, sent in reversed(link.sent) if sent.body).body == HELD.encode()


def test_early_offer_that_is_refused_cancels_the_call():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    session = anna.call(bert, sdp=None, reliable="required")
    link.run(0.1)
    bert.agent.ring(bert.the(Invited).session, link.now, code=183, sdp=OFFER)
    link.run(0.1)
    assert anna.agent.refuse_offer(session, 488, link.now)
    link.run(1)
    assert anna.the(Ended).reason == "media_refused"
    assert bert.the(Cancelled)


def test_description_of_early_media_is_sent_reliably_only_once():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    anna.call(bert)
    link.run(0.1)
    berts = bert.the(Invited).session
    link.filter = lambda sender, _r, _sent: sender == "bert"
    for _ in range(5):
        bert.agent.ring(berts, link.now, code=183, sdp=ANSWER)
    link.run(0.1)
    assert bert.agent.counters["provisional_dropped"] == 0
    link.filter = lambda *_: True
    link.run(2)
    described = {sent.headers["RSeq"] for _, _, sent in link.sent if sent.body == ANSWER.encode()}
    assert len(described) == 1


def test_reliable_responses_that_wait_are_bounded():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    anna.call(bert, reliable="required")
    link.run(0.1)
    link.filter = lambda *_: False
    sent = [bert.agent.ring(bert.the(Invited).session, link.now, code=182) for _ in range(20)]
    assert sent.count(True) == 9
    assert bert.agent.counters["provisional_dropped"] == 11
