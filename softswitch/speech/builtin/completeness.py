"""Tells whether an English sentence may end where a text ends, and how likely its speaker is done.

A recogniser writes full stops after halves of sentences too, so they tell nothing; a comma does. A text that
no rule speaks against counts as complete: "Tuesday", "technical support", "yes, please".
"""

import math
import re
from collections.abc import Callable, Sequence

Tagger = Callable[[list[str]], list[str]]
"""Return the part of speech of each word, as the Penn Treebank names it."""

WEIGHTS = 1.451, 0.125, -0.181, -0.444, 1.915
"""Of a constant, the model's verdict, the two falls of loudness, a complete sentence.

Fitted by `scripts/fit_turns.py` to 180 sentences of three voices and 540 parts of them, none of which is in
the measures; another run differs by a tenth or two. The constant is such that half of the whole sentences
come to 0.95 or more.
"""

_WORD = re.compile(r"[a-z0-9]+(?:['-][a-z0-9]+)*", re.IGNORECASE)
_OPEN_TAGS = frozenset("DT PDT IN TO CC PRP$ MD WDT WP$ WRB EX POS".split())
"""Parts of speech after which a word is sure to come."""
_OPEN_WORDS = frozenset(
    "i we they he she who whose which because although while if when where until unless than very too quite"
    " really so just only also even not never always still um uh er erm please mr mrs doctor every each"
    " any no some many few several".split()
)
_CLOSED = frozenset(
    "in on off up down out over back through around away there here now then again yet too soon together"
    " before after since all this that these those it one both once either about anymore so not"
    " no".split()
)
"""Words that may end a sentence whatever part of speech they are taken for."""
_BE = frozenset("am is are was were be been being isn't aren't wasn't weren't i'm you're it's that's".split())
_DO = frozenset("do does did don't doesn't didn't".split())
_HAVE = frozenset("have has had having haven't hasn't hadn't i've we've".split())
_MODAL = frozenset(
    "can could will would shall should may might must can't couldn't won't wouldn't cannot i'll i'd".split()
)
_AUXILIARY = _BE | _DO | _HAVE | _MODAL
_ALONE = frozenset(
    "work works worked working stop stops stopped arrive arrives arrived come comes came go goes gone went"
    " call calls called calling wait waits waiting help helped speak speaking talk talking know known start"
    " started happen happened disappear disappeared fail failed ring rings rang ringing answer answered agree"
    " understand understood mean meant hear heard leave left closed open opened broken lost stolen ill"
    " delayed cancelled canceled charged moved booked delivered damaged received finished done flooded closed"
    " listening interested sorry see say said think drive driving eat sleep pay".split()
)
"""Verbs that often end a sentence."""
_RELATIVE = frozenset("that what which who how when where if than".split())
"""Words after which any verb may end a sentence: "the job that you advertised"."""
_TO_SOMEBODY = frozenset(
    "give gives gave send sends sent tell tells told show shows showed bring brings brought let lets get gets"
    " got charge charged sell sold offer offered put puts transfer connect ask asked make makes made have"
    " owe owes lend lent write wrote promise promised cost costs took take takes".split()
)
"""Verbs that need something after the person."""
_PERSON = frozenset("me you him her us them".split())
_VERBS = frozenset("VB VBD VBP VBZ VBN VBG MD".split())
_NOUNS = frozenset("NN NNS NNP NNPS CD PRP".split())


def likelihood(sound: Sequence[float], complete: bool | None) -> float:
    """Return how likely the speaker is done, 0 to 1.

    Args:
        sound: what :meth:`softswitch.speech.builtin.turn_model.TurnModel.hear` returned.
        complete: whether the words make a sentence; None: there are no words yet.
    """
    score = WEIGHTS[0] + sum(weight * value for weight, value in zip(WEIGHTS[1:4], sound, strict=True))
    score += WEIGHTS[4] * (0.5 if complete is None else complete)
    return round(1.0 / (1.0 + math.exp(-score)), 3)


def split(text: str) -> list[str]:
    """Return the words of a text as they are written."""
    return _WORD.findall(text.replace("’", "'"))  # noqa: RUF001  (the typographic one)


def complete(text: str, tagger: Tagger) -> bool:
    """Return whether a sentence may end where a text ends."""
    written = split(text)
    if not written or text.rstrip().endswith((",", ":", ";", "-")):
        return False
    tags = tagger([*written, "."])[:-1]
    words = [word.lower() for word in written]
    return not (
        _is_open(words, tags)
        or _lacks_object(words, tags)
        or _lacks_verb(words, tags)
        or _asks_on(words, tags)
    )


def _is_open(words: Sequence[str], tags: Sequence[str]) -> bool:
    """Return whether the last word wants another one."""
    last, tag = words[-1], tags[-1]
    before = tags[-2] if len(tags) > 1 else ""
    if len(words) > 1 and last in _AUXILIARY:
        if _RELATIVE & set(words[1:-1]) or "not" in last:
            return False
        return len(words) > 3 or words[-2] not in {"i", "we", "you", "they", "he", "she", "it", "yes", "no"}
    if last in _OPEN_WORDS:
        return not (last in {"please", "too", "so"} and len(words) > 1)
    if last in _CLOSED:
        return tag == "DT" and last not in {"this", "that", "these", "those", "all", "both"}
    if tag in _OPEN_TAGS:
        return True
    # "a large", "for the next": but "is broken", "far too high".
    return tag in {"JJ", "JJR", "JJS", "VBN", "VBG"} and before in {"DT", "PRP$"}


def _lacks_object(words: Sequence[str], tags: Sequence[str]) -> bool:
    """Return whether the last verb is one that something follows."""
    if tags[-1] in _VERBS and len(words) > 1:
        return words[-1] not in _ALONE | _AUXILIARY and not _RELATIVE & set(words[1:-1])
    return len(words) > 2 and words[-1] in _PERSON and words[-2] in _TO_SOMEBODY


def _lacks_verb(words: Sequence[str], tags: Sequence[str]) -> bool:
    """Return whether a text names something of which nothing is said yet: "the driver", "my last order"."""
    named = tags[0] in {"DT", "PRP$", "PDT"} and words[0] not in {"no", "all"}
    return named and len(words) > 1 and not any(tag in _VERBS for tag in tags)


def _asks_on(words: Sequence[str], tags: Sequence[str]) -> bool:
    """Return whether a question has its subject, and not yet what is asked of it: "is the museum"."""
    first = 1 if tags[0] in {"WRB", "WP", "WDT"} and len(words) > 1 else 0
    if words[first] not in _AUXILIARY:
        return False
    rest = list(zip(words, tags, strict=True))[first + 1 :]
    if words[first] not in _BE:
        return not any(tag in _VERBS for _, tag in rest)
    if first or not rest:
        return not rest
    if rest[0][0] in {"there", "it", "that", "this"}:
        return len(rest) < 2
    seen = False
    for index, (_, tag) in enumerate(rest):
        if tag in _NOUNS and not (index + 1 < len(rest) and rest[index + 1][1] in _NOUNS):
            seen = True
        elif seen:
            return False
    return True
