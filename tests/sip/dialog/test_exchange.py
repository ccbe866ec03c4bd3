"""Challenges, forks and redirections of the agent's requests."""

import random

import pytest

from softswitch.sip.agent import AgentLimits, Flow, Invitation, Outgoing, UserAgent
from softswitch.sip.events import (
    Answered,
    Ended,
    Invited,
    Progressed,
    Rejected,
)
from softswitch.sip.security.digest import Credentials
from softswitch.sip.syntax.message import Request, Response
from tests.sip.answers import challenge_once, forked, response
from tests.sip.link import ANSWER, OFFER, Link


@pytest.mark.parametrize(("header", "code"), [("WWW-Authenticate", 401), ("Proxy-Authenticate", 407)])
def test_challenge_is_answered_and_the_ack_carries_the_same_credentials(header, code):
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    challenge_once(link, "bert", header, code)
    session = anna.call(bert, credentials=Credentials("anna", "secret"))
    link.run()
    bert.agent.answer(bert.the(Invited).session, ANSWER, link.now)
    link.run()
    anna.the(Answered)
    invites = [sent for _, _, sent in link.sent if isinstance(sent, Request) and sent.method == "INVITE"]
    assert [one.cseq.sequence for one in invites] == [1, 2]
    answer = "Proxy-Authorization" if code == 407 else "Authorization"
    ack = next(
        sent
        for _, _, sent in reversed(link.sent)
        if isinstance(sent, Request) and sent.method == "ACK" and sent.cseq.sequence == 2
    )
    assert ack.headers[answer] == invites[1].headers[answer]
    anna.agent.bye(session, link.now)
    link.run()
    assert bert.the(Ended).reason == "bye"


def test_wrong_password_is_given_up_after_one_answer():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    challenge_once(link, "bert", "WWW-Authenticate", 401, nonces=("never sent",))
    bert.agent.knows = lambda message: False
    refuse = bert.agent.receive

    def always(message, flow, now):
        if isinstance(message, Request) and message.method == "INVITE":
            value = f'Digest realm="there", nonce="{now}", qop="auth"'
            bert.agent.respond_stateless(message, flow, 401, headers={"WWW-Authenticate": value})
        else:
            refuse(message, flow, now)

    bert.agent.receive = always
    anna.call(bert, credentials=Credentials("anna", "wrong"))
    link.run(1)
    assert anna.the(Rejected).code == 401
    assert link.count("anna>bert INVITE") == 2


def test_stale_nonce_is_answered_anew():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    nonces = ["n1"]
    challenge_once(link, "bert", "WWW-Authenticate", 401, nonces=nonces)
    original = link.filter

    def rotate(sender, receiver, sent):
        if isinstance(sent, Response) and sent.code == 401 and len(nonces) < 2:
            nonces.append("n2")
        return original(sender, receiver, sent)

    link.filter = rotate
    anna.call(bert, credentials=Credentials("anna", "secret"))
    link.run(1)
    assert bert.the(Invited)
    assert link.count("anna>bert INVITE") == 3


def test_first_answer_of_a_fork_wins_and_others_get_ack_and_bye():
    link, anna, invite, session = forked()
    anna.inject(response(invite, 180, "b", Contact="<sip:b@10.0.0.2>"), link["bert"])
    anna.inject(response(invite, 183, "c", Contact="<sip:c@10.0.0.3>"), link["bert"])
    anna.inject(response(invite, 200, "b", Contact="<sip:b@10.0.0.2>"), link["bert"])
    anna.inject(response(invite, 200, "c", Contact="<sip:c@10.0.0.3>"), link["bert"])
    link.sent.clear()
    link.run(0.01)
    assert anna.the(Answered).session == session
    assert [one.branch for one in anna.of(Progressed)] == ["b", "c"]
    assert link.flows() == ["anna>bert ACK", "anna>carl ACK", "anna>carl BYE"]
    assert anna.agent.dialog(session)[2] == "b"
    anna.inject(response(invite, 200, "b", Contact="<sip:b@10.0.0.2>"), link["bert"])
    link.run(0.01)
    assert link.count("anna>bert ACK") == 2
    assert len(anna.of(Answered)) == 1


def test_forks_are_bounded():
    link, anna, invite, _ = forked()
    for number in range(50):
        anna.inject(response(invite, 180, f"t{number}", Contact="<sip:b@10.0.0.2>"), link["bert"])
    assert anna.agent.counters["fork_dropped"] == 50 - AgentLimits().forks


def test_redirection_is_reported_with_its_contacts_by_preference():
    link, anna, invite, _ = forked()
    anna.inject(
        response(invite, 302, "b", Contact="<sip:x@10.0.0.9>;q=0.1, <sip:y@10.0.0.8>;q=0.9"), link["bert"]
    )
    link.run(0.01)
    assert anna.the(Rejected).contacts == ("sip:y@10.0.0.8", "sip:x@10.0.0.9")


def test_longer_interval_of_a_422_is_taken():
    link, anna, invite, _ = forked()
    anna.inject(response(invite, 422, "b", Min_SE="2400"), link["bert"])
    link.run(0.01)
    again = link.sent[-1][2]
    assert again.headers["Session-Expires"] == "2400"
    assert again.headers["Min-SE"] == "2400"


def large_call(agent: UserAgent, now: float, *, padding: int = 1000, or_tcp: bool = True) -> list[Outgoing]:
    there = Flow("udp", "10.0.0.2", 5060, 0, "10.0.0.1", 5060, or_tcp=or_tcp)
    headers = {"X-Long": "x" * padding}
    agent.invite(
        Invitation("sip:b@10.0.0.2", "<sip:a@x>", "<sip:b@x>", (there,), OFFER, headers=headers), now
    )
    return agent.take_outgoing()


def made_agent() -> UserAgent:
    return UserAgent(entropy=random.Random(1).randbytes)


@pytest.mark.parametrize(
    ("padding", "or_tcp", "via"), [(1000, True, "TCP"), (1, True, "UDP"), (1000, False, "UDP")]
)
def test_request_too_large_for_a_datagram_goes_by_tcp_where_that_may_be(padding, or_tcp, via):
    [sent] = large_call(made_agent(), 0.0, padding=padding, or_tcp=or_tcp)
    assert sent.to.transport == via.lower()
    assert f"SIP/2.0/{via} 10.0.0.1:5060".encode() in sent.data


def test_far_end_without_tcp_gets_large_requests_by_udp_and_is_remembered():
    agent = made_agent()
    [first] = large_call(agent, 0.0)
    agent.send_failed(first.transaction, 0.1)
    [again] = agent.take_outgoing()
    assert (first.to.transport, again.to.transport) == ("tcp", "udp")
    assert b"SIP/2.0/UDP" in again.data
    assert agent.take_events() == []
    [next_call] = large_call(agent, 1.0)
    assert next_call.to.transport == "udp"
    assert (agent.counters["without_tcp"], agent.counters["large_by_udp"]) == (1, 2)
    [much_later] = large_call(agent, 700.0)
    assert much_later.to.transport == "tcp"
