"""Offers within a call."""

from softswitch.sip.events import (
    Ended,
    OfferAnswered,
    Offered,
    OfferRefused,
)
from softswitch.sip.security.digest import Credentials
from softswitch.sip.syntax.message import Request
from tests.sip.forgery import accept, send_inside
from tests.sip.link import ANSWER, HELD, HOLD, OFFER, talking


def test_hold_is_offered_and_answered_by_re_invite():
    link, anna, bert, annas, berts = talking()
    accept(bert, HELD)
    assert anna.agent.reinvite(annas, HOLD, link.now)
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
    assert bert.agent.reinvite(berts, OFFER, link.now)
    link.run()
    assert bert.the(OfferAnswered).sdp == ANSWER


def test_re_invite_without_offer_asks_for_ours():
    link, anna, bert, annas, _berts = talking()
    accept(bert, OFFER)
    anna.agent.reinvite(annas, None, link.now)
    link.run()
    assert bert.the(Offered).sdp is None
    offered = anna.the(Offered)
    assert (offered.sdp, offered.method) == (OFFER, "2xx")
    anna.agent.accept_offer(annas, ANSWER, link.now)
    link.run()
    assert bert.the(OfferAnswered).sdp == ANSWER
    assert link.count("anna>bert ACK") == 1


def test_refused_offer_leaves_the_call_as_it_was():
    link, anna, bert, annas, berts = talking()
    bert.reactions[Offered] = lambda one: bert.agent.refuse_offer(one.session, 488, link.now)
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run()
    assert anna.the(OfferRefused).code == 488
    accept(bert, HELD)
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run()
    assert anna.the(OfferAnswered).sdp == HELD
    assert bert.agent.dialog(berts)


def test_offers_that_cross_are_491_and_tried_again_one_after_the_other():
    link, anna, bert, annas, berts = talking(delay=0.01, seed=3)
    accept(anna, HELD)
    accept(bert, HELD)
    anna.agent.reinvite(annas, HOLD, link.now)
    bert.agent.reinvite(berts, HOLD, link.now)
    link.run(0.2)
    assert link.count("anna>bert 491 INVITE") == 1
    assert link.count("bert>anna 491 INVITE") == 1
    link.run(10)
    assert anna.the(OfferAnswered)
    assert bert.the(OfferAnswered)
    assert anna.agent.counters["glare"] >= 1


def test_offer_that_is_not_yet_answered_makes_another_one_of_ours_wait():
    link, anna, bert, annas, _ = talking()
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run()
    anna.agent.reinvite(annas, OFFER, link.now)
    link.run()
    assert link.count("anna>bert INVITE") == 1
    bert.agent.accept_offer(bert.the(Offered).session, HELD, link.now)
    accept(bert, ANSWER)
    link.run()
    assert [one.sdp for one in anna.of(OfferAnswered)] == [HELD, ANSWER]


def test_second_re_invite_while_the_first_waits_is_500_with_retry_after():
    link, anna, _bert, annas, _ = talking()
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run()
    session = anna.agent._sessions.by_id[annas].state
    request, flow = session.dialog.request("INVITE")
    request.headers.set("Contact", session.dialog.contact)
    heard = []
    anna.agent._context.send_request(request, flow, lambda _t, response, _m: heard.append(response))
    link.run()
    assert heard[-1].code == 500
    assert 0 <= int(heard[-1].headers["Retry-After"]) <= 10


def test_re_invite_that_nobody_answers_is_refused():
    link, anna, _bert, annas, _ = talking()
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run(33)
    assert anna.the(OfferRefused).code == 500


def test_cancelled_re_invite_is_487_and_the_call_goes_on():
    link, anna, bert, annas, berts = talking()
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run()
    anna.agent._context.cancel(anna.agent._sessions.by_id[annas].state.exchange.transaction)
    link.run()
    assert anna.the(OfferRefused).code == 487
    assert bert.agent.accept_offer(berts, HELD, link.now) is False
    accept(bert, HELD)
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run()
    assert anna.the(OfferAnswered)


def test_re_invite_without_ack_ends_the_call():
    link, anna, bert, annas, _ = talking()
    accept(bert, HELD)
    link.filter = lambda _s, _r, sent: not (isinstance(sent, Request) and sent.method == "ACK")
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run(33)
    assert bert.the(Ended).reason == "no_ack"


def test_far_end_that_knows_no_such_call_ends_it():
    link, anna, bert, annas, berts = talking()
    bert.agent._sessions.remove(bert.agent._sessions.by_id[berts].state)
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run()
    assert anna.the(Ended).reason == "gone"


