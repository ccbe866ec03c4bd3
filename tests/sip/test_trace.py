"""The text of a traced message: what belongs to a call, and what is never shown."""

import pytest

from softswitch.sip.trace import call_id_of, masked

INVITE = (
    "INVITE sip:anna:secret1@example.org;token=secret2 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
    "From: <sip:bob@example.org>;tag=1\r\nTo: <sip:anna@example.org>\r\n"
    "Call-ID: a-call@192.0.2.1\r\nCSeq: 1 INVITE\r\n"
    'Proxy-Authorization: Digest username="bob", nonce="n",\r\n response="secret3"\r\n'
    "Authorization: Bearer secret4\r\nX-Api-Key: secret5\r\n"
    "Contact: <sip:bob@192.0.2.1?access_token=secret6>\r\n"
    'Authentication-Info: rspauth="secret7"\r\n'
    "Content-Type: application/sdp\r\n\r\n"
    "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:secret8|2^20|1:4\r\n"
    "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:secret9\r\na=ice-pwd:secret10\r\nk=clear:secret11\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
)


def test_secrets_are_masked_and_the_rest_is_shown():
    text = masked(INVITE.encode())
    assert "secret" not in text
    for shown in (
        "INVITE sip:anna:***@example.org;token=*** SIP/2.0",
        "Call-ID: a-call@192.0.2.1",
        "Proxy-Authorization: Digest ***\r\nAuthorization: Bearer ***\r\n",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:***|2^20|1:4",
        "a=rtpmap:0 PCMU/8000",
        "tag=1",
    ):
        assert shown in text, text


def test_digits_of_info_are_masked():
    info = (
        b"INFO sip:a@b SIP/2.0\r\nCall-ID: x\r\nc: x\r\nContent-Type: application/dtmf-relay\r\n\r\nSignal=5"
    )
    assert "Signal=5" not in masked(info)
    assert masked(info).endswith("\r\n\r\n***")


@pytest.mark.parametrize(
    ("head", "call_id"),
    [
        (b"INVITE a SIP/2.0\r\nCall-ID: x@y\r\nCSeq: 1 INVITE", b"x@y"),
        (b"SIP/2.0 200 OK\r\ni:x\r\nCSEQ:  2 BYE", b"x"),
        (b"REGISTER a SIP/2.0\r\nCall-ID: x\r\nCSeq: 1 REGISTER", b""),
        (b"SIP/2.0 200 OK\r\nCall-ID: x\r\nCSeq: 1 OPTIONS", b""),
        (b"INVITE a SIP/2.0\r\nCSeq: 1 INVITE", b""),
        (b"nonsense", b""),
        (b"", b""),
    ],
)
def test_call_id_is_that_of_messages_of_calls(head: bytes, call_id: bytes):
    assert call_id_of(head + b"\r\n\r\nCall-ID: body\r\nCSeq: 1 INVITE") == call_id


def test_octets_that_are_no_text_are_shown():
    assert masked(b"\xff\xfe\r\n\r\n\xff") == "\ufffd\ufffd\r\n\r\n\ufffd"
