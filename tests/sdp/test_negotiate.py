import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.errors import PeerError
from softswitch.sdp import (
    PLAIN_PROFILES,
    SECURE_PROFILES,
    Agreement,
    NotAcceptableError,
    SdpError,
    media_address,
    negotiate,
    parse,
    payload_types,
    transport_offer,
)
from tests.conftest import data_path
from tests.sdp import offers

HEAD = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n"


def plain(section: str, preferred: str = "") -> Agreement:
    return negotiate(parse(HEAD + section), profiles=PLAIN_PROFILES, preferred=preferred)


def secure(text: str, preferred: str = "") -> Agreement:
    return negotiate(parse(text), profiles=SECURE_PROFILES, preferred=preferred)


@pytest.mark.parametrize(
    ("name", "codec", "events", "send"),
    [
        ("chrome", "opus", [48000, 8000], 48000),
        ("safari", "opus", [48000, 8000], 48000),
        ("firefox", "opus", [8000], None),
        ("pion", "PCMU", [], None),
    ],
)
def test_negotiate_follows_the_order_of_the_offer(
    name: str, codec: str, events: list[int], send: int | None
) -> None:
    agreement = secure(offers.ALL[name])
    assert agreement.codec.name == codec
    assert [item.clock_rate for item in agreement.events] == events
    assert (agreement.send_events.clock_rate if agreement.send_events else None) == send


@pytest.mark.parametrize("codec", ["opus", "G722", "PCMU", "PCMA", "g722", "pcmu"])
def test_negotiate_prefers_the_codec_that_was_asked_for(codec: str) -> None:
    agreement = secure(offers.CHROME, codec)
    assert agreement.codec.name.lower() == codec.lower()
    assert agreement.send_events is not None
    assert agreement.send_events.clock_rate == agreement.codec.clock_rate


def test_negotiate_falls_back_to_the_offer_when_the_preferred_codec_is_not_there() -> None:
    assert secure(offers.PION, "opus").codec.name == "PCMU"
    assert secure(offers.CHROME, "no-such-codec").codec.name == "opus"


def test_negotiate_keeps_the_parameters_of_the_far_end() -> None:
    codec = secure(offers.CHROME).codec
    assert (codec.number, codec.parameter("useinbandfec"), codec.parameter("stereo")) == (111, "1", None)
    assert codec.rtpmap == "111 opus/48000/2"


def test_negotiate_takes_the_level_extension_with_its_id() -> None:
    assert secure(offers.CHROME).level_extension == 1
    assert secure(offers.PION).level_extension == 0
    assert secure(offers.CHROME.replace("extmap:1 ", "extmap:15 ")).level_extension == 0
    assert secure(offers.CHROME.replace("extmap:1 ", "extmap:1/sendonly ")).level_extension == 0


@pytest.mark.parametrize("name", ["OPUS/48000/1", "opus/48000"])
def test_opus_of_one_channel_which_a_browser_would_not_decode_gives_way_to_another_codec(name: str) -> None:
    mono = offers.CHROME.replace("opus/48000/2", name)
    assert secure(mono).codec.name != "opus"
    alone = mono.replace("SAVPF 111 63 9 0 8", "SAVPF 111")
    with pytest.raises(NotAcceptableError):
        secure(alone)


@pytest.mark.parametrize(
    ("lines", "ptime"),
    [
        ("", 20),
        ("a=ptime:0", 20),
        ("a=ptime:40", 40),
        ("a=ptime:20.0", 20),
        ("a=ptime:17", 20),
        ("a=ptime:99999", 20),
        ("a=maxptime:10", 10),
        ("a=ptime:60\na=maxptime:20", 20),
        ("a=ptime:x", 20),
    ],
)
def test_negotiate_takes_a_sane_packet_time(lines: str, ptime: int) -> None:
    assert plain(f"m=audio 5004 RTP/AVP 0\n{lines}\n").ptime_ms == ptime


