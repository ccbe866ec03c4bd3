"""Transfer by REFER."""

import pytest

from softswitch.sip.events import Ended, Invited, ReferProgressed, ReferReceived, TextReceived
from softswitch.sip.syntax.message import Request
from softswitch.sip.syntax.replaces import Replaces, read_replaces, write_replaces
from tests.sip.link import ANSWER, Link, talking


def referred(**wish):
    link, anna, bert, annas, _berts = talking()
    assert anna.agent.refer(annas, "sip:carl@10.0.0.3", link.now, **wish)
    link.run()
    return link, anna, bert, annas, bert.the(ReferReceived)


def test_blind_transfer_is_accepted_and_its_progress_told():
    link, anna, bert, annas, asked = referred(referred_by="sip:anna@10.0.0.1")
    assert (asked.refer_to, asked.referred_by) == ("sip:carl@10.0.0.3", "sip:anna@10.0.0.1")
    assert asked.replaces is None
    assert bert.agent.accept_refer(asked.session, asked.refer, link.now)
    bert.agent.refer_progress(asked.session, asked.refer, 180, "Ringing", link.now)
    bert.agent.refer_progress(asked.session, asked.refer, 200, "OK", link.now)
    link.run()
    assert [(one.code, one.final) for one in anna.of(ReferProgressed)] == [
        (100, False),
        (180, False),
        (200, True),
    ]
    notify = next(sent for _, _, sent in link.sent if isinstance(sent, Request) and sent.method == "NOTIFY")
    assert notify.headers["Event"] == "refer"
    assert notify.headers["Content-Type"] == "message/sipfrag;version=2.0"
    assert notify.headers["Subscription-State"].startswith("active;expires=")
    assert bert.agent.refer_progress(asked.session, asked.refer, 200, "OK", link.now) is False
    assert anna.agent.refer(annas, "sip:dora@10.0.0.4", link.now)


def test_refused_transfer_is_final():
    link, anna, bert, _, asked = referred()
    assert bert.agent.refuse_refer(asked.session, asked.refer, 603, link.now)
    link.run()
    assert anna.the(ReferProgressed) == ReferProgressed(
        anna.the(ReferProgressed).session, 603, "Decline", final=True
    )


def test_transfer_that_nobody_decides_is_500():
    link, anna, _bert, _, _ = referred()
    link.run(33)
    assert anna.the(ReferProgressed).code in (408, 500)


def test_second_transfer_of_a_call_has_an_id():
    link, anna, bert, annas, asked = referred()
    bert.agent.refuse_refer(asked.session, asked.refer, 603, link.now)
    link.run()
    anna.agent.refer(annas, "sip:dora@10.0.0.4", link.now)
    link.run()
    again = bert.last(ReferReceived)
    bert.agent.accept_refer(again.session, again.refer, link.now)
    link.run()
    notify = next(sent for _, _, sent in link.sent if isinstance(sent, Request) and sent.method == "NOTIFY")
    assert notify.headers["Event"] == f"refer;id={again.refer}"


def test_attended_transfer_names_the_call_to_replace():
    link = Link("anna", "bert", "carl")
    anna, bert, carl = link["anna"], link["bert"], link["carl"]
    to_bert, to_carl = anna.call(bert), anna.call(carl)
    link.run(0.1)
    for peer in (bert, carl):
        peer.agent.answer(peer.the(Invited).session, ANSWER, link.now)
    link.run(0.1)
    anna.agent.refer(to_bert, "sip:carl@10.0.0.3", link.now, replaces=to_carl)
    link.run(0.1)
    asked = bert.the(ReferReceived)
    assert asked.refer_to == "sip:carl@10.0.0.3"
    there = carl.agent.dialog(carl.the(Invited).session)
    assert (asked.replaces.call_id, asked.replaces.to_tag, asked.replaces.from_tag) == there
    value = write_replaces(asked.replaces.call_id, asked.replaces.to_tag, asked.replaces.from_tag)
    bert.call(carl, headers={"Replaces": value})
    link.run(0.1)
    assert carl.last(Invited).replaced == carl.of(Invited)[0].session


@pytest.mark.parametrize(
    ("headers", "code"),
    [("", 400), ("Refer-To: <<<\n", 400), ("Refer-To: <sip:a@b>\nRefer-To: <sip:c@d>\n", 400)],
)
def test_refer_without_a_good_target_is_refused(headers, code):
    link, anna, bert, _annas, berts = talking()
    inject_inside(bert, berts, anna, "REFER", headers)
    link.run()
    assert link.sent[-1][2].code == code
    assert not bert.of(ReferReceived)


