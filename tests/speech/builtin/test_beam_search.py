from typing import Any

import numpy as np
import pytest

from softswitch.speech.builtin.beam_search import Text, search
from softswitch.speech.builtin.moonshine import END

A, B, C, D = 4, 5, 6, 7
TABLE = {
    (): {A: 0.6, B: 0.4},
    (A,): {C: 0.3, D: 0.3, END: 0.2},
    (B,): {C: 0.9},
    (B, C): {END: 0.95},
}
"""Probabilities after each text: greedily A comes first, but B C is the likeliest whole."""


class FakeDecoder:
    """A decoder that knows the probabilities of a table; all else is equally unlikely."""

    def __init__(self):
        self.texts = [()]

    def row(self, text):
        known = TABLE.get(text, {})
        rest = (1 - sum(known.values())) / (8 - len(known))
        return np.log(np.array([known.get(token, max(rest, 1e-9)) for token in range(8)], np.float32))

    def step(self, _decoding, tokens):
        return np.stack([self.row(()) for _ in tokens])

    def widen(self, _decoding, tokens, beams):
        self.texts = [(*self.texts[beam], token) for token, beam in zip(tokens, beams, strict=True)]
        return np.stack([self.row(text) for text in self.texts])


def found(most: int = 10, adjust: Any = lambda logits, before: logits) -> Text:
    decoder: Any = FakeDecoder()
    nothing: Any = None
    return search(decoder, nothing, most, adjust)


def test_the_likeliest_whole_is_found_though_another_begins_better():
    text = found()
    assert text.tokens == [B, C]
    assert text.score == pytest.approx(np.log(0.4 * 0.9 * 0.95), abs=1e-3)
    assert sum(text.logs) == pytest.approx(text.score, abs=1e-3)


def test_a_text_that_does_not_end_is_cut():
    assert found(most=1).tokens == [A]


def test_adjusted_logits_decide_and_plain_ones_are_told():
    def no_b(logits, before):
        changed = logits.copy()
        if not before:
            changed[B] = -np.inf
        return changed

    text = found(adjust=no_b)
    assert text.tokens[0] == A
    assert text.logs[0] == pytest.approx(np.log(0.6), abs=1e-3)
