"""The neural recogniser of English: an engine for :mod:`softswitch.speech.builtin.worker`.

Each job is one utterance as far as it has been heard. What is known of it from before (a draft) is checked in
one step, so that hearing it again costs little more than hearing its end.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from softswitch.speech.builtin import neural_voice
from softswitch.speech.builtin.beam_search import BEAMS, Adjust, search
from softswitch.speech.builtin.completeness import complete, likelihood
from softswitch.speech.builtin.model_files import ModelFile
from softswitch.speech.builtin.moonshine import BEGIN, END, RATE, Array, Decoder, Decoding, Encoder
from softswitch.speech.builtin.noisy_speech import versions
from softswitch.speech.builtin.ort_file import read
from softswitch.speech.builtin.turn_model import TurnModel
from softswitch.speech.builtin.vocabulary import SPACE, Vocabulary
from softswitch.speech.builtin.worker import Emit

REQUIREMENT = "moonshine-cpp==0.1.4"
LONGEST_S = 24.0
"""Of a longer utterance the end counts."""
LONGEST = 420
"""Tokens of an utterance, and of the phrases that it is compared with, together."""
_SHORTEST_S = 0.4
"""Shorter sound is continued with silence: the model knows nothing so short."""
_TOKENS_PER_S, _TOKENS_MORE = 6.5, 8
"""An utterance has at most so many tokens; beyond it the model only repeats itself."""
_LOUDNESS = 0.08
"""Root mean square of the sound that the model is given; what is quieter is raised, up to `_MOST_GAIN`."""
_MOST_GAIN = 30.0
_SILENT = 0.8
"""How sure the model must be that there are no words at all: of digits it often says so, and is wrong."""
_HOTWORD_START, _HOTWORD_NEXT = 1.0, 2.5
"""What is added to the logit of a token that begins a hotword, or goes on with it."""
MOST_PHRASES = 64

_FOLDER = "models/base-en"
FILES = tuple(
    ModelFile("moonshine_cpp", f"{_FOLDER}/{name}", sha256, REQUIREMENT)
    for name, sha256 in (
        ("encoder_model.ort", "9d1a19e044cbf89a207723d1adb667de89a5671a1e3e611b8ebe721b2c31219c"),
        ("decoder_model_merged.ort", "370e0c1f161d68dc1c2264c1a82024fb123380da3b73f47f05531d1e8d3308c3"),
        ("tokenizer.bin", "04670d78994d030185c3dd843c60591788fed0a56cc6750747bd326825f13ca9"),
    )
)


def installed() -> bool:
    """Return whether the model is on the disk."""
    return all(file.installed() for file in FILES)


class NeuralEars:
    """The loaded model."""

    def __init__(self) -> None:
        """Load it.

        Raises:
            SpeechUnavailableError: the package is missing or another version.
        """
        encoder, decoder, vocabulary = FILES
        self._encoder = Encoder(read(encoder.read()), LONGEST_S + 1.0)
        self._decoder = Decoder(read(decoder.read()), LONGEST)
        self._vocabulary = Vocabulary(vocabulary.read())
        self._turns = TurnModel.load()
        self._tagger = neural_voice.tagger() if self._turns is not None else None

    def about(self) -> dict[str, Any]:
        """Return the name of the model, and whether ends of turns are judged."""
        return {"model": "moonshine-base-en", "turns": self._turns is not None}

    def work(self, job: dict[str, Any], body: bytes, _emit: Emit) -> dict[str, Any]:
        """Understand an utterance.

        Args:
            job: may have ``draft`` (tokens expected), ``phrases`` (each is scored), ``hotwords`` (texts),
                ``turn`` (whether to judge if the speaker is done), ``text`` (False: only the turn) and
                ``quick`` (noisy sound is given as little time as other sound).
            body: its sound, PCM16 at 16 kHz.
            _emit: nothing comes before the result.

        Returns:
            ``text``, ``tokens``, ``confidence`` (0 to 1), ``complete`` (whether the text makes a sentence),
            for phrases ``free`` (logarithm of the probability
            of the text) and ``scores`` (of each phrase), for a turn ``turn`` (0 to 1) and ``sound`` (see
            :func:`softswitch.speech.builtin.turn_model.likelihood`).
        """
        sound = np.frombuffer(body, "<i2").astype(np.float32) / np.float32(32768.0)
        sound = sound[-int(LONGEST_S * RATE) :]
        told: dict[str, Any] = {}
        if job.get("turn") and self._turns is not None:
            told["sound"] = self._turns.hear(sound)
            told["turn"] = likelihood(told["sound"], None)
        if not job.get("text", True):
            return told
        heard = [sound] if job.get("quick") else versions(sound)
        views = [self._encoder.run(_prepared(version)) for version in heard]
        most = min(int(len(sound) / RATE * _TOKENS_PER_S) + _TOKENS_MORE, LONGEST // 2)
        hotwords = Hotwords(self._vocabulary, job.get("hotwords", ()))
        if len(views) > 1:
            tokens, logs = self._search(views, most, hotwords.raised)
        else:
            decoding = self._decoder.begin(*views)
            first, tokens, logs = self._decode(decoding, list(job.get("draft", ())), most, hotwords.raised)
        told |= {"text": self._vocabulary.text(tokens), "tokens": tokens, "confidence": confidence(logs)}
        if self._tagger is not None:
            told["complete"] = complete(told["text"], self._tagger)
            if "sound" in told:
                told["turn"] = likelihood(told["sound"], told["complete"])
        phrases = job.get("phrases", ())[:MOST_PHRASES]
        if phrases:
            if len(views) > 1:
                decoding = self._decoder.begin(*views)
                first = self._decoder.step(decoding, [BEGIN])[0]
            decoding.length = 1
            told["free"] = round(sum(logs), 3)
            told["scores"] = self._scores(decoding, first, phrases)
        return told

    def _search(self, views: list[Array], most: int, raised: Adjust) -> tuple[list[int], list[float]]:
        """Return the tokens of a noisy utterance, and the logarithm of each one's probability."""

        def adjust(logits: Array, before: list[int]) -> Array:
            if not before and math.exp(log_probability(logits, END)) < _SILENT:
                logits = logits.copy()
                logits[END] = -np.inf
            return raised(logits, before)

        decoding = self._decoder.begin(*views, beams=BEAMS, longest=most + 1)
        found = search(self._decoder, decoding, most, adjust)
        return found.tokens, found.logs

    def _decode(
        self, decoding: Decoding, draft: list[int], most: int, raised: Adjust
    ) -> tuple[Array, list[int], list[float]]:
        """Return the logits after the beginning, the tokens, and the logarithm of each one's probability.

        The last logarithm is that of the end, where it came.
        """
        logits = self._decoder.step(decoding, [BEGIN, *draft[: most - 1]])
        first = logits[0]
        tokens: list[int] = []
        logs: list[float] = []
        while True:
            for index, row in enumerate(logits):
                token = int(raised(row, tokens).argmax())
                if token == END and not tokens and math.exp(log_probability(row, END)) < _SILENT:
                    row[END] = -np.inf
                    token = int(raised(row, tokens).argmax())
                logs.append(log_probability(row, token))
                if token == END:
                    return first, tokens, logs
                tokens.append(token)
                if len(tokens) >= most or repeats(tokens):
                    return first, tokens, logs
                if index + 1 < len(logits) and token != draft[index]:
                    # What was expected after it was computed for another token.
                    decoding.length -= len(logits) - 1 - index
                    break
            logits = self._decoder.step(decoding, tokens[-1:])

    def _scores(self, decoding: Decoding, first: Array, phrases: Sequence[str]) -> list[float]:
        """Return the logarithm of the probability of each phrase, written in the likelier of two ways."""
        written = [self._vocabulary.tokens(form) for phrase in phrases for form in forms(phrase)]
        scores: list[float] = []
        room = LONGEST - 1
        begin = 0
        while begin < len(written):
            end, size = begin, 0
            while end < len(written) and size + len(written[end]) <= room:
                size += len(written[end])
                end += 1
            if end == begin:  # A phrase so long is no phrase.
                scores.append(-math.inf)
                begin += 1
                continue
            for tokens, logits in zip(
                written[begin:end], self._decoder.branches(decoding, written[begin:end]), strict=True
            ):
                rows = np.concatenate([first[None], logits])
                scores.append(sum(map(log_probability, rows, [*tokens, END])))
            begin = end
        return [round(max(pair), 3) for pair in zip(scores[::2], scores[1::2], strict=True)]