@pytest.mark.parametrize(
    ("line", "answer", "on_hold", "is_silent"),
    [
        ("", "sendrecv", False, False),
        ("a=sendrecv", "sendrecv", False, False),
        ("a=sendonly", "recvonly", True, False),
        ("a=recvonly", "sendonly", False, True),
        ("a=inactive", "inactive", True, True),
        ("c=IN IP4 0.0.0.0", "recvonly", True, False),
        ("c=IN IP4 0.0.0.0\na=recvonly", "inactive", True, True),
    ],
)
def test_agreement_mirrors_the_direction(line: str, answer: str, on_hold: bool, is_silent: bool) -> None:
    agreement = plain(f"m=audio 5004 RTP/AVP 0\n{line}\n")
    assert (agreement.direction, agreement.on_hold, agreement.is_silent) == (answer, on_hold, is_silent)


def test_direction_of_the_session_counts_where_the_section_has_none() -> None:
    text = HEAD + "a=sendonly\nm=audio 5004 RTP/AVP 0\n"
    assert negotiate(parse(text), profiles=PLAIN_PROFILES).direction == "recvonly"


def test_negotiate_takes_the_second_audio_section_when_the_first_is_refused() -> None:
    agreement = plain("m=audio 0 RTP/AVP 0\nm=audio 5006 RTP/AVP 8\n")
    assert (agreement.index, agreement.codec.name) == (1, "PCMA")


def test_negotiate_serves_a_bundle_only_section_through_its_bundle() -> None:
    video, audio = "m=video 9 UDP/TLS/RTP/SAVPF 96\na=mid:v\n", "m=audio 0 UDP/TLS/RTP/SAVPF 0\n"
    transport = (
        f"a=ice-ufrag:abcd\na=ice-pwd:{'p' * 22}\na=setup:actpass\n"
        f"a=fingerprint:sha-256 {offers.FINGERPRINT}\n"
    )
    text = HEAD + "a=group:BUNDLE v a\n" + video + transport + audio + "a=mid:a\na=bundle-only\na=rtcp-mux\n"
    offer = parse(text)
    agreement = negotiate(offer, profiles=SECURE_PROFILES)
    assert agreement.index == 1
    found = transport_offer(offer, offer.media[1])
    assert (found.credentials.ufrag, found.setup) == ("abcd", "actpass")


def test_media_address_refuses_privileged_ports_and_groups_of_hosts() -> None:
    offer = parse(HEAD + "m=audio 5004 RTP/AVP 0\nm=audio 22 RTP/AVP 0\n")
    assert media_address(offer, offer.media[0]) == ("192.0.2.1", 5004)
    with pytest.raises(NotAcceptableError, match="1024"):
        media_address(offer, offer.media[1])
    for address in ("224.0.0.1", "255.255.255.255", "host.example"):
        offer = parse(HEAD.replace("c=IN IP4 192.0.2.1", f"c=IN IP4 {address}") + "m=audio 5004 RTP/AVP 0\n")
        with pytest.raises(NotAcceptableError):
            media_address(offer, offer.media[0])


EDGE: dict[str, str] = {
    "audio-video": "PCMU",
    "c-broadcast": "488",
    "c-loopback-remote": "PCMU",
    "c-missing": "400",
    "c-per-media": "PCMU",
    "candidate-mdns": "PCMU",
    "candidate-short": "PCMU",
    "cn-13": "PCMU",
    "dup-pt": "PCMU",
    "fingerprint-sha1": "PCMU",
    "fmtp-no-pt": "488",
    "g722-clock-8000": "G722",
    "g722-wrong-16000": "488",
    "hold-inactive": "PCMU",
    "huge-sess-version": "PCMU",
    "latin1": "PCMU",
    "long-line": "400",
    "many-pts": "PCMU",
    "min": "PCMU",
    "no-final-crlf": "PCMU",
    "no-rtpmap-static": "PCMU",
    "only-image-t38": "488",
    "opus-nochan": "opus",
    "order": "400",
    "port-65536": "400",
    "port-privileged": "488",
    "ptime-0": "PCMU",
    "rtpmap-no-clock": "PCMU",
    "setup-foo": "488",
    "t-missing": "PCMU",
    "unknown-proto": "488",
}
"""Reaction to each file of the edge cases when it is offered as plain RTP; the code is that of SIP."""


