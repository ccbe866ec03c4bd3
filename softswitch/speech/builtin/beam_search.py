"""Search for the likeliest text of a noisy utterance: several texts are followed until none can win any more.

Token by token, the likeliest one leads astray where noise covers speech: a wrong word drags others behind it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from softswitch.speech.builtin.moonshine import BEGIN, END, Array, Decoder, Decoding

BEAMS = 6
"""Texts that are followed at once."""

Adjust = Callable[[Array, list[int]], Array]
"""Return the logits to choose from, given those of the model and the tokens before."""


class Text(NamedTuple):
    """A text, or its beginning."""

    tokens: list[int]
    logs: list[float]
    """Logarithm of the probability of each token, that of the end included where it came."""
    score: float
    """Their sum, after adjustment."""


class _Step(NamedTuple):
    score: float
    beam: int
    token: int
    log: float


def search(decoder: Decoder, decoding: Decoding, most: int, adjust: Adjust) -> Text:
    """Return the likeliest text.

    Args:
        decoder: the model.
        decoding: with nothing decoded, and room for `most` + 1 tokens of `BEAMS` texts.
        most: tokens that it may have.
        adjust: changes the logits before the choice.
    """
    beams = [Text([], [], 0.0)]
    logits = decoder.step(decoding, [BEGIN])[-1:]
    ended: list[Text] = []
    for _ in range(most):
        steps = _likeliest(beams, logits, adjust)
        ended += [_longer(beams, step) for step in steps if step.token == END]
        going = [step for step in steps if step.token != END][:BEAMS]
        # What goes on only becomes less likely.
        if ended and (not going or max(text.score for text in ended) >= going[0].score):
            return max(ended, key=lambda text: text.score)
        beams = [_longer(beams, step) for step in going]
        logits = decoder.widen(decoding, [step.token for step in going], [step.beam for step in going])
    return max((*ended, *beams), key=lambda text: text.score)


def _likeliest(beams: Sequence[Text], logits: Array, adjust: Adjust) -> list[_Step]:
    """Return the likeliest steps from all texts, best first, up to that which fills the beams."""
    steps: list[_Step] = []
    for beam, (text, row) in enumerate(zip(beams, logits, strict=True)):
        plain = row - _log_sum(row)
        changed = adjust(row, text.tokens)
        scores = plain if changed is row else changed - _log_sum(changed)
        steps += [
            _Step(text.score + float(scores[token]), beam, int(token), float(plain[token]))
            for token in np.argpartition(-scores, BEAMS)[: BEAMS + 1]
        ]
    steps.sort(reverse=True)
    going = 0
    for index, step in enumerate(steps):
        going += step.token != END
        if going == BEAMS:
            return steps[: index + 1]
    return steps


def _longer(beams: Sequence[Text], step: _Step) -> Text:
    text = beams[step.beam]
    tokens = text.tokens if step.token == END else [*text.tokens, step.token]
    return Text(tokens, [*text.logs, step.log], step.score)


def _log_sum(row: Array) -> np.float32:
    most = row.max()
    total: np.float32 = most + np.log(np.exp(row - most).sum())
    return total
