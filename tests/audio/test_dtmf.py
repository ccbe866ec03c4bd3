import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.audio.dtmf import COLUMNS, KEYS, ROWS, DtmfDetector, generate
from tests.audio.sounds import frames, noise, sine, voice

SLOT = np.zeros(1, np.intp)
RATES = [8000, 16000, 24000]


def heard(pcm, sample_rate=24000, frame_ms=20):
    """Return the keys found in `pcm` and how long each lasted."""
    detector, size = DtmfDetector(sample_rate, 1), sample_rate * frame_ms // 1000
    keys, durations = "", []
    for frame in frames(np.pad(pcm, (0, 5 * size)), size):
        pressed, ended = detector.process(frame[None], SLOT)
        keys += chr(pressed[0]) if pressed[0] else ""
        durations += [int(ended[0])] if ended[0] else []
    return keys, durations


def pair(low, high, seconds, sample_rate=24000, amplitudes=(5000.0, 5000.0)):
    return sine(low, seconds, sample_rate, amplitudes[0]) + sine(high, seconds, sample_rate, amplitudes[1])


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("frame_ms", [10, 20, 40])
def test_every_key_is_found_once_with_its_duration(sample_rate, frame_ms):
    keys, durations = heard(generate(KEYS, 100, 80, sample_rate=sample_rate), sample_rate, frame_ms)
    assert keys == KEYS
    assert durations == pytest.approx([100] * 16, abs=20)


@settings(deadline=None, max_examples=60)
@given(st.text(KEYS, min_size=1, max_size=8), st.integers(0, 960), st.integers(45, 200), st.integers(45, 200))
def test_keys_are_found_wherever_they_begin(keys, offset, on_ms, off_ms):
    pcm = np.concatenate((np.zeros(offset, np.float32), generate(keys, on_ms, off_ms)))
    assert heard(pcm)[0] == keys


def test_shortest_key_and_pause_of_q24_are_found():
    assert heard(generate("1590#", 40, 40))[0] == "1590#"


def test_a_key_held_down_is_one_press():
    keys, durations = heard(generate("7", 3000, 80))
    assert keys == "7"
    assert durations == pytest.approx([3000], abs=20)


@pytest.mark.parametrize("offset_ms", range(0, 20, 3))
def test_a_tone_of_20_ms_is_no_key(offset_ms):
    pcm = np.concatenate((np.zeros(24 * offset_ms, np.float32), generate("5", 20, 100)))
    assert heard(pcm) == ("", [])


def test_a_break_of_10_ms_does_not_make_two_presses():
    pcm = generate("8", 200, 50)
    pcm[2400:2640] = 0.0
    assert heard(pcm)[0] == "8"


@pytest.mark.parametrize("level_dbov", [-3.5, -13.0, -25.0, -35.0])
def test_levels_of_telephones_are_found(level_dbov):
    assert heard(generate("147*", 60, 60, level_dbov))[0] == "147*"


def test_tones_too_soft_for_a_key_are_none():
    assert heard(generate("147*", 60, 60, -60.0))[0] == ""


@pytest.mark.parametrize("factor", [0.985, 0.992, 1.008, 1.015])
def test_frequencies_within_one_and_a_half_percent_are_found(factor):
    for low in ROWS:
        for high in COLUMNS:
            assert len(heard(pair(low * factor, high * factor, 0.1))[0]) == 1


@pytest.mark.parametrize("factor", [0.96, 1.04])
def test_frequencies_four_percent_off_are_none(factor):
    for low in ROWS:
        for high in COLUMNS:
            assert heard(pair(low * factor, high, 0.1))[0] == ""
            assert heard(pair(low, high * factor, 0.1))[0] == ""


@pytest.mark.parametrize(
    ("amplitudes", "found"), [((3000, 4500), 1), ((6000, 2600), 1), ((1500, 6000), 0), ((9000, 1500), 0)]
)
def test_twist_is_allowed_as_far_as_telephones_have_it(amplitudes, found):
    assert len(heard(pair(770.0, 1336.0, 0.1, amplitudes=amplitudes))[0]) == found


@pytest.mark.parametrize("keys", ["0123456789", "ABCD*#"])
def test_keys_are_found_in_noise(keys):
    pcm = generate(keys, 80, 80)
    # 15 dB below the tones over the whole band; a telephone's is half as wide.
    assert heard(pcm + noise(len(pcm), 1700.0))[0] == keys


def test_one_tone_alone_and_three_together_are_no_key():
    assert heard(sine(770.0, 0.3, 24000))[0] == ""
    assert heard(pair(770.0, 1336.0, 0.3) + sine(941.0, 0.3, 24000, 4000.0))[0] == ""


@pytest.mark.parametrize("pitch", [85.0, 110.0, 145.0, 190.0, 240.0])
def test_voices_press_no_keys(pitch):
    pcm = np.concatenate([voice(5.0, 24000, pitch, seed) for seed in range(4)])
    assert heard(pcm) == ("", [])


def test_noise_and_silence_press_no_keys():
    assert heard(noise(24000 * 10)) == ("", [])
    assert heard(np.zeros(24000, np.float32)) == ("", [])


def test_batch_equals_single():
    sounds = [generate("123", 60, 60), noise(8640), generate("9", 100, 260), generate("A#0", 70, 50)]
    length = min(map(len, sounds)) // 480 * 480
    detector, slots = DtmfDetector(), np.array([3, 0, 2, 1])
    detector.grow(4)
    found = [""] * 4
    for at in range(0, length, 480):
        pressed, _ = detector.process(np.stack([sounds[slot][at : at + 480] for slot in slots]), slots)
        for row in np.flatnonzero(pressed):
            found[slots[row]] += chr(pressed[row])
    assert found == ["123", "", "9", "A#0"]


def test_reset_forgets_a_press_that_is_under_way():
    detector, key = DtmfDetector(slots=1), generate("5", 200, 0)
    keys = ""
    for number, frame in enumerate(frames(key, 480)):
        if number == 5:
            detector.reset(0)
        pressed, ended = detector.process(frame[None], SLOT)
        keys += chr(pressed[0]) if pressed[0] else ""
        assert not ended.any()
    assert keys == "55"


@pytest.mark.parametrize("samples", [0, 100, 1200])
def test_frames_that_are_no_hops_are_refused(samples):
    with pytest.raises(ValueError, match=f"pcm: {samples} samples"):
        DtmfDetector(slots=1).process(np.zeros((1, samples), np.float32), SLOT)


def test_generate_knows_lower_case_and_no_other_keys():
    assert np.array_equal(generate("a"), generate("A"))
    assert generate("").shape == (0,)
    with pytest.raises(ValueError, match="'X' is not a DTMF key"):
        generate("1x")


def test_comma_is_half_a_second_of_silence():
    one, two = generate("1"), generate("2")
    assert np.array_equal(generate("1,2"), np.concatenate((one, np.zeros(12000, np.float32), two)))
    assert not generate(",,").any()
