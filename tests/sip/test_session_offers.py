"""Offers within a call."""

import pytest

from softswitch.sip.happenings import Answered, Ended, Invited, OfferAnswered, Offered, OfferRefused
from softswitch.sip.message import Request, Response
from softswitch.sip.session_timer import LONGEST, whole
from tests.sip.link import ANSWER, HELD, HOLD, OFFER, Link, talking


def accept(peer, sdp):
    peer.reactions[Offered] = lambda one: peer.agent.accept_offer(one.session, sdp, peer.link.now)


def test_hold_is_offered_and_answered_by_re_invite():
    link, anna, bert, ours, theirs = talking()
    accept(bert, HELD)
    assert anna.agent.reinvite(ours, HOLD, link.now)
    link.run()
    assert bert.the(Offered).sdp == HOLD
    assert anna.the(OfferAnswered).sdp == HELD
    assert link.flows() == [
        "anna>bert INVITE",
        "bert>anna 100 INVITE",
        "bert>anna 200 INVITE",
        "anna>bert ACK",
    ]
    accept(anna, ANSWER)
    assert bert.agent.reinvite(theirs, OFFER, link.now)
    link.run()
    assert bert.the(OfferAnswered).sdp == ANSWER


def test_re_invite_without_offer_asks_for_ours():
    link, anna, bert, ours, _theirs = talking()
    accept(bert, OFFER)
    anna.agent.reinvite(ours, None, link.now)
    link.run()
    assert bert.the(Offered).sdp is None
    offered = anna.the(Offered)
    assert (offered.sdp, offered.method) == (OFFER, "2xx")
    anna.agent.accept_offer(ours, ANSWER, link.now)
    link.run()
    assert bert.the(OfferAnswered).sdp == ANSWER
    assert link.count("anna>bert ACK") == 1


def test_refused_offer_leaves_the_call_as_it_was():
    link, anna, bert, ours, theirs = talking()
    bert.reactions[Offered] = lambda one: bert.agent.refuse_offer(one.session, 488, link.now)
    anna.agent.reinvite(ours, HOLD, link.now)
    link.run()
    assert anna.the(OfferRefused).code == 488
    accept(bert, HELD)
    anna.agent.reinvite(ours, HOLD, link.now)
    link.run()
    assert anna.the(OfferAnswered).sdp == HELD
    assert bert.agent.dialog(theirs)


def test_offers_that_cross_are_491_and_tried_again_one_after_the_other():
    link, anna, bert, ours, theirs = talking(delay=0.01, seed=3)
    accept(anna, HELD)
    accept(bert, HELD)
    anna.agent.reinvite(ours, HOLD, link.now)
    bert.agent.reinvite(theirs, HOLD, link.now)
    link.run(0.2)
    assert link.count("anna>bert 491 INVITE") == 1
    assert link.count("bert>anna 491 INVITE") == 1
    link.run(10)
    assert anna.the(OfferAnswered)
    assert bert.the(OfferAnswered)
    assert anna.agent.counters["glare"] >= 1


def test_offer_that_is_not_yet_answered_makes_another_one_of_ours_wait():
    link, anna, bert, ours, _ = talking()
    anna.agent.reinvite(ours, HOLD, link.now)
    link.run()
    anna.agent.reinvite(ours, OFFER, link.now)
    link.run()
    assert link.count("anna>bert INVITE") == 1
    bert.agent.accept_offer(bert.the(Offered).session, HELD, link.now)
    accept(bert, ANSWER)
    link.run()
    assert [one.sdp for one in anna.of(OfferAnswered)] == [HELD, ANSWER]


def test_second_re_invite_while_the_first_waits_is_500_with_retry_after():
    link, anna, _bert, ours, _ = talking()
    anna.agent.reinvite(ours, HOLD, link.now)
    link.run()
    session = anna.agent._core.sessions[ours]
    request, flow = session.dialog.request("INVITE")
    request.headers.set("Contact", session.dialog.contact)
    heard = []
    anna.agent._core.ask(request, flow, lambda _t, response, _m: heard.append(response))
    link.run()
    assert heard[-1].code == 500
    assert 0 <= int(heard[-1].headers["Retry-After"]) <= 10


