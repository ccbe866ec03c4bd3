"""Conversion of the encodings of dialects to PCM16."""

import numpy as np
import pytest

from softswitch.audio import g711
from softswitch.legs.stream.encoding import decoder

CODES = bytes(range(256))


def test_pcm16_is_passed_on_as_it_is():
    odd = b"\1\2\3"
    assert decoder("pcm16")(odd) is odd


@pytest.mark.parametrize(("encoding", "law"), [("pcmu", "PCMU"), ("pcma", "PCMA")])
def test_g711_is_that_of_the_recommendation(encoding, law):
    pcm = decoder(encoding)(CODES)
    expected = g711.decode(g711.DECODING[law], np.frombuffer(CODES, np.uint8))
    assert pcm == expected.astype("<i2").tobytes()


@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
def test_empty_audio_stays_empty(encoding):
    assert decoder(encoding)(b"") == b""
