import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.audio.pcm import FRAME, FULL_SCALE, fade, from_bytes, to_bytes, to_float, to_int16, to_octets


def test_frame_is_20_ms_of_24_khz():
    assert FRAME == 480
    assert FULL_SCALE == 32768.0


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=200))
def test_bytes_come_back_as_they_were(data):
    whole = data[: len(data) // 2 * 2]
    assert to_bytes(from_bytes(data)) == whole


def test_from_bytes_leaves_an_odd_byte_out():
    assert from_bytes(b"\x01\x00\xff").tolist() == [1.0]


def test_from_bytes_writes_into_the_given_row():
    out = np.empty(2, np.float32)
    assert from_bytes(b"\x01\x00\xff\xff", out) is out
    assert out.tolist() == [1.0, -1.0]


def test_from_bytes_refuses_a_row_of_another_length():
    with pytest.raises(ValueError, match="out: has shape"):
        from_bytes(b"\0\0", np.empty(2, np.float32))


def test_to_int16_rounds_to_the_nearest_and_clips():
    pcm = np.array([1.4, 1.6, -1.6, 40000.0, -40000.0, np.inf], np.float32)
    assert to_int16(pcm).tolist() == [1, 2, -2, 32767, -32768, 32767]


def test_to_int16_survives_not_a_number():
    assert to_int16(np.array([np.nan], np.float32)).shape == (1,)


def test_to_int16_writes_into_the_given_array():
    out = np.empty((1, 2), np.int16)
    assert to_int16(np.array([[1.0, 2.0]], np.float32), out) is out
    assert out.tolist() == [[1, 2]]


def test_to_float_writes_into_the_given_array():
    out = np.empty(2, np.float32)
    assert to_float(np.array([3, -4], np.int16), out) is out
    assert out.tolist() == [3.0, -4.0]
    assert to_float(np.array([3, -4], np.int16)).dtype == np.float32


def test_to_octets_gives_little_endian_rows():
    assert to_octets(np.array([[1.0], [-2.0]], np.float32)).tolist() == [[1, 0], [254, 255]]


def test_fades_that_cross_add_to_one():
    assert np.allclose(fade(48) + fade(48, rising=False), 1.0)
    assert (np.diff(fade(48)) > 0).all()
    assert fade(0).shape == (0,)