class Hotwords:
    """Makes the tokens of expected words likelier."""

    def __init__(self, vocabulary: Vocabulary, words: Sequence[str]) -> None:
        """Take the words, as they are likely to be written."""
        self._words = [vocabulary.tokens(word) for word in words]
        self._words = [tokens for tokens in self._words if tokens]
        self._starts = vocabulary.pieces
        self._space = SPACE.encode()

    def raised(self, logits: Array, before: list[int]) -> Array:
        """Return the logits, with those of the expected words raised."""
        if not self._words:
            return logits
        raised = logits.copy()
        for tokens in self._words:
            raised[tokens[0]] = max(raised[tokens[0]], logits[tokens[0]] + _HOTWORD_START)
            for count in range(1, len(tokens)):
                if before[-count:] == tokens[:count]:
                    raised[tokens[count]] = logits[tokens[count]] + _HOTWORD_NEXT
        return raised


def forms(phrase: str) -> tuple[str, str]:
    """Return how the model would write a phrase: as a sentence, and without its full stop."""
    plain = phrase.strip()
    capital = plain[:1].upper() + plain[1:]
    return (capital if capital.endswith((".", "?", "!")) else f"{capital}.", capital.rstrip(".?!"))


def log_probability(logits: Array, token: int) -> float:
    """Return the natural logarithm of the probability of a token."""
    most = logits.max()
    return float(logits[token] - most - np.log(np.exp(logits - most).sum()))


def confidence(logs: Sequence[float]) -> float:
    """Return the probability of the least likely token but the end's, smoothed by that of all: 0 to 1."""
    if not logs:
        return 0.0
    mean = sum(logs) / len(logs)
    return round(math.exp(0.5 * mean + 0.5 * min(logs)), 3)


def repeats(tokens: Sequence[int]) -> bool:
    """Return whether the last tokens are the same few for the fourth time: the model is stuck."""
    for size in range(1, 9):
        if len(tokens) >= 4 * size and all(
            tokens[-size:] == tokens[-size * (back + 1) : -size * back] for back in (1, 2, 3)
        ):
            return True
    return False


def _prepared(sound: Array) -> Array:
    """Return the sound at the loudness that the model is used to, and long enough for it."""
    missing = int(_SHORTEST_S * RATE) - len(sound)
    if missing > 0:
        sound = np.pad(sound, (0, missing))
    loudness = float(np.sqrt(np.square(sound).mean()))
    gain = min(_LOUDNESS / max(loudness, 1e-6), _MOST_GAIN)
    return sound * np.float32(gain) if gain > 1.0 else sound


load = NeuralEars
