"""The network with made weights: what must hold whatever the weights are."""

import numpy as np
import pytest

from softswitch.speech.builtin import moonshine
from softswitch.speech.builtin.linear import exact
from softswitch.speech.builtin.moonshine import LAYERS, WIDTH, Decoder, Encoder
from softswitch.speech.builtin.ort_file import OrtModel

VOCABULARY = 40


class Made:
    """A model file with random weights under the names that the real one has."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.rng = np.random.default_rng(1)
        self.file = OrtModel({}, {})

    def put(self, node, *shape, which=1, around=0.0):
        names = self.file.inputs.setdefault(self.prefix + node, ["", "", ""])
        names[which] = f"{node}.{which}"
        size = 1.0 / np.sqrt(shape[0])
        self.file.tensors[names[which]] = (self.rng.standard_normal(shape) * size + around).astype("<f4")

    def layer(self, at, norms, projections):
        for name in norms:
            self.put(f"{at}{name}/Mul", WIDTH, around=1.0)
        for name, rows, columns in projections:
            self.put(f"{at}{name}/MatMul", rows, columns)


@pytest.fixture(autouse=True)
def in_floats(monkeypatch):
    monkeypatch.setattr(moonshine, "linear", lambda weights, _sizes=None: exact(weights))


@pytest.fixture(scope="module")
def encoder_file():
    made = Made("/")
    made.put("conv1/Conv", WIDTH, 1, 127)
    made.put("groupnorm/Mul", WIDTH, 1, around=1.0)
    made.put("groupnorm/Add", WIDTH, 1)
    made.put("conv2/Conv", 2 * WIDTH, WIDTH, 7)
    made.put("conv2/Conv", 2 * WIDTH, which=2)
    made.put("conv3/Conv", WIDTH, 2 * WIDTH, 3)
    made.put("conv3/Conv", WIDTH, which=2)
    square = [(f"self_attn/{name}", WIDTH, WIDTH) for name in ("q_proj", "k_proj", "v_proj", "dense")]
    for index in range(LAYERS):
        at = f"layers.{index}/"
        wide = [("mlp/fc1", WIDTH, 4 * WIDTH), ("mlp/fc2", 4 * WIDTH, WIDTH)]
        made.layer(at, ("input_layernorm", "post_attention_layernorm"), square + wide)
        made.put(f"{at}mlp/fc1/Add", 4 * WIDTH, which=0)
        made.put(f"{at}mlp/fc2/Add", WIDTH, which=0)
    made.put("layer_norm/Mul", WIDTH, around=1.0)
    return made.file


@pytest.fixture(scope="module")
def decoder_file():
    made = Made("/model/decoder/")
    for index in range(LAYERS):
        at = f"layers.{index}/"
        square = [(f"self_attn/{name}", WIDTH, WIDTH) for name in ("q_proj", "k_proj", "v_proj", "dense")]
        square += [(f"encoder_attn/{name}", WIDTH, WIDTH) for name in ("q_proj", "k_proj", "v_proj", "dense")]
        wide = [("mlp/up_proj", WIDTH, 8 * WIDTH), ("mlp/down_proj", 4 * WIDTH, WIDTH)]
        made.layer(at, ("input_layernorm", "post_attention_layernorm", "final_layernorm"), square + wide)
        made.put(f"{at}mlp/up_proj/Add", 8 * WIDTH, which=0)
        made.put(f"{at}mlp/down_proj/Add", WIDTH, which=0)
    made.put("norm/Mul", WIDTH, around=1.0)
    made.file.inputs["/model/decoder/embed_tokens/Gather"] = ["words_add_tensor", "ids"]
    made.file.tensors["words_quantized"] = made.rng.integers(-127, 128, (VOCABULARY, WIDTH)).astype("i1")
    made.file.tensors["words_scale"] = np.array([0.01], "<f4")
    made.file.tensors["words_zero_point"] = np.array([0.002], "<f4")
    return made.file


@pytest.fixture
def decoder(decoder_file):
    return Decoder(decoder_file, 64)


@pytest.fixture
def states():
    return np.random.default_rng(2).standard_normal((30, WIDTH)).astype(np.float32)


def test_the_encoder_gives_some_41_states_a_second(encoder_file):
    encoder = Encoder(encoder_file, 5.0)
    sound = np.random.default_rng(3).standard_normal(2 * 16000).astype(np.float32) * 0.1
    found = encoder.run(sound)
    assert found.shape[1] == WIDTH
    assert 80 <= len(found) <= 84
    assert np.isfinite(found).all()
    assert not np.allclose(found, encoder.run(sound[::-1].copy()), atol=1e-3)


def test_tokens_at_once_are_the_same_as_one_after_another(decoder, states):
    tokens = [1, 7, 9, 3, 20]
    together = decoder.step(decoder.begin(states), tokens)
    one = decoder.begin(states)
    alone = np.concatenate([decoder.step(one, [token]) for token in tokens])
    assert together.shape == (5, VOCABULARY)
    assert np.allclose(together, alone, atol=1e-3)


def test_what_comes_later_changes_nothing_before(decoder, states):
    first = decoder.step(decoder.begin(states), [1, 7, 9])
    second = decoder.step(decoder.begin(states), [1, 7, 30])
    assert np.allclose(first[:2], second[:2], atol=1e-4)
    assert not np.allclose(first[2], second[2], atol=1e-2)


def test_a_decoding_can_go_back(decoder, states):
    decoding = decoder.begin(states)
    decoder.step(decoding, [1, 7, 9, 3])
    decoding.length = 2
    again = decoder.step(decoding, [20])
    right = decoder.step(decoder.begin(states), [1, 7, 20])
    assert np.allclose(again[0], right[2], atol=1e-3)


def test_branches_do_not_see_each_other_and_are_not_appended(decoder, states):
    decoding = decoder.begin(states)
    decoder.step(decoding, [1, 7])
    branches = [[3, 4], [5], [6, 7, 8]]
    found = decoder.branches(decoding, branches)
    assert decoding.length == 2
    for branch, logits in zip(branches, found, strict=True):
        alone = decoder.begin(states)
        decoder.step(alone, [1, 7])
        assert np.allclose(logits, decoder.step(alone, branch), atol=1e-3)


def test_versions_of_a_sound_have_an_equal_say(decoder, states):
    other = states[::-1] * 2
    alone = [decoder.step(decoder.begin(one), [1, 7]) for one in (states, other)]
    logs = [row - np.log(np.exp(row).sum(axis=-1, keepdims=True)) for row in alone]
    together = decoder.step(decoder.begin(states, other), [1, 7])
    assert np.allclose(together, (logs[0] + logs[1]) / 2, atol=1e-3)


@pytest.mark.parametrize("views", [1, 2])
def test_several_texts_are_followed_as_if_each_were_alone(decoder, states, views):
    sounds = (states, states[::-1] * 2)[:views]
    decoding = decoder.begin(*sounds, beams=3, longest=8)
    decoder.step(decoding, [1, 7])
    decoder.widen(decoding, [3, 4, 5], [0, 0, 0])
    decoder.widen(decoding, [6, 8, 9], [2, 0, 2])
    found = decoder.widen(decoding, [10, 11], [1, 2])
    for text, logits in zip(([1, 7, 3, 8, 10], [1, 7, 5, 9, 11]), found, strict=True):
        assert np.allclose(logits, decoder.step(decoder.begin(*sounds), text)[-1], atol=1e-3)


def test_the_sound_decides(decoder, states):
    one = decoder.step(decoder.begin(states), [1])
    other = decoder.step(decoder.begin(states[::-1] * 2), [1])
    assert not np.allclose(one, other, atol=1e-2)
