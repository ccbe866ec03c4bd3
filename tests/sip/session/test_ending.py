"""How calls end while something else is under way."""

from softswitch.sip.events import (
    Answered,
    Ended,
    Invited,
    OfferAnswered,
    Offered,
    ReferProgressed,
    ReferReceived,
    Rejected,
)
from softswitch.sip.syntax.message import Request
from tests.sip.answers import forked, response
from tests.sip.forgery import accept, forge
from tests.sip.link import ANSWER, HELD, HOLD, Link, talking


def test_re_invite_that_waits_is_487_when_the_call_ends():
    link, anna, bert, annas, berts = talking()
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run()
    bert.agent.bye(berts, link.now)
    link.run()
    assert link.count("bert>anna 487 INVITE") == 1
    assert anna.the(Ended).reason == "bye"
    assert bert.agent.accept_offer(berts, HELD, link.now) is False


def test_update_that_waits_is_487_when_the_call_ends():
    link, anna, bert, annas, berts = talking()
    anna.agent.update(annas, HOLD, link.now)
    link.run()
    bert.agent.bye(berts, link.now)
    link.run()
    assert link.count("bert>anna 487 UPDATE") == 1


def test_transfer_that_waits_is_481_when_the_call_ends():
    link, anna, bert, annas, _berts = talking()
    anna.agent.refer(annas, "sip:carl@10.0.0.3", link.now)
    link.run()
    anna.agent.bye(annas, link.now)
    link.run()
    assert bert.the(ReferReceived)
    assert link.count("bert>anna 481 REFER") == 1
    assert not anna.of(ReferProgressed)


def test_transfers_of_one_call_are_bounded():
    link, _anna, bert, _annas, berts = talking()
    forge(bert, berts, "OPTIONS", sequence=49)
    for number in range(10):
        forge(bert, berts, "REFER", sequence=50 + number, headers="Refer-To: <sip:a@b>\n")
    assert link.count("bert>anna 500 REFER") == 2
    assert len(bert.of(ReferReceived)) == 8


def test_200_to_a_re_invite_of_an_ended_call_is_still_acknowledged():
    link, anna, bert, annas, berts = talking()
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run()
    anna.agent.bye(annas, link.now)
    link.filter = lambda _s, _r, sent: not (isinstance(sent, Request) and sent.method == "BYE")
    link.run(0.1)
    assert bert.agent.accept_offer(berts, HELD, link.now)
    link.run(1)
    assert link.count("anna>bert ACK") == 1
    assert not anna.of(OfferAnswered)


def test_copies_of_an_unwanted_answer_get_the_ack_again_and_one_bye():
    link, anna, invite, _ = forked()
    anna.inject(response(invite, 200, "b", Contact="<sip:b@10.0.0.2>"), link["bert"])
    for _ in range(3):
        anna.inject(response(invite, 200, "c", Contact="<sip:c@10.0.0.3>"), link["bert"])
    link.sent.clear()
    link.run(0.1)
    assert link.count("anna>carl ACK") == 3
    assert link.count("anna>carl BYE") == 1
    assert len(anna.of(Answered)) == 1


def test_answer_after_the_end_is_acknowledged_and_ended():
    link, anna, invite, session = forked()
    anna.inject(response(invite, 180, "b", Contact="<sip:b@10.0.0.2>"), link["bert"])
    anna.agent.bye(session, link.now)
    link.run(33)
    assert anna.the(Rejected).local
    anna.inject(response(invite, 200, "b", Contact="<sip:b@10.0.0.2>"), link["bert"])
    link.run(0.1)
    assert anna.agent.counters["stray_response"] == 1


def test_lost_200_of_a_call_that_we_ended_gets_its_ack():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    session = anna.call(bert)
    link.run(0.1)
    bert.agent.answer(bert.the(Invited).session, ANSWER, link.now)
    lost = iter([False])
    link.filter = lambda _s, _r, sent: (
        not (isinstance(sent, Request) and sent.method == "ACK" and next(lost, True) is False)
    )
    link.run(0.1)
    anna.agent.bye(session, link.now)
    link.filter = lambda _s, _r, sent: not (isinstance(sent, Request) and sent.method == "BYE")
    link.run(1)
    assert link.count("anna>bert ACK") == 2
    assert anna.the(Ended).reason == "local"


def test_info_to_a_far_end_that_knows_no_call_ends_it():
    link, anna, bert, annas, berts = talking()
    bert.agent._sessions.remove(bert.agent._sessions.by_id[berts].state)
    assert anna.agent.info(annas, "Signal=1", "application/dtmf-relay", link.now)
    link.run()
    assert anna.the(Ended).reason == "gone"


def test_offer_that_waits_for_the_ack_is_sent_after_it():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    anna.call(bert)
    link.run(0.1)
    berts = bert.the(Invited).session
    link.filter = lambda sender, *_: sender == "bert"
    accept(anna, HELD)
    bert.agent.answer(berts, ANSWER, link.now)
    assert bert.agent.reinvite(berts, HOLD, link.now)
    link.run(0.1)
    assert link.count("bert>anna INVITE") == 0
    link.filter = lambda *_: True
    link.run(2)
    assert anna.the(Offered).sdp == HOLD
    assert bert.the(OfferAnswered).sdp == HELD


def test_bye_of_a_called_party_that_has_not_answered_is_no_end():
    link, anna, invite, session = forked()
    anna.inject(response(invite, 180, "b", Contact="<sip:b@10.0.0.2>"), link["bert"])
    link.run(0.1)
    link.filter = lambda *_: True
    assert forge(anna, session, "BYE").code == 200
    assert anna.agent.sessions == (session,)
    assert not anna.of(Ended)
