"""The user agent as its shell sees it."""

import pytest

from softswitch.sip.agent import AgentLimits, Flow
from softswitch.sip.dialog.request import OutgoingRequest
from softswitch.sip.events import (
    Answered,
    Cancelled,
    Ended,
    Invited,
    OfferAnswered,
    Offered,
    Rejected,
    RequestAnswered,
)
from softswitch.sip.security.digest import Credentials
from softswitch.sip.syntax import message
from tests.sip.answers import challenge_once
from tests.sip.forgery import forge, plain
from tests.sip.link import ANSWER, HELD, HOLD, Link, talking


def test_request_is_answered_with_credentials_and_its_outcome_told():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    challenge_once(link, "bert", "WWW-Authenticate", 401)
    outgoing = OutgoingRequest(
        "OPTIONS",
        "sip:bert@10.0.0.2",
        from_="<sip:anna@10.0.0.1>",
        to="<sip:bert@10.0.0.2>",
        targets=(anna.flow_to(bert),),
        credentials=Credentials("anna", "secret"),
    )
    key = anna.agent.request(outgoing, link.now)
    assert anna.agent.busy
    link.run(0.1)
    answered = anna.the(RequestAnswered)
    assert (answered.key, answered.response.code, answered.local) == (key, 200, False)
    assert not anna.agent.busy


def test_request_to_nobody_is_408():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    link.filter = lambda *_: False
    outgoing = OutgoingRequest(
        "MESSAGE",
        "sip:bert@10.0.0.2",
        from_="<sip:a@b>",
        to="<sip:c@d>",
        targets=(anna.flow_to(bert),),
        body=b"hello",
        content_type="text/plain",
        contact="",
    )
    anna.agent.request(outgoing, link.now)
    link.run(40)
    assert (anna.the(RequestAnswered).response.code, anna.the(RequestAnswered).local) == (408, True)
    assert "Contact" not in link.sent[0][2].headers


def test_connection_that_opens_for_a_call_is_used_for_all_of_it():
    link = Link("anna", "bert", transport="tcp")
    anna, bert = link["anna"], link["bert"]
    flow = Flow("tcp", "10.0.0.2", 5060, 0, "10.0.0.1", 5060)
    session = anna.call(bert, targets=(flow,))
    out = anna.agent.take_outgoing()[0]
    assert out.to.connection == 0
    opened = Flow("tcp", "10.0.0.2", 5060, 12, "10.0.0.1", 5060)
    bert.agent.receive(message.parse(out.data), Flow("tcp", "10.0.0.1", 40000, 4, "10.0.0.2", 5060), link.now)
    bert.agent.take_events()
    berts = bert.agent.sessions[0]
    bert.agent.answer(berts, ANSWER, link.now)
    for reply in bert.agent.take_outgoing():
        assert reply.to.connection == 4
        anna.agent.receive(message.parse(reply.data), opened, link.now)
    assert anna.agent.take_outgoing()[0].to.connection == 12
    anna.agent.send_failed(opened, link.now)
    anna.agent.bye(session, link.now)
    assert anna.agent.take_outgoing()[0].to.connection == 0


def test_more_transactions_than_allowed_are_503_with_retry_after():
    link = Link("anna", "bert", limits=AgentLimits(transactions=3))
    bert = link["bert"]
    for number in range(5):
        bert.inject(plain("MESSAGE", branch=f"z9hG4bK{number}", sequence=number + 1), link["anna"])
    link.run(0.1)
    assert [sent.code for _, _, sent in link.sent] == [503, 503]
    assert link.sent[0][2].headers["Retry-After"]
    assert bert.agent.counters["overload"] == 2


def test_more_calls_than_allowed_are_503():
    link = Link("anna", "bert", limits=AgentLimits(sessions=1))
    anna, bert = link["anna"], link["bert"]
    anna.call(bert)
    link.run(0.1)
    bert.inject(
        plain("INVITE", extra="Contact: <sip:a@10.0.0.1>\n"),
        anna,
    )
    link.run(0.1)
    assert link.sent[-1][2].code == 503


