import numpy as np
import pytest

from softswitch.audio.pitch import best_lags, coarseness, compiled, search_lags
from tests.audio.sounds import noise, sine, voice


@pytest.mark.parametrize("sample_rate", [8000, 16000, 24000])
@pytest.mark.parametrize("frequency", [90.0, 160.0, 250.0])
def test_period_of_a_tone_is_found(sample_rate, frequency):
    shortest, longest, window = sample_rate // 400, sample_rate * 15 // 1000, sample_rate // 50
    pcm = sine(frequency, (longest + window) / sample_rate, sample_rate)[None]
    lags, strength = best_lags(pcm, shortest, longest, window, sample_rate)
    periods = lags[0] * frequency / sample_rate
    assert periods == pytest.approx(round(periods), abs=0.02 * round(periods) + frequency / sample_rate)
    assert strength[0] > 0.99


def test_a_square_repeats_after_one_period_rather_than_two():
    pcm = np.where(np.arange(280) % 40 < 20, 1000.0, -1000.0).astype(np.float32)[None]
    assert best_lags(pcm, 20, 120, 160, 8000)[0].tolist() == [40]


def test_noise_and_silence_repeat_nothing():
    pcm = np.stack([noise(280), np.zeros(280, np.float32)])
    _, strength = best_lags(pcm, 20, 120, 160, 8000)
    assert (strength < 0.5).all()


def test_lags_stay_within_what_was_asked():
    lags, _ = best_lags(noise(24000).reshape(40, 600), 61, 239, 240, 24000)
    assert lags.min() >= 61
    assert lags.max() <= 239


@pytest.mark.skipif(compiled() is None, reason="no compiled code")
@pytest.mark.parametrize("sample_rate", [8000, 16000, 24000])
def test_compiled_search_finds_what_python_finds(sample_rate):
    shortest, longest, window = sample_rate // 400, sample_rate * 15 // 1000, sample_rate // 100
    sounds = [voice(1.0, sample_rate, pitch) for pitch in (80.0, 130.0, 240.0)] + [noise(sample_rate)]
    count = longest + window
    rows = np.stack([pcm[at : at + count] for pcm in sounds for at in range(0, len(pcm) - count, 997)])
    lags, strengths = best_lags(rows, shortest, longest, window, sample_rate)
    slowly, strong = search_lags(rows, shortest, longest, window, coarseness(sample_rate))
    assert np.allclose(strengths, strong, atol=1e-3)
    assert np.mean(lags == slowly) > 0.99


@pytest.mark.skipif(compiled() is None, reason="no compiled code")
def test_rows_that_the_compiled_search_refuses_are_searched_in_python():
    lags, _ = best_lags(np.tile(sine(100.0, 1.0, 8000), (2, 1)), 20, 120, 80, 8000)
    assert lags.tolist() == [80, 80]
