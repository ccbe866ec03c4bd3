"""The user agent as its shell sees it."""

import pytest

from softswitch.sip import message
from softswitch.sip.agent import AgentLimits, Flow
from softswitch.sip.core import ALLOW, SUPPORTED
from softswitch.sip.digest import Credentials
from softswitch.sip.happenings import (
    Answered,
    Cancelled,
    Confirmed,
    Ended,
    InfoReceived,
    Invited,
    OfferAnswered,
    Offered,
    Rejected,
    RequestAnswered,
    RequestReceived,
)
from softswitch.sip.message import Request
from tests.sip.link import ANSWER, HELD, HOLD, Link, talking
from tests.sip.test_session_caller import challenge_once


def plain(method, *, branch="z9hG4bKx", to_tag="", extra="", sequence=1, host="10.0.0.1"):
    tag = f";tag={to_tag}" if to_tag else ""
    return (
        f"{method} sip:bert@10.0.0.2 SIP/2.0\nVia: SIP/2.0/UDP {host}:5060;branch={branch}\n"
        f"Max-Forwards: 70\n"
        f"From: <sip:anna@10.0.0.1>;tag=a\nTo: <sip:bert@10.0.0.2>{tag}\nCall-ID: c9\n"
        f"CSeq: {sequence} {method}\n"
        f"{extra}\n"
    )


def reaction(method, **wish):
    link = Link("anna", "bert")
    link["bert"].inject(plain(method, **wish), link["anna"])
    link.run(0.1)
    return link, (link.sent[-1][2] if link.sent else None)


# ---------------------------------------------------------------------- at the door
def test_options_tell_what_we_can():
    _, answer = reaction("OPTIONS")
    assert answer.code == 200
    assert answer.headers["Allow"] == ALLOW
    assert answer.headers["Supported"] == SUPPORTED
    assert answer.headers["Accept"] == "application/sdp"
    assert answer.to_address.parameters["tag"]


def test_unknown_method_is_405_with_allow():
    _, answer = reaction("SING")
    assert (answer.code, answer.headers["Allow"]) == (405, ALLOW)


@pytest.mark.parametrize(
    "method", ["BYE", "INFO", "UPDATE", "PRACK", "NOTIFY", "INVITE", "OPTIONS", "REFER", "MESSAGE"]
)
def test_request_of_a_dialog_that_is_none_is_481(method):
    link, answer = reaction(method, to_tag="forged")
    assert answer.code == 481
    assert not link["bert"].happened


def test_refer_outside_a_call_is_refused():
    assert reaction("REFER", extra="Refer-To: <sip:x@y>\n")[1].code == 403


def test_stray_ack_and_response_are_counted_only():
    link, answer = reaction("ACK")
    assert answer is None
    link["bert"].inject(
        "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKno\nFrom: <sip:a@b>;tag=1\n"
        "To: <sip:c@d>;tag=2\n"
        "Call-ID: x\nCSeq: 1 INVITE\n\n"
    )
    assert link["bert"].agent.counters["stray_ack"] == 1
    assert link["bert"].agent.counters["stray_response"] == 1


@pytest.mark.parametrize("method", ["REGISTER", "MESSAGE", "SUBSCRIBE"])
def test_request_is_handed_up_once_and_answered(method):
    link, answer = reaction(method)
    bert = link["bert"]
    assert answer is None
    bert.inject(plain(method), link["anna"])
    received = bert.the(RequestReceived)
    assert received.request.method == method
    assert bert.agent.respond(
        received.key, 200, link.now, headers={"Expires": "60"}, contacts=("<sip:a@b>;expires=60", "<sip:c@d>")
    )
    link.run(0.1)
    answer = link.sent[-1][2]
    assert (answer.code, answer.headers["Expires"]) == (200, "60")
    assert answer.headers.getlist("Contact") == ["<sip:a@b>;expires=60", "<sip:c@d>"]
    assert bert.agent.respond(received.key, 200, link.now) is False
    bert.inject(plain(method), link["anna"])
    link.run(0.1)
    assert len(link.sent) == 2


def test_request_that_nobody_answers_is_500():
    link, _ = reaction("MESSAGE")
    link.run(33)
    assert link.sent[-1][2].code == 500


def test_stateless_refusal_is_the_same_for_every_copy_and_none_for_an_ack():
    link = Link("anna", "bert")
    bert = link["bert"]
    flow = Flow("udp", "10.0.0.1", 5060, 0, "10.0.0.2", 5060)
    for _ in range(2):
        bert.agent.respond_stateless(
            message.parse(plain("INVITE").replace("\n", "\r\n").encode()),
            flow,
            401,
            headers=(("WWW-Authenticate", "Digest a=1"), ("WWW-Authenticate", "Digest a=2")),
        )
    ack = message.parse(plain("ACK").replace("\n", "\r\n").encode())
    bert.agent.respond_stateless(ack, flow, 401)
    first, second = (out.data for out in bert.agent.take_outgoing())
    assert first == second
    assert message.parse(first).headers.getlist("WWW-Authenticate") == ["Digest a=1", "Digest a=2"]
    assert bert.agent.deadline() is None
    assert bert.agent.knows(ack)


