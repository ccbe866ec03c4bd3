from random import Random

import pytest

from softswitch.legs.rtp_parameters import NEAR_RESERVE_MS, StreamIdentity, audio_rate, rtp_parameters
from softswitch.media.messages import RtpParameters
from softswitch.rtp.delay import RESERVE_MS
from softswitch.sdp import SECURE_PROFILES, negotiate, parse
from tests.sdp import offers

IDENTITY = StreamIdentity(ssrc=1, sequence=2, timestamp=3, cname="x")


def parameters(text: str, preferred: str = "") -> RtpParameters:
    return rtp_parameters(negotiate(parse(text), profiles=SECURE_PROFILES, preferred=preferred), IDENTITY)


def test_parameters_hold_everything_that_may_come_and_what_is_sent() -> None:
    found = parameters(offers.CHROME)
    assert [item.payload_type for item in found.receive] == [111, 110, 126]
    assert (found.send.name, found.send.clock_rate, found.send.fmtp) == (
        "opus",
        48000,
        "minptime=10;useinbandfec=1",
    )
    assert found.send_events is not None
    assert found.send_events.payload_type == 110
    assert (found.ssrc, found.sequence, found.timestamp, found.cname) == (1, 2, 3, "x")
    assert (found.level_extension, found.ptime_ms, found.bitrate) == (1, 20, 0)


def test_media_between_nodes_have_a_smaller_reserve() -> None:
    agreement = negotiate(parse(offers.CHROME), profiles=SECURE_PROFILES)
    assert rtp_parameters(agreement, IDENTITY).reserve_ms == RESERVE_MS
    assert rtp_parameters(agreement, IDENTITY, near=True).reserve_ms == NEAR_RESERVE_MS < RESERVE_MS


@pytest.mark.parametrize(
    ("wanted", "most"), [("20000", 20000), ("1", 1), ("510000", 510000), ("x", 0), ("9" * 8, 0)]
)
def test_what_the_peer_wants_of_opus_is_passed_on(wanted: str, most: int) -> None:
    text = offers.CHROME.replace("a=fmtp:111 ", f"a=fmtp:111 maxaveragebitrate={wanted};")
    assert parameters(text).most_bitrate == most


def test_events_that_do_not_share_the_clock_are_understood_and_not_sent() -> None:
    found = parameters(offers.FIREFOX)
    assert found.send_events is None
    assert found.receive[1].name == "telephone-event"
    assert parameters(offers.FIREFOX, "PCMU").send_events == found.receive[1]


def test_identity_is_drawn_in_its_bounds() -> None:
    drawn = [StreamIdentity.draw(Random(seed)) for seed in range(50)]
    assert len({item.ssrc for item in drawn}) == 50
    assert all(0 < item.ssrc < 2**32 and item.sequence < 2**15 and len(item.cname) == 24 for item in drawn)


def test_audio_rate_is_that_of_the_sound_and_not_of_the_clock() -> None:
    assert [audio_rate(name) for name in ("opus", "G722", "PCMU", "PCMA")] == [48000, 16000, 8000, 8000]
