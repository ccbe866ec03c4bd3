"""Which language a text is in, as far as its script tells, and how to write it in plain ASCII."""

# ruff: noqa: RUF001  (signs that look like others are meant)

import re
import unicodedata

# Kana before Han: Japanese mixes both.
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\u1100-\u11ff\uac00-\ud7af]")),
    ("cmn", re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")),
    ("ru", re.compile(r"[\u0400-\u052f]")),
    ("el", re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("bn", re.compile(r"[\u0980-\u09ff]")),
    ("ta", re.compile(r"[\u0b80-\u0bff]")),
    ("te", re.compile(r"[\u0c00-\u0c7f]")),
    ("ka", re.compile(r"[\u10a0-\u10ff]")),
    ("hy", re.compile(r"[\u0530-\u058f]")),
)
_PUNCTUATION = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": ", ", "…": ".", "\u00a0": " "}
)


def language_of(text: str) -> str:
    """Return the language that a script betrays; empty for Latin letters, which many share."""
    for language, script in _SCRIPTS:
        if script.search(text):
            return language
    return ""


def ascii_of(text: str) -> str:
    """Return `text` in ASCII: accents are dropped, typographic signs become plain, the rest falls away."""
    plain = unicodedata.normalize("NFKD", text.translate(_PUNCTUATION))
    return plain.encode("ascii", "ignore").decode()
