"""Incoming calls until they are answered."""

import pytest

from softswitch.sip.events import Answered, Cancelled, Confirmed, Ended, Invited, Progressed, Rejected
from softswitch.sip.syntax.message import Request
from tests.sip.link import ANSWER, OFFER, Link


def invited(**options):
    link = Link("anna", "bert", **options)
    anna, bert = link["anna"], link["bert"]
    session = anna.call(bert)
    link.run(0.1)
    return link, anna, bert, session, bert.the(Invited).session


def test_three_copies_of_an_invite_are_one_call():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    link.filter = lambda sender, *_: sender == "anna"
    anna.call(bert)
    link.run(2.0)
    assert link.count("anna>bert INVITE") == 3
    assert len(bert.of(Invited)) == 1
    assert bert.agent.counters["retransmission"] == 2
    assert link.count("bert>anna 100 INVITE") == 3


def test_200_is_sent_until_its_ack_comes():
    link, anna, bert, _, berts = invited()
    link.filter = lambda sender, _r, sent: not (isinstance(sent, Request) and sent.method == "ACK")
    bert.agent.answer(berts, ANSWER, link.now)
    link.run(3.0)
    assert link.count("bert>anna 200 INVITE") == 3
    assert len(anna.of(Answered)) == 1
    link.filter = lambda *_: True
    link.run(5.0)
    assert bert.the(Confirmed)
    copies = link.count("bert>anna 200 INVITE")
    link.run(40.0)
    assert link.count("bert>anna 200 INVITE") == copies


def test_200_without_ack_ends_in_bye():
    link, anna, bert, _, berts = invited()
    link.filter = lambda sender, _r, sent: not (isinstance(sent, Request) and sent.method == "ACK")
    bert.agent.answer(berts, ANSWER, link.now)
    link.run(33.0)
    assert bert.the(Ended).reason == "no_ack"
    assert link.count("bert>anna BYE") == 1
    assert anna.the(Ended).reason == "bye"
    link.run(100)
    assert bert.agent.deadline() is None


def test_bye_before_the_ack_waits_for_it():
    link, anna, bert, _, berts = invited()
    link.filter = lambda sender, *_: sender == "bert"
    bert.agent.answer(berts, ANSWER, link.now)
    link.run(0.1)
    assert bert.agent.bye(berts, link.now, headers={"Reason": "over"})
    link.run(0.2)
    assert link.count("bert>anna BYE") == 0
    link.filter = lambda *_: True
    link.run(1.0)
    assert anna.the(Ended).headers["Reason"] == "over"
    assert bert.the(Ended).reason == "local"


def test_cancel_is_answered_200_and_the_invite_487():
    link, anna, bert, session, berts = invited()
    bert.agent.ring(berts, link.now)
    link.run()
    anna.agent.bye(session, link.now, headers={"Reason": 'SIP;cause=200;text="elsewhere"'})
    link.run()
    assert bert.the(Cancelled).headers["Reason"].startswith("SIP;cause=200")
    assert link.flows()[-4:] == [
        "anna>bert CANCEL",
        "bert>anna 200 CANCEL",
        "bert>anna 487 INVITE",
        "anna>bert ACK",
    ]
    tags = {
        sent.to_address.parameters.get("tag")
        for _, _, sent in link.sent
        if not isinstance(sent, Request) and sent.code > 100
    }
    assert len(tags) == 1
    assert anna.the(Rejected).code == 487
    assert bert.agent.answer(berts, ANSWER, link.now) is False


def test_cancel_of_nothing_is_481():
    link, anna, bert, _, _ = invited()
    invite = link.sent[0][2]
    bert.inject(
        f"CANCEL sip:bert@10.0.0.2 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKother\n"
        f"From: {invite.headers['From']}\nTo: {invite.headers['To']}\nCall-ID: {invite.call_id}\n"
        "CSeq: 1 CANCEL\nMax-Forwards: 70\n\n",
        anna,
    )
    link.run(0.1)
    assert link.flows()[-1] == "bert>anna 481 CANCEL"
    assert not bert.of(Cancelled)


def test_caller_may_end_an_early_dialog_with_bye():
    link, anna, bert, session, berts = invited()
    bert.agent.ring(berts, link.now)
    link.run(0.1)
    dialog = anna.agent._sessions.by_id[session].state.dialog
    request, flow = dialog.request("BYE")
    anna.agent._context.send_request(request, flow, lambda *_: None)
    link.run(0.1)
    assert bert.the(Cancelled)
    assert anna.the(Rejected).code == 487


def test_ringing_is_repeated_each_minute_for_the_proxies():
    link, _anna, bert, _, berts = invited()
    bert.agent.ring(berts, link.now)
    link.run(121)
    assert link.count("bert>anna 180 INVITE") == 3


