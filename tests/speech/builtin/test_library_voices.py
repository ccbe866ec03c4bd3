import pytest

from softswitch.speech.builtin import espeak, flite
from softswitch.speech.builtin.library_voices import LibraryVoices
from softswitch.speech.builtin.neural_voice import PIECE
from softswitch.speech.interface import SpeechUnavailableError


class Voice:
    def languages(self):
        return ["de"]

    def speak(self, utterance, on_audio):
        on_audio(bytes(800), 8000)
        on_audio(b"\0\x20" * 80, 8000)
        return [(utterance.text, 60)]


def absent():
    raise SpeechUnavailableError("not there")


def test_what_is_missing_is_told_and_the_other_one_speaks(monkeypatch):
    monkeypatch.setattr(espeak, "engine", Voice)
    monkeypatch.setattr(flite, "engine", absent)
    voices = LibraryVoices()
    assert voices.about() == {"languages": ["de"], "missing": {"flite": "not there"}}
    pieces: list[bytes] = []
    job = {"engine": "espeak", "voice": "de", "text": "Hallo", "rate": 1.0, "pitch": 1.0}
    told = voices.work(job, b"", pieces.append)
    assert told == {"words": [["Hallo", 10]]}  # 50 ms of silence were left out.
    assert pieces == [PIECE.pack(8000) + b"\0\x20" * 80]
    with pytest.raises(KeyError):
        voices.work(job | {"engine": "flite"}, b"", pieces.append)


def test_without_either_it_cannot_be_loaded(monkeypatch):
    monkeypatch.setattr(espeak, "engine", absent)
    monkeypatch.setattr(flite, "engine", absent)
    with pytest.raises(SpeechUnavailableError, match="not there; not there"):
        LibraryVoices()
