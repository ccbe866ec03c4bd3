import numpy as np
import pytest

from softswitch.audio.stretch import accelerate, expand
from tests.audio.sounds import frames, noise, sine, voice


def flowing(pcm, change, every=3, size=480):
    """Return `pcm` with every third frame made longer or shorter."""
    heard = []
    for number, frame in enumerate(frames(pcm, size)):
        rows, lengths = change(frame[None]) if number % every == 0 else (frame[None], [size])
        heard.append(rows[0, : lengths[0]])
    return np.concatenate(heard)


@pytest.mark.parametrize("frequency", [120.0, 200.0, 333.0])
@pytest.mark.parametrize("sample_rate", [8000, 16000, 24000])
def test_one_period_comes_out_or_in(frequency, sample_rate):
    pcm = sine(frequency, 0.02, sample_rate)[None]
    samples, period = pcm.shape[1], sample_rate / frequency
    _, shorter = accelerate(pcm, sample_rate)
    _, longer = expand(pcm, sample_rate)
    for change in (samples - shorter[0], longer[0] - samples):
        assert 0 < change <= samples // 2
        assert change / period == pytest.approx(round(change / period), abs=0.12)


@pytest.mark.parametrize("change", [accelerate, expand])
@pytest.mark.parametrize("pitch", [110.0, 150.0, 220.0])
def test_seams_do_not_click(change, pitch):
    pcm = voice(2.0, 24000, pitch)
    heard = flowing(pcm, change)
    assert len(heard) != len(pcm)
    assert np.abs(np.diff(heard)).max() < 1.25 * np.abs(np.diff(pcm)).max()


@pytest.mark.parametrize("change", [accelerate, expand])
def test_ends_of_a_row_stay_as_they_are(change):
    pcm = sine(200.0, 0.02, 24000)[None]
    rows, lengths = change(pcm)
    assert rows[0, 0] == pcm[0, 0]
    assert rows[0, lengths[0] - 1] == pytest.approx(pcm[0, -1], abs=0.01)
    assert np.array_equal(rows[0, :120], pcm[0, :120])


@pytest.mark.parametrize("change", [accelerate, expand])
def test_sound_that_does_not_repeat_is_left_alone_unless_forced(change):
    pcm = noise(480)[None]
    rows, lengths = change(pcm)
    assert lengths.tolist() == [480]
    assert np.array_equal(rows, pcm)
    assert change(pcm, force=True)[1][0] != 480


@pytest.mark.parametrize("change", [accelerate, expand])
def test_near_silence_is_always_stretched(change):
    assert change(noise(480, 10.0)[None])[1][0] != 480
    assert change(np.zeros((1, 480), np.float32))[1][0] != 480


@pytest.mark.parametrize("change", [accelerate, expand])
def test_rows_of_a_batch_equal_single_ones(change):
    pcm = np.stack(
        [sine(200.0, 0.02, 24000), noise(480), sine(310.0, 0.02, 24000), np.zeros(480, np.float32)]
    )
    rows, lengths = change(pcm)
    assert rows.shape == (4, lengths.max())
    for number in range(4):
        one, length = change(pcm[number : number + 1])
        assert length[0] == lengths[number]
        assert np.abs(one[0, : length[0]] - rows[number, : length[0]]).max() < 1.0
        assert not rows[number, length[0] :].any()


@pytest.mark.parametrize("change", [accelerate, expand])
def test_rows_too_short_for_a_period_are_left_alone(change):
    rows, lengths = change(np.ones((2, 100), np.float32))
    assert lengths.tolist() == [100, 100]
    assert (rows == 1.0).all()


@pytest.mark.parametrize("change", [accelerate, expand])
def test_what_was_given_is_not_changed(change):
    pcm = sine(200.0, 0.02, 24000)[None]
    before = pcm.copy()
    change(pcm)
    assert np.array_equal(pcm, before)
