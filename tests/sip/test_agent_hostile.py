"""Whatever a peer sends, in whatever order, the user agent neither raises nor forgets."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from softswitch.sip.agent import AgentLimits
from softswitch.sip.events import Cancelled, Ended, Invited, ReferReceived, Rejected
from softswitch.sip.syntax.grammar import MalformedError
from softswitch.sip.syntax.message import Request
from tests.sip.forgery import accept
from tests.sip.link import ANSWER, HOLD, OFFER, Link, talking

SCRIPT = st.lists(
    st.tuples(
        st.sampled_from(
            "INVITE ACK BYE CANCEL INFO UPDATE PRACK REFER NOTIFY MESSAGE OPTIONS REGISTER 100 180 "
            "183 200 302 401 "
            "407 408 422 481 487 491 503 603".split()
        ),
        st.integers(0, 4),  # sequence
        st.sampled_from(["annas", "berts", "wrong"]),
        st.sampled_from(
            [
                "",
                "Session-Expires: 91;refresher=uac\n",
                "Require: 100rel\nRSeq: 1\n",
                "RSeq: 999999999999999999999\nRequire: 100rel\n",
                "RAck: 1 1 INVITE\n",
                "Refer-To: <sip:x@y?Replaces=a%3Bto-tag%3D1>\n",
                "Contact: <sip:q@10.0.0.2>;q=x\n",
                "Min-SE: x\n",
                'WWW-Authenticate: Digest realm="r", nonce="n"\nProxy-Authenticate: Digest\n',
                "Event: refer\nSubscription-State: terminated\n",
                "Replaces: c;to-tag=1;from-tag=2\n",
                "Content-Type: application/sdp\n",
                "Content-Type: multipart/mixed\n",
                "Allow: ,,,\nSupported: timer, 100rel\n",
            ]
        ),
        st.sampled_from(["", OFFER, "\x00", "--\r\n\r\n--"]),
        st.sampled_from(
            ["nothing", "answer", "ring", "bye", "reinvite", "accept", "refuse", "refer", "time"]
        ),
    ),
    max_size=14,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCRIPT, st.booleans())
def test_nothing_a_far_end_sends_raises(script, calling):
    link = Link("anna", "bert", limits=AgentLimits(transactions=64, forks=2, pending=2))
    anna, bert = link["anna"], link["bert"]
    annas = anna.call(bert) if calling else ""
    if not calling:
        bert.call(anna)
    link.run(0.05)
    link.filter = lambda *_: False
    for number, (what, sequence, whose, extra, body, verb) in enumerate(script):
        first = next(sent for _, _, sent in link.sent if isinstance(sent, Request))
        if anna.of(Invited):
            annas = anna.last(Invited).session
        dialog: Any = anna.agent.dialog(annas)
        mine = first.from_address.parameters["tag"] if calling else (dialog[1] if dialog else "")
        berts = "remote" if calling else first.from_address.parameters["tag"]
        tag = {"annas": mine, "berts": berts, "wrong": "wrong"}[whose]
        contact = "" if extra.startswith("Contact") else "Contact: <sip:q@10.0.0.2>\n"
        if what.isdigit():
            text = (
                f"SIP/2.0 {what} X\nVia: {first.headers['Via']}\nFrom: {first.headers['From']}\n"
                f"To: <sip:t@u>;tag={tag}\nCall-ID: {first.call_id}\n"
                f"CSeq: {max(sequence, 1)} INVITE\n{extra}\n{body}"
            )
        else:
            text = (
                f"{what} sip:anna@10.0.0.1 SIP/2.0\n"
                f"Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK{what}{number % 5}\n"
                f"From: <sip:t@u>;tag={berts}\nTo: <sip:v@w>{f';tag={tag}' if sequence else ''}\n"
                f"Call-ID: {first.call_id}\nCSeq: {sequence} {what}\nMax-Forwards: 7\n"
                f"{contact}{extra}\n{body}"
            )
        anna.inject(text, bert)
        now = link.now
        match verb:
            case "answer":
                anna.agent.answer(annas, ANSWER, now)
            case "ring":
                anna.agent.ring(annas, now, code=183, sdp=ANSWER)
            case "bye":
                anna.agent.bye(annas, now)
            case "reinvite":
                anna.agent.reinvite(annas, HOLD, now)
            case "accept":
                anna.agent.accept_offer(annas, ANSWER, now)
            case "refuse":
                anna.agent.refuse_offer(annas, 488, now)
            case "refer":
                asked = anna.of(ReferReceived)
                anna.agent.refer(annas, "sip:x@y", now)
                if asked:
                    anna.agent.accept_refer(annas, asked[-1].refer, now)
            case "time":
                link.run(20)
        link.run(0.1)
    link.run(4000)
    assert len(anna.agent._context.transactions) <= 64
    ends = [one.session for one in anna.happened if isinstance(one, Ended | Rejected | Cancelled)]
    assert len(ends) == len(set(ends))
    assert not [one for one in anna.agent.sessions if one in ends]
    for session in ends:
        told = [one for one in anna.happened if getattr(one, "session", "") == session]
        assert isinstance(told[-1], Ended | Rejected | Cancelled)


def mutated(data: bytes, dice: random.Random) -> bytes:
    """Change a message a little, in one of the ways that wires and attackers do."""
    out = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(out))
        match dice.randrange(4):
            case 0:
                out[at] = dice.randrange(256)
            case 1:
                del out[at : at + dice.randint(1, 12)]
            case 2:
                out[at:at] = dice.choice(
                    [b";", b",", b'"', b"<", b"\r\n", b"=", b"0", b"999999999999", b"\xff"]
                )
            case 3:
                start = dice.randrange(len(out))
                out[at:at] = out[start : start + 30]
    return bytes(out)


@pytest.mark.parametrize("seed", range(6))
def test_mutations_of_a_real_call_raise_nothing_and_leave_nothing(seed):
    dice = random.Random(seed)
    link, anna, bert, annas, berts = talking(seed=seed)
    accept(bert, HOLD)
    anna.agent.reinvite(annas, HOLD, link.now)
    anna.agent.refer(annas, "sip:carl@10.0.0.3", link.now)
    anna.agent.info(annas, "Signal=1", "application/dtmf-relay", link.now)
    bert.agent.message(berts, "x", "text/plain", link.now)
    bert.call(anna)
    link.run(1)
    messages = [(bytes(sent), link[other]) for _, other, sent in link.sent]
    link.filter = lambda *_: False
    read = 0
    for _ in range(600):
        data, receiver = dice.choice(messages)
        try:
            receiver.inject(mutated(data, dice))
        except MalformedError:
            continue
        read += 1
        if dice.random() < 0.2:
            link.run(dice.random())
    assert read > 50
    link.run(5000)
    for peer in (anna, bert):
        assert not peer.agent.sessions
        assert len(peer.agent._context.transactions) == 0
        assert peer.agent.deadline() is None