@pytest.mark.parametrize("seed", range(12))
def test_calls_on_a_bad_network_end_well(seed):
    link = Link("anna", "bert", seed=seed, loss=0.25, doubling=0.2, delay=0.08)
    anna, bert = link["anna"], link["bert"]
    bert.reactions[Invited] = lambda one: (
        bert.agent.ring(one.session, link.now, code=183, sdp=ANSWER),
        bert.agent.answer(one.session, ANSWER, link.now),
    )
    bert.reactions[Offered] = lambda one: bert.agent.accept_offer(one.session, HELD, link.now)
    anna.reactions[Answered] = lambda one: anna.agent.reinvite(one.session, HOLD, link.now)
    sessions = [anna.call(bert) for _ in range(5)]
    link.run(60)
    held = {one.session for one in anna.of(OfferAnswered)}
    for session in sessions:
        if session in held:
            assert anna.agent.bye(session, link.now)
    link.run(200)
    assert len(bert.of(Invited)) <= 5
    assert len(held) >= 3
    assert not anna.agent.sessions
    assert not bert.agent.sessions
    for peer in (anna, bert):
        ends = [one.session for one in peer.happened if isinstance(one, Ended | Rejected | Cancelled)]
        assert len(ends) == len(set(ends)) == 5
        assert peer.agent.deadline() is None
        assert len(peer.agent._context.transactions) == 0


def test_thousand_calls_leave_nothing_behind():
    link = Link("anna", "bert", transport="tcp")
    anna, bert = link["anna"], link["bert"]
    bert.reactions[Invited] = lambda one: bert.agent.answer(one.session, ANSWER, link.now)
    anna.reactions[Answered] = lambda one: anna.agent.bye(one.session, link.now)
    for _ in range(300):
        anna.call(bert)
        link.run(0.01)
    link.run(100)
    assert len(anna.of(Ended)) == len(bert.of(Ended)) == 300
    assert len(anna.agent._context.transactions) == len(bert.agent._context.transactions) == 0
    assert not bert.agent._context.transactions._merged
    assert not anna.agent._sessions.by_dialog


def test_call_in_progress_may_end_though_no_more_may_begin():
    link, _anna, bert, _annas, berts = talking(limits=AgentLimits(transactions=6))
    for number in range(9):
        bert.inject(plain("MESSAGE", branch=f"z9hG4bK{number}", sequence=number + 1), link["anna"])
    assert bert.agent.counters["overload"] >= 3
    assert forge(bert, berts, "BYE").code == 200
    assert bert.of(Ended)


def test_outgoing_call_beyond_the_limit_comes_to_nothing_at_once():
    link = Link("anna", "bert", limits=AgentLimits(sessions=1))
    anna, bert = link["anna"], link["bert"]
    anna.call(bert)
    anna.call(bert)
    link.run(0.1)
    assert (anna.the(Rejected).code, anna.the(Rejected).local) == (503, True)
    assert len(anna.agent.sessions) == 1


def test_address_that_cannot_be_reached_fails_its_requests_alone():
    link = Link("anna", "bert", "carl")
    anna, bert, carl = link["anna"], link["bert"], link["carl"]
    link.filter = lambda *_: False
    anna.call(bert)
    anna.call(carl)
    link.run(0.1)
    anna.agent.send_failed(anna.flow_to(bert), link.now)
    link.run(0.1)
    assert anna.the(Rejected).code == 503
    assert len(anna.agent.sessions) == 1


def test_response_with_a_second_via_is_dropped():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    link.filter = lambda *_: False
    anna.call(bert)
    link.run(0.1)
    invite = link.sent[0][2]
    anna.inject(
        f"SIP/2.0 486 Busy\nVia: {invite.headers['Via']}, SIP/2.0/UDP 10.9.9.9\n"
        f"From: {invite.headers['From']}\n"
        f"To: {invite.headers['To']};tag=x\nCall-ID: {invite.call_id}\nCSeq: 1 INVITE\n\n",
        bert,
    )
    link.run(0.1)
    assert not anna.happened
    assert anna.agent.counters["stray_response"] == 1
