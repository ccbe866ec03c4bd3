"""Echo cancelling."""

import numpy as np

from softswitch.audio.echo_canceller import EchoCanceller
from softswitch.audio.pcm import FRAME, Pcm

RATE = 24000


def talk(seed: int, seconds: float) -> Pcm:
    """Return noise in the spectrum and the syllables of speech."""
    rng = np.random.default_rng(seed)
    size = int(seconds * RATE) // FRAME * FRAME
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum /= 1.0 + (np.arange(len(spectrum)) * RATE / size / 500.0) ** 1.5
    sound = np.fft.irfft(spectrum, size)
    sound = sound * np.clip(np.sin(2 * np.pi * 1.7 * np.arange(size) / RATE + seed), 0.0, None)
    even: Pcm = (sound * 3000.0 / sound.std()).astype(np.float32)
    return even


def echo_of(sound: Pcm, delay_s: float) -> Pcm:
    """Return what a room and a network of `delay_s` bring back, 12 dB lower."""
    rng = np.random.default_rng(9)
    path = np.zeros(int((delay_s + 0.08) * RATE))
    tail = path[int(delay_s * RATE) :]
    tail[:] = rng.standard_normal(tail.size) * np.exp(-np.arange(tail.size) / 400)
    path *= 0.25 / np.sqrt(np.square(path).sum())
    size = 1 << (len(sound) + len(path)).bit_length()
    echo = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(path, size), size)[: len(sound)]
    return (echo + rng.standard_normal(len(sound)) * 2.0).astype(np.float32)


def cancelled(sent: Pcm, said: Pcm) -> Pcm:
    canceller = EchoCanceller()
    out = []
    for at in range(0, len(sent), FRAME):
        canceller.sent(sent[at : at + FRAME])
        out.append(canceller.process(said[at : at + FRAME]))
    return np.concatenate(out)


def erle_db(echo: Pcm, left: Pcm) -> float:
    """Return the echo return loss enhancement: how much weaker the echo is."""
    return float(10 * np.log10(np.square(echo).mean() / np.square(left).mean()))


def test_echo_is_20_db_weaker_after_a_few_seconds() -> None:
    sent = talk(1, 6.0)
    for delay_s in (0.01, 0.25):
        echo = echo_of(sent, delay_s)
        left = cancelled(sent, echo)
        assert erle_db(echo[-2 * RATE :], left[-2 * RATE :]) > 20.0


def test_speech_of_both_at_once_stays_and_does_not_lead_the_filter_astray() -> None:
    sent, own = talk(1, 8.0), talk(5, 8.0)
    own[: 4 * RATE] = 0.0
    echo = echo_of(sent, 0.1)
    left = cancelled(sent, echo + own)
    last = slice(-2 * RATE, None)
    assert erle_db(echo[last], left[last] - own[last]) > 10.0


def test_without_an_echo_speech_passes_as_it_is() -> None:
    sent, own = talk(1, 3.0), talk(5, 3.0)
    left = cancelled(sent, own)
    assert np.square(left - own).sum() < 0.02 * np.square(own).sum()


def test_a_party_that_is_sent_nothing_passes_exactly() -> None:
    own = talk(5, 1.0)
    assert np.allclose(cancelled(np.zeros_like(own), own), own, atol=0.01)
