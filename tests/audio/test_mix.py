import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.audio.mix import limit, minus, sums, weigh
from tests.audio.sounds import noise, sine


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 5), max_size=12), st.integers(0, 2**32 - 1))
def test_each_row_is_the_sum_of_the_others_of_its_mix(mixes, seed):
    pcm = np.random.default_rng(seed).integers(-3000, 3000, (len(mixes), 8)).astype(np.float32)
    membership = np.array(mixes, np.intp)
    heard = minus(pcm, membership, 6)
    for row, mix in enumerate(mixes):
        others = [pcm[other] for other in range(len(mixes)) if mixes[other] == mix and other != row]
        assert np.array_equal(heard[row], sum(others, np.zeros(8, np.float32)))


def test_a_mix_without_rows_is_silent():
    total = sums(np.ones((2, 3), np.float32), np.array([2, 0]), 4)
    assert total.tolist() == [[1] * 3, [0] * 3, [1] * 3, [0] * 3]
    assert sums(np.zeros((0, 3), np.float32), np.zeros(0, np.intp), 2).shape == (2, 3)


def test_rows_of_a_mix_need_not_stand_together():
    pcm = np.arange(8, dtype=np.float32).reshape(4, 2)
    assert sums(pcm, np.array([1, 0, 1, 0]), 2).tolist() == [[8, 10], [4, 6]]


def test_weigh_gives_each_listener_his_own_gains():
    pcm = np.array([[100.0, 0.0], [0.0, 10.0]], np.float32)
    gains = np.array([[1.0, 0.5], [0.0, 1.0], [0.0, 0.0]], np.float32)
    assert weigh(gains, pcm).tolist() == [[100.0, 5.0], [0.0, 10.0], [0.0, 0.0]]


def test_limit_leaves_what_is_below_the_knee():
    pcm = np.stack([sine(440.0, 0.02, 24000, 26000.0), noise(480, 1000.0)])
    assert np.array_equal(limit(pcm.copy()), pcm)


def test_limit_bends_what_is_too_loud_back_into_full_scale():
    pcm = sine(440.0, 0.02, 24000, 90000.0)[None]
    bent = limit(pcm.copy())
    assert np.abs(bent).max() <= 32767.0
    assert np.array_equal(np.sign(bent), np.sign(pcm))


def test_limit_is_monotonous_and_has_no_corner():
    ramp = np.linspace(-80000, 80000, 16001, dtype=np.float32)[None]
    steps = np.diff(limit(ramp.copy())[0])
    assert (steps >= 0).all()
    assert np.abs(np.diff(steps)).max() < 0.5


def test_limit_works_in_place():
    pcm = np.full((1, 4), 60000.0, np.float32)
    assert limit(pcm) is pcm


@pytest.mark.parametrize("rows", [0, 3])
def test_limit_takes_no_sound_at_all(rows):
    assert limit(np.zeros((rows, 0), np.float32)).shape == (rows, 0)
