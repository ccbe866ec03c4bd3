import numpy as np
import pytest

from softswitch.speech.builtin import espeak
from softswitch.speech.builtin.voice_engine import Utterance
from softswitch.speech.interface import SpeechUnavailableError
from tests.speech.needs import need_module


@pytest.fixture(scope="module")
def engine():
    need_module("espeakng_loader")
    return espeak.engine()


def speak(engine, text, voice="en-us", pieces=10_000, **how):
    got = []

    def take(pcm, rate):
        got.append((np.frombuffer(pcm, "<i2"), rate))
        return len(got) < pieces

    words = engine.speak(Utterance(text, voice, **how), take)
    return np.concatenate([pcm for pcm, _ in got]), got[0][1], words, len(got)


@pytest.mark.parametrize(
    ("voice", "text"), [("en-us", "Good morning"), ("de", "Guten Morgen"), ("cmn", "你好"), ("ru", "Привет")]
)
def test_languages_are_spoken(engine, voice, text):
    pcm, rate, words, _ = speak(engine, text, voice)
    assert rate == 22050
    assert 0.2 < len(pcm) / rate < 2.0
    assert np.abs(pcm).max() > 3000
    assert words


def test_about_a_hundred_languages_are_known(engine):
    languages = engine.languages()
    assert len(languages) > 80
    assert {"en-us", "de", "fr", "cmn", "ru", "es"} <= set(languages)


def test_words_are_those_of_the_text(engine):
    _, _, words, _ = speak(engine, "one two three")
    assert [word for word, _ in words] == ["one", "two", "three"]
    assert words[0][1] < words[1][1] < words[2][1]


def test_speech_is_stopped_when_it_is_not_wanted(engine):
    _, _, _, count = speak(engine, "A very long text. " * 40, pieces=3)
    assert count == 3


def test_rate_changes_the_length(engine):
    text = "please call me back tomorrow morning"
    assert len(speak(engine, text, rate=2.0)[0]) < 0.7 * len(speak(engine, text)[0])


@pytest.mark.parametrize("text", ["", "\0\0", "[[x]] <voice>", "%s%n", "\ud83d"])
def test_any_text_is_survived(engine, text):
    engine.speak(Utterance(text, "en-us"), lambda _pcm, _rate: True)


def test_what_the_listener_raises_comes_back(engine):
    def take(_pcm, _rate):
        raise KeyError("listener")

    with pytest.raises(KeyError, match="listener"):
        engine.speak(Utterance("hello", "en-us"), take)


def test_unknown_voice_is_an_error(engine):
    with pytest.raises(SpeechUnavailableError, match="nonesuch"):
        engine.speak(Utterance("hello", "nonesuch"), lambda _pcm, _rate: True)


def test_absent_library_is_told_with_its_package(monkeypatch):
    def absent(*_args, **_kwargs):
        raise OSError("cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", absent)
    with pytest.raises(SpeechUnavailableError, match="espeakng-loader"):
        espeak.Espeak()
