import numpy as np
import pytest

from softswitch.audio import g711
from softswitch.audio.band import is_wide
from softswitch.audio.resample import Resampler
from tests.audio.sounds import frames, noise, sine, voice

SLOT = np.zeros(1, np.intp)


def on_the_bus(pcm: np.ndarray) -> np.ndarray:
    """Return frames of a telephone's sound at the bus rate."""
    resampler = Resampler(8000, 24000, 1)
    return np.concatenate([resampler.process(frame[None], SLOT) for frame in frames(pcm, 160)])


@pytest.mark.parametrize("hz", [100, 1000, 3400, 3800])
def test_tones_of_a_telephone_are_narrow(hz):
    assert not is_wide(np.stack(frames(sine(hz, 0.2, 24000), 480))).any()


@pytest.mark.parametrize("hz", [5200, 6000, 8000, 11000])
def test_tones_above_are_wide_even_below_loud_ones(hz):
    pcm = sine(500, 0.2, 24000) + sine(hz, 0.2, 24000) * 0.01
    assert is_wide(np.stack(frames(pcm, 480))).all()


def test_sound_from_8_khz_is_narrow():
    for pcm in (voice(1.0, 8000), noise(8000)):
        coded = g711.decode(g711.DECODING["PCMU"], g711.encode(g711.ENCODING["PCMU"], pcm))
        assert not is_wide(on_the_bus(coded)).any()


def test_noise_of_the_whole_band_is_wide_and_silence_is_narrow():
    assert is_wide(np.stack(frames(noise(4800), 480))).all()
    assert not is_wide(np.zeros((3, 480), np.float32)).any()
    assert not is_wide(np.stack(frames(np.sign(noise(4800)), 480))).any()


def test_rows_are_judged_each_by_itself():
    low, high = frames(sine(500, 0.02, 24000), 480)[0], frames(sine(7000, 0.02, 24000), 480)[0]
    assert is_wide(np.stack((low, high, low))).tolist() == [False, True, False]
    assert is_wide(np.stack((low, high))[:, :60].copy()).tolist() == [False, True]
