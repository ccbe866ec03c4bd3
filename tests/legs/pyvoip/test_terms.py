"""Negotiation within the abilities of pyVoIP."""

import pytest

from softswitch.errors import PeerError
from softswitch.legs.pyvoip.terms import read_terms
from softswitch.sdp import parse
from tests.legs.pyvoip.peer import SDP

BOTH = ("PCMU", "PCMA")


def described(more: str = "", **changes: str) -> bytes:
    text = SDP.format(port=40000, more=more)
    for old, new in changes.items():
        text = text.replace(old, new)
    return text.encode()


def test_readable_description_has_one_stream_with_one_codec_and_events() -> None:
    terms = read_terms(described("a=foo:b:c\r\nm=video 4 RTP/AVP 96\r\n"), BOTH)
    read = parse(terms.readable())
    (stream,) = read.media
    assert (stream.port, stream.protocol, stream.formats) == (40000, "RTP/AVP", ("8", "101"))
    assert terms.target == ("127.0.0.1", 40000)


def test_codec_that_the_peer_likes_best_is_taken_among_ours() -> None:
    assert read_terms(described(), BOTH).codec == "PCMA"
    assert read_terms(described(), ("PCMU",)).codec == "PCMU"


def test_events_at_another_clock_are_not_taken() -> None:
    body = described("a=rtpmap:102 telephone-event/48000\r\n").replace(b"8 0 101", b"8 102")
    assert "telephone-event" not in read_terms(body, BOTH).readable()


def test_answer_keeps_the_order_of_sections_the_profile_and_our_address() -> None:
    offer = (
        b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 4000 RTP/AVP 96\r\n"
    )
    terms = read_terms(offer + b"m=audio 40000 RTP/AVPF 0\r\na=sendonly\r\n", BOTH)
    local = b"v=0\r\no=pyVoIP 3 5 IN IP4 10.0.0.1\r\ns=pyVoIP\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n"
    local += b"m=audio 21000 RTP/AVP 0\r\n"
    read = parse(
        terms.answer(local + b"a=rtpmap:0 PCMU/8000\r\na=maxptime:150\r\na=sendrecv\r\n", 2, "192.0.2.7")
    )
    video, audio = read.media
    assert (video.port, audio.port, audio.protocol) == (0, 21000, "RTP/AVPF")
    assert audio.has("recvonly")
    assert not audio.has("sendrecv")
    assert not audio.has("maxptime")
    assert (read.origin.session, read.origin.version, read.origin.address) == ("3", "5", "192.0.2.7")
    assert read.connection is not None
    assert read.connection.address == "192.0.2.7"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"junk",
        described(**{"RTP/AVP": "RTP/SAVP"}),
        described(**{"8 0 101": "9 101"}),
        described(**{"8 0 101": "96"}) + b"a=rtpmap:96 PCMU/8000\r\n",
        described(**{"IN IP4": "IN IP6", "127.0.0.1": "::1"}),
        described(**{"m=audio": "m=text"}),
    ],
)
def test_what_pyvoip_cannot_do_is_refused(body: bytes) -> None:
    with pytest.raises(PeerError):
        read_terms(body, BOTH)