def test_responses_carry_received_and_rport():
    link = Link("anna", "bert")
    flow = Flow("udp", "203.0.113.9", 40001, 0, "10.0.0.2", 5060)
    text = plain("OPTIONS", host="192.168.1.2").replace("branch=z9hG4bKx", "rport;branch=z9hG4bKx")
    link["bert"].inject(text, flow=flow)
    out = link["bert"].agent.take_outgoing()[0]
    assert (out.to.host, out.to.port) == ("203.0.113.9", 40001)
    via = message.parse(out.data).via[0]
    assert (via.parameters["received"], via.parameters["rport"]) == ("203.0.113.9", "40001")


def test_knows_what_needs_no_proof():
    link, anna, bert, ours, theirs = talking()
    call_id, tag, other = bert.agent.dialog(theirs)

    def known(text):
        return bert.agent.knows(message.parse(text.replace("\n", "\r\n").encode()))

    inside = plain("BYE", to_tag=tag).replace("tag=a", f"tag={other}").replace("c9", call_id)
    assert known(inside)
    assert not known(inside.replace(other, "forged"))
    assert not known(plain("BYE", to_tag="forged"))
    assert not known(plain("INVITE"))
    assert not known(plain("CANCEL"))
    bert.inject(plain("MESSAGE"), anna)
    assert known(plain("MESSAGE"))
    anna.agent.info(ours, "Signal=1", "application/dtmf-relay", link.now)
    link.run()
    assert known(plain("ACK"))


# ---------------------------------------------------------------------- within a call
def forge(peer, session, method, *, call_id=None, tag=None, other=None, sequence=99, headers="", body=""):
    there = peer.agent.dialog(session)
    call_id, tag, other = call_id or there[0], tag or there[1], other or there[2]
    peer.inject(
        f"{method} sip:{peer.name}@{peer.host} SIP/2.0\n"
        f"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKf{method}{sequence}\n"
        f"From: <sip:x@y>;tag={other}\nTo: <sip:z@y>;tag={tag}\nCall-ID: {call_id}\n"
        f"CSeq: {sequence} {method}\n"
        f"Max-Forwards: 70\nContact: <sip:x@10.0.0.1>\n{headers}\n{body}",
        peer.link["anna"],
    )
    peer.link.run(0.1)
    return peer.link.sent[-1][2]


@pytest.mark.parametrize("method", ["BYE", "INVITE", "INFO", "UPDATE", "REFER", "MESSAGE", "NOTIFY", "PRACK"])
@pytest.mark.parametrize("wrong", ["call_id", "tag", "other"])
def test_forged_request_is_481_and_the_call_unharmed(method, wrong):
    link, anna, bert, _ours, theirs = talking()
    assert forge(bert, theirs, method, **{wrong: "forged"}).code == 481
    assert not bert.happened
    assert bert.agent.counters["forged"] == 1
    bert.agent.bye(theirs, link.now)
    link.run()
    assert anna.the(Ended).reason == "bye"


def test_forged_ack_confirms_nothing():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    link.filter = lambda sender, *_: sender == "bert" or not link.flows()[-1].endswith("ACK")
    anna.call(bert)
    link.run(0.1)
    theirs = bert.the(Invited).session
    bert.agent.answer(theirs, ANSWER, link.now)
    link.run(0.1)
    forge(bert, theirs, "ACK", other="forged", sequence=1)
    forge(bert, theirs, "ACK", sequence=7)
    assert not bert.of(Confirmed)


def test_request_that_comes_too_late_is_500():
    link, _anna, bert, _ours, theirs = talking()
    assert forge(bert, theirs, "INFO", sequence=9).code == 200
    assert forge(bert, theirs, "INFO", sequence=8).code == 500
    assert forge(bert, theirs, "BYE", sequence=3).code == 500
    assert not bert.of(Ended)
    assert link.now


def test_digits_by_info_are_told_and_other_bodies_refused():
    _link, _anna, bert, _ours, theirs = talking()
    good = "Content-Type: application/dtmf-relay\n"
    assert forge(bert, theirs, "INFO", headers=good, body="Signal=5\nDuration=160").code == 200
    info = bert.the(InfoReceived)
    assert (info.content_type, info.body.splitlines()[0]) == ("application/dtmf-relay", "Signal=5")
    refused = forge(bert, theirs, "INFO", headers="Content-Type: image/png\n", body="x", sequence=100)
    assert (refused.code, "application/dtmf-relay" in refused.headers["Accept"]) == (415, True)
    assert forge(bert, theirs, "INFO", sequence=101).code == 200
    assert len(bert.of(InfoReceived)) == 1


def test_extension_nobody_knows_is_420_within_a_call_too():
    _link, _anna, bert, _ours, theirs = talking()
    refused = forge(bert, theirs, "INVITE", headers="Require: precondition\n")
    assert (refused.code, refused.headers["Unsupported"]) == (420, "precondition")


