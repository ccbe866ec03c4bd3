import numpy as np
import pytest

from softswitch.speech.builtin import turn_model
from softswitch.speech.builtin.turn_model import TurnModel, log_mel
from tests.speech.needs import need_module


def test_features_are_of_the_last_eight_seconds():
    rng = np.random.default_rng(1)
    sound = rng.standard_normal(10 * 16000).astype(np.float32)
    assert log_mel(sound).shape == (80, 800)
    assert np.allclose(log_mel(sound), log_mel(sound[-8 * 16000 :]), atol=1e-4)


def test_a_tone_is_in_its_band_and_silence_before_short_sound():
    at = np.arange(16000) / 16000
    features = log_mel((0.3 * np.sin(2 * np.pi * 1000 * at)).astype(np.float32))
    assert features[:, :690].max() == pytest.approx(features.min())
    # On Slaney's scale 1 kHz is 15 mel; 80 triangles span 45.2 mel up to 8 kHz.
    assert abs(int(features[:, 750].argmax()) - 15 / 45.245 * 81) <= 1


class Session:
    def run(self, _outputs, feeds):
        assert feeds["input_features"].shape == (1, 80, 800)
        assert feeds["input_features"].dtype == np.float32
        return [np.array([[0.12345]], np.float32)]


def test_the_model_says_a_probability():
    assert TurnModel(Session()).probability(np.zeros(16000, np.float32)) == 0.123


def test_the_file_is_the_known_one_and_works():
    need_module("onnxruntime")
    model = TurnModel.load()
    assert model is not None
    assert 0.0 <= model.probability(np.zeros(16000, np.float32)) <= 1.0


def test_another_file_is_not_used(monkeypatch, tmp_path):
    other = tmp_path / "model.onnx"
    monkeypatch.setattr(turn_model, "FILE", other)
    assert TurnModel.load() is None
    other.write_bytes(b"other")
    assert TurnModel.load() is None


def test_loudness_falls_where_a_sentence_dies_away():
    rng = np.random.default_rng(1)
    speech = rng.standard_normal(16000).astype(np.float32) * 0.1
    silence = rng.standard_normal(3200).astype(np.float32) * 0.0005
    dying = speech.copy()
    dying[-4000:] *= np.linspace(1.0, 0.1, 4000, dtype=np.float32)
    steady, fallen = (turn_model.falls(np.concatenate([sound, silence])) for sound in (speech, dying))
    assert max(map(abs, steady)) < 0.5
    assert fallen[0] < -1.0
    assert fallen[1] < -1.0
    assert turn_model.falls(np.zeros(2000, np.float32)) == (0.0, 0.0)


def test_what_is_heard_is_bounded_and_begins_with_the_odds():
    odds, *falls = TurnModel(Session()).hear(np.zeros(16000, np.float32))
    assert odds == pytest.approx(-1.95, abs=0.02)
    assert len(falls) == 2
