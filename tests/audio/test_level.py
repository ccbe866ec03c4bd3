import numpy as np
import pytest

from softswitch.audio.level import dbov, gain, header_level, power
from tests.audio.sounds import sine


def test_full_scale_sine_is_3_db_below_overload():
    pcm = np.stack([sine(1000.0, 0.02, 24000, 32768.0), sine(1000.0, 0.02, 24000, 3276.8)])
    assert dbov(pcm) == pytest.approx([-3.01, -23.01], abs=0.01)


def test_square_at_full_scale_is_overload():
    assert dbov(np.full((1, 480), 32768.0, np.float32)).tolist() == [0.0]


def test_silence_is_127_below_overload():
    silence = np.zeros((2, 480), np.float32)
    assert dbov(silence).tolist() == pytest.approx([-127.0, -127.0], abs=1e-4)
    assert header_level(silence).tolist() == [127, 127]


def test_header_level_is_a_positive_number_of_seven_bits():
    pcm = np.stack([np.full(480, 40000.0), np.full(480, 327.68), np.full(480, 0.01)]).astype(np.float32)
    assert header_level(pcm).tolist() == [0, 40, 127]
    assert header_level(pcm).dtype == np.uint8


def test_power_of_nothing_is_nothing():
    assert power(np.zeros((2, 0), np.float32)).tolist() == [0.0, 0.0]


def test_gain_is_a_factor_of_amplitude():
    assert gain(-20.0) == pytest.approx(0.1)
    assert gain(0.0) == 1.0
