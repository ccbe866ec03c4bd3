"""Tells people from answering machines: by the rhythm of what is said, by its words, and by the beep.

Pure: frames and texts in, verdicts out; the time is that of the frames. People say a word or two and wait for
an answer; machines speak on, or say what machines say. A beep is a steady tone of one frequency.
"""

import re
from collections import deque
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import FULL_SCALE, Pcm

RATE = 16000
FRAME = RATE // 50
TICK_S = 0.02
Result = Literal["human", "machine", "beep", "unknown"]


class Answer(msgspec.Struct, frozen=True):
    """What has answered, or happened then."""

    result: Result
    reason: str
    """``words``, ``rhythm``, ``silence``, ``tone`` or ``time``."""
    at_s: float
    """When it was known, in the audio pushed."""
    speech_s: float | None = None
    """When speech began."""
    spoken_s: float = 0.0
    """How much was said; of a beep, how long it was."""
    text: str = ""


class Bounds(msgspec.Struct, frozen=True):
    """How long is waited for what, seconds."""

    silence_s: float = 5.0
    """Without a word for so long, nothing is known."""
    decide_s: float = 3.4
    """After the beginning of speech a verdict comes at the latest."""
    pause_s: float = 0.9
    """So much silence after a short greeting is a person who waits for an answer."""
    greeting_s: float = 1.9
    """Longer speech without such a pause is a machine's, unless its words are a person's."""
    beep_s: float = 40.0
    """After a machine was heard, its beep is waited for so long."""


# A text may end in the middle of a word: "leave a mess".
_CUES = (
    (4.0, r"leave (?:me |us )?(?:a|your) (?:short |brief |detailed |quick )?(?:mess|name|number)"),
    (4.0, r"(?:after|at) the (?:tone|beep|signal)"),
    (4.0, r"voice ?mail|mail ?box|answering (?:machine|service)"),
    (3.0, r"(?:not|n't|unable to|cannot) (?:available|able|answer|come|take|get|make it|reach)"),
    (
        3.0,
        r"(?:is|are|am|i'm) (?:not|currently|presently|away|out)(?: \w+)? ?(?:available|home|here|busy)",
    ),
    (3.0, r"you(?:'ve| have)? reached"),
    (
        2.5,
        r"(?:call|get back to|return your call|ring) (?:you )?(?:back )?(?:as soon|when|later|shortly|soon)",
    ),
    (2.5, r"record(?:ed)? (?:your|a|for|message)|hang up|press (?:one|two|pound|hash|star|\d)"),
    (2.5, r"(?:your call|the (?:person|number|party|customer|subscriber)) (?:has been|you|is|that)"),
    (2.0, r"(?:no one|nobody) (?:is|can|here)|office (?:is|hours)|we are (?:now )?closed|our hours"),
    (2.0, r"(?:sorry|missed) (?:i|we|your|you)|i missed|we missed"),
    (1.5, r"thank(?:s| you) for calling"),
    (-3.5, r"(?:how|what) (?:may|can|could) (?:i|we) (?:help|do|assist)"),
    (-3.0, r"\bspeaking\b(?! to)|who(?:'s|se| is) (?:this|calling|that|there|it)|who am i"),
    (-2.5, r"your (?:order|name|room(?: number)?),? please\b|what can i (?:do|get)"),
    (-3.0, r"what do you want|can you hear|are you there|hold on|one moment|just a (?:second|moment|minute)"),
    (-2.5, r"^(?:yes|yeah|yep|hello+|hi|hey|hallo|good (?:morning|afternoon|evening))[.?!, ]*$"),
    (-2.0, r"^(?:yes|yeah|hello)[.?!,]* (?:this is \w+|who|\w+ here|hello|hi|yes)"),
    (-1.5, r"this is (?:he|she|him|her)\b|what can|go ahead|yes please|can i help"),
)
"""Words, and how much they speak for a machine (natural logarithm of the odds)."""
_PATTERNS = tuple((weight, re.compile(pattern)) for weight, pattern in _CUES)
_SURE, _SURE_HUMAN = 2.5, 3.0
"""Words decide alone from here on: a machine's at once, a person's in the next pause."""

_QUIETEST_DB, _START_DB, _ABOVE_DB = -60.0, -48.0, 9.0
_FALL, _RISE_DB = 0.25, 0.06
_RECENT = 8
_BEGIN_OF, _GAP = 4, 12
"""Loud frames of the last `_RECENT` that begin speech; quiet frames in a row that end it."""
_TONE_BINS = slice(9, 90)
"""Bins of 31 Hz: 280 to 2800 Hz."""
_FFT = 512
_PURE, _STEADY_HZ, _TONE_DB = 0.88, 25.0, -42.0
_SHORTEST_BEEP, _LONGEST_BEEP, _TONE_GAP = 6, 200, 3
"""Frames."""


def evidence(text: str) -> float:
    """Return how much a text speaks for a machine: logarithm of the odds, below 0 for a person."""
    plain = re.sub(r"\s+", " ", text.lower().replace("’", "'")).strip()  # noqa: RUF001  (the typographic one)
    return sum(weight for weight, pattern in _PATTERNS if pattern.search(plain))


