"""Gains that never jump."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.media.tracks.ramp import Ramp


def test_ramp_at_rest_is_one_number():
    assert Ramp(0.5).next(480) == 0.5


def test_ramp_of_no_length_jumps():
    ramp = Ramp(0.0)
    ramp.to(1.0, 0)
    assert ramp.next(10) == 1.0


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3000), st.lists(st.integers(1, 700), min_size=1, max_size=9))
def test_ramp_is_a_straight_line_however_it_is_cut(samples, pieces):
    ramp = Ramp(0.2)
    ramp.to(1.0, samples)
    gains = np.concatenate([np.broadcast_to(ramp.next(piece), piece) for piece in pieces])
    wanted = np.minimum(0.2 + 0.8 * np.arange(1, len(gains) + 1) / samples, 1.0)
    np.testing.assert_allclose(gains, wanted, atol=1e-4)
    assert ramp.left == max(samples - len(gains), 0)


def test_ramp_turns_round_where_it_is():
    ramp = Ramp(0.0)
    ramp.to(1.0, 100)
    ramp.next(50)
    ramp.to(0.0, 100)
    gains = np.asarray(ramp.next(10))
    assert gains[0] == pytest.approx(0.495)
    assert ramp.target == 0.0