def test_options_within_a_call_are_200_and_subscribe_405():
    _link, _anna, bert, _ours, theirs = talking()
    assert forge(bert, theirs, "OPTIONS").code == 200
    assert forge(bert, theirs, "SUBSCRIBE", sequence=100).code == 405


def test_bye_that_crossed_ours_is_200():
    link, _anna, bert, _ours, theirs = talking()
    there = bert.agent.dialog(theirs)
    link.filter = lambda *_: False
    bert.agent.bye(theirs, link.now)
    link.run(0.1)
    bert.inject(
        plain("BYE", to_tag=there[1]).replace("tag=a", f"tag={there[2]}").replace("c9", there[0]),
        link["anna"],
    )
    link.run(0.1)
    assert link.sent[-1][2].code == 200


def test_hanging_up_at_the_same_time_is_clean():
    link, anna, bert, ours, theirs = talking(delay=0.01)
    anna.agent.bye(ours, link.now)
    bert.agent.bye(theirs, link.now)
    link.run(40)
    assert anna.the(Ended).reason == "local"
    assert bert.the(Ended).reason == "local"
    assert link.count("anna>bert BYE") == 1
    assert not anna.agent.busy


def test_route_set_and_record_route_are_honoured():
    link = Link("anna", "bert", "carl")
    anna, bert = link["anna"], link["bert"]
    anna.call(bert)
    link.filter = lambda *_: False
    link.run(0.01)
    invite = link.sent[0][2]
    invite.headers.setlist("Record-Route", ["<sip:10.0.0.3;lr>", "<sip:p1.invalid;lr>"])
    link.filter = lambda *_: True
    bert.inject(bytes(invite), link["carl"])
    link.run(0.01)
    theirs = bert.the(Invited).session
    bert.agent.answer(theirs, ANSWER, link.now)
    link.run(0.1)
    answer = next(sent for one, _, sent in link.sent if one == "bert" and sent.code == 200)
    assert answer.headers.getlist("Record-Route") == ["<sip:10.0.0.3;lr>", "<sip:p1.invalid;lr>"]
    anna.inject(bytes(answer), link["carl"])
    link.filter = lambda *_: False
    link.run(0.1)
    link.filter = lambda *_: True
    ack = next(sent for _, _, sent in link.sent if isinstance(sent, Request) and sent.method == "ACK")
    assert ack.headers.getlist("Route") == ["<sip:p1.invalid;lr>", "<sip:10.0.0.3;lr>"]
    bert.agent.bye(theirs, link.now)
    bert.happened.clear()
    link.sent.clear()
    bert.inject(bytes(ack), link["carl"])
    link.run(0.1)
    bye = link.sent[0]
    assert bye[1] == "carl"
    assert bye[2].headers.getlist("Route") == ["<sip:10.0.0.3;lr>", "<sip:p1.invalid;lr>"]
    assert str(bye[2].uri) == "sip:10.0.0.1:5060"


# ---------------------------------------------------------------------- outside a call, ours
def test_request_is_answered_with_credentials_and_its_outcome_told():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    challenge_once(link, "bert", "WWW-Authenticate", 401)
    key = anna.agent.request(
        "OPTIONS",
        "sip:bert@10.0.0.2",
        link.now,
        from_="<sip:anna@10.0.0.1>",
        to="<sip:bert@10.0.0.2>",
        targets=(anna.flow_to(bert),),
        credentials=Credentials("anna", "secret"),
    )
    assert anna.agent.busy
    link.run(0.1)
    answered = anna.the(RequestAnswered)
    assert (answered.key, answered.response.code, answered.local) == (key, 200, False)
    assert not anna.agent.busy


def test_request_to_nobody_is_408():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    link.filter = lambda *_: False
    anna.agent.request(
        "MESSAGE",
        "sip:bert@10.0.0.2",
        link.now,
        from_="<sip:a@b>",
        to="<sip:c@d>",
        targets=(anna.flow_to(bert),),
        body=b"hello",
        content_type="text/plain",
        contact="",
    )
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
    bert.agent.take_happenings()
    theirs = bert.agent.sessions[0]
    bert.agent.answer(theirs, ANSWER, link.now)
    for reply in bert.agent.take_outgoing():
        assert reply.to.connection == 4
        anna.agent.receive(message.parse(reply.data), opened, link.now)
    assert anna.agent.take_outgoing()[0].to.connection == 12
    anna.agent.refused(opened, link.now)
    anna.agent.bye(session, link.now)
    assert anna.agent.take_outgoing()[0].to.connection == 0


# ---------------------------------------------------------------------- bounds and bad networks
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
        assert len(peer.agent._core.transactions) == 0


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
    assert len(anna.agent._core.transactions) == len(bert.agent._core.transactions) == 0
    assert not bert.agent._core.transactions._merged
    assert not anna.agent._core.dialogs
