import io
import struct
import wave
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.audio.g711 import ALAW_ENCODE, ULAW_ENCODE, encode
from softswitch.audio.pcm import to_bytes
from softswitch.audio.wav import HEADER_OCTETS, WavError, header, interleave, patches, read
from tests.audio.sounds import noise


def chunk(name, body):
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)


def file(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def layout(coding, channels=1, rate=8000, bits=16):
    block = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", coding, channels, rate, rate * block, block, bits))


def test_file_is_read_by_others():
    pcm = np.rint(np.stack([noise(100), noise(100, seed=2)]))
    data = to_bytes(interleave(pcm))
    with wave.open(io.BytesIO(header(24000, 2, len(data)) + data)) as other:
        assert (other.getnchannels(), other.getframerate(), other.getnframes()) == (2, 24000, 100)
        assert other.readframes(100) == data


def test_file_is_read_back():
    pcm = np.rint(np.stack([noise(100), noise(100, seed=2)]))
    data = to_bytes(interleave(pcm))
    again = read(header(16000, 2, len(data)) + data)
    assert again.sample_rate == 16000
    assert np.array_equal(again.pcm, pcm)


def test_header_has_the_length_it_states():
    assert len(header(8000, 1)) == HEADER_OCTETS


def test_patches_make_the_file_whole_up_to_the_flush():
    data = to_bytes(np.rint(noise(50)))
    written = bytearray(header(8000, 1) + data)
    for offset, octets in patches(len(data)):
        written[offset : offset + len(octets)] = octets
    assert bytes(written) == header(8000, 1, len(data)) + data


def test_file_that_was_never_patched_is_read_to_its_end():
    data = to_bytes(np.rint(noise(50)))
    assert read(header(8000, 1) + data).pcm.shape == (1, 50)


def test_sizes_stop_at_4_gib():
    assert patches(5 << 32)[1] == (40, b"\xff\xff\xff\xff")
    assert header(8000, 1, 5 << 32)[4:8] == b"\xff\xff\xff\xff"


@pytest.mark.parametrize(("coding", "table"), [(6, ALAW_ENCODE), (7, ULAW_ENCODE)])
def test_companded_file_is_read(coding, table):
    pcm = noise(81)
    got = read(
        file(layout(coding, bits=8), chunk(b"fact", b"\0" * 4), chunk(b"data", encode(table, pcm).tobytes()))
    )
    assert np.corrcoef(got.pcm[0], pcm)[0, 1] > 0.99


def test_eight_bits_are_unsigned():
    got = read(file(layout(1, bits=8), chunk(b"data", bytes([128, 255, 0]))))
    assert got.pcm.tolist() == [[0.0, 32512.0, -32768.0]]


def test_extensible_format_is_looked_through():
    body = (
        struct.pack("<HHIIHHHHI", 0xFFFE, 1, 8000, 16000, 2, 16, 22, 16, 4)
        + struct.pack("<H", 1)
        + b"\0" * 14
    )
    assert read(file(chunk(b"fmt ", body), chunk(b"data", b"\x01\x00"))).pcm.tolist() == [[1.0]]


def test_odd_chunks_are_padded():
    got = read(file(chunk(b"LIST", b"abc"), layout(1), chunk(b"data", b"\x02\x00")))
    assert got.pcm.tolist() == [[2.0]]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "RIFF and WAVE"),
        (file(layout(1)), "no data chunk"),
        (file(chunk(b"data", b"ab")), "before its format"),
        (file(chunk(b"fmt ", b"abc"), chunk(b"data", b"ab")), "format chunk has 3 octets"),
        (file(layout(85), chunk(b"data", b"ab")), "coding 85"),
        (file(layout(1, bits=24), chunk(b"data", b"abc")), "24 bits"),
        (file(layout(1, channels=0), chunk(b"data", b"ab")), "0 channels"),
    ],
)
def test_what_cannot_be_read_is_named(data, says):
    with pytest.raises(WavError, match=says):
        read(data)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 60), st.binary(max_size=40))
def test_damaged_file_is_read_or_refused(at, damage):
    whole = bytearray(file(layout(1), chunk(b"data", bytes(40))))
    whole[at : at + len(damage)] = damage
    with suppress(WavError):
        assert read(bytes(whole)).pcm.ndim == 2
