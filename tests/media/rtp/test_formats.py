import numpy as np
import pytest

from softswitch.audio.opus import OpusBank
from softswitch.audio.pcm import FRAME
from softswitch.media.messages import PayloadFormat, RtpParameters
from softswitch.media.rtp.formats import (
    CODECS,
    Formats,
    OpusOptions,
    codings,
    event_clocks,
    kind_of,
    kinds_by_type,
)


def test_names_are_known_in_any_case():
    assert [CODECS[kind_of(name) or 0].name for name in ("pcmu", "PCMA", "g722", "OPUS")] == [
        "PCMU",
        "PCMA",
        "G722",
        "opus",
    ]
    assert kind_of("telephone-event") is None
    assert kind_of("speex") is None


def test_formats_are_sorted_by_what_they_are():
    formats = (
        PayloadFormat("opus", 96, 48000),
        PayloadFormat("PCMU", 0, 8000),
        PayloadFormat("telephone-event", 110, 48000),
        PayloadFormat("Telephone-Event", 126, 8000),
        PayloadFormat("CN", 13, 8000),
    )
    assert kinds_by_type(formats) == {96: kind_of("opus"), 0: kind_of("PCMU")}
    assert event_clocks(formats) == {110: 48000, 126: 8000}


def test_durations_are_reported_by_length_or_by_the_first_octets():
    by_name = {codec.name: coding for codec, coding in zip(CODECS, codings(), strict=True)}
    assert by_name["PCMU"].units_per_octet * 160 == 960
    assert by_name["G722"].units_per_octet * 160 == 960
    opus = by_name["opus"]
    assert opus.durations is not None
    heads = np.array([[0x78, 0], [0x08, 0], [0x1B, 2], [0x03, 63]], np.uint8)
    assert opus.durations(heads, np.array([30, 30, 30, 30])).tolist() == [960, 960, 5760, 0]


@pytest.mark.parametrize("kind", range(len(CODECS)))
def test_every_kind_goes_to_the_bus_and_back(kind):
    formats = Formats(2)
    formats.grow(4)
    formats.open(3)
    slots = np.array([3])
    pcm = formats.from_bus(kind, np.ones((1, FRAME), np.float32), slots)
    assert pcm.shape == (1, CODECS[kind].sample_rate // 50)
    assert formats.to_bus(kind, pcm, slots).shape == (1, FRAME)
    out = np.zeros((1, FRAME), np.float32)
    assert formats.to_bus(kind, pcm, slots, out) is out
    assert formats.bank(kind) is formats.bank(kind)
    formats.switch(kind, slots)
    formats.close(3)
    assert formats.faults() == 0


@pytest.mark.parametrize(
    ("wanted", "most", "rate"),
    [
        (0, 0, 24000),
        (48000, 0, 48000),
        (0, 20000, 20000),
        (48000, 20000, 20000),
        (0, 1, 6000),
        (0, 510000, 24000),
    ],
)
def test_bitrate_of_opus_is_what_the_room_wants_and_the_peer_allows(wanted, most, rate):
    opus = PayloadFormat("opus", 111, 48000)
    parameters = RtpParameters((opus,), opus, bitrate=wanted, most_bitrate=most)
    assert OpusOptions(bitrate=24000).rate(parameters) == rate


def test_complexity_of_the_settings_reaches_the_encoders():
    formats = Formats(1, OpusOptions(complexity=7))
    bank = formats.bank(kind_of("opus") or 0)
    assert isinstance(bank, OpusBank)
    assert bank._complexity == 7