@pytest.mark.parametrize("name", EDGE)
def test_negotiate_reacts_to_edge_cases_as_asked(name: str) -> None:
    data = data_path("sdp", "edge", f"{name}.sdp").read_bytes()
    try:
        offer = parse(data)
        agreement = negotiate(offer, profiles=PLAIN_PROFILES)
        media_address(offer, offer.media[agreement.index])
        reaction = agreement.codec.name
    except PeerError as error:
        reaction = str(error.code)
    assert reaction == EDGE[name]


def test_every_edge_case_has_its_reaction() -> None:
    assert {path.stem for path in data_path("sdp", "edge").glob("*.sdp")} == set(EDGE)


@pytest.mark.parametrize("name", ["setup-foo", "fingerprint-sha1", "candidate-short", "candidate-mdns"])
def test_transport_offer_names_what_an_edge_case_lacks(name: str) -> None:
    offer = parse(data_path("sdp", "edge", f"{name}.sdp").read_bytes())
    with pytest.raises(SdpError, match="a="):
        transport_offer(offer, offer.media[0])


def test_comfort_noise_is_never_the_codec() -> None:
    with pytest.raises(NotAcceptableError):
        plain("m=audio 5004 RTP/AVP 13 101\na=rtpmap:101 telephone-event/8000\n")


lines = st.sampled_from(
    [
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:0",
        "a=rtpmap:999 PCMU/8000",
        "a=rtpmap:x y/z",
        "a=rtpmap:0 PCMU/8000/999999",
        "a=fmtp:111",
        "a=fmtp:²  x",
        "a=ptime:",
        "a=ptime:²",
        "a=extmap:² urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        "a=extmap:0 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        "a=extmap:",
        "a=group:",
        "a=group:BUNDLE",
        "a=mid:",
        "a=setup:",
        "a=rtcp-mux",
        "a=ice-ufrag:ab",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:" + "x" * 22,
        "a=fingerprint:",
        "a=fingerprint:sha-256",
        "a=fingerprint:sha-256 " + offers.FINGERPRINT,
        "a=candidate:",
        "a=candidate:1 1 udp 1 1.2.3.4 5 typ host",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 ² 999 x",
        "m=video 0 x y",
        "c=IN IP4 0.0.0.0",
        "c=IN IP4 999",
    ]
)


@given(st.lists(lines | st.text(max_size=30), max_size=25))
@settings(deadline=None, max_examples=300)
def test_hostile_offers_raise_nothing_but_peer_errors(parts: list[str]) -> None:
    with contextlib.suppress(PeerError):
        offer = parse("\n".join(["v=0", *parts]))
        for media in offer.media:
            payload_types(media)
        agreement = negotiate(offer, profiles=SECURE_PROFILES)
        transport_offer(offer, offer.media[agreement.index])
        media_address(offer, offer.media[agreement.index])


def test_a_codec_that_is_listed_twice_may_come_by_either_number() -> None:
    text = offers.CHROME.replace("SAVPF 111", "SAVPF 111 112") + (
        "a=rtpmap:112 opus/48000/2\na=fmtp:112 minptime=10;stereo=1\n"
    )
    agreement = negotiate(parse(text), profiles=SECURE_PROFILES)
    assert agreement.codec.number == 111
    assert [item.number for item in agreement.receive] == [111, 110, 126, 112]


def test_opus_with_one_channel_is_no_codec_of_a_browser() -> None:
    odd = offers.CHROME.replace("opus/48000/2", "OPUS/48000/1")
    assert negotiate(parse(odd), profiles=SECURE_PROFILES).codec.name == "G722"
    alone = odd.replace("SAVPF 111 63 9 0 8 13 110 126", "SAVPF 111 110")
    with pytest.raises(NotAcceptableError, match=r"opus/48000/2 \(RFC 7587"):
        negotiate(parse(alone), profiles=SECURE_PROFILES)