def test_call_that_nobody_answers_ends_by_itself():
    link, anna, bert, _, _ = invited()
    link.run(601)
    assert bert.the(Ended).reason == "rejected"
    assert anna.the(Rejected).code in (480, 487)


def test_delayed_offer_is_made_in_the_200():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    session = anna.call(bert, sdp=None, reliable="no")
    link.run(0.1)
    berts = bert.the(Invited)
    assert berts.offer is None
    bert.agent.ring(berts.session, link.now, code=183, sdp=OFFER)
    bert.agent.answer(berts.session, OFFER, link.now)
    link.run(0.1)
    assert anna.the(Answered).sdp == OFFER
    anna.agent.accept_offer(session, ANSWER, link.now)
    link.run(0.1)
    assert bert.the(Confirmed).sdp == ANSWER


def test_description_within_a_multipart_body_is_found():
    link = Link("anna", "bert")
    bert = link["bert"]
    body = (
        "--b\r\nContent-Type: application/isup\r\n\r\nx\r\n"
        f"--b\r\nContent-Type: application/sdp\r\n\r\n{OFFER}\r\n--b--\r\n"
    )
    bert.inject(invite_text(kind='multipart/mixed;boundary="b"', body=body), link["anna"])
    link.run(0.1)
    assert bert.the(Invited).offer == OFFER


def invite_text(
    *,
    kind="application/sdp",
    body=OFFER,
    uri="sip:bert@10.0.0.2",
    branch="z9hG4bK1",
    sequence=1,
    tag="a",
    extra="",
):
    return (
        f"INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch={branch}\r\nMax-Forwards: 70\r\n"
        f"From: <sip:anna@10.0.0.1>;tag={tag}\r\nTo: <sip:bert@10.0.0.2>\r\nCall-ID: c1\r\n"
        f"CSeq: {sequence} INVITE\r\nContact: <sip:anna@10.0.0.1>\r\n{extra}"
        f"Content-Type: {kind}\r\n\r\n{body}"
    ).encode()


@pytest.mark.parametrize(
    ("options", "code", "header", "value"),
    [
        ({"kind": "text/plain"}, 415, "Accept", "application/sdp, multipart/mixed, multipart/alternative"),
        (
            {
                "kind": "multipart/mixed;boundary=b",
                "body": "--b\r\nContent-Type: application/isup\r\n\r\nx\r\n--b--\r\n",
            },
            415,
            "Accept",
            "application/sdp, multipart/mixed, multipart/alternative",
        ),
        ({"extra": "Content-Encoding: gzip\r\n"}, 415, "Accept-Encoding", "identity"),
        ({"extra": "Require: nothing, timer, 100rel, more\r\n"}, 420, "Unsupported", "nothing, more"),
        ({"uri": "http://example.org"}, 416, None, None),
        ({"extra": "Session-Expires: 30\r\nSupported: timer\r\n"}, 422, "Min-SE", "90"),
        ({"extra": "Replaces: x;to-tag=1;from-tag=2\r\n"}, 481, None, None),
        ({"extra": "Replaces: x\r\n"}, 400, None, None),
    ],
)
def test_invite_that_cannot_be_is_refused(options, code, header, value):
    link = Link("anna", "bert")
    link["bert"].inject(invite_text(**options), link["anna"])
    link.run(0.1)
    refusal = link.sent[-1][2]
    assert refusal.code == code
    assert not link["bert"].happened
    if header:
        assert refusal.headers[header] == value


def test_body_that_may_be_passed_over_is():
    link = Link("anna", "bert")
    link["bert"].inject(
        invite_text(kind="text/plain", extra="Content-Disposition: render;handling=optional\r\n"),
        link["anna"],
    )
    link.run(0.1)
    assert link["bert"].the(Invited).offer is None


def test_multipart_body_of_optional_parts_leaves_the_offer_to_us():
    link = Link("anna", "bert")
    head = "Content-Type: application/isup\r\nContent-Disposition: signal;handling=optional"
    link["bert"].inject(
        invite_text(kind="multipart/mixed;boundary=b", body=f"--b\r\n{head}\r\n\r\nx\r\n--b--\r\n"),
        link["anna"],
    )
    link.run(0.1)
    assert link["bert"].the(Invited).offer is None