def test_update_carries_an_offer_and_its_answer():
    link, anna, bert, annas, _ = talking()
    accept(bert, HELD)
    assert anna.agent.update(annas, HOLD, link.now)
    link.run()
    assert bert.the(Offered).method == "UPDATE"
    assert anna.the(OfferAnswered).sdp == HELD
    assert link.flows() == ["anna>bert UPDATE", "bert>anna 200 UPDATE"]


def test_update_is_not_sent_to_who_takes_none():
    link, anna, _bert, annas, _ = talking()
    anna.agent._sessions.by_id[annas].state.dialog.allow = frozenset({"INVITE", "BYE"})
    assert anna.agent.update(annas, HOLD, link.now) is False
    assert anna.agent.allows(annas, "UPDATE") is False
    assert anna.agent.allows(annas, "BYE") is True


def test_update_while_an_offer_is_open_is_491_or_500():
    link, anna, bert, annas, berts = talking()
    anna.agent.update(annas, HOLD, link.now)
    link.run()
    session = anna.agent._sessions.by_id[annas].state
    heard = []

    def send(peer, session):
        request, flow = session.dialog.request("UPDATE")
        request.headers.set("Contact", session.dialog.contact)
        request.body = OFFER.encode()
        request.headers.set("Content-Type", "application/sdp")
        peer.agent._context.send_request(request, flow, lambda _t, response, _m: heard.append(response.code))
        link.run()

    send(anna, session)
    send(bert, bert.agent._sessions.by_id[berts].state)
    assert heard == [500, 491]


def test_new_contact_moves_the_far_end():
    link, anna, bert, annas, berts = talking()
    accept(bert, HELD)
    anna.agent._sessions.by_id[annas].state.dialog.contact = "<sip:moved@10.0.0.1:5060>"
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run()
    bert.agent.bye(berts, link.now)
    link.run()
    bye = next(sent for _, _, sent in link.sent if isinstance(sent, Request) and sent.method == "BYE")
    assert str(bye.uri) == "sip:moved@10.0.0.1:5060"


def test_description_of_another_kind_within_a_call_is_415():
    link, anna, _bert, annas, _ = talking()
    assert send_inside(link, anna, annas, "INVITE", sdp=OFFER, headers=[("Content-Encoding", "gzip")]) == [
        415
    ]


def test_copies_of_the_200_to_a_re_invite_get_the_ack_again():
    link, anna, bert, annas, _ = talking()
    accept(bert, HELD)
    lost = iter([False, False])
    link.filter = lambda _s, _r, sent: (
        not (isinstance(sent, Request) and sent.method == "ACK" and next(lost, True) is False)
    )
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run(5)
    assert link.count("anna>bert ACK") == 3
    assert len(anna.of(OfferAnswered)) == 1
    assert not bert.of(Ended)


def test_update_that_is_refused_is_told():
    link, anna, bert, annas, _ = talking()
    bert.reactions[Offered] = lambda one: bert.agent.refuse_offer(one.session, 488, link.now)
    anna.agent.update(annas, HOLD, link.now)
    link.run()
    assert anna.the(OfferRefused).code == 488
    accept(bert, HELD)
    assert anna.agent.update(annas, HOLD, link.now)
    assert anna.agent.update(annas, HOLD, link.now) is False
    link.run()
    assert anna.the(OfferAnswered)


def test_update_to_who_is_gone_ends_the_call():
    link, anna, bert, annas, berts = talking()
    bert.agent._sessions.remove(bert.agent._sessions.by_id[berts].state)
    anna.agent.update(annas, HOLD, link.now)
    link.run()
    assert anna.the(Ended).reason == "gone"


def test_re_invite_into_silence_ends_the_call_with_bye():
    link, anna, _bert, annas, _ = talking()
    link.filter = lambda *_: False
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run(33)
    assert anna.the(Ended).reason == "gone"
    assert link.count("anna>bert BYE") >= 1


def test_challenge_within_an_incoming_call_is_answered_once_entrusted():
    link, anna, bert, _annas, berts = talking()
    original = anna.agent.receive

    def receive(message, flow, now):
        if (
            isinstance(message, Request)
            and message.method == "BYE"
            and "Authorization" not in message.headers
        ):
            value = 'Digest realm="r", nonce="n", qop="auth"'
            anna.agent.respond_stateless(message, flow, 401, headers={"WWW-Authenticate": value})
        else:
            original(message, flow, now)

    anna.agent.receive = receive
    assert bert.agent.set_credentials(berts, Credentials("bert", "secret"))
    bert.agent.bye(berts, link.now)
    link.run()
    assert anna.the(Ended).reason == "bye"
    assert bert.agent.set_credentials(berts, Credentials("bert", "secret")) is False
