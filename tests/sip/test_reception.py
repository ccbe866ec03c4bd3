"""What is refused, answered or handed up at the door."""

import pytest

from softswitch.sip.agent import Flow
from softswitch.sip.context import ALLOW, SUPPORTED
from softswitch.sip.events import (
    RequestReceived,
)
from softswitch.sip.syntax import message
from tests.sip.forgery import plain, reaction
from tests.sip.link import Link, talking


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
    link, anna, bert, annas, berts = talking()
    call_id, tag, other = bert.agent.dialog(berts)

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
    anna.agent.info(annas, "Signal=1", "application/dtmf-relay", link.now)
    link.run()
    assert known(plain("ACK"))


def test_empty_tag_is_neither_a_dialog_nor_none():
    link = Link("anna", "bert")
    text = plain("INVITE", extra="Contact: <sip:a@10.0.0.1>\n").replace(
        "<sip:bert@10.0.0.2>\n", "<sip:b@c>;tag=\n"
    )
    link["bert"].inject(text, link["anna"])
    link.run(0.1)
    assert link.sent[-1][2].code == 400
    assert not link["bert"].happened