@pytest.mark.parametrize("branch", ["z9hG4bK1", ""])
def test_contact_may_be_missing_in_an_invite_of_rfc_2543_only(branch):
    link = Link("anna", "bert")
    bert = link["bert"]
    text = invite_text().replace(b"Contact: <sip:anna@10.0.0.1>\r\n", b"").replace(b";tag=a", b"")
    text = text.replace(b";branch=z9hG4bK1", f";branch={branch}".encode() if branch else b"")
    bert.inject(text, link["anna"])
    link.run(0.1)
    if branch:
        assert link.sent[-1][2].code == 400
        assert not bert.happened
        return
    invited = bert.the(Invited)
    bert.agent.answer(invited.session, ANSWER, link.now)
    link.run(0.1)
    okay = link.sent[-1][2]
    ack = text.replace(b"INVITE", b"ACK").replace(
        b"To: <sip:bert@10.0.0.2>", f"To: {okay.headers['To']}".encode()
    )
    bert.inject(ack.partition(b"Content-Type")[0] + b"\r\n", link["anna"])
    link.run(0.1)
    assert bert.of(Confirmed)
    bert.agent.bye(invited.session, link.now)
    link.run(0.01)
    (bye,) = [sent for sender, _, sent in link.sent if sender == "bert" and isinstance(sent, Request)]
    assert (bye.method, str(bye.uri), bye.headers["To"]) == (
        "BYE",
        "sip:anna@10.0.0.1",
        "<sip:anna@10.0.0.1>",
    )


def test_same_request_by_another_way_is_482():
    link = Link("anna", "bert")
    bert = link["bert"]
    bert.inject(invite_text(), link["anna"])
    bert.inject(invite_text(branch="z9hG4bK2"), link["anna"])
    link.run(0.1)
    assert link.sent[-1][2].code == 482
    assert len(bert.of(Invited)) == 1


def test_max_forwards_0_is_483_for_a_call_and_nothing_to_options():
    link = Link("anna", "bert")
    bert = link["bert"]
    text = invite_text().replace(b"Max-Forwards: 70", b"Max-Forwards: 0")
    bert.inject(text, link["anna"])
    link.run(0.1)
    assert link.sent[-1][2].code == 483
    options = text.replace(b"INVITE", b"OPTIONS").replace(b"z9hG4bK1", b"z9hG4bK3")
    bert.inject(options, link["anna"])
    link.run(0.1)
    assert link.sent[-1][2].code == 200


def test_replaces_names_the_call_that_is_taken_over():
    link = Link("anna", "bert", "carl")
    anna, bert, carl = link["anna"], link["bert"], link["carl"]
    anna.call(bert)
    link.run(0.1)
    first = bert.the(Invited).session
    bert.agent.answer(first, ANSWER, link.now)
    link.run(0.1)
    call_id, to_tag, from_tag = bert.agent.dialog(first)
    carl.call(bert, headers={"Replaces": f"{call_id};to-tag={to_tag};from-tag={from_tag}"})
    link.run(0.1)
    second = bert.last(Invited)
    assert second.replaced == first
    assert (second.replaces.call_id, second.replaces.to_tag) == (call_id, to_tag)
    carl.call(bert, headers={"Replaces": f"{call_id};to-tag={to_tag};from-tag={from_tag};early-only"})
    link.run(0.1)
    assert carl.the(Rejected).code == 486


def test_progress_of_other_codes_is_sent():
    link, anna, bert, _, berts = invited()
    bert.agent.ring(berts, link.now, code=182, reason="Two before you")
    link.run(0.1)
    assert (anna.the(Progressed).code, anna.the(Progressed).reason) == (182, "Two before you")


def test_call_that_still_rings_here_is_nobodys_to_take_over():
    link, _anna, bert, _, berts = invited()
    call_id, to_tag, from_tag = bert.agent.dialog(berts)
    extra = f"Replaces: {call_id};to-tag={to_tag};from-tag={from_tag}\r\n"
    bert.inject(invite_text(extra=extra), link["anna"])
    link.run(0.1)
    assert link.sent[-1][2].code == 481


def test_prack_that_crosses_the_200_is_welcome():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    anna.call(bert, reliable="required")
    link.run(0.1)
    berts = bert.the(Invited).session
    bert.agent.ring(berts, link.now)
    bert.agent.answer(berts, ANSWER, link.now)
    link.run(0.1)
    assert link.count("bert>anna 200 PRACK") == 1
    assert bert.the(Confirmed)


def test_invitation_that_expires_before_the_answer_gets_487():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    anna.call(bert, headers={"Expires": "5"})
    link.run(0.1)
    bert.agent.ring(bert.the(Invited).session, link.now)
    link.run(4.0)
    assert not bert.of(Cancelled)
    link.run(2.0)
    assert bert.the(Cancelled)
    assert anna.the(Rejected).code == 487
    assert bert.agent.counters["invite_expired"] == 1


def test_invitation_that_was_accepted_expires_no_more():
    link = Link("anna", "bert")
    anna, bert = link["anna"], link["bert"]
    anna.call(bert, headers={"Expires": "5"})
    link.run(0.1)
    bert.agent.answer(bert.the(Invited).session, ANSWER, link.now)
    link.run(10.0)
    assert bert.the(Confirmed)
    assert not bert.of(Cancelled)
