import numpy as np
import pytest

from softswitch.audio.g711 import (
    ALAW_DECODE,
    ALAW_ENCODE,
    ALAW_SILENCE,
    ULAW_DECODE,
    ULAW_ENCODE,
    ULAW_SILENCE,
    decode,
    encode,
)
from tests.conftest import data_path

LAWS = [("u", ULAW_ENCODE, ULAW_DECODE), ("a", ALAW_ENCODE, ALAW_DECODE)]


@pytest.mark.third_party("codec/g711-stl")
@pytest.mark.parametrize(("law", "encoding", "decoding"), LAWS)
def test_all_65536_values_agree_with_the_itu_vectors(law, encoding, decoding):
    folder = data_path("codec", "g711-stl")
    source = np.fromfile(folder / "sweep.src", "<i2")
    codes = (np.fromfile(folder / f"sweep-r.{law}", "<i2") & 0xFF).astype(np.uint8)
    decoded = np.fromfile(folder / f"sweep-r.re{law}", "<i2")
    assert len(np.unique(source)) == 65536
    assert np.array_equal(encode(encoding, source.astype(np.float32)), codes)
    assert np.array_equal(decode(decoding, codes), decoded)


@pytest.mark.parametrize(("law", "encoding", "decoding"), LAWS)
def test_every_code_is_the_code_of_its_own_value(law, encoding, decoding):
    codes = np.arange(256, dtype=np.uint8)
    again = encode(encoding, decode(decoding, codes))
    # µ-law alone has two zeros.
    differing = codes[again != codes]
    assert differing.tolist() == ([0x7F] if law == "u" else [])


def test_loud_sound_is_clipped_and_not_wrapped():
    loud = np.array([1e6, -1e6], np.float32)
    assert decode(ULAW_DECODE, encode(ULAW_ENCODE, loud)).tolist() == [32124.0, -32124.0]
    assert decode(ALAW_DECODE, encode(ALAW_ENCODE, loud)).tolist() == [32256.0, -32256.0]


def test_silence_decodes_to_next_to_nothing():
    assert ULAW_DECODE[ULAW_SILENCE] == 0
    assert abs(ALAW_DECODE[ALAW_SILENCE]) == 8


def test_both_ways_write_into_the_given_rows():
    codes, pcm = np.zeros((2, 3), np.uint8), np.ones((2, 3), np.float32)
    assert encode(ULAW_ENCODE, pcm, codes) is codes
    assert decode(ULAW_DECODE, codes, pcm) is pcm
