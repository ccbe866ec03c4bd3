"""Bodies: session descriptions, alone and among others."""

import pytest

from softswitch.sip.syntax.bodies import DESCRIPTIONS, content_type, sdp_of, unsupported
from softswitch.sip.syntax.message import Request, with_body
from softswitch.sip.syntax.uri import parse_uri

OPTIONAL = b"--x\r\nContent-Disposition: signal; handling=optional\r\n\r\ny\r\n"


def request(body=b"v=0\r\n", kind="application/sdp"):
    return with_body(Request("INVITE", parse_uri("sip:a@b")), body, kind)


def test_description_alone_is_found_whatever_its_case():
    assert sdp_of(request(kind="Application/SDP;charset=x")) == "v=0\r\n"
    assert content_type(request(kind="Application/SDP;charset=x")) == "application/sdp"
    assert sdp_of(request(body=b"")) is None
    assert sdp_of(request(kind="text/plain")) is None


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        (
            "multipart/mixed;boundary=x",
            b"--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x--",
            "v=0\r\n",
        ),
        ("multipart/mixed;boundary=x", b"--x\r\nContent-Type: text/plain\r\n\r\nv=0\r\n--x--", None),
        ("multipart/mixed", b"--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x--", None),
        ("multipart/mixed;boundary=x", b"\x00\xff", None),
        ("multipart/mixed;boundary=x", b"--x" * 5000, None),
        (
            "multipart/alternative;boundary=x",
            b"--x\r\nContent-Type: text/plain\r\n\r\ny\r\n--x\r\nc: Application/SDP\r\n\r\nv=0\r\n--x--",
            "v=0\r\n",
        ),
    ],
)
def test_description_among_others_is_found_or_not(kind, body, found):
    assert sdp_of(request(body, kind)) == found


def test_bytes_that_are_no_text_become_replacement_characters():
    assert sdp_of(request(b"v=0\xff\r\n")) == "v=0\ufffd\r\n"


def test_unsupported_says_what_would_be_supported():
    types = ("application/sdp",)
    assert unsupported(request(), types) is None
    assert unsupported(request(b""), types) is None
    assert unsupported(request(kind="text/plain"), types) == {"Accept": "application/sdp"}
    encoded = request()
    encoded.headers.set("Content-Encoding", "gzip")
    assert unsupported(encoded, types) == {"Accept-Encoding": "identity"}
    optional = request(kind="text/plain")
    optional.headers.set("Content-Disposition", "x; handling = optional")
    assert unsupported(optional, types) is None


@pytest.mark.parametrize(
    ("body", "acceptable"),
    [
        (b"--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x--", True),
        (b"--x\r\nContent-Type: application/isup\r\n\r\ny\r\n--x--", False),
        (b"--x\r\n\r\napplication/sdp\r\n--x--", False),
        (OPTIONAL + b"--x--", True),
        (OPTIONAL + b"--x\r\nContent-Type: text/plain\r\n\r\ny\r\n--x--", False),
        (b"no part at all", False),
    ],
)
def test_multipart_body_needs_a_description_unless_all_is_optional(body, acceptable):
    refused = unsupported(request(body, "multipart/mixed;boundary=x"), DESCRIPTIONS)
    assert refused == (None if acceptable else {"Accept": ", ".join(DESCRIPTIONS)})
