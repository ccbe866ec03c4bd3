import math

import numpy as np
import pytest

from softswitch.speech.builtin import flite, neural_ears
from softswitch.speech.builtin.neural_ears import (
    Hotwords,
    NeuralEars,
    confidence,
    forms,
    log_probability,
    repeats,
)
from softswitch.speech.builtin.vocabulary import Vocabulary
from softswitch.speech.builtin.voice_engine import Utterance
from softswitch.speech.interface import SpeechUnavailableError
from tests.speech.needs import keep, need_flite, need_module


@pytest.fixture(scope="module")
def ears():
    need_module("moonshine_cpp")
    return NeuralEars()


@pytest.fixture(scope="module")
def spoken():
    need_flite()

    def speak(text, voice="rms"):
        pieces: list[bytes] = []
        flite.engine().speak(Utterance(text, voice), lambda pcm, _: keep(pieces, pcm))
        return bytes(6400) + b"".join(pieces) + bytes(9600)

    return speak


def work(ears, sound, **job):
    return ears.work(job, sound, lambda _piece: None)


def test_it_understands_and_a_draft_changes_nothing(ears, spoken):
    sound = spoken("please transfer me to a human agent")
    told = work(ears, sound)
    assert told["text"].lower().strip(".") == "please transfer me to a human agent"
    assert 0.5 < told["confidence"] <= 1
    for draft in (told["tokens"], told["tokens"][:3], [*told["tokens"][:3], 700, 701], [500] * 50):
        again = work(ears, sound, draft=draft)
        assert again["tokens"] == told["tokens"]
        # 8-bit products depend a little on what else is computed at the same time.
        assert again["confidence"] == pytest.approx(told["confidence"], abs=0.05)


def test_quiet_speech_is_understood_too(ears, spoken):
    sound = np.frombuffer(spoken("please transfer me to a human agent"), "<i2")
    quiet = (sound // 60).astype("<i2").tobytes()
    assert "human agent" in work(ears, quiet)["text"].lower()


def test_silence_and_shortest_sound_are_no_words(ears):
    for size in (0, 2, 320, 64000):
        assert work(ears, bytes(size))["text"] == ""


def test_only_the_end_of_very_long_sound_counts(ears):
    assert work(ears, bytes(2 * 16000 * 40))["text"] == ""


def test_phrases_are_scored_as_if_each_were_alone(ears, spoken):
    sound = spoken("technical support")
    phrases = ["sales", "technical support", "opening hours"]
    together = work(ears, sound, phrases=phrases)
    assert together["scores"].index(max(together["scores"])) == 1
    assert max(together["scores"]) <= together["free"] + 1.0
    alone = [work(ears, sound, phrases=[phrase])["scores"][0] for phrase in phrases]
    assert together["scores"] == pytest.approx(alone, abs=1.5)
    many = work(
        ears, sound, phrases=[f"number {index} of a long list of things to say" for index in range(60)]
    )
    assert len(many["scores"]) == 60


def test_hotwords_are_preferred_where_the_sound_leaves_the_choice(ears, spoken):
    sound = spoken("call mister Kowalski", "slt")
    assert "Kowalski" not in work(ears, sound)["text"]
    assert "Kowalski" in work(ears, sound, hotwords=["Kowalski"])["text"]


def test_the_network_is_not_needed(ears, spoken, monkeypatch):
    monkeypatch.setattr("socket.socket", None)
    assert work(ears, spoken("good morning"))["text"]


def test_noisy_speech_is_searched_for_the_likeliest_text(ears, spoken):
    sound = np.frombuffer(spoken("please transfer me to a human agent"), "<i2").astype(np.float32)
    hiss = np.random.default_rng(4).standard_normal(len(sound)) * np.sqrt(np.square(sound).mean()) / 10**0.7
    noisy = np.clip(sound + hiss, -32768, 32767).astype("<i2").tobytes()
    told = work(ears, noisy)
    assert "human agent" in told["text"].lower()
    assert 0 < told["confidence"] <= 1
    phrases = work(ears, noisy, phrases=["transfer me to a human agent", "opening hours"])["scores"]
    assert phrases[0] > phrases[1]
    assert "human agent" in work(ears, noisy, quick=True)["text"].lower()


def test_another_version_of_the_package_is_refused(monkeypatch):
    wrong = neural_ears.FILES[2].__class__(
        "moonshine_cpp", "models/base-en/tokenizer.bin", "00", "moonshine-cpp"
    )
    need_module("moonshine_cpp")
    monkeypatch.setattr(neural_ears, "FILES", (wrong, *neural_ears.FILES[1:]))
    with pytest.raises(SpeechUnavailableError, match="not the file that is known"):
        NeuralEars()


def test_how_sure_it_is():
    assert confidence([]) == 0.0
    assert confidence([0.0, 0.0]) == 1.0
    assert confidence([math.log(0.9), math.log(0.1)]) < 0.3
    assert log_probability(np.array([1.0, 1.0, -50.0], np.float32), 0) == pytest.approx(
        math.log(0.5), abs=1e-4
    )


def test_a_model_that_is_stuck_is_noticed():
    assert repeats([7, 1, 2, 1, 2, 1, 2, 1, 2])
    assert repeats([5, 5, 5, 5])
    assert not repeats([5, 5, 5])
    assert not repeats([1, 2, 3, 4, 5, 6, 7, 8])


def test_phrases_are_written_as_the_model_writes():
    assert forms("talk to sales") == ("Talk to sales.", "Talk to sales")
    assert forms("Who is it?") == ("Who is it?", "Who is it")


class Words(Vocabulary):
    def __init__(self):
        super().__init__(b"")

    def tokens(self, text):
        return {"ab": [3, 4], "": []}[text]


def test_hotwords_raise_their_tokens_one_after_another():
    logits = np.zeros(8, np.float32)
    logits[[3, 4, 5]] = 0.5, -1.0, 1.2
    plain = Hotwords(Words(), ())
    assert plain.raised(logits, []).argmax() == 5
    raised = Hotwords(Words(), ("ab", ""))
    assert raised.raised(logits, []).argmax() == 3
    assert raised.raised(logits, [9, 3]).argmax() == 3
    logits[3] = -9.0
    assert raised.raised(logits, [9, 3]).argmax() == 4
    assert raised.raised(logits, [9]).argmax() == 5