def test_re_invite_that_nobody_answers_is_refused():
    link, anna, _bert, ours, _ = talking()
    anna.agent.reinvite(ours, HOLD, link.now)
    link.run(33)
    assert anna.the(OfferRefused).code == 500


def test_cancelled_re_invite_is_487_and_the_call_goes_on():
    link, anna, bert, ours, theirs = talking()
    anna.agent.reinvite(ours, HOLD, link.now)
    link.run()
    anna.agent._core.cancel(anna.agent._core.sessions[ours].exchange.transaction)
    link.run()
    assert anna.the(OfferRefused).code == 487
    assert bert.agent.accept_offer(theirs, HELD, link.now) is False
    accept(bert, HELD)
    anna.agent.reinvite(ours, HOLD, link.now)
    link.run()
    assert anna.the(OfferAnswered)


def test_re_invite_without_ack_ends_the_call():
    link, anna, bert, ours, _ = talking()
    accept(bert, HELD)
    link.filter = lambda _s, _r, sent: not (isinstance(sent, Request) and sent.method == "ACK")
    anna.agent.reinvite(ours, HOLD, link.now)
    link.run(33)
    assert bert.the(Ended).reason == "no_ack"


def test_far_end_that_knows_no_such_call_ends_it():
    link, anna, bert, ours, theirs = talking()
    bert.agent._core.close(bert.agent._core.sessions[theirs])
    anna.agent.reinvite(ours, HOLD, link.now)
    link.run()
    assert anna.the(Ended).reason == "gone"


def test_update_carries_an_offer_and_its_answer():
    link, anna, bert, ours, _ = talking()
    accept(bert, HELD)
    assert anna.agent.update(ours, HOLD, link.now)
    link.run()
    assert bert.the(Offered).method == "UPDATE"
    assert anna.the(OfferAnswered).sdp == HELD
    assert link.flows() == ["anna>bert UPDATE", "bert>anna 200 UPDATE"]


def test_update_is_not_sent_to_who_takes_none():
    link, anna, _bert, ours, _ = talking()
    anna.agent._core.sessions[ours].dialog.allow = frozenset({"INVITE", "BYE"})
    assert anna.agent.update(ours, HOLD, link.now) is False
    assert anna.agent.allows(ours, "UPDATE") is False
    assert anna.agent.allows(ours, "BYE") is True


def test_update_while_an_offer_is_open_is_491_or_500():
    link, anna, bert, ours, theirs = talking()
    anna.agent.update(ours, HOLD, link.now)
    link.run()
    session = anna.agent._core.sessions[ours]
    heard = []

    def send(peer, session):
        request, flow = session.dialog.request("UPDATE")
        request.headers.set("Contact", session.dialog.contact)
        request.body = OFFER.encode()
        request.headers.set("Content-Type", "application/sdp")
        peer.agent._core.ask(request, flow, lambda _t, response, _m: heard.append(response.code))
        link.run()

    send(anna, session)
    send(bert, bert.agent._core.sessions[theirs])
    assert heard == [500, 491]


def test_new_contact_moves_the_far_end():
    link, anna, bert, ours, theirs = talking()
    accept(bert, HELD)
    anna.agent._core.sessions[ours].dialog.contact = "<sip:moved@10.0.0.1:5060>"
    anna.agent.reinvite(ours, HOLD, link.now)
    link.run()
    bert.agent.bye(theirs, link.now)
    link.run()
    bye = next(sent for _, _, sent in link.sent if isinstance(sent, Request) and sent.method == "BYE")
    assert str(bye.uri) == "sip:moved@10.0.0.1:5060"


# ---------------------------------------------------------------------- session timers
def test_session_is_refreshed_by_the_one_agreed_upon_and_lives():
    link, anna, bert, ours, theirs = talking()
    link.run(4000)
    assert not anna.of(Ended)
    assert not bert.of(Ended)
    assert link.count("anna>bert UPDATE") == 4
    assert anna.agent.dialog(ours)
    assert bert.agent.dialog(theirs)


