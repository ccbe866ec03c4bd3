from dataclasses import replace

from softswitch.sdp import (
    SECURE_PROFILES,
    Fingerprint,
    IceCredentials,
    Local,
    answer_text,
    candidate_line,
    negotiate,
    parse,
    transport_offer,
)
from tests.sdp import offers

LOCAL = Local(
    session=77,
    version=1,
    credentials=IceCredentials("ourufrag", "p" * 24),
    candidates=(candidate_line("1 1 udp 2130706431 192.0.2.5 20002 typ host"),),
    fingerprint=Fingerprint("sha-256", offers.FINGERPRINT),
    setup="active",
    ssrc=12345,
    cname="abc",
)


def answer(text: str, preferred: str = "") -> str:
    offer = parse(text)
    return answer_text(offer, negotiate(offer, profiles=SECURE_PROFILES, preferred=preferred), LOCAL)


def test_answer_has_what_a_browser_needs() -> None:
    lines = answer(offers.CHROME).split("\r\n")
    assert lines[:5] == ["v=0", "o=- 77 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0"]
    for line in [
        "m=audio 20002 UDP/TLS/RTP/SAVPF 111 110 126",
        "c=IN IP4 192.0.2.5",
        "a=candidate:1 1 udp 2130706431 192.0.2.5 20002 typ host",
        "a=end-of-candidates",
        "a=ice-ufrag:ourufrag",
        "a=setup:active",
        "a=mid:0",
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        "a=rtpmap:110 telephone-event/48000",
        "a=rtpmap:126 telephone-event/8000",
        "a=fmtp:126 0-15",
        "a=ptime:20",
        "a=ssrc:12345 cname:abc",
    ]:
        assert line in lines


def test_answer_names_the_candidate_that_is_most_likely_reached_as_the_default() -> None:
    host, *_ = LOCAL.candidates
    relay = candidate_line("2 1 udp 16777215 203.0.113.7 49200 typ relay raddr 192.0.2.5 rport 20002")
    loopback = candidate_line("3 1 udp 2130706430 ::1 20004 typ host")
    offer = parse(offers.CHROME)
    agreement = negotiate(offer, profiles=SECURE_PROFILES)
    for candidates, line in [
        ((host, loopback), "c=IN IP4 192.0.2.5"),
        ((loopback, host), "c=IN IP6 ::1"),
        ((host, relay, loopback), "c=IN IP4 203.0.113.7"),
        ((), "c=IN IP4 0.0.0.0"),
    ]:
        assert line in answer_text(offer, agreement, replace(LOCAL, candidates=candidates)).split("\r\n")


def test_answer_refuses_all_other_sections_in_their_order() -> None:
    description = parse(answer(offers.FIREFOX))
    audio, video = description.media
    assert (audio.kind, audio.port, video.kind, video.port) == ("audio", 20002, "video", 0)
    assert video.first("mid") == "1"
    assert description.first("group") == "BUNDLE 0"


def test_answer_keeps_the_payload_types_of_the_offer() -> None:
    audio = parse(answer(offers.FIREFOX, "G722")).media[0]
    assert audio.formats == ("9", "101")
    assert audio.first("rtpmap") == "9 G722/8000"


def test_answer_to_a_stream_that_only_sends_names_our_source_but_no_stream() -> None:
    audio = parse(answer(offers.CHROME.replace("a=sendrecv", "a=sendonly"))).media[0]
    assert audio.has("recvonly")
    assert not audio.has("msid")
    assert audio.has("ssrc")  # Chromium forgets it for good otherwise


def test_answer_without_a_bundle_in_the_offer_has_none() -> None:
    assert "BUNDLE" not in answer(offers.CHROME.replace("a=group:BUNDLE 0\n", ""))


def max_bundle(video_port: str = "9") -> str:
    """Return an offer with video first that bundles everything: only the video section has a transport."""
    session, audio = offers.CHROME.replace("BUNDLE 0", "BUNDLE 1 0").split("m=audio 9 ", 1)
    lines = audio.splitlines()
    transport = ("a=ice-", "a=fingerprint", "a=setup", "a=rtcp-mux")
    keys = [line for line in lines if line.startswith(transport)]
    audio_only = [line for line in lines if not line.startswith(transport)]
    video = f"m=video {video_port} UDP/TLS/RTP/SAVPF 96 97"
    formats = ["a=rtpmap:96 VP8/90000", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96"]
    candidate = "a=candidate:1 1 udp 2130706431 192.0.2.9 4000 typ host"
    parts = [video, "c=IN IP4 0.0.0.0", "a=mid:1", "a=sendrecv", *keys, candidate, *formats]
    return session + "\n".join([*parts, "m=audio 0 " + audio_only[0], *audio_only[1:], "a=bundle-only", ""])


def test_the_section_with_the_tag_of_the_bundle_is_accepted_as_inactive() -> None:
    description = parse(answer(max_bundle()))
    video, audio = description.media
    assert description.first("group") == "BUNDLE 1 0"
    assert (video.port, video.formats, video.first("rtpmap")) == (20002, ("96",), "96 VP8/90000")
    assert video.has("inactive")
    assert video.has("rtcp-mux")
    assert video.first("ice-ufrag") == audio.first("ice-ufrag") == "ourufrag"
    assert audio.has("sendrecv")


def test_a_rejected_section_with_the_tag_stays_rejected() -> None:
    text = offers.CHROME.replace("BUNDLE 0", "BUNDLE 1 0").replace(
        "m=audio", "m=video 0 UDP/TLS/RTP/SAVPF 96\na=mid:1\na=inactive\nm=audio", 1
    )
    description = parse(answer(text))
    assert description.media[0].port == 0
    assert description.first("group") == "BUNDLE 0"


def test_the_transport_of_a_bundle_is_read_from_the_section_with_its_tag() -> None:
    offer = parse(max_bundle())
    transport = transport_offer(offer, offer.media[1])
    assert transport.credentials.ufrag == "F7gI"
    assert [item.address for item in transport.candidates] == ["192.0.2.9"]
