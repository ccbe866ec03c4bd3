"""The E-model: known figures of each codec, and that more loss and delay never sound better."""

import pytest

from softswitch.rtp.e_model import BEST, CODECS, WIDEBAND, mos, rating


def test_rating_without_loss_and_delay_is_the_best():
    assert rating("PCMU", 0.0, 0.0) == rating("pcma", 0.0, 0.0) == BEST
    assert mos("PCMU", 0.0, 0.0, 0.0) == pytest.approx(4.4, abs=0.02)


@pytest.mark.parametrize(
    ("codec", "loss", "delay_ms", "r"),
    [
        ("PCMA", 0.01, 0.0, 93.2 - 95 / 26.1),  # Ie,eff of G.711 with concealment at 1 %
        ("PCMU", 0.0, 150.0, 93.2 - 3.6),
        ("PCMU", 0.0, 277.3, 93.2 - 0.024 * 277.3 - 11.0),
        ("PCMU", 1.0, 0.0, 93.2 - 95 * 100 / 125.1),
        ("PCMU", 1.0, 1000.0, 0.0),
        ("G722", 0.0, 0.0, 129 - 13),  # Ie of G.722 at 64 kbit/s, G.113 Appendix IV
        ("G722", 0.05, 0.0, 129 - 13 - 82 * 5 / 9.9),
        ("opus", 0.1, 0.0, 129 - 10.7 - 84.3 * 10 / 19.8),
        ("L16", 0.0, 0.0, WIDEBAND),
        ("G729", 0.0, 0.0, BEST),  # unknown: as G.711
    ],
)
def test_rating_is_lowered_by_codec_loss_and_delay(codec: str, loss: float, delay_ms: float, r: float):
    assert rating(codec, loss, delay_ms) == pytest.approx(r)


def test_wideband_codecs_end_at_the_same_score_and_have_a_reserve_against_loss():
    for codec in ("G722", "opus", "L16"):
        assert mos(codec, 0.0, 0.0, 0.0) == pytest.approx(4.5)
        assert mos(codec, 0.01, 40.0, 20.0) > mos("PCMU", 0.01, 40.0, 20.0) + 0.1
    assert mos("opus", 0.05, 40.0, 20.0) > mos("PCMU", 0.05, 40.0, 20.0) + 0.3


@pytest.mark.parametrize("codec", [*CODECS, "G729"])
def test_score_falls_with_loss_and_with_delay_and_stays_in_its_range(codec: str):
    steps = [step / 20 for step in range(21)]
    by_loss = [mos(codec, loss, 40.0, 20.0) for loss in steps]
    by_delay = [mos(codec, 0.0, 2000.0 * step, 0.0) for step in steps]
    for scores in (by_loss, by_delay):
        assert scores == sorted(scores, reverse=True)
        assert scores[-1] < scores[0]
        assert all(1.0 <= score <= 4.5 for score in scores)
    assert mos(codec, 2.0, 0.0, 0.0) == mos(codec, 1.0, 0.0, 0.0)
