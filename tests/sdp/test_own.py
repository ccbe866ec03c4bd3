import pytest

from softswitch.sdp import (
    SUITES,
    CryptoLine,
    Layout,
    OwnAudio,
    OwnTransport,
    layout_of,
    offered_formats,
    own_description,
    parse,
)

PLAIN = OwnTransport("RTP/AVP", "192.0.2.9", 20000)


def own(transport: OwnTransport = PLAIN) -> OwnAudio:
    return OwnAudio(transport, offered_formats(("G722", "PCMU")), ssrc=1, cname="abc")


def test_offer_has_what_an_old_telephone_needs() -> None:
    assert own_description(own(), Layout(), 7, 1).text().split("\r\n") == [
        "v=0",
        "o=- 7 1 IN IP4 192.0.2.9",
        "s=-",
        "c=IN IP4 192.0.2.9",
        "t=0 0",
        "m=audio 20000 RTP/AVP 9 0 101",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtpmap:9 G722/8000",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "",
    ]


def test_address_may_be_of_ip_6() -> None:
    text = own_description(
        own(OwnTransport("RTP/AVP", "2001:db8::7", 20000, mux=False)), Layout(), 7, 1
    ).text()
    assert "o=- 7 1 IN IP6 2001:db8::7\r\n" in text
    assert "c=IN IP6 2001:db8::7\r\n" in text
    assert "rtcp-mux" not in text


def test_offered_formats_have_events_at_the_clock_of_each_codec() -> None:
    formats = offered_formats(("opus", "PCMU", "pcmu", "nothing"), "pcmu")
    assert [item.rtpmap for item in formats] == [
        "0 PCMU/8000",
        "96 opus/48000/2",
        "101 telephone-event/8000",
        "97 telephone-event/48000",
    ]


def test_keys_are_written() -> None:
    line = CryptoLine("3", SUITES["AEAD_AES_128_GCM"], bytes(28))
    text = own_description(
        own(OwnTransport("RTP/SAVP", "192.0.2.9", 20000, crypto=(line,))), Layout(), 7, 1
    ).text()
    assert "a=crypto:3 AEAD_AES_128_GCM inline:" + "A" * 37 in text


def test_other_sections_keep_their_place_and_are_refused() -> None:
    offer = parse(
        "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=image 5000 udptl t38\n"
        "m=audio 5004 RTP/AVP 0\nm=video 5006 RTP/AVP 96\na=mid:v\nm=audio 5008 RTP/AVP 8\n"
    )
    answer = parse(own_description(own(), layout_of(offer, 1), 7, 1).text())
    assert [(media.kind, media.port, media.formats) for media in answer.media] == [
        ("image", 0, ("t38",)),
        ("audio", 20000, ("9", "0", "101")),
        ("video", 0, ("96",)),
        ("audio", 0, ("8",)),
    ]
    assert answer.media[2].first("mid") == "v"


@pytest.mark.parametrize(
    "transport",
    [
        OwnTransport("RTP/AVP", "192.0.2.9", 20000),
        OwnTransport("RTP/AVP", "2001:db8::7", 20000, mux=False),
    ],
)
def test_a_description_is_what_its_text_is_parsed_to(transport: OwnTransport) -> None:
    description = own_description(own(transport), Layout(), 7, 1)
    assert parse(description.text()) == description
