"""Refusals from octets: the same as from a parsed message, and silent on what is not plain."""

import pytest

from softswitch.sip.security.shedding import glimpse, refusal
from softswitch.sip.syntax.head import read_head, server_key
from softswitch.sip.syntax.message import Request, Response, parse
from softswitch.sip.transaction.flow import Flow
from softswitch.sip.transaction.machine import reply_flow

INVITE = (
    "INVITE sip:bob@192.0.2.9 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP Pc33.example.com:5066;branch=z9hG4bKnashds8;rport\r\n"
    "v: SIP/2.0/TCP 192.0.2.7;branch=z9hG4bKold\r\n"
    "Max-Forwards: 70\r\n"
    "t: Bob <sip:bob@192.0.2.9>\r\n"
    "From: Alice <sip:alice@example.com>;tag=1928301774\r\n"
    "Call-ID: a84b4c76e66710\r\n"
    "CSeq: 314159 INVITE\r\n"
    "Content-Length: 0\r\n\r\n"
)


def answer(text: str, host: str = "192.0.2.1", port: int = 7000) -> Response:
    seen = glimpse(text.encode())
    assert seen is not None
    response = parse(refusal(seen, host, port, 7))
    assert isinstance(response, Response)
    return response


def test_refusal_is_a_503_that_its_caller_knows():
    response = answer(INVITE)
    assert (response.code, response.headers["Retry-After"]) == (503, "7")
    assert [str(via.host) for via in response.via] == ["Pc33.example.com", "192.0.2.7"]
    top = response.via[0].parameters
    assert (top["rport"], top["received"], top["branch"]) == ("7000", "192.0.2.1", "z9hG4bKnashds8")
    assert response.call_id == "a84b4c76e66710"
    assert (response.cseq.sequence, response.cseq.method) == (314159, "INVITE")
    assert response.from_address.parameters["tag"] == "1928301774"
    assert str(response.to_address.parameters["tag"]).startswith("shed-")


def test_copies_get_the_same_tag_and_other_calls_another():
    tag = answer(INVITE).to_address.parameters["tag"]
    assert answer(INVITE).to_address.parameters["tag"] == tag
    assert answer(INVITE.replace("a84b4c", "b84b4c")).to_address.parameters["tag"] != tag


def test_key_is_that_of_the_transaction():
    for text in (
        INVITE,
        INVITE.replace("Pc33.example.com:5066", "192.0.2.1"),
        INVITE.replace("Pc33.example.com", "[2001:DB8::1]"),
    ):
        seen, request = glimpse(text.encode()), parse(text.encode())
        assert isinstance(request, Request)
        assert seen is not None
        assert seen.key == server_key(read_head(request), request)


def test_answer_goes_where_that_of_a_transaction_goes():
    for text in (
        INVITE,
        INVITE.replace(";rport", ""),
        INVITE.replace("Pc33.example.com:5066", "192.0.2.1").replace(";rport", ""),
    ):
        seen, request = glimpse(text.encode()), parse(text.encode())
        assert isinstance(request, Request)
        assert seen is not None
        flow = Flow("udp", "192.0.2.1", 7000)
        source = not seen.has_rport and seen.host == b"192.0.2.1"
        assert reply_flow(request.via[0], flow).port == ((seen.port or 5060) if source else 7000)


def test_ack_of_a_refusal_is_known_and_others_are_not():
    ack = INVITE.replace("INVITE", "ACK")
    tag = answer(INVITE).to_address.parameters["tag"]
    annas = glimpse(
        ack.replace("t: Bob <sip:bob@192.0.2.9>", f"t: Bob <sip:bob@192.0.2.9>;tag={tag}").encode()
    )
    invite, other = glimpse(INVITE.encode()), glimpse(ack.encode())
    assert annas is not None
    assert invite is not None
    assert other is not None
    assert annas.is_ours
    assert annas.key == invite.key
    assert not other.is_ours


@pytest.mark.parametrize(
    "text",
    [
        INVITE.replace("INVITE", "BYE"),
        INVITE.replace("t: Bob <sip:bob@192.0.2.9>", "t: Bob <sip:bob@192.0.2.9>;tag=x"),
        INVITE.replace("t: Bob <sip:bob@192.0.2.9>", "t: sip:bob@192.0.2.9;TAG = x"),
        INVITE.replace("z9hG4bKnashds8", "old-style"),
        INVITE.replace(";rport", ";rport=9"),
        INVITE.replace(";rport", ";received=192.0.2.200"),
        INVITE.replace(";rport", ";maddr=192.0.2.200"),
        INVITE.replace(";rport", ", SIP/2.0/UDP 192.0.2.3;branch=z9hG4bKx"),
        INVITE.replace("Max-Forwards: 70", "Subject: a\r\n folded"),
        INVITE.replace("Max-Forwards: 70", "i: again"),
        INVITE.replace("Call-ID: a84b4c76e66710\r\n", ""),
        INVITE.replace("Pc33.example.com:5066", "a b"),
        INVITE[:100],
        "",
        "\r\n\r\n",
    ],
)
def test_what_is_not_plain_is_left_to_the_parser(text):
    assert glimpse(text.encode()) is None


def test_tag_in_a_display_name_or_uri_is_no_tag():
    plain = INVITE.replace("t: Bob <sip:bob@192.0.2.9>", 't: ";tag=1" <sip:bob@192.0.2.9;tag=2>')
    assert str(answer(plain).to_address.parameters["tag"]).startswith("shed-")
