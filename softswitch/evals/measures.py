"""What is heard of a bot, and what comes of it. Pure: audio and moments in, figures out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from softswitch.evals.scenario import Limits

LOUD = 400.0
"""Root mean square of 20 ms that count as sound, PCM16 units: -38 dB of full scale."""
ONSET = 3
"""Loud messages of 20 ms in a row that begin speech: a click does not."""
SILENCE_S = 0.6
"""Silence that ends what the bot says, seconds; a pause between words is shorter."""
CUT_S = 0.3
"""Silence after an interruption by which the bot has given way, seconds."""


@dataclass(slots=True)
class Utterance:
    """One stretch of what the bot says."""

    begin: float
    """Moments of the first and the last loud message, seconds."""
    end: float
    pcm: bytearray = field(default_factory=bytearray)


class Ear:
    """Hears a bot: cuts its audio into utterances by their loudness."""

    def __init__(self) -> None:
        self.utterances: list[Utterance] = []
        self._onset: list[tuple[float, bytes]] = []

    def hear(self, pcm: bytes, at: float) -> None:
        """Take 20 ms of PCM16 that came at a moment, in seconds."""
        samples = np.frombuffer(pcm, "<i2").astype(np.float64)
        loud = bool(samples.size) and float(np.sqrt(np.mean(samples**2))) >= LOUD
        if self.speaking(at):
            current = self.utterances[-1]
            current.pcm += pcm
            if loud:
                current.end = at
            return
        self._onset = [*self._onset, (at, pcm)] if loud else []
        if len(self._onset) >= ONSET:
            whole = bytearray().join(piece for _, piece in self._onset)
            self.utterances.append(Utterance(self._onset[0][0], at, whole))
            self._onset = []

    def speaking(self, now: float) -> bool:
        """Whether the bot speaks, or pauses for a moment only."""
        return bool(self.utterances) and now - self.utterances[-1].end < SILENCE_S

    def since(self, moment: float) -> Utterance | None:
        """Return the first utterance that began after a moment."""
        return next((one for one in self.utterances if one.begin > moment), None)


class TurnResult(msgspec.Struct, kw_only=True):
    """What came of one turn."""

    say: str
    response_ms: int | None = None
    """None: the bot did not reply."""
    barge_in_ms: int | None = None
    """How long the bot went on; None where it was not interrupted."""
    heard: str = ""
    """What was understood of the reply, where words were expected."""
    missing: tuple[str, ...] = ()


class Report(msgspec.Struct, kw_only=True):
    """The result of a scenario; written as JSON."""

    passed: bool = False
    faults: list[str] = []
    """What the bot did not keep, in words."""
    greeting_ms: int | None = None
    response_ms_p50: int | None = None
    response_ms_p95: int | None = None
    barge_in_ms_max: int | None = None
    missing_words: float = 0.0
    turns: list[TurnResult] = []
    ended_by: str = ""
    """Reason of the hangup where the call ended before the scenario did."""

    def judge(self, limits: Limits, *, expected: int, greets: bool) -> None:
        """Fill in the figures of all turns and compare them with the limits."""
        responses = [turn.response_ms for turn in self.turns if turn.response_ms is not None]
        cuts = [turn.barge_in_ms for turn in self.turns if turn.barge_in_ms is not None]
        self.response_ms_p50, self.response_ms_p95 = percentile(responses, 50), percentile(responses, 95)
        self.barge_in_ms_max = max(cuts, default=None)
        self.missing_words = sum(len(turn.missing) for turn in self.turns) / expected if expected else 0.0
        faults = [f"no reply to {turn.say!r}" for turn in self.turns if turn.response_ms is None]
        if greets and self.greeting_ms is None:
            faults.append("the bot did not greet")
        for name, value, limit in (
            ("greeting_ms", self.greeting_ms, limits.greeting_ms),
            ("response_ms", self.response_ms_p95, limits.response_ms),
            ("barge_in_ms", self.barge_in_ms_max, limits.barge_in_ms),
            ("missing_words", self.missing_words, limits.missing_words),
        ):
            if value is not None and value > limit:
                faults.append(f"{name} is {value:g}, the limit is {limit:g}")
        self.faults = faults
        self.passed = not faults


def percentile(values: Sequence[int], share: float) -> int | None:
    """Return a percentile of some values, interpolated; None without values."""
    return round(float(np.percentile(values, share))) if values else None


def missing(expected: Sequence[str], heard: str) -> tuple[str, ...]:
    """Return the expected words or phrases that are not in a text, whatever their case and punctuation."""
    text = f" {' '.join(_words(heard))} "
    return tuple(phrase for phrase in expected if f" {' '.join(_words(phrase))} " not in text)


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())
