import numpy as np
import pytest

from softswitch.speech.builtin import flite
from softswitch.speech.builtin.voice_engine import Utterance
from softswitch.speech.interface import SpeechUnavailableError
from tests.speech.needs import need_flite

TEXT = "Hello, how can I help you today?"


@pytest.fixture(scope="module")
def engine():
    need_flite()
    return flite.engine()


def speak(engine, text=TEXT, voice="slt", pieces=10_000, **how):
    got = []

    def take(pcm, rate):
        got.append((np.frombuffer(pcm, "<i2"), rate))
        return len(got) < pieces

    words = engine.speak(Utterance(text, voice, **how), take)
    return np.concatenate([pcm for pcm, _ in got]), got[0][1], words, len(got)


def pitch_hz(pcm, rate):
    """Return the median pitch of the voiced parts, by autocorrelation."""
    found = []
    for begin in range(0, len(pcm) - rate // 20, rate // 50):
        piece = pcm[begin : begin + rate // 20].astype(float)
        if np.abs(piece).max() > 3000:
            line = np.correlate(piece, piece, "full")[len(piece) - 1 :]
            lag = rate // 400 + line[rate // 400 : rate // 60].argmax()
            if line[lag] > 0.5 * line[0]:
                found.append(rate / lag)
    return np.median(found)


@pytest.mark.parametrize(("voice", "rate"), [("slt", 16000), ("rms", 16000), ("awb", 16000), ("kal", 8000)])
def test_every_voice_speaks_at_its_rate(engine, voice, rate):
    pcm, got, _, _ = speak(engine, voice=voice)
    assert got == rate
    assert 1.5 < len(pcm) / rate < 4.0
    assert np.sqrt(np.mean(pcm.astype(float) ** 2)) > 500


def test_words_are_where_they_begin(engine):
    pcm, rate, words, _ = speak(engine)
    assert [word for word, _ in words] == ["Hello", "how", "can", "I", "help", "you", "today"]
    begins = [begin for _, begin in words]
    assert begins == sorted(begins)
    assert 0 < begins[0] < begins[-1] < len(pcm) * 1000 / rate


def test_speech_is_stopped_when_it_is_not_wanted(engine):
    pcm, rate, _, count = speak(engine, TEXT * 4, pieces=3)
    assert count == 3
    assert len(pcm) < rate


def test_rate_and_pitch_change_the_sound(engine):
    plain, rate, _, _ = speak(engine)
    fast, _, _, _ = speak(engine, rate=1.5)
    high, _, _, _ = speak(engine, pitch=1.3)
    assert len(fast) / len(plain) == pytest.approx(1 / 1.5, rel=0.1)
    assert pitch_hz(high, rate) / pitch_hz(plain, rate) == pytest.approx(1.3, rel=0.1)
    again, _, _, _ = speak(engine)
    assert len(again) == len(plain)


@pytest.mark.parametrize("text", ["", "你好", "\0", "a" * 120, "<speak>&amp;", "%s%n%s"])
def test_any_text_is_survived(engine, text):
    engine.speak(Utterance(text, "kal16"), lambda _pcm, _rate: True)


def test_what_the_listener_raises_comes_back(engine):
    def take(_pcm, _rate):
        raise KeyError("listener")

    with pytest.raises(KeyError, match="listener"):
        engine.speak(Utterance(TEXT, "slt"), take)
    assert speak(engine)[3] > 3


def test_absent_library_is_told_with_its_package(monkeypatch):
    def absent(*_args, **_kwargs):
        raise OSError("cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", absent)
    with pytest.raises(SpeechUnavailableError, match="libflite1"):
        flite.Flite()
    assert not flite.installed()
