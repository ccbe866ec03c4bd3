import numpy as np
import pytest

from softswitch.speech.denoise import Denoiser
from tests.audio.sounds import frames, noise, voice


def clean(pcm, rate=24000):
    denoiser = Denoiser(rate)
    out = [denoiser.process(frame) for frame in frames(pcm.astype(np.float32), rate // 50)]
    assert all(row.shape == (rate // 50,) and row.dtype == np.float32 for row in out)
    return np.concatenate(out)


def decibels(pcm):
    return 20 * np.log10(np.sqrt(np.mean(pcm.astype(float) ** 2)) / 32768)


@pytest.mark.parametrize("level", [100, 330, 1000])
def test_steady_noise_is_lowered(level):
    pcm = noise(24000 * 5, level)
    assert decibels(clean(pcm)[-24000:]) < decibels(pcm) - 6


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_speech_comes_through_late_by_the_delay(rate):
    pcm = np.concatenate((noise(2 * rate, 30), voice(2.0, rate)))
    out = clean(pcm, rate)
    delay = Denoiser.delay_ms * rate // 1000
    speech, heard = pcm[2 * rate : -delay], out[2 * rate + delay :]
    assert np.corrcoef(speech, heard)[0, 1] > 0.98
    assert decibels(heard) == pytest.approx(decibels(speech), abs=1.5)


def test_silence_stays_silence():
    assert not clean(np.zeros(24000)).any()


def test_streams_do_not_know_each_other():
    pcm = voice(1.0, 24000)
    alone = clean(pcm)
    other, mine = Denoiser(), Denoiser()
    both = []
    for frame in frames(pcm, 480):
        other.process(noise(480, 5000))
        both.append(mine.process(frame))
    assert np.concatenate(both) == pytest.approx(alone)
