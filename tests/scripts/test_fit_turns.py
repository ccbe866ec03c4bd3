"""The regression behind the weights of ends of turns, on made-up numbers."""

import numpy as np
import pytest

from scripts.fit_turns import EARLY, VERDICT, Example, fit, judge, regression
from softswitch.speech.builtin.completeness import WEIGHTS


def made(count=400, seed=3):
    """Return examples whose third feature alone tells which are whole."""
    chance = np.random.default_rng(seed)
    return [
        Example(
            ("whole", "half", "cut")[index % 3],
            (1.0, chance.normal(), chance.normal(), chance.normal() + 2.0 * (index % 3 == 0), 1.0),
            goes_on=False,
        )
        for index in range(count)
    ]


def test_regression_finds_the_weights_that_made_the_data():
    chance = np.random.default_rng(1)
    features = np.column_stack([np.ones(20000), chance.normal(size=(20000, 2))])
    true = np.array([0.5, 1.5, -1.0])
    whole = (chance.random(20000) < 1 / (1 + np.exp(-features @ true))).astype(float)
    assert regression(features, whole, np.ones(20000), np.zeros(20000)) == pytest.approx(true, abs=0.1)


def test_half_of_the_whole_sentences_end_a_turn_early():
    found = made()
    weights = fit(found)
    assert len(weights) == len(WEIGHTS)
    told = dict(part.split(" ", 1) for part in judge(found, weights).split(", "))
    assert float(told["whole"].split()[0]) == pytest.approx(100 * EARLY, abs=1.0)
    assert float(told["half"].split()[0]) < 10.0
    assert np.argmax(np.abs(weights[1:])) == 2
    assert weights[1] == VERDICT


def test_a_word_that_wants_another_one_never_ends_a_turn():
    found = [example._replace(goes_on=True) for example in made()]
    assert judge(found, np.array([99.0, 0.0, 0.0, 0.0, 0.0])).count(" 0.0 % of") == 3
