import pytest

from softswitch.audio.codec import G722, L16_16000, OPUS, PCMA, PCMU, STATIC


@pytest.mark.parametrize(
    ("codec", "rtpmap", "samples", "step"),
    [
        (PCMU, "PCMU/8000", 160, 160),
        (PCMA, "PCMA/8000", 160, 160),
        (G722, "G722/8000", 320, 160),
        (OPUS, "opus/48000/2", 480, 960),
        (L16_16000, "L16/16000", 320, 320),
    ],
)
def test_codec_knows_what_20_ms_are(codec, rtpmap, samples, step):
    assert codec.rtpmap == rtpmap
    assert codec.samples(20) == samples
    assert codec.timestamp_step(20) == step


def test_codec_takes_another_payload_type():
    assert OPUS.with_payload_type(96).payload_type == 96
    assert OPUS.payload_type == 111


def test_codec_refuses_a_payload_type_of_eight_bits():
    with pytest.raises(ValueError, match="payload_type: 128"):
        OPUS.with_payload_type(128)


def test_static_payload_types_are_those_of_rfc_3551():
    assert {number: codec.name for number, codec in STATIC.items()} == {0: "PCMU", 8: "PCMA", 9: "G722"}
