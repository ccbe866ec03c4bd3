"""How the operator wants words to be said, and what IPA is in the alphabet of the neural voice."""

# ruff: noqa: RUF001  (signs of IPA that look like others are meant)

import re
from collections.abc import Mapping

_PHONES = (
    ("t͡ʃ", "ʧ"), ("d͡ʒ", "ʤ"), ("tʃ", "ʧ"), ("dʒ", "ʤ"),
    ("eɪ", "A"), ("aɪ", "I"), ("oʊ", "O"), ("əʊ", "O"), ("aʊ", "W"), ("ɔɪ", "Y"),
    ("ɚ", "əɹ"), ("ɝ", "ɜɹ"), ("r", "ɹ"), ("g", "ɡ"), ("ɾ", "T"), ("ɒ", "ɑ"), ("e", "ɛ"), ("a", "æ"),
    ("ː", ""), (".", ""), ("͡", ""),
)  # fmt: skip
"""IPA and what the voice's network was trained with; the longer ones first."""
_MARKED = re.compile(r"\[([^\[\]]+)\]\(/([^()/]*)/\)")
_STRESS = re.compile(r"([ˈˌ])([^ˈˌæɑɔəɛɜɪiuʊʌAIOWYᵊ]+)")


def from_ipa(phonemes: str) -> str:
    """Return phonemes as the neural voice writes them: one sign a diphthong, stress before the vowel."""
    for ipa, sign in _PHONES:
        phonemes = phonemes.replace(ipa, sign)
    return _STRESS.sub(r"\2\1", phonemes)


def marked(text: str) -> str:
    """Return a text whose words with phonemes (``[word](/ipa/)``) have them in the neural voice's signs."""
    return _MARKED.sub(lambda match: f"[{match[1]}](/{from_ipa(match[2])}/)", text)


def unmarked(text: str) -> str:
    """Return a text without phonemes: for voices that take none, and for those who read along."""
    return _MARKED.sub(r"\1", text)


class Lexicon:
    """The operator's list of words."""

    def __init__(self, words: Mapping[str, str]) -> None:
        """Take the list.

        Args:
            words: how each is said: another spelling, or IPA between slashes.
        """
        self._words = {word.lower(): said for word, said in words.items() if word.strip()}
        longest_first = sorted(map(re.escape, self._words), key=len, reverse=True)
        self._pattern = (
            re.compile(rf"(?<![\w\[])(?:{'|'.join(longest_first)})(?!\w)", re.IGNORECASE)
            if longest_first
            else None
        )

    def apply(self, text: str) -> str:
        """Return a text in which the listed words are written as they are to be said."""
        return text if self._pattern is None else self._pattern.sub(self._said, text)

    def _said(self, match: re.Match[str]) -> str:
        said = self._words[match[0].lower()]
        return f"[{match[0]}]({said})" if said.startswith("/") and said.endswith("/") else said
