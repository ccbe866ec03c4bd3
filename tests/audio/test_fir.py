import numpy as np
import pytest

from softswitch.audio.fir import lowpass, phases


@pytest.mark.parametrize(("up", "down"), [(3, 1), (1, 3), (3, 2), (80, 147)])
def test_every_phase_passes_a_constant_exactly(up, down):
    table, before, after = phases(up, down)
    assert table.shape == (up, before + 1 + after)
    assert np.allclose(table.sum(axis=1), 1.0, atol=1e-6)


def test_filter_is_symmetric_so_that_its_delay_is_the_same_for_all_tones():
    taps = lowpass(3, 1)
    assert len(taps) % 2 == 1
    assert np.allclose(taps, taps[::-1])


def test_samples_that_exist_at_both_rates_stay_as_they_are():
    table, before, after = phases(3, 1)
    expected = np.zeros(before + 1 + after)
    expected[before] = 1.0
    assert np.allclose(table[0], expected, atol=1e-6)
