"""Cutting streamed text into sentences that can be spoken one after another."""

# ruff: noqa: RUF001  (signs that look like others are meant)

import re

LONGEST = 120
"""Characters after which a sentence is cut at its last comma or space: long ones begin late."""
LONGEST_DENSE = 60
"""The same for scripts where a character is a syllable or a word."""

_FULL = "。！？；…"
_STOPS = ".!?;:"
_CLOSING = "\"'”’»)]}」』）】"
_END = re.compile(
    rf"[{re.escape(_FULL)}]+[{re.escape(_CLOSING)}]*|\n+|[.!?;:]+[{re.escape(_CLOSING)}]*(?=\s)"
)
_LAST_WORD = re.compile(r"(\S+)\Z")
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_BREATH = re.compile(r"[,，、]\s*|\s+-\s+|\s*[—–]\s*")
_SPEAKABLE = re.compile(r"[^\W_]")

_ABBREVIATIONS = frozenset(
    """
    mr mrs ms dr prof st sr jr vs etc approx dept est inc ltd co corp fig gen gov hon lt col sgt
    capt rev vol pp ed al ca cf e.g i.e eg ie a.m p.m ph.d u.s u.k jan feb mar apr jun jul aug sep
    sept oct nov dec z.b d.h bzw usw nr str sra srta mme mlle
    """.split()
)
_INITIAL = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")


def speakable(text: str) -> bool:
    """Return whether there is anything in `text` to be said: a letter or a digit."""
    return _SPEAKABLE.search(text) is not None


def closed(sentence: str) -> bool:
    """Return whether a sentence ends as one does, and was not cut for its length."""
    return sentence.rstrip(_CLOSING)[-1:] in {*_FULL, *_STOPS}


class SentenceCutter:
    """Holds back the sentence that is still being written."""

    def __init__(self) -> None:
        self._held = ""

    @property
    def holding(self) -> bool:
        """Whether something speakable is held back."""
        return speakable(self._held)

    def push(self, text: str) -> list[str]:
        """Take more text; return the sentences it completes, without the white space around them."""
        self._held += text
        sentences: list[str] = []
        while (end := self._end()) is not None:
            sentence, self._held = self._held[:end].strip(), self._held[end:]
            if speakable(sentence):
                sentences.append(sentence)
        return sentences

    def flush(self) -> list[str]:
        """Return what was held back: the text is over, or has not gone on for long."""
        sentences = self.push("\n")
        self._held = ""
        return sentences

    def _end(self) -> int | None:
        """Return where the first sentence ends, None while it may go on."""
        longest = LONGEST_DENSE if _DENSE.search(self._held[:LONGEST_DENSE]) else LONGEST
        for match in _END.finditer(self._held):
            if match.start() > longest:
                break
            if match[0][0] not in _STOPS or _closes(self._held[: match.start()], match[0]):
                return match.end()
        return self._breath(longest) if len(self._held) > longest else None

    def _breath(self, longest: int) -> int:
        """Return where to cut a sentence that is too long: after a comma, else at a space, else anywhere."""
        cuts = [match.end() for match in _BREATH.finditer(self._held, longest // 3, longest)]
        if cuts:
            return cuts[-1]
        space = self._held.rfind(" ", longest // 3, longest)
        return space + 1 if space >= 0 else longest


def _closes(before: str, stop: str) -> bool:
    """Return whether a Latin stop ends a sentence: not after an abbreviation or an initial."""
    if not stop.startswith(".") or stop.startswith(".."):
        return True
    word = _LAST_WORD.search(before)
    if word is None:
        return True
    last = word[1].lower().lstrip("\"'(“‘«[")
    if last in _ABBREVIATIONS or (_INITIAL.fullmatch(last) and last not in {"i", "a"}):
        return False
    return not (last.isdigit() and before.strip() == word[1])
