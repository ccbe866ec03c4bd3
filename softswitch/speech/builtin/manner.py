"""Sentences that carry how they are to be said, as one text: the manner in front, between two control signs.

The stream that speaks knows sentences as texts (for its cache and its order), SSML knows manners. Plain text
passes through unchanged, without control signs.
"""

import re

from softswitch.speech.builtin.pronunciation import unmarked
from softswitch.speech.sentences import SentenceCutter
from softswitch.speech.ssml import Pause, Say, SayAs, is_ssml, read

LONGEST_DOCUMENT = 65536
"""Characters; a longer document is said as far as it is there."""
_OPEN, _CLOSE = "\x02", "\x03"
_FRONT = re.compile(rf"{_OPEN}([^{_CLOSE}]*){_CLOSE}")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_END = "</speak>"
_BEGIN = "<speak"


def written(part: Say | Pause) -> str:
    """Return a part of an SSML document as one text."""
    if isinstance(part, Pause):
        return f"{_OPEN}{part.ms}{_CLOSE}"
    if (part.rate, part.pitch, part.volume) == (1.0, 1.0, 1.0):
        return part.text
    return f"{_OPEN}{part.rate:.3g} {part.pitch:.3g} {part.volume:.3g}{_CLOSE}{part.text}"


def understood(sentence: str) -> Say | Pause:
    """Return what such a text says, and how."""
    matched = _FRONT.match(sentence)
    if matched is None:
        return Say(sentence)
    numbers = matched[1].split()
    if len(numbers) == 1:
        return Pause(int(numbers[0]))
    rate, pitch, volume = map(float, numbers)
    return Say(sentence[matched.end() :], rate, pitch, volume)


def shown(sentence: str) -> str:
    """Return what such a text says, for those who read along."""
    return unmarked(_FRONT.sub("", sentence))


class MarkupCutter:
    """Cuts plain text into sentences as it comes, and an SSML document into its parts once it is whole."""

    def __init__(self, say_as: SayAs) -> None:
        """Begin with nothing held back.

        Args:
            say_as: interpretations for ``say-as``.
        """
        self._plain = SentenceCutter()
        self._say_as = say_as
        self._document = ""

    @property
    def holding(self) -> bool:
        """Whether something speakable is held back."""
        return bool(self._document.strip()) or self._plain.holding

    @property
    def waits_for_end(self) -> bool:
        """Whether an SSML document is held back, whose end is waited for."""
        return bool(self._document.strip())

    def push(self, text: str) -> list[str]:
        """Take more text; return the sentences it completes."""
        self._document += _CONTROL.sub(" ", text)
        if self._plain.holding or not self._may_be_ssml():
            text, self._document = self._document, ""
            return self._plain.push(text)
        end = self._document.find(_END)
        if end < 0 and len(self._document) < LONGEST_DOCUMENT:
            return []
        end = len(self._document) - len(_END) if end < 0 else end
        end += len(_END)
        document, rest = self._document[:end], self._document[end:]
        self._document = ""
        return self._read(document) + (self.push(rest) if rest.strip() else [])

    def flush(self) -> list[str]:
        """Return what was held back: the text is over, or has not gone on for long."""
        document, self._document = self._document, ""
        return (self._read(document) if document.strip() else []) + self._plain.flush()

    def _may_be_ssml(self) -> bool:
        """Return whether a document has begun, or its first letters have come."""
        begun = self._document.lstrip()
        return is_ssml(begun) or _BEGIN.startswith(begun[: len(_BEGIN)]) or begun.startswith("<?xml")

    def _read(self, document: str) -> list[str]:
        sentences = []
        for part in read(document.strip(), self._say_as):
            if isinstance(part, Pause):
                sentences.append(written(part))
                continue
            cutter = SentenceCutter()
            texts = (*cutter.push(part.text), *cutter.flush())
            sentences += [written(Say(text, part.rate, part.pitch, part.volume)) for text in texts]
        return sentences
