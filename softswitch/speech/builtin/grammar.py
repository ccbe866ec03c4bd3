"""What may be said, written for the recogniser (JSGF). Runs in the worker: standard library only."""

import re
from collections.abc import Callable, Sequence

DIGITS = ("zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
YES_NO = (
    *("yes", "yeah", "yep", "yes please", "sure", "okay", "correct", "right", "that's right", "of course"),
    *("no", "nope", "no thanks", "no thank you", "not now", "wrong", "that's wrong", "cancel"),
)
NAMED = {"digits": DIGITS, "yes/no": YES_NO}
"""Grammars that have a name; of the digits any number may follow one another."""
FREE = frozenset({"", "free"})
"""Names for no grammar at all."""

_WORD = re.compile(r"[a-z]+(?:['.-][a-z]+)*|[0-9]")
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def words(phrase: str) -> list[str]:
    """Return the words of a phrase as the dictionary spells them; single digits become words."""
    found = _WORD.findall(phrase.lower().replace("’", "'"))  # noqa: RUF001  (the typographic apostrophe is meant)
    return [_NUMBERS[int(word)] if word.isdigit() else word for word in found]


def build(
    grammar: str | Sequence[str], known: Callable[[str], bool]
) -> tuple[str, dict[str, str], list[str]]:
    """Write a grammar.

    Args:
        grammar: a name of :data:`NAMED`, or phrases.
        known: tells whether the dictionary has a word.

    Returns:
        The JSGF text (empty where no phrase is left), phrases as they were given by what the recogniser will
        return for them, and the phrases left out because of a word that the dictionary does not have.
    """
    phrases = NAMED[grammar] if isinstance(grammar, str) else tuple(grammar)
    repeated = "+" if grammar == "digits" else ""
    spoken: dict[str, str] = {}
    unknown: list[str] = []
    for phrase in phrases:
        spelled = words(phrase)
        if spelled and all(known(word) for word in spelled):
            spoken.setdefault(" ".join(spelled), phrase)
        else:
            unknown.append(phrase)
    if not spoken:
        return "", {}, unknown
    # Only what `words` lets through gets into the text, so nothing in it can be taken for syntax.
    choice = " | ".join(f"({phrase})" for phrase in spoken)
    text = f"#JSGF V1.0;\ngrammar said;\npublic <said> = ({choice}){repeated};\n"
    return text, spoken, unknown
