"""Requests within a call, forged ones too."""

import pytest

from softswitch.sip.events import (
    Confirmed,
    Ended,
    InfoReceived,
    Invited,
)
from softswitch.sip.syntax.message import Request
from tests.sip.forgery import forge, plain
from tests.sip.link import ANSWER, Link, talking


@pytest.mark.parametrize("method", ["BYE", "INVITE", "INFO", "UPDATE", "REFER", "MESSAGE", "NOTIFY", "PRACK"])
@pytest.mark.parametrize("wrong", ["call_id", "tag", "other"])
def test_forged_request_is_481_and_the_call_unharmed(method, wrong):
    link, anna, bert, _annas, berts = talking()
    assert forge(bert, berts, method, **{wrong: "forged"}).code == 481
    assert not bert.happened
    assert bert.agent.counters["forged"] == 1
    bert.agent.bye(berts, link.now)
    link.run()
    assert anna.the(Ended).reason == "bye"


def test_forged_ack_confirms_nothing():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    link.filter = lambda sender, *_: sender == "bert" or not link.flows()[-1].endswith("ACK")
    anna.call(bert)
    link.run(0.1)
    berts = bert.the(Invited).session
    bert.agent.answer(berts, ANSWER, link.now)
    link.run(0.1)
    forge(bert, berts, "ACK", other="forged", sequence=1)
    forge(bert, berts, "ACK", sequence=7)
    assert not bert.of(Confirmed)


def test_request_that_comes_too_late_is_500():
    link, _anna, bert, _annas, berts = talking()
    assert forge(bert, berts, "INFO", sequence=9).code == 200
    assert forge(bert, berts, "INFO", sequence=8).code == 500
    assert forge(bert, berts, "BYE", sequence=3).code == 500
    assert not bert.of(Ended)
    assert link.now


def test_digits_by_info_are_told_and_other_bodies_refused():
    _link, _anna, bert, _annas, berts = talking()
    good = "Content-Type: application/dtmf-relay\n"
    assert forge(bert, berts, "INFO", headers=good, body="Signal=5\nDuration=160").code == 200
    info = bert.the(InfoReceived)
    assert (info.content_type, info.body.splitlines()[0]) == ("application/dtmf-relay", "Signal=5")
    refused = forge(bert, berts, "INFO", headers="Content-Type: image/png\n", body="x", sequence=100)
    assert (refused.code, "application/dtmf-relay" in refused.headers["Accept"]) == (415, True)
    assert forge(bert, berts, "INFO", sequence=101).code == 200
    assert len(bert.of(InfoReceived)) == 1


def test_extension_nobody_knows_is_420_within_a_call_too():
    _link, _anna, bert, _annas, berts = talking()
    refused = forge(bert, berts, "INVITE", headers="Require: precondition\n")
    assert (refused.code, refused.headers["Unsupported"]) == (420, "precondition")


def test_options_within_a_call_are_200_and_subscribe_405():
    _link, _anna, bert, _annas, berts = talking()
    assert forge(bert, berts, "OPTIONS").code == 200
    assert forge(bert, berts, "SUBSCRIBE", sequence=100).code == 405


def test_bye_that_crossed_ours_is_200():
    link, _anna, bert, _annas, berts = talking()
    there = bert.agent.dialog(berts)
    link.filter = lambda *_: False
    bert.agent.bye(berts, link.now)
    link.run(0.1)
    bert.inject(
        plain("BYE", to_tag=there[1]).replace("tag=a", f"tag={there[2]}").replace("c9", there[0]),
        link["anna"],
    )
    link.run(0.1)
    assert link.sent[-1][2].code == 200


def test_hanging_up_at_the_same_time_is_clean():
    link, anna, bert, annas, berts = talking(delay=0.01)
    anna.agent.bye(annas, link.now)
    bert.agent.bye(berts, link.now)
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
    berts = bert.the(Invited).session
    bert.agent.answer(berts, ANSWER, link.now)
    link.run(0.1)
    answer = next(sent for one, _, sent in link.sent if one == "bert" and sent.code == 200)
    assert answer.headers.getlist("Record-Route") == ["<sip:10.0.0.3;lr>", "<sip:p1.invalid;lr>"]
    anna.inject(bytes(answer), link["carl"])
    link.filter = lambda *_: False
    link.run(0.1)
    link.filter = lambda *_: True
    ack = next(sent for _, _, sent in link.sent if isinstance(sent, Request) and sent.method == "ACK")
    assert ack.headers.getlist("Route") == ["<sip:p1.invalid;lr>", "<sip:10.0.0.3;lr>"]
    bert.agent.bye(berts, link.now)
    bert.happened.clear()
    link.sent.clear()
    bert.inject(bytes(ack), link["carl"])
    link.run(0.1)
    bye = link.sent[0]
    assert bye[1] == "carl"
    assert bye[2].headers.getlist("Route") == ["<sip:10.0.0.3;lr>", "<sip:p1.invalid;lr>"]
    assert str(bye[2].uri) == "sip:10.0.0.1:5060"
