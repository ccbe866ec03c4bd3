"""Compiled code for rows against numpy's: the same results within the rounding of float32."""

import numpy as np
import pytest

from softswitch.audio import libopus, rows
from softswitch.audio.level import header_level, header_level_by_numpy, power, power_by_numpy
from softswitch.audio.mix import limit, limit_by_numpy
from softswitch.audio.opus import OpusBank
from softswitch.audio.pcm import to_int16, to_int16_by_numpy
from softswitch.audio.vad import EnergyBank
from softswitch.media.engine.dialling import _ToneFilter
from softswitch.media.engine.speech_gate import SpeechGate
from tests.audio.sounds import noise, sine
from tests.support.compiled import compiled_code

SHAPES = [(1, 480), (7, 320), (3, 1), (5, 37), (2, 0), (0, 480)]


@pytest.fixture(autouse=True)
def code():
    compiled_code()


def loud(shape, scale=20000.0, seed=1):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_rounding_is_that_of_numpy(shape):
    pcm = loud(shape)
    pcm.reshape(-1)[::5] = np.round(pcm.reshape(-1)[::5]) + 0.5
    np.testing.assert_array_equal(to_int16(pcm), to_int16_by_numpy(pcm))


def test_rounding_of_what_is_no_number_or_out_of_range_is_that_of_numpy():
    pcm = np.array([np.nan, np.inf, -np.inf, 32767.4, 32767.6, -32768.9, 1e30, -1e30, 0.5, -0.5], np.float32)
    np.testing.assert_array_equal(to_int16(pcm), to_int16_by_numpy(pcm))


def test_rounding_writes_nothing_but_the_array_it_is_given():
    room = np.full(600, 77, np.int16)
    assert to_int16(loud((37,)), out=room[100:137]) is not None
    assert (room[:100] == 77).all()
    assert (room[137:] == 77).all()
    every_other = np.zeros(74, np.int16)[::2]
    np.testing.assert_array_equal(to_int16(loud((37,)), out=every_other), to_int16_by_numpy(loud((37,))))


@pytest.mark.parametrize("shape", SHAPES)
def test_power_is_that_of_numpy(shape):
    np.testing.assert_allclose(power(loud(shape)), power_by_numpy(loud(shape)), rtol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 0.01, 3.0, 500.0, 40000.0])
def test_header_level_is_that_of_numpy(scale):
    pcm = loud((200, 480), scale) * np.linspace(0.1, 1, 200, dtype=np.float32)[:, None]
    one, other = header_level(pcm), header_level_by_numpy(pcm)
    assert one.dtype == other.dtype
    # A level in the middle of two numbers may be rounded either way.
    assert np.abs(one.astype(int) - other.astype(int)).max() <= 1
    assert np.count_nonzero(one != other) < 3


@pytest.mark.skipif(libopus.library() is None, reason="no libopus")
def test_encoders_follow_the_band_as_with_numpy(monkeypatch):
    compiled, plain, chance = OpusBank(slots=9), OpusBank(slots=9), np.random.default_rng(5)
    renewed: dict[OpusBank, list[tuple[int, int]]] = {compiled: [], plain: []}
    tick = 0
    for bank, found in renewed.items():
        monkeypatch.setattr(bank, "_renew", lambda slot, found=found: found.append((tick, slot)) or slot)
        bank.tune(4, band_hz=8000)
    sounds = [sine(hz, 0.02, 24000, 3000.0) for hz in (300, 3000, 6000, 10000)]
    for tick in range(900):
        # Each slot has its own sound for a while, and pauses; some are not always there.
        slots = np.array([slot for slot in (8, 0, 4, 6, 3) if slot != 3 or tick % 7], np.intp)
        pcm = np.stack([sounds[(tick // (60 + 40 * slot) + slot) % 4] for slot in slots.tolist()])
        pcm = pcm * np.where(chance.random(len(slots)) < 0.3, 0.001, 1.0)[:, None].astype(np.float32)
        pcm = (pcm + loud(pcm.shape, 1.0, tick)).astype(np.float32)
        one = compiled._follow_band(pcm, slots)
        with monkeypatch.context() as patch:
            patch.setattr("softswitch.audio.opus.compiled", lambda _name: None)
            other = plain._follow_band(pcm, slots)
        assert one == other
        for name in ("_band", "_unseen"):
            np.testing.assert_array_equal(getattr(compiled, name), getattr(plain, name))
        np.testing.assert_allclose(compiled._below_ms, plain._below_ms, rtol=1e-9)
    assert renewed[compiled] == renewed[plain]
    assert {slot for _, slot in renewed[plain]} == {0, 3, 6, 8}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("every", [None, 1, 2])
def test_limiter_is_that_of_numpy(shape, every):
    which = None if every is None else np.arange(shape[0]) % every == 0
    one, other = loud(shape, 15000.0), loud(shape, 15000.0)
    one[::3] *= 0.1
    other[::3] *= 0.1
    assert limit(one, which) is one
    np.testing.assert_allclose(one, limit_by_numpy(other, which), rtol=1e-6)


def test_limiter_refuses_a_mask_of_another_length():
    with pytest.raises(ValueError, match="which"):
        limit(loud((3, 480)), np.ones(2, np.bool_))


def test_energy_detector_is_that_of_numpy(monkeypatch):
    compiled, plain = EnergyBank(), EnergyBank()
    for bank in (compiled, plain):
        bank.grow(9)
    slots = np.array([8, 0, 5, 2], np.intp)
    for tick in range(200):
        pcm = loud((4, 480), 10.0 ** (tick % 50 / 12), tick) * np.array([[1], [0.1], [0], [3]], np.float32)
        one = compiled.push(pcm, slots)
        with monkeypatch.context() as patch:
            patch.setattr("softswitch.audio.vad.compiled", lambda _name: None)
            other = plain.push(pcm, slots)
        np.testing.assert_allclose(one, other, atol=1e-5)
    with pytest.raises(IndexError):
        compiled.push(pcm, np.array([9, 0, 1, 2]))


def test_tone_filter_finds_the_rows_that_numpy_finds():
    tones = _ToneFilter()
    rows_ = [
        sine(697, 0.02, 24000, a) + sine(1209, 0.02, 24000, b) for a in (3000, 20) for b in (3000, 300, 5)
    ]
    rows_ += [noise(480), sine(440, 0.02, 24000, 5000.0), np.zeros(480, np.float32)]
    pcm = np.stack(rows_).astype(np.float32)
    found = tones.candidates(pcm)
    np.testing.assert_array_equal(found, tones.candidates_by_numpy(pcm))
    assert found.any()
    assert not found.all()


def test_speech_gate_is_that_of_numpy(monkeypatch):
    compiled, plain, random = SpeechGate(), SpeechGate(), np.random.default_rng(4)
    slots = np.array([3, 1, 2], np.intp)
    for gate in (compiled, plain):
        gate.grow(5)
        for slot in range(5):
            gate.open(slot, 0.5, 60, 100)
    changes = 0
    for tick in range(600):
        probability = (random.random(3) * 0.5 + (tick // 40 % 2) * 0.45).astype(np.float32)
        one = compiled.push(probability, slots, tick * 0.02)
        with monkeypatch.context() as patch:
            patch.setattr("softswitch.media.engine.speech_gate.compiled", lambda _name: None)
            other = plain.push(probability, slots, tick * 0.02)
        for mine, expected in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, expected)
            changes += len(mine)
    assert changes > 20


def test_there_is_no_function_without_compiled_code(monkeypatch):
    monkeypatch.setattr(rows, "library", lambda: None)
    assert rows.compiled.__wrapped__("power") is None
