import numpy as np
import pytest

from softswitch.audio import g711
from softswitch.audio.band import FULL, NARROW, WIDE, bands
from softswitch.audio.resample import Resampler
from tests.audio.sounds import frames, noise, sine, voice

SLOT = np.zeros(1, np.intp)


def on_the_bus(pcm: np.ndarray, rate: int) -> np.ndarray:
    """Return frames of sound of 8 or 16 kHz at the bus rate."""
    resampler = Resampler(rate, 24000, 1)
    return np.concatenate([resampler.process(frame[None], SLOT) for frame in frames(pcm, rate // 50)])


@pytest.mark.parametrize("hz", [100, 1000, 3400, 3800])
def test_tones_of_a_telephone_are_narrow(hz):
    assert (bands(np.stack(frames(sine(hz, 0.2, 24000), 480))) == NARROW).all()


@pytest.mark.parametrize(
    ("hz", "band"), [(5200, WIDE), (6000, WIDE), (8000, WIDE), (9600, FULL), (11000, FULL)]
)
def test_tones_above_are_seen_even_below_loud_ones(hz, band):
    pcm = sine(500, 0.2, 24000) + sine(hz, 0.2, 24000) * 0.01
    assert (bands(np.stack(frames(pcm, 480))) == band).all()


def test_sound_from_8_khz_is_narrow():
    for pcm in (voice(1.0, 8000), noise(8000)):
        coded = g711.decode(g711.DECODING["PCMU"], g711.encode(g711.ENCODING["PCMU"], pcm))
        assert (bands(on_the_bus(coded, 8000)) == NARROW).all()


def test_sound_from_16_khz_is_wide():
    assert (bands(on_the_bus(noise(16000), 16000))[1:] == WIDE).all()
    assert bands(on_the_bus(voice(1.0, 16000), 16000)[1:]).max() <= WIDE


def test_noise_of_the_whole_band_is_full_and_silence_is_narrow():
    assert (bands(np.stack(frames(noise(4800), 480))) == FULL).all()
    assert (bands(np.zeros((3, 480), np.float32)) == NARROW).all()
    assert (bands(np.stack(frames(np.sign(noise(4800)), 480))) == NARROW).all()


def test_rows_are_judged_each_by_itself():
    low, mid, high = (frames(sine(hz, 0.02, 24000), 480)[0] for hz in (500, 7000, 11000))
    assert bands(np.stack((low, high, mid, low))).tolist() == [NARROW, FULL, WIDE, NARROW]
    assert bands(np.stack((low, mid))[:, :60].copy()).tolist() == [NARROW, WIDE]
