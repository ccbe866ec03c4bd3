"""What a caller may say, item by item, and whether what was heard is one of them or none.

Phrases are judged by the recogniser's own probabilities: how much less likely each phrase is than the text
that it would write freely. Words to spot and intents are found in that text, by what they sound like.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from softswitch.speech.builtin.neural_ears import MOST_PHRASES
from softswitch.speech.interface import Grammar, Intent

FITS, STEEP = 10.8, 1.2
"""How much less likely (natural logarithm) a phrase may be than free text to fit with a confidence of 0.5,
and how quickly the confidence falls around that. Measured with five voices through G.711."""
_RIVAL = 1.0
"""How the distance to the next phrase counts."""
_NUMBERS = "zero one two three four five six seven eight nine ten".split()
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+")
_COMMON = frozenset(
    "a an the i i'd i'm you me my your we us our it is are am be do does to of for in on at with and or"
    " please would like want need can could may will shall have has get got some that this there hi hello so"
    " well"
    " just".split()
)
"""Words that say nothing of what is wanted."""
_SOUNDS = (
    ("ph", "f"), ("gh", ""), ("ck", "k"), ("qu", "kw"), ("wh", "w"), ("wr", "r"), ("kn", "n"), ("sch", "sk"),
    ("tch", "ch"), ("ce", "se"), ("ci", "si"), ("cy", "sy"), ("c", "k"), ("x", "ks"), ("z", "s"), ("dg", "j"),
)  # fmt: skip


_SPELLED = {
    **{word: (word,) for word in _NUMBERS[:10]},
    "oh": ("oh",),
    "o": ("oh",),
    "won": ("one",),
    "to": ("two",),
    "too": ("two",),
    "for": ("four",),
    "ate": ("eight",),
    "ten": ("one", "zero"),
    "nil": ("zero",),
    "naught": ("zero",),
}
"""What digits sound like, and how the recogniser may write them."""
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_TIMES = {"double": 2, "triple": 3}
_NO_DIGITS = frozenset({"uh", "um", "er", "and", "it's", "the", "number", "is", "my"})
"""Words that may stand around digits."""


class Verdict(msgspec.Struct, frozen=True):
    """What an utterance is among the items."""

    text: str
    """Empty where it is rejected."""
    match: str
    confidence: float
    rejected: bool


def words(text: str) -> list[str]:
    """Return the words of a text in lower case; small numbers as words."""
    found = _WORD.findall(text.lower().replace("’", "'"))  # noqa: RUF001  (the typographic apostrophe is meant)
    return [_NUMBERS[int(word)] if word.isdigit() and int(word) <= 10 else word for word in found]


class Items:
    """A grammar, ready to judge."""

    def __init__(self, grammar: Grammar) -> None:
        """Take a grammar."""
        self._type = grammar.type
        self._threshold = grammar.threshold
        self._named = [
            (item.name, phrase) if isinstance(item, Intent) else (item, item)
            for item in grammar.items
            for phrase in (item.phrases if isinstance(item, Intent) else (item,))
        ]
        self.phrases: list[str] = [phrase for _, phrase in self._named[:MOST_PHRASES]]
        """What the recogniser is to score."""
        if self._type in {"spot", "digits"}:
            self.phrases = []
        self._weights = _weights((name, words(phrase)) for name, phrase in self._named)

    @property
    def all_phrases(self) -> list[str]:
        """What may be said, of all items."""
        return [phrase for _, phrase in self._named]

    def judge(self, result: Mapping[str, Any]) -> Verdict:
        """Return what an utterance is.

        Args:
            result: as :meth:`softswitch.speech.builtin.neural_ears.NeuralEars.work` tells it.
        """
        text = str(result["text"])
        if self._type == "digits":
            return _digits_of(text, float(result["confidence"]), self._threshold)
        heard = words(text)
        if not heard and self._type != "phrases":
            return Verdict("", "", 0.0, True)
        if self._type == "phrases":
            index, confidence = self._phrase(heard, result)
        else:
            index, confidence = self._found(heard)
            if self._type == "intents":
                scored = self._phrase(heard, result)
                index, confidence = max((index, confidence), scored, key=lambda pair: pair[1])
        if confidence < self._threshold:
            return Verdict("", "", round(confidence, 3), True)
        match = self._named[index][0]
        return Verdict(match if self._type == "phrases" else text, match, round(confidence, 3), False)

    def _phrase(self, heard: Sequence[str], result: Mapping[str, Any]) -> tuple[int, float]:
        """Return which phrase the whole utterance is, and how surely."""
        for index, (_, phrase) in enumerate(self._named):
            if words(phrase) == heard:
                return index, max(0.9, float(result["confidence"]))
        scores: Sequence[float] = result.get("scores", ())
        if not scores:
            return 0, 0.0
        best, index = max((score, index) for index, score in enumerate(scores))
        name = self._named[index][0]
        rivals = [score for other, score in enumerate(scores) if self._named[other][0] != name]
        behind = float(result["free"]) - best
        fits = 1.0 / (1.0 + math.exp(min((behind - FITS) / STEEP, 50.0)))
        ahead = best - max(rivals, default=-math.inf)
        return index, fits / (1.0 + math.exp(-min(ahead * _RIVAL, 50.0)))

    def _found(self, heard: Sequence[str]) -> tuple[int, float]:
        """Return which item occurs in an utterance (or means the same), and how surely."""
        confidences = [
            self._occurs(words(phrase), heard)
            if self._type == "spot"
            else self._means(name, words(phrase), heard)
            for name, phrase in self._named
        ]
        confidence, index = max((confidence, -index) for index, confidence in enumerate(confidences))
        return -index, confidence

    @staticmethod
    def _occurs(phrase: Sequence[str], heard: Sequence[str]) -> float:
        """Return how much some words in a row sound like a phrase, 0 to 1 (3 letters of 4: a half)."""
        wanted = "".join(map(sounds, phrase))
        if not wanted:
            return 0.0
        likeness = 0.0
        for size in {max(len(phrase) - 1, 1), len(phrase), len(phrase) + 1}:
            for begin in range(max(len(heard) - size, 0) + 1):
                said = "".join(map(sounds, heard[begin : begin + size]))
                likeness = max(likeness, 1.0 - distance(wanted, said) / max(len(wanted), len(said)))
        return max(0.0, 2.0 * likeness - 1.0)

    def _means(self, name: str, phrase: Sequence[str], heard: Sequence[str]) -> float:
        """Return how much of what sets a phrase apart was heard, 0 to 1."""
        telling = [word for word in phrase if word not in _COMMON] or list(phrase)
        total = sum(self._weights[word] for word in telling)
        spoken = {sounds(word) for word in heard}
        found = sum(self._weights[word] for word in telling if sounds(word) in spoken)
        del name
        return found / total if total else 0.0


def _digits_of(text: str, confidence: float, threshold: float) -> Verdict:
    """Return the digits of a text as words; rejected where it says anything else."""
    found: list[str] = []
    times = 1
    parts = [part for word in re.findall(r"[a-z']+|\d", text.lower()) for part in word.split()]
    for index, word in enumerate(parts):
        if word.isdigit():
            said: tuple[str, ...] = (_NUMBERS[int(word)],)
        elif word in _SPELLED:
            said = _SPELLED[word]
        elif word in _TEENS:
            said = ("one", _NUMBERS[_TEENS.index(word)])
        elif word in _TENS:
            # "twenty nine" is two digits, "twenty" before anything else is two and zero.
            after = parts[index + 1] if index + 1 < len(parts) else ""
            tens = _NUMBERS[_TENS.index(word) + 2]
            said = (tens,) if after in _NUMBERS[1:10] else (tens, "zero")
        elif word in _TIMES:
            times = _TIMES[word]
            continue
        elif word in _NO_DIGITS:
            continue
        else:
            return Verdict("", "", 0.0, True)
        found += said * times
        times = 1
    # Digits are short and alike: the recogniser is less sure of them than of sentences.
    confidence = round(confidence**0.5, 3)
    if not found or confidence < threshold / 2:
        return Verdict("", "", confidence, True)
    spoken = " ".join(found)
    return Verdict(spoken, spoken, confidence, False)


def _weights(phrases: Iterable[tuple[str, Sequence[str]]]) -> Mapping[str, float]:
    """Return how much each word tells: the less, the more items have it."""
    names: dict[str, set[str]] = {}
    for name, phrase in phrases:
        for word in phrase:
            names.setdefault(word, set()).add(name)
    return Counter({word: 1.0 / len(items) ** 2 for word, items in names.items()})


def sounds(word: str) -> str:
    """Return a word by what it sounds like, roughly: endings and doubled letters fall away."""
    for written, said in _SOUNDS:
        word = word.replace(written, said)
    word = re.sub(r"(.)\1+", r"\1", word.replace("'", ""))
    if len(word) > 3:
        word = re.sub(r"(?:ing|ed|es|s|e)$", "", word)
    return word


def distance(one: str, other: str) -> int:
    """Return how many letters differ, are missing or too many."""
    row = list(range(len(other) + 1))
    for index, sign in enumerate(one, 1):
        before, row[0] = row[0], index
        for place, against in enumerate(other, 1):
            before, row[place] = (
                row[place],
                min(row[place] + 1, row[place - 1] + 1, before + (sign != against)),
            )
    return row[-1]
