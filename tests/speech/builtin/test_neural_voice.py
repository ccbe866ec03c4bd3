import socket
import sys

import numpy as np
import pytest

from softswitch.speech.builtin.neural_voice import PIECE, NeuralVoice, word_times
from softswitch.speech.interface import SpeechUnavailableError
from tests.speech.needs import need_module


@pytest.fixture(scope="module")
def voice():
    need_module("hibari")
    return NeuralVoice()


def speak(voice, text, rate=1.0, pitch=1.0):
    pieces: list[bytes] = []
    told = voice.work({"text": text, "rate": rate, "pitch": pitch}, b"", pieces.append)
    assert all(PIECE.unpack_from(piece) == (24000,) for piece in pieces)
    return np.frombuffer(b"".join(piece[PIECE.size :] for piece in pieces), "<i2").astype(float), told[
        "words"
    ]


def test_it_speaks_in_pieces_without_silence_before(voice):
    sound, words = speak(voice, "Good morning, how are you?")
    assert 1.0 < len(sound) / 24000 < 3.0
    assert np.abs(sound[: 24 * 40]).max() > 200
    assert [word for word, _ in words] == ["Good", "morning", "how", "are", "you"]
    times = [at for _, at in words]
    assert times == sorted(times)
    assert times[-1] < len(sound) / 24


def test_the_same_text_sounds_the_same(voice):
    assert np.array_equal(speak(voice, "Hello.")[0], speak(voice, "Hello.")[0])


def test_rate_and_pitch_are_heard_and_bounded(voice):
    plain, slow, fastest = (
        len(speak(voice, "Good morning to you all.", rate)[0]) for rate in (1.0, 0.6, 99.0)
    )
    assert slow > 1.3 * plain > 1.3 * fastest > 0

    def tone(sound):
        part = sound[2400:12000] - sound[2400:12000].mean()
        product = np.fft.irfft(np.abs(np.fft.rfft(part, 32768)) ** 2)
        return 24000 / (60 + int(np.argmax(product[60:300])))

    assert tone(speak(voice, "Ah, I see.", pitch=1.4)[0]) > 1.2 * tone(speak(voice, "Ah, I see.")[0])


def test_phonemes_are_said(voice):
    plain, other = speak(voice, "Tomato.")[0], speak(voice, "[Tomato](/sip/).")[0]
    assert len(other) < len(plain)


def test_text_that_has_no_sound_is_silence(voice):
    sound, words = speak(voice, "你好")
    assert len(sound) < 24000
    assert len(words) == 1


def test_words_are_placed_by_their_phonemes():
    assert word_times("a bbbb", "x xxxx", 700) == [("a", 0), ("bbbb", 200)]
    assert word_times("call 55", "k f f", 1000) == [("call", 0), ("55", 625)]
    assert word_times("", "", 100) == []


def test_another_version_of_the_package_is_refused(monkeypatch, tmp_path):
    (tmp_path / "hibari" / "assets").mkdir(parents=True)
    (tmp_path / "hibari" / "__init__.py").touch()
    (tmp_path / "hibari" / "assets" / "hibari.onnx").write_bytes(b"other")
    monkeypatch.delitem(sys.modules, "hibari", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SpeechUnavailableError, match=r"hibari-tts==0.2.1"):
        NeuralVoice()


def test_it_speaks_with_the_network_forbidden(voice, monkeypatch):
    def refuse(*_arguments, **_named):
        raise PermissionError

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert len(speak(voice, "No network is needed.")[0]) > 24000 * 0.5
