"""Cutting streamed text into sentences that can be spoken one after another."""

# ruff: noqa: RUF001  (signs that look like others are meant)

import re

LONGEST = 120
"""Characters after which a sentence is cut at its last comma or space: long ones begin late."""
LONGEST_DENSE = 60
"""The same for scripts where a character is a syllable or a word."""

FIRST_WORDS, SHORTEST_CUT = 3, 6
"""Words of a first part; of the shortest sentence that is cut in two."""

_FULL = "。！？；…"
_STOPS = ".!?;:"
_CLOSING = "\"'”’»)]}」』）】"
# A run of stops is looked at once: not again from each of its members.
_END = re.compile(
    rf"[{re.escape(_FULL)}]+[{re.escape(_CLOSING)}]*|\n+"
    rf"|(?<![.!?;:])[.!?;:]++[{re.escape(_CLOSING)}]*+(?=\s)"
)
_LONGEST_END = 64
"""Characters that the end of a sentence may take: stops, quotes and brackets."""
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

    @property
    def waits_for_end(self) -> bool:
        """Whether what is held back is spoken only once it is whole: never, its end may not come."""
        return False

    def push(self, text: str) -> list[str]:
        """Take more text; return the sentences it completes, without the white space around them."""
        held = self._held + text
        begin = 0
        sentences: list[str] = []
        # The window shows all that decides on one sentence, so that the time does not grow with the text.
        while (end := _end(held[begin : begin + LONGEST + _LONGEST_END])) is not None:
            sentence = held[begin : begin + end].strip()
            begin += end
            if speakable(sentence):
                sentences.append(sentence)
        self._held = held[begin:]
        return sentences

    def flush(self) -> list[str]:
        """Return what was held back: the text is over, or has not gone on for long."""
        sentences = self.push("\n")
        self._held = ""
        return sentences


def first_clause(sentence: str) -> tuple[str, ...]:
    """Return a sentence in two parts, so that the first can be heard early; a short one as it is.

    It is cut after its first comma, else after its fourth word.
    """
    words = sentence.split()
    if len(words) < SHORTEST_CUT:
        return (sentence,)
    cut = FIRST_WORDS
    for index, word in enumerate(words[1 : 2 * FIRST_WORDS], 2):
        if word[-1] in ",;:":
            cut = index
            break
    if any(sign in part for part in (" ".join(words[:cut]), " ".join(words[cut:])) for sign in "[]"):
        return (sentence,)  # Phonemes belong to their word, and a word may have spaces.
    head = " ".join(words[:cut])
    return (head if head[-1] in ",;:" else f"{head},", " ".join(words[cut:]))


def _end(held: str) -> int | None:
    """Return where the first sentence ends, None while it may go on."""
    longest = LONGEST_DENSE if _DENSE.search(held[:LONGEST_DENSE]) else LONGEST
    for match in _END.finditer(held):
        if match.start() > longest:
            break
        if match[0][0] not in _STOPS or _closes(held[: match.start()], match[0]):
            return match.end()
    return _breath(held, longest) if len(held) > longest else None


def _breath(held: str, longest: int) -> int:
    """Return where to cut a sentence that is too long: after a comma, else at a space, else anywhere."""
    cuts = [match.end() for match in _BREATH.finditer(held, longest // 3, longest)]
    if cuts:
        return cuts[-1]
    space = held.rfind(" ", longest // 3, longest)
    return space + 1 if space >= 0 else longest


def _closes(before: str, stop: str) -> bool:
    """Return whether a Latin stop ends a sentence: not after an abbreviation or an initial."""
    if not stop.startswith(".") or stop.startswith(".."):
        return True
    if not before or before[-1].isspace():
        return True
    word = before.rsplit(maxsplit=1)[-1]
    last = word.lower().lstrip("\"'(“‘«[")
    if last in _ABBREVIATIONS or (_INITIAL.fullmatch(last) and last not in {"i", "a"}):
        return False
    return not (last.isdigit() and before.strip() == word)
