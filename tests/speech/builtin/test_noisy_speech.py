import numpy as np
import pytest

from softswitch.speech.builtin.noisy_speech import RATE, cleaner, filled, is_noisy, versions

RNG = np.random.default_rng(5)
SECONDS = 3


def tone(hertz=600.0):
    """Return a tone that sounds for half of the time."""
    at = np.arange(SECONDS * RATE) / RATE
    return (0.1 * np.sin(2 * np.pi * hertz * at) * (at % 1.0 < 0.5)).astype(np.float32)


def hiss(level, highest_hz):
    spectrum = np.fft.rfft(RNG.standard_normal(SECONDS * RATE))
    spectrum[np.fft.rfftfreq(SECONDS * RATE, 1 / RATE) > highest_hz] = 0
    noise = np.fft.irfft(spectrum)
    return (noise * level / noise.std()).astype(np.float32)


def power(sound, low_hz, high_hz):
    spectrum = np.abs(np.fft.rfft(sound)) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
    return float(spectrum[(hertz >= low_hz) & (hertz < high_hz)].mean())


@pytest.mark.parametrize(
    ("sound", "noisy"),
    [
        (np.zeros(RATE, np.float32), False),
        (np.zeros(300, np.float32), False),
        (tone(), False),
        (tone() + hiss(0.002, 8000), False),
        (tone() + hiss(0.02, 8000), True),
    ],
)
def test_noise_is_told_from_quiet(sound, noisy):
    assert is_noisy(sound) is noisy
    assert [len(one) for one in versions(sound)] == [len(sound)] * (2 if noisy else 1)


def test_band_of_a_telephone_is_filled_above():
    sound = tone() + hiss(0.02, 3900)
    wide = filled(sound)
    assert power(wide, 4500, 7500) > 0.2 * power(sound, 2800, 3600)
    assert power(wide, 4500, 7500) < power(sound, 2800, 3600)
    assert np.allclose(power(wide, 300, 3800), power(sound, 300, 3800), rtol=0.01)


def test_wide_noise_is_left_alone():
    sound = tone() + hiss(0.02, 8000)
    assert filled(sound) is sound


def test_noise_is_lowered_and_speech_is_kept():
    sound = tone() + hiss(0.02, 8000)
    clean = cleaner(sound)
    assert len(clean) == len(sound)
    assert power(clean, 1500, 7000) < 0.3 * power(sound, 1500, 7000)
    assert power(clean, 590, 610) == pytest.approx(power(sound, 590, 610), rel=0.15)
