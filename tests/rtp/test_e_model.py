"""The E-model: known figures, and that more loss and delay never sound better."""

import pytest

from softswitch.rtp.e_model import BEST, mos, rating


def test_rating_without_loss_and_delay_is_the_best():
    assert rating(0.0, 0.0) == BEST
    assert mos(0.0, 0.0, 0.0) == pytest.approx(4.4, abs=0.02)


@pytest.mark.parametrize(
    ("loss", "delay_ms", "r"),
    [
        (0.01, 0.0, 93.2 - 95 / 26.1),  # Ie,eff of G.711 with concealment at 1 %
        (0.0, 150.0, 93.2 - 3.6),
        (0.0, 277.3, 93.2 - 0.024 * 277.3 - 11.0),
        (1.0, 0.0, 93.2 - 95 * 100 / 125.1),
        (1.0, 1000.0, 0.0),
    ],
)
def test_rating_is_lowered_by_loss_and_delay(loss: float, delay_ms: float, r: float):
    assert rating(loss, delay_ms) == pytest.approx(r)


def test_score_falls_with_loss_and_with_delay_and_stays_in_its_range():
    steps = [step / 20 for step in range(21)]
    by_loss = [mos(loss, 40.0, 20.0) for loss in steps]
    by_delay = [mos(0.0, 2000.0 * step, 0.0) for step in steps]
    for scores in (by_loss, by_delay):
        assert scores == sorted(scores, reverse=True)
        assert all(1.0 <= score <= 4.5 for score in scores)
    assert mos(2.0, 0.0, 0.0) == mos(1.0, 0.0, 0.0)
