import numpy as np
import pytest

from softswitch.audio.conceal import Concealer
from softswitch.compiled import library
from tests.audio.sounds import frames, noise, sine, voice

SLOT = np.zeros(1, np.intp)


def require_compiled():
    """Skip a test where there is no compiled code."""
    if library() is None:
        pytest.skip("no compiled code")


def played(pcm, lost, sample_rate=8000):
    """Return what is heard when the frames whose numbers are in `lost` do not come."""
    concealer, samples = Concealer(sample_rate, 1), sample_rate // 50
    heard = [
        concealer.lost(SLOT, samples) if number in lost else concealer.good(frame[None], SLOT)
        for number, frame in enumerate(frames(pcm, samples))
    ]
    return np.concatenate([frame[0] for frame in heard])


@pytest.mark.parametrize("sample_rate", [8000, 16000, 24000])
def test_nothing_lost_leaves_sound_as_it_is(sample_rate):
    pcm = noise(sample_rate // 10)
    assert np.array_equal(played(pcm, set(), sample_rate), pcm)


@pytest.mark.parametrize("sample_rate", [8000, 16000])
@pytest.mark.parametrize("frequency", [100.0, 200.0, 333.0])
def test_lost_frame_of_a_steady_sound_is_hardly_missed(sample_rate, frequency):
    pcm = sine(frequency, 0.4, sample_rate)
    samples = sample_rate // 50
    error = played(pcm, {8}, sample_rate)[8 * samples : 9 * samples] - pcm[8 * samples : 9 * samples]
    # The second half is fading already; the first has to be nearly right.
    assert np.abs(error[: samples // 2]).max() < 0.15 * 8000


def test_lost_frame_of_a_voice_keeps_more_of_it_than_silence_would():
    pcm = voice(2.0, 8000)
    lost = set(range(10, 100, 9))
    heard = played(pcm, lost)
    concealed = np.concatenate([frames(heard - pcm, 160)[number] for number in sorted(lost)])
    missing = np.concatenate([frames(pcm, 160)[number] for number in sorted(lost)])
    assert np.sqrt(np.mean(concealed**2)) < 0.85 * np.sqrt(np.mean(missing**2))


def test_edges_of_a_loss_do_not_click():
    pcm = voice(1.0, 8000)
    steepest = np.abs(np.diff(pcm)).max()
    assert np.abs(np.diff(played(pcm, {10, 20, 21, 33}))).max() < 1.3 * steepest


def test_long_loss_dies_away_within_100_ms():
    heard = frames(played(sine(200.0, 0.6, 8000), set(range(10, 20))), 160)
    assert np.abs(heard[10]).max() > 4000
    assert not heard[15:20].any()
    level = np.abs(heard[10:16]).max(axis=1)
    assert (np.diff(level) <= 0).all()


def test_sound_after_a_long_loss_is_exact_after_the_blend():
    pcm = noise(160 * 30)
    heard = played(pcm, set(range(5, 20)))
    assert np.array_equal(heard[160 * 20 + 40 :], pcm[160 * 20 + 40 :])


def test_loss_at_the_very_beginning_is_silence():
    assert not Concealer(8000, 1).lost(SLOT, 160).any()


def test_reset_forgets_the_sound_of_one_slot():
    concealer, both = Concealer(8000, 2), np.arange(2)
    for _ in range(3):
        concealer.good(np.stack([sine(200.0, 0.02, 8000)] * 2), both)
    concealer.reset(0)
    heard = concealer.lost(both, 160)
    assert not heard[0].any()
    assert heard[1].any()


def test_batch_equals_single_within_one_lsb():
    sounds = np.stack(
        [voice(0.6, 8000, pitch, seed) for seed, pitch in enumerate((90.0, 120.0, 210.0, 150.0))]
    )
    losses = [{5}, {5, 6, 7}, set(), {6, 20}]
    concealer = Concealer(8000)
    concealer.grow(4)
    heard = []
    for number in range(30):
        frame = np.empty((4, 160), np.float32)
        lost = np.array([slot for slot in range(4) if number in losses[slot]], np.intp)
        good = np.array([slot for slot in (2, 0, 3, 1) if number not in losses[slot]], np.intp)
        if lost.size:
            frame[lost] = concealer.lost(lost, 160)
        frame[good] = concealer.good(sounds[good, number * 160 : number * 160 + 160], good)
        heard.append(frame)
    together = np.concatenate(heard, axis=1)
    for slot in range(4):
        assert np.abs(together[slot] - played(sounds[slot], losses[slot])).max() < 1.0


def test_settle_takes_rows_of_different_durations():
    concealer, one = Concealer(8000, 2), Concealer(8000, 1)
    pcm = np.zeros((2, 240), np.float32)
    pcm[0, :80], pcm[1] = noise(80), noise(240, seed=2)
    expected = pcm.copy()
    assert np.array_equal(concealer.settle(pcm, np.array([80, 240]), np.arange(2)), expected)
    one.good(expected[1:2], SLOT)
    assert np.allclose(concealer.lost(np.array([1]), 160), one.lost(SLOT, 160), atol=1.0)


def test_frames_of_any_size_are_taken():
    concealer = Concealer(8000, 1)
    for samples in (1, 17, 0, 2000, 160, 3):
        pcm = noise(samples)[None]
        assert np.array_equal(concealer.good(pcm, SLOT), pcm)
    assert concealer.lost(SLOT, 333).shape == (1, 333)
    assert concealer.good(noise(3)[None], SLOT).shape == (1, 3)


def test_full_scale_sound_stays_finite():
    heard = played(np.sign(noise(3200)) * np.float32(32767.0), {5, 6, 12})
    assert np.isfinite(heard).all()
    assert np.abs(heard).max() <= 32768


def bridged(pcm, lost, samples=160):
    """Return what is heard when the packet after each lost frame has come in time."""
    concealer, pieces = Concealer(50 * samples, 1), frames(pcm, samples)
    heard = [
        concealer.bridge(pieces[number + 1][None], SLOT, samples)
        if number in lost
        else concealer.good(frame[None], SLOT)
        for number, frame in enumerate(pieces)
    ]
    return np.concatenate([frame[0] for frame in heard])


def test_bridge_is_nearer_to_a_voice_than_a_repetition_and_leaves_what_follows_as_it_is():
    pcm, lost = voice(2.0, 8000), set(range(10, 90, 9))
    heard, repeated = bridged(pcm, lost), played(pcm, lost)
    gone = np.isin(np.arange(len(pcm)) // 160, sorted(lost))
    assert np.mean((heard - pcm)[gone] ** 2) < 0.7 * np.mean((repeated - pcm)[gone] ** 2)
    assert np.array_equal(heard[~gone], pcm[~gone])


def test_edges_of_a_bridge_do_not_click():
    pcm = voice(1.0, 8000)
    steepest = np.abs(np.diff(pcm)).max()
    assert np.abs(np.diff(bridged(pcm, {10, 20, 33}))).max() < 1.3 * steepest


def test_gap_after_a_bridge_that_replaces_the_next_sound_begins_anew():
    pcm = sine(200.0, 0.2, 8000)
    once, twice = Concealer(8000, 1), Concealer(8000, 1)
    for frame in frames(pcm, 160)[:4]:
        once.good(frame[None], SLOT)
        twice.good(frame[None], SLOT)
    whole = once.between(once.ahead(SLOT, 184), pcm[None, 824:960])
    twice.bridged(np.concatenate((whole, pcm[None, 824:960]), axis=1), SLOT, 160, 24)
    after = Concealer(8000, 1)
    after.good(np.concatenate((pcm[None, 320:640], whole[:, :160]), axis=1), SLOT)
    assert np.array_equal(twice.lost(SLOT, 160), after.lost(SLOT, 160))


def test_reset_forgets_the_end_of_a_bridge():
    concealer, silence = Concealer(8000, 1), np.zeros((1, 160), np.float32)
    concealer.bridged(np.full((1, 300), 500, np.float32), SLOT, 160, 24)
    concealer.reset(0)
    assert not concealer.good(silence, SLOT).any()


@pytest.mark.parametrize("sample_rate", [8000, 16000])
def test_compiled_continuation_is_that_of_python(sample_rate):
    require_compiled()
    concealer = Concealer(sample_rate, 1)
    pcm = np.stack([voice(1.0, sample_rate, pitch)[-sample_rate // 50 :] for pitch in (80.0, 130.0, 240.0)])
    for samples in (1, 30, 160, 400):
        slowly = concealer.continue_slowly(pcm, samples)
        assert np.allclose(concealer._continued(pcm, samples), slowly, atol=0.1)
