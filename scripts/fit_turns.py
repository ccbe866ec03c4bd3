"""Fit the weights of ends of turns (`softswitch/speech/builtin/completeness.py`) on sounds made here.

python scripts/fit_turns.py [--sentences 60] [--check]

Each of the sentences of `bench/_turn_sentences.py` is spoken by three voices: whole, its first half and its
first two thirds as if something followed, and cut out of the whole at its quietest place in the middle. All
go through G.711. A logistic regression learns which are whole; then the constant is moved so that half of the
whole ones come to the probability that ends a turn early. `--check` also tells how the weights do on the
sentences of the measures (`bench/speech.py`), of which one voice in four is a new one.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import softswitch  # noqa: F401, I001  (before numpy: it sets the number of BLAS threads)
import numpy as np
from numpy.typing import NDArray

from bench import _speech_sounds as sounds
from bench._speech_sentences import SENTENCES as MEASURED
from bench._turn_sentences import SENTENCES
from softswitch.call.turns import LONGER, patience
from softswitch.call.vocabulary.commands import EouOption
from softswitch.speech.builtin import neural_ears, neural_voice
from softswitch.speech.builtin.completeness import WEIGHTS

Numbers = NDArray[np.float64]

VOICES = "heart", "slt", "rms"
PENALTY = 0.3
"""Of the squares of the weights, but the constant's."""
VERDICT = 0.125
"""Weight of the model's verdict, which is not fitted.

The model was trained on people; synthetic voices end halves of sentences as if they were whole, so that the
regression alone would turn its sign around.
"""
EARLY = 0.5
"""Part of the whole sentences that is to end a turn early."""
_STEPS = 50


class Example(NamedTuple):
    """One sound, as the recogniser's process tells of it."""

    kind: str
    features: tuple[float, ...]
    """A constant, and what is weighed: see `WEIGHTS`."""
    goes_on: bool
    """Whether the last word alone says that another one follows."""


def spoken(voice: sounds.Voice, text: str) -> Iterator[tuple[str, sounds.Sound]]:
    """Yield the sounds of a sentence, with their kinds."""
    whole, words = voice.speak(text), text.split()
    yield "whole", whole
    yield "half", voice.speak(f"{sounds.halves(text)[0]},")
    if len(words) > 5:
        yield "half", voice.speak(f"{' '.join(words[: len(words) * 2 // 3])},")
    yield "cut", whole[: sounds.gap(whole)]


def examples(people: Sequence[tuple[sounds.Voice, str]], ears: neural_ears.NeuralEars) -> list[Example]:
    """Return what is told of sentences and their parts."""
    found = []
    for index, (voice, text) in enumerate(people):
        for kind, sound in spoken(voice, text):
            line = sounds.pcmu(sounds.around(sound, 0.3, 0.2)).astype("<i2").tobytes()
            told = ears.work({"turn": True}, line, lambda _: None)
            features = (1.0, *told["sound"], float(told["complete"]))
            found.append(Example(kind, features, patience(told["text"].rstrip(".")) >= LONGER))
        if index % 20 == 19:
            print(f"    {index + 1} of {len(people)} sentences", file=sys.stderr, flush=True)
    return found


def regression(features: Numbers, whole: Numbers, importance: Numbers, known: Numbers) -> Numbers:
    """Return the weights ``(features,)`` of a logistic regression, by Newton's method.

    Args:
        features: ``(examples, features)``, the first a constant.
        whole: ``(examples,)``, 1 for a whole sentence.
        importance: of each example.
        known: what is added to the score of each example beside its features.
    """
    weights = np.zeros(features.shape[1])
    penalty = np.full(len(weights), PENALTY)
    penalty[0] = 0.0
    for _ in range(_STEPS):
        likely = 1.0 / (1.0 + np.exp(-features @ weights - known))
        slope = features.T @ (importance * (whole - likely)) - penalty * weights
        bend = (features * (importance * likely * (1.0 - likely))[:, None]).T @ features
        step = np.linalg.solve(bend + np.diag(penalty), slope)
        weights += step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def fit(found: Sequence[Example]) -> Numbers:
    """Return the weights that tell whole sentences from others, with the constant moved as wanted."""
    features = np.array([example.features for example in found])
    whole = np.array([float(example.kind == "whole") for example in found])
    # Wholes and parts count alike, however many there are of each.
    importance = np.where(whole == 1.0, 1.0, whole.mean() / (1.0 - whole.mean()))
    fitted = np.delete(np.arange(features.shape[1]), 1)
    weights = np.full(features.shape[1], VERDICT)
    weights[fitted] = regression(features[:, fitted], whole, importance, VERDICT * features[:, 1])
    goes_on = np.array([example.goes_on for example in found])
    scores = np.where(goes_on, -np.inf, features @ weights)[whole == 1.0]
    early = float(np.quantile(scores, 1.0 - EARLY, method="lower"))
    threshold = EouOption().threshold
    weights[0] += np.log(threshold / (1.0 - threshold)) - early
    return weights


def judge(found: Sequence[Example], weights: Numbers) -> str:
    """Return how many of each kind end a turn early."""
    threshold = EouOption().threshold
    least = np.log(threshold / (1.0 - threshold))
    told = []
    for kind in ("whole", "half", "cut"):
        early = [
            np.dot(example.features, weights) >= least and not example.goes_on
            for example in found
            if example.kind == kind
        ]
        told.append(f"{kind} {100 * float(np.mean(early)):.1f} % of {len(early)}")
    return ", ".join(told)


def main() -> None:
    """Fit, and print the weights and what they do."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sentences", type=int, default=len(SENTENCES))
    parser.add_argument("--check", action="store_true", help="judge the sentences of the measures too")
    arguments = parser.parse_args()
    people = {voice.name: voice for voice in sounds.voices(neural_voice.NeuralVoice())}
    ears = neural_ears.NeuralEars()
    tuned = [(people[name], text) for text in SENTENCES[: arguments.sentences] for name in VOICES]
    found = examples(tuned, ears)
    weights = fit(found)
    print(f"WEIGHTS = {', '.join(f'{weight:.3f}' for weight in weights)}")
    print(f"fitted: {judge(found, weights)}")
    print(f"in use: {judge(found, np.array(WEIGHTS))}")
    if arguments.check:
        names = [name for name in (*VOICES, sounds.UNTUNED) if name in people]
        others = [(people[names[index % len(names)]], text) for index, text in enumerate(MEASURED)]
        found = examples(others, ears)
        print(f"other sentences, fitted: {judge(found, weights)}")
        print(f"other sentences, in use: {judge(found, np.array(WEIGHTS))}")


if __name__ == "__main__":
    main()