class AnsweringMachine:
    """Listens to the first seconds of a call that was answered."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        """Begin when the call is answered."""
        self._bounds = bounds or Bounds()
        self._frames = 0
        self._noise_db = _START_DB
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self._speaking = False
        self._quiet = 0
        self._speech_at: int | None = None
        self._spoken = 0
        self._text = ""
        self._said: dict[int, str] = {}
        self._line: Pcm = np.zeros(_FFT, np.float32)
        self._window: NDArray[np.float32] = np.hanning(_FFT).astype(np.float32)
        self._tone = 0
        self._tone_hz = 0.0
        self._tone_gap = 0
        self.result: Result | None = None
        """Who has answered, None while that is not known."""
        self.over = False
        """Whether nothing more will be told."""

    @property
    def _now_s(self) -> float:
        return self._frames * TICK_S

    def push(self, frame: Pcm) -> list[Answer]:
        """Take 20 ms ``(320,)`` at 16 kHz in PCM16 units; return what is known now."""
        if self.over:
            return []
        self._frames += 1
        power = float(np.dot(frame, frame)) / FRAME
        level_db = 10.0 * float(np.log10(max(power, 1.0) / FULL_SCALE**2))
        found = self._beep(frame, level_db)
        if not self._tone:
            self._rhythm(level_db)
        if self.result is None and self._tone > _LONGEST_BEEP:
            found.append(self._answer("unknown", "time"))
        elif self.result is None and not self._tone:
            found += self._decide()
        elif self.result != "machine" or self._now_s > self._deadline_s:
            self.over = self.result is not None
        return found

    def heard(self, index: int, text: str) -> list[Answer]:
        """Take what was understood so far of the utterance `index`; return what is known now."""
        if self.over or self.result is not None:
            return []
        self._said[index] = text
        self._text = " ".join(self._said[key] for key in sorted(self._said))
        score = evidence(self._text)
        if score >= _SURE:
            return [self._answer("machine", "words")]
        if score <= -_SURE_HUMAN and not self._speaking and self._quiet * TICK_S >= 0.3:
            return [self._answer("human", "words")]
        return []

    # --- inside -------------------------------------------------------------------

    def _answer(self, result: Result, reason: str) -> Answer:
        self.result = result
        self._deadline_s = self._now_s + self._bounds.beep_s
        began = None if self._speech_at is None else self._speech_at * TICK_S
        return Answer(result, reason, round(self._now_s, 2), began, self._spoken * TICK_S, self._text)

    def _rhythm(self, level_db: float) -> None:
        """Follow speech and silence."""
        if level_db < self._noise_db:
            self._noise_db = max(self._noise_db + _FALL * (level_db - self._noise_db), _QUIETEST_DB)
        else:
            self._noise_db = min(self._noise_db + _RISE_DB, max(level_db, _START_DB))
        loud = level_db > max(self._noise_db + _ABOVE_DB, -50.0)
        self._recent.append(loud)
        self._quiet = 0 if loud else self._quiet + 1
        if not self._speaking and sum(self._recent) >= _BEGIN_OF:
            self._speaking = True
            if self._speech_at is None:
                self._speech_at = self._frames - _BEGIN_OF
        elif self._speaking and self._quiet >= _GAP:
            self._speaking = False
        self._spoken += self._speaking and loud

    def _decide(self) -> list[Answer]:
        """Decide where the time for it has come."""
        bounds = self._bounds
        if self._speech_at is None:
            return [self._answer("unknown", "silence")] if self._now_s >= bounds.silence_s else []
        since_s = (self._frames - self._speech_at) * TICK_S
        spoken_s, quiet_s = self._spoken * TICK_S, self._quiet * TICK_S
        score = evidence(self._text)
        if quiet_s >= bounds.pause_s and spoken_s <= bounds.greeting_s and score < 1.5:
            return [self._answer("human", "rhythm")]
        if quiet_s >= 0.4 and score <= -_SURE_HUMAN:
            return [self._answer("human", "words")]
        if since_s >= bounds.decide_s:
            machine = spoken_s > bounds.greeting_s
            if abs(score) >= 1.5:
                return [self._answer("machine" if score > 0 else "human", "words")]
            return [self._answer("machine" if machine else "human", "rhythm")]
        return []

    def _beep(self, frame: Pcm, level_db: float) -> list[Answer]:
        """Follow a steady tone; tell it once it has ended."""
        self._line = np.concatenate([self._line[FRAME:], frame])
        pitch = self._pitch() if level_db > _TONE_DB else None
        if pitch is not None and (not self._tone or abs(pitch - self._tone_hz) <= _STEADY_HZ):
            if not self._tone:
                self._tone_hz = pitch
            self._tone += 1
            self._tone_gap = 0
            return []
        if not self._tone:
            return []
        self._tone_gap += 1
        if self._tone_gap < _TONE_GAP and pitch is None:
            return []
        length, self._tone, self._tone_gap = self._tone, 0, 0
        if not _SHORTEST_BEEP <= length <= _LONGEST_BEEP:
            return []
        found = [] if self.result == "machine" else [self._answer("machine", "tone")]
        self.over = True
        beep = Answer(
            "beep", "tone", round(self._now_s, 2), spoken_s=round(length * TICK_S, 2), text=self._text
        )
        return [*found, beep]

    def _pitch(self) -> float | None:
        """Return the frequency of the tone that is all there is to hear, None where there is more."""
        power = np.square(np.abs(np.fft.rfft(self._line * self._window)))
        peak = int(power[_TONE_BINS].argmax()) + (_TONE_BINS.start or 0)
        around = power[peak - 2 : peak + 3]
        if float(around.sum()) < _PURE * float(power[2:].sum()):
            return None
        left, middle, right = (float(np.log(power[peak + step] + 1.0)) for step in (-1, 0, 1))
        curve = left - 2.0 * middle + right
        shift = 0.5 * (left - right) / curve if curve else 0.0
        return (peak + shift) * RATE / _FFT
