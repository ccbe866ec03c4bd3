import numpy as np

from softswitch.audio.vad import EnergyBank
from tests.audio.sounds import frames, noise, voice

SLOT = np.zeros(1, np.intp)
RATE = 24000


def judge(bank, pcm, slots=SLOT):
    return np.array([bank.push(frame[None], slots)[0] for frame in frames(pcm, RATE // 50)])


def ready(slots=1):
    bank = EnergyBank()
    bank.grow(slots)
    return bank


def test_speech_over_quiet_is_found_and_silence_after_it_too():
    pcm = np.concatenate((noise(RATE, 20), voice(1.0, RATE), noise(RATE, 20)))
    probability = judge(ready(), pcm)
    assert (probability[:49] < 0.5).all()
    assert (probability[55:95] > 0.5).mean() > 0.9
    assert (probability[-40:] < 0.5).all()


def test_steady_noise_becomes_the_floor():
    probability = judge(ready(), noise(RATE * 10, 1000))
    assert (probability[-100:] < 0.5).all()
    loud = judge(ready(), np.concatenate((noise(RATE * 10, 100), voice(1.0, RATE))))
    assert (loud[-40:] > 0.5).mean() > 0.8


def test_digital_silence_is_no_speech_and_no_trap():
    bank = ready()
    assert (judge(bank, np.zeros(RATE, np.float32)) < 0.01).all()
    assert (judge(bank, noise(RATE, 5)) < 0.5).all()


def test_slots_do_not_know_each_other_and_reset_forgets():
    bank, slots = ready(4), np.array([1, 3])
    for frame in frames(voice(0.5, RATE), RATE // 50):
        both = bank.push(np.stack((frame, np.zeros_like(frame))), slots)
    assert both[0] > 0.5 > both[1]
    bank.reset(np.array([1]))
    assert bank.push(np.zeros((1, RATE // 50), np.float32), np.array([1]))[0] < 0.01


def test_bank_grows_and_keeps_what_it_knows():
    bank = ready()
    judge(bank, voice(0.5, RATE))
    kept = bank._probability[0]
    bank.grow(8)
    bank.grow(2)
    assert len(bank._probability) == 8
    assert bank._probability[0] == kept
    assert bank.push(np.zeros((1, RATE // 50), np.float32), SLOT).dtype == np.float32