def test_session_is_refreshed_by_re_invite_where_update_is_unknown():
    link, anna, bert, ours, _ = talking()
    accept(bert, ANSWER)
    anna.agent._core.sessions[ours].dialog.allow = frozenset({"INVITE"})
    link.run(950)
    assert link.count("anna>bert INVITE") == 1
    refreshed = next(sent for _, _, sent in link.sent if isinstance(sent, Request))
    assert refreshed.body == OFFER.encode()
    assert refreshed.headers["Session-Expires"] == "1800;refresher=uac"


def test_session_whose_far_end_is_gone_ends_on_both_sides():
    link, anna, bert, _, _ = talking()
    link.filter = lambda *_: False
    link.run(1800)
    assert anna.the(Ended).reason in ("gone", "expired")
    assert bert.the(Ended).reason == "expired"


def test_caller_without_timers_is_refreshed_by_us():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    anna.call(bert, session_expires=0)
    strip = {"Supported", "Session-Expires"}

    def drop(_s, _r, sent):
        return not isinstance(sent, Request) or sent.method != "INVITE"

    link.filter = drop
    link.run(0.01)
    invite = link.sent[0][2]
    for name in strip:
        invite.headers.remove(name)
    link.filter = lambda *_: True
    bert.inject(bytes(invite), anna)
    link.run(0.01)
    bert.agent.answer(bert.the(Invited).session, ANSWER, link.now)
    link.run(0.1)
    answer = next(sent for _, _, sent in link.sent if isinstance(sent, Response) and sent.code == 200)
    assert answer.headers["Session-Expires"] == "1800;refresher=uas"
    assert "Require" not in answer.headers
    link.run(910)
    assert link.count("bert>anna UPDATE") == 1


def test_interval_of_a_far_end_without_timers_is_none():
    link, anna, _bert, ours, _ = talking()
    assert anna.agent._core.sessions[ours].timer.interval == 1800
    assert whole("12;x=1") == 12
    assert whole("٣") == whole("-1") == whole(None) == 0
    assert whole("999999999") == LONGEST
    assert link.count("anna>bert UPDATE") == 0


def test_refused_refresh_is_tried_again_before_the_session_ends():
    link, anna, bert, _, _ = talking()
    replies = iter([500, 500])
    original = bert.agent.receive

    def receive(message, flow, now):
        code = next(replies, None) if isinstance(message, Request) and message.method == "UPDATE" else None
        if code:
            bert.agent.respond_stateless(message, flow, code)
        else:
            original(message, flow, now)

    bert.agent.receive = receive
    link.run(1700)
    assert link.count("anna>bert UPDATE") == 3
    assert not anna.of(Ended)


# ---------------------------------------------------------------------- reliable provisional responses
@pytest.mark.parametrize("reliable", ["supported", "required"])
def test_early_media_is_sent_reliably_and_the_answer_waits_for_the_prack(reliable):
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    anna.call(bert, reliable=reliable)
    link.run(0.1)
    theirs = bert.the(Invited).session
    bert.agent.ring(theirs, link.now, code=183, sdp=ANSWER)
    bert.agent.answer(theirs, ANSWER, link.now)
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
    request, flow = anna.agent._core.sessions[session].dialog.request("PRACK")
    request.headers.set("RAck", "1 1 INVITE")
    heard = []
    anna.agent._core.ask(request, flow, lambda _t, response, _m: heard.append(response.code))
    link.run(0.1)
    assert heard == [481]


def test_reliable_responses_go_one_after_the_other():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    anna.call(bert, reliable="required")
    link.run(0.1)
    theirs = bert.the(Invited).session
    for code in (180, 182, 183):
        assert bert.agent.ring(theirs, link.now, code=code)
    bert.agent.answer(theirs, ANSWER, link.now)
    link.run()
    assert link.count("anna>bert PRACK") >= 1
    assert anna.the(Answered).sdp == ANSWER
