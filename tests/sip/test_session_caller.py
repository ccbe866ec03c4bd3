"""Outgoing calls until they are answered."""

import pytest

from softswitch.sip.agent import AgentLimits, Flow
from softswitch.sip.digest import Credentials
from softswitch.sip.grammar import MalformedError
from softswitch.sip.happenings import (
    Answered,
    Confirmed,
    Ended,
    Invited,
    Offered,
    Progressed,
    Rejected,
)
from softswitch.sip.message import Request, Response
from tests.sip.link import ANSWER, OFFER, Link


def ringing(**wish):
    link = Link("anna", "bert", "carl")
    anna, bert = link["anna"], link["bert"]
    session = anna.call(bert, **wish)
    link.run(0.1)
    return link, anna, bert, session


def test_call_is_offered_rung_answered_and_acknowledged():
    link, anna, bert, session = ringing()
    theirs = bert.the(Invited)
    assert theirs.offer == OFFER
    bert.agent.ring(theirs.session, link.now)
    bert.agent.answer(theirs.session, ANSWER, link.now, headers={"X-Name": "value"})
    link.run()
    assert anna.the(Progressed).code == 180
    assert anna.the(Answered).sdp == ANSWER
    assert anna.the(Answered).headers["X-Name"] == "value"
    assert bert.the(Confirmed).session == theirs.session
    assert link.flows() == [
        "anna>bert INVITE",
        "bert>anna 100 INVITE",
        "bert>anna 180 INVITE",
        "bert>anna 200 INVITE",
        "anna>bert ACK",
    ]
    call_id, ours, other = anna.agent.dialog(session)
    assert bert.agent.dialog(theirs.session) == (call_id, other, ours)


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
    theirs = bert.the(Invited).session
    link.filter = lambda _sender, _receiver, sent: not (isinstance(sent, Request) and sent.method == "CANCEL")
    anna.agent.bye(session, link.now)
    link.run(0.1)
    bert.agent.answer(theirs, ANSWER, link.now)
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
    anna.agent.refused(anna.agent.take_outgoing()[0].transaction, link.now)
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
        anna.agent.refused(anna.agent.take_outgoing()[0].transaction, link.now)
    link.run(7)
    theirs = carl.the(Invited)
    carl.agent.answer(theirs.session, ANSWER, link.now)
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


def challenge_once(link, name, header, code, nonces=("n1",)):
    """Have `name` refuse every request that carries none of `nonces`."""
    peer = link[name]
    original = peer.agent.receive

    def receive(message, flow, now):
        answer = "Proxy-Authorization" if code == 407 else "Authorization"
        if isinstance(message, Request) and message.method in ("INVITE", "REGISTER", "BYE", "OPTIONS"):
            given = message.headers.get(answer) or ""
            if not any(f'nonce="{nonce}"' in given for nonce in nonces[-1:]):
                stale = ", stale=true" if any(f'nonce="{nonce}"' in given for nonce in nonces) else ""
                value = f'Digest realm="there", nonce="{nonces[-1]}", qop="auth", algorithm=MD5{stale}'
                if not peer.agent.knows(message):
                    peer.agent.respond_stateless(message, flow, code, headers={header: value})
                    return
        original(message, flow, now)

    peer.agent.receive = receive


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


def response(invite, code, tag, **headers):
    text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    body = ANSWER if code == 200 else ""
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return (
        f"SIP/2.0 {code} X\r\nVia: {invite.headers['Via']}\r\nFrom: {invite.headers['From']}\r\n"
        f"To: {invite.headers['To']};tag={tag}\r\nCall-ID: {invite.call_id}\r\n"
        f"CSeq: {invite.headers['CSeq']}\r\n"
        f"{text}{kind}\r\n{body}"
    ).encode()


def forked(**wish):
    """A call to nobody: its INVITE, to be answered by hand."""
    link = Link("anna", "bert", "carl")
    anna, bert = link["anna"], link["bert"]
    link.filter = lambda *_: False
    session = anna.call(bert, **wish)
    link.run(0.01)
    return link, anna, link.sent[0][2], session


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


def test_redirection_is_followed_when_asked_for_and_only_so_often():
    link, anna, invite, _ = forked(follow_redirects=1)
    anna.inject(response(invite, 302, "b", Contact="<sip:carl@10.0.0.3>"), link["bert"])
    link.filter = lambda *_: True
    link.run(0.1)
    carl = link["carl"]
    assert str(carl.the(Invited).request.uri) == "sip:carl@10.0.0.3"
    carl.agent.reject(carl.the(Invited).session, 302, link.now)
    link.run(0.1)
    assert anna.the(Rejected).code == 302


def test_longer_interval_of_a_422_is_taken():
    link, anna, invite, _ = forked()
    anna.inject(response(invite, 422, "b", Min_SE="2400"), link["bert"])
    link.run(0.01)
    again = link.sent[-1][2]
    assert again.headers["Session-Expires"] == "2400"
    assert again.headers["Min-SE"] == "2400"


def test_delayed_offer_is_answered_in_the_ack():
    link, anna, bert, session = ringing(sdp=None)
    theirs = bert.the(Invited)
    assert theirs.offer is None
    bert.agent.answer(theirs.session, OFFER, link.now)
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
    theirs = bert.the(Invited).session
    bert.agent.ring(theirs, link.now, code=183, sdp=ANSWER)
    link.run()
    assert (anna.the(Progressed).code, anna.the(Progressed).sdp) == (183, ANSWER)
    bert.agent.answer(theirs, None, link.now)
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
    theirs = bert.the(Invited).session
    bert.agent.ring(theirs, link.now, code=183, sdp=OFFER)
    link.run()
    assert anna.the(Offered).method == "1xx"
    anna.agent.accept_offer(session, ANSWER, link.now)
    link.run()
    bert.agent.answer(theirs, None, link.now)
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