def inject_inside(peer, session, source, method, headers="", body="", sequence=50):
    """Have a request of the peer arrive within a call."""
    call_id, tag, other = peer.agent.dialog(session)
    peer.inject(
        f"{method} sip:{peer.name}@{peer.host} SIP/2.0\n"
        f"Via: SIP/2.0/UDP {source.host}:5060;branch=z9hG4bK{method}{sequence}\n"
        f"From: <sip:x@y>;tag={other}\nTo: <sip:z@y>;tag={tag}\nCall-ID: {call_id}\n"
        f"CSeq: {sequence} {method}\n"
        f"Max-Forwards: 70\nContact: <sip:x@{source.host}>\n{headers}\n{body}",
        source,
    )


def test_refer_that_wants_no_notify_gets_none():
    link, anna, bert, _, berts = talking()
    inject_inside(bert, berts, anna, "REFER", "Refer-To: <sip:c@d>\nRefer-Sub: false\n")
    link.run()
    asked = bert.the(ReferReceived)
    bert.agent.accept_refer(asked.session, asked.refer, link.now)
    bert.agent.refer_progress(asked.session, asked.refer, 200, "OK", link.now)
    link.run()
    accepted = link.sent[-1][2]
    assert accepted.code == 202
    assert accepted.headers["Refer-Sub"] == "false"


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ("Event: presence\nSubscription-State: active\n", "", 489),
        ("Event: refer\nSubscription-State: active\n", "SIP/2.0 180 Ringing", 481),
    ],
)
def test_notify_that_belongs_to_nothing_is_refused(headers, body, code):
    link, anna, bert, _, berts = talking()
    inject_inside(bert, berts, anna, "NOTIFY", headers, body)
    link.run()
    assert link.sent[-1][2].code == code


def test_subscription_that_ends_without_a_word_counts_as_failed():
    link, anna, bert, _, berts = talking()
    bert.agent.refer(berts, "sip:c@d", link.now)
    link.run()
    inject_inside(
        bert, berts, anna, "NOTIFY", "Event: refer\nSubscription-State: terminated;reason=timeout\n", "?"
    )
    link.run()
    assert (bert.the(ReferProgressed).code, bert.the(ReferProgressed).final) == (500, True)


def test_replaces_is_read_as_written_and_nothing_else():
    assert read_replaces(["a@b;to-tag=1;from-tag=2;early-only"]) == Replaces("a@b", "1", "2", early_only=True)
    written = write_replaces("a@b", "", "2")
    assert written == "a@b;to-tag=0;from-tag=2"
    assert read_replaces([written]) == Replaces("a@b", "", "2")
    for lines in ([], ["a;to-tag=1"], ["a;to-tag=1;from-tag=2", "b"], [";to-tag=1;from-tag=2"], ["a;=;"]):
        assert read_replaces(lines) is None


def test_text_within_a_call_is_told_and_answered():
    link, anna, bert, annas, _ = talking()
    assert anna.agent.message(annas, "Grüße", "text/plain;charset=utf-8", link.now)
    link.run()
    assert (bert.the(TextReceived).body, bert.the(TextReceived).content_type) == ("Grüße", "text/plain")
    assert link.flows() == ["anna>bert MESSAGE", "bert>anna 200 MESSAGE"]


def test_verbs_on_a_call_that_is_over_say_false():
    link, anna, bert, annas, berts = talking()
    assert anna.agent.bye(annas, link.now)
    link.run()
    assert bert.the(Ended).reason == "bye"
    agent, now = anna.agent, link.now
    assert not any(
        [
            agent.bye(annas, now),
            agent.ring(annas, now),
            agent.answer(annas, ANSWER, now),
            agent.reject(annas, 486, now),
            agent.reinvite(annas, ANSWER, now),
            agent.update(annas, None, now),
            agent.accept_offer(annas, ANSWER, now),
            agent.refuse_offer(annas, 488, now),
            agent.refer(annas, "sip:a@b", now),
            agent.accept_refer(annas, "1", now),
            agent.refer_progress(annas, "1", 200, "", now),
            agent.refuse_refer(annas, "1", 603, now),
            agent.info(annas, "", "", now),
            agent.message(annas, "x", "text/plain", now),
            agent.dialog(annas),
            agent.allows(annas, "BYE"),
        ]
    )
    assert berts not in bert.agent.sessions
