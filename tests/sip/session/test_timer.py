"""Session timers: who refreshes, and what happens when no party does."""

import pytest

from softswitch.sip.events import (
    Ended,
    Invited,
    OfferAnswered,
    Offered,
    OfferRefused,
)
from softswitch.sip.session.timer import MAX_INTERVAL, read_seconds
from softswitch.sip.syntax.message import Request, Response
from tests.sip.forgery import accept, send_inside
from tests.sip.link import ANSWER, HELD, HOLD, OFFER, Link, talking


def test_session_is_refreshed_by_the_one_agreed_upon_and_lives():
    link, anna, bert, annas, berts = talking()
    link.run(4000)
    assert not anna.of(Ended)
    assert not bert.of(Ended)
    assert link.count("anna>bert UPDATE") == 4
    assert anna.agent.dialog(annas)
    assert bert.agent.dialog(berts)


def test_session_is_refreshed_by_re_invite_where_update_is_unknown():
    link, anna, bert, annas, _ = talking()
    accept(bert, ANSWER)
    anna.agent._sessions.by_id[annas].state.dialog.allow = frozenset({"INVITE"})
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
    link, anna, _bert, annas, _ = talking()
    assert anna.agent._sessions.by_id[annas].state.timer.interval == 1800
    assert read_seconds("12;x=1") == 12
    assert read_seconds("٣") == read_seconds("-1") == read_seconds(None) == 0
    assert read_seconds("999999999") == MAX_INTERVAL
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


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_interval_too_short_within_a_call_is_422(method):
    link, anna, bert, annas, _ = talking()
    assert send_inside(link, anna, annas, method, headers=[("Session-Expires", "20")])[-1] == 422
    assert not bert.happened


def test_longer_interval_within_a_call_is_taken():
    link, anna, bert, annas, _ = talking()
    accept(bert, HELD)
    original = bert.agent.receive

    def receive(message, flow, now):
        shorter = int((message.headers.get("Session-Expires") or "9999").partition(";")[0]) < 2000
        if isinstance(message, Request) and message.method == "INVITE" and shorter:
            bert.agent.respond_stateless(message, flow, 422, headers={"Reason": "x"})
            reply = bert.agent._context.transactions.outgoing[-1]
            data = reply.data.replace(b"Reason: x", b"Min-SE: 2000")
            bert.agent._context.transactions.outgoing[-1] = type(reply)(data, reply.to, "")
        else:
            original(message, flow, now)

    bert.agent.receive = receive
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run()
    assert anna.the(OfferAnswered).sdp == HELD
    assert anna.agent._sessions.by_id[annas].state.timer.interval == 2000


def test_refresh_falls_back_to_re_invite_where_update_is_refused():
    link, _anna, bert, _annas, _ = talking()
    accept(bert, ANSWER)
    original = bert.agent.receive

    def receive(message, flow, now):
        if isinstance(message, Request) and message.method == "UPDATE":
            bert.agent.respond_stateless(message, flow, 405)
        else:
            original(message, flow, now)

    bert.agent.receive = receive
    link.run(1700)
    assert link.count("anna>bert UPDATE") == 1
    assert link.count("anna>bert INVITE") == 1


def test_refresh_waits_for_an_offer_under_way():
    link, anna, bert, annas, _ = talking()
    link.run(895)
    anna.agent.reinvite(annas, HOLD, link.now)
    link.run(10)
    assert link.count("anna>bert UPDATE") == 0
    bert.agent.accept_offer(bert.last(Offered).session, HELD, link.now)
    link.run(1000)
    assert link.count("anna>bert UPDATE") == 1


def test_refresh_that_meets_another_offer_is_tried_again():
    link, anna, bert, annas, _ = talking()
    anna.agent._sessions.by_id[annas].state.dialog.allow = frozenset({"INVITE"})
    link.run(899.5)
    berts = bert.agent.sessions[0]
    bert.agent._sessions.by_id[berts].state.offering = True
    link.run(1)
    assert link.count("bert>anna 491 INVITE") == 1
    bert.agent._sessions.by_id[berts].state.offering = False
    accept(bert, ANSWER)
    link.run(10)
    assert bert.the(Offered).sdp == OFFER
    assert not anna.of(OfferRefused)
