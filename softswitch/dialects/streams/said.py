"""What a service has said, and how much of it was heard; pure, used by the speech-to-speech dialects.

A service sends audio faster than it is heard. The engine tells the audio that was heard since the stream
began, in milliseconds; here it becomes an utterance, a position in it, and the words before that position.
"""

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Final

MOST_UTTERANCES: Final = 256
"""Utterances that are kept; of older ones nothing is told any longer."""
MOST_TEXT: Final = 65_536
"""Characters kept of one utterance."""
_WORD = re.compile(r"\S+")


@dataclass(slots=True)
class Utterance:
    """Audio of a service that belongs together, and its words."""

    name: str
    turn: int
    """Number of the times that the queue had been cleared when it began."""
    offset_ms: float
    """Position in its turn, milliseconds."""
    audio_ms: float = 0.0
    text: str = ""
    starts_ms: list[float] = field(default_factory=list)
    """Begin of each character of the text, where the service tells it."""

    def write(self, text: str) -> None:
        """Add words, up to a bound."""
        self.text = (self.text + text)[:MOST_TEXT]

    def align(self, text: str, starts_ms: list[float]) -> None:
        """Add words of the audio that follows, with the begin of each character in that audio."""
        if len(self.text) + len(text) <= MOST_TEXT:
            self.starts_ms += [self.audio_ms + start for start in starts_ms]
            self.text += text

    def words_before(self, heard_ms: float) -> str:
        """Return the words that were heard whole; without times, words and audio are taken as even."""
        if not self.audio_ms:
            return ""
        if heard_ms >= self.audio_ms:
            return self.text.strip()
        end = 0
        for word in _WORD.finditer(self.text):
            if self._begins(word.end()) > heard_ms:
                break
            end = word.end()
        return self.text[:end].strip()

    def _begins(self, place: int) -> float:
        """Return where the character at a place begins, or where the audio ends, milliseconds."""
        if place >= len(self.text):
            return self.audio_ms
        if len(self.starts_ms) == len(self.text):
            return self.starts_ms[place]
        return self.audio_ms * place / len(self.text)


@dataclass(frozen=True, slots=True)
class Cut:
    """An utterance that was cleared before it was heard to its end."""

    utterance: Utterance
    heard_ms: int
    """Audio of it that was heard, milliseconds."""


class Said:
    """The utterances of one stream that were not heard to their end yet."""

    def __init__(self) -> None:
        """Begin with none."""
        self._waiting: deque[Utterance] = deque(maxlen=MOST_UTTERANCES)
        self._cut: deque[str] = deque(maxlen=MOST_UTTERANCES)
        self._turn = 0
        self._end_ms = 0.0
        """Audio of this turn, milliseconds."""
        self._bases = {0: 0}
        """Audio that was heard before each turn that is not over, milliseconds."""

    @property
    def is_waiting(self) -> bool:
        """Whether audio waits to be heard."""
        return any(one.turn == self._turn for one in self._waiting)

    def names(self) -> list[str]:
        """Return the names of the utterances whose audio waits to be heard, the oldest first."""
        return [one.name for one in self._waiting if one.turn == self._turn and one.audio_ms]

    def utterance(self, name: str) -> Utterance | None:
        """Return the utterance of a name, new where it is unknown; None: it was cut off."""
        if name in self._cut:
            return None
        for one in reversed(self._waiting):
            if one.name == name:
                return one
        one = Utterance(name, self._turn, self._end_ms)
        self._waiting.append(one)
        return one

    def add_audio(self, utterance: Utterance, duration_ms: float) -> None:
        """Note that audio of an utterance was put behind what waits."""
        if not utterance.audio_ms:
            utterance.turn, utterance.offset_ms = self._turn, self._end_ms
        utterance.audio_ms += duration_ms
        self._end_ms += duration_ms

    def heard(self, name: str) -> Utterance | None:
        """Take out an utterance that was heard to its end; None: it is unknown."""
        for one in self._waiting:
            if one.name == name:
                self._waiting.remove(one)
                return one
        return None

    def clear(self) -> None:
        """Note that the engine is told to clear: what waits is cut, and audio from now on follows the cut."""
        for one in self._waiting:
            if one.turn == self._turn and one.name not in self._cut:
                self._cut.append(one.name)
        self._turn += 1
        self._end_ms = 0.0

    def cleared(self, played_ms: int) -> list[Cut]:
        """Return what the oldest clear has cut, the oldest first.

        Args:
            played_ms: Audio that was heard since the stream began, milliseconds.
        """
        turn = min(self._bases)
        if turn == self._turn:
            return []  # This side has not asked for it.
        base = self._bases.pop(turn)
        self._bases[turn + 1] = played_ms
        cuts = []
        for one in [one for one in self._waiting if one.turn == turn]:
            self._waiting.remove(one)
            heard_ms = min(max(played_ms - base - one.offset_ms, 0.0), one.audio_ms)
            cuts.append(Cut(one, int(heard_ms)))
        return cuts
