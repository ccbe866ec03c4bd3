"""The part of SSML that the built-in voices understand, read into a list of things to say.

Understood: ``speak``, ``p``, ``s``, ``break`` (time, strength), ``say-as`` (interpret-as, format),
    ``prosody`` (rate, pitch, volume), ``phoneme`` (alphabet ipa), ``sub`` (alias), ``emphasis`` (as plain
    text). Other elements are left out and their text is said. Text that is no well-formed document is said as
    it stands, without its tags.
"""

import re
import xml.parsers.expat
from collections.abc import Callable, Mapping

import msgspec

BREAKS_MS = {"none": 0, "x-weak": 100, "weak": 200, "medium": 400, "strong": 700, "x-strong": 1200}
LONGEST_BREAK_MS = 10_000
_RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.35, "x-fast": 1.8}
_PITCHES = {"x-low": 0.7, "low": 0.85, "medium": 1.0, "default": 1.0, "high": 1.15, "x-high": 1.3}
_VOLUMES = {
    "silent": 0.0,
    "x-soft": 0.25,
    "soft": 0.5,
    "medium": 1.0,
    "default": 1.0,
    "loud": 1.5,
    "x-loud": 2.0,
}
_BLOCKS = frozenset({"p", "s", "speak"})
_SPEAK = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?<speak[\s>]")
_TAG = re.compile(r"<[^<>]*>")
_DEEPEST = 64


class Say(msgspec.Struct, frozen=True):
    """Text that is said in one manner."""

    text: str
    """A word in brackets may be followed by its phonemes: ``[SIP](/sip/)``."""
    rate: float = 1.0
    pitch: float = 1.0
    volume: float = 1.0


class Pause(msgspec.Struct, frozen=True):
    """Silence."""

    ms: int


Part = Say | Pause
SayAs = Mapping[str, Callable[[str, str], str]]
"""What is said for a text, given the text and its format, by the name of the interpretation."""


def is_ssml(text: str) -> bool:
    """Return whether a text begins as an SSML document does."""
    return _SPEAK.match(text) is not None


def read(document: str, say_as: SayAs) -> list[Part]:
    """Return what a document says.

    Args:
        document: text that begins with ``<speak``.
        say_as: interpretations that the language has; others are said as they stand.
    """
    reader = _Reader(say_as)
    try:
        reader.parse(document)
    except (xml.parsers.expat.ExpatError, _Refused):
        return [Say(_plain(_TAG.sub(" ", document)))]
    return reader.parts


class _Refused(Exception):
    """The document has what is not allowed: its own entities, or elements within elements without end."""


class _Reader:
    def __init__(self, say_as: SayAs) -> None:
        self.parts: list[Part] = []
        self._say_as = say_as
        self._manner = [(1.0, 1.0, 1.0)]
        self._text: list[str] = []
        self._own: list[tuple[str, dict[str, str], list[str]] | None] = []
        """For each open element that says its text in its own way: name, attributes and text so far."""

    def parse(self, document: str) -> None:
        parser = xml.parsers.expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._add
        parser.EntityDeclHandler = self._refuse
        parser.Parse(document, True)
        self._flush()

    def _refuse(self, *_: object) -> None:
        raise _Refused("entities of its own")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._own) >= _DEEPEST:
            raise _Refused("too deep")
        name = name.rpartition(":")[2]
        if name in _BLOCKS or name == "prosody":
            self._flush()
        if name == "break":
            self._flush()
            self.parts.append(Pause(_break_ms(attributes)))
        rate, pitch, volume = self._manner[-1]
        if name == "prosody":
            rate *= _factor(attributes.get("rate", ""), _RATES)
            pitch *= _factor(attributes.get("pitch", ""), _PITCHES)
            volume *= _factor(attributes.get("volume", ""), _VOLUMES)
        self._manner.append((rate, pitch, volume))
        self._own.append((name, attributes, []) if name in {"say-as", "phoneme", "sub"} else None)

    def _add(self, text: str) -> None:
        for own in reversed(self._own):
            if own is not None:
                own[2].append(text)
                return
        self._text.append(text)

    def _end(self, name: str) -> None:
        name = name.rpartition(":")[2]
        own = self._own.pop()
        if own is not None:
            self._add(self._said(*own))
        if name in _BLOCKS or name == "prosody":
            self._flush(closed=name in _BLOCKS)
        self._manner.pop()

    def _said(self, name: str, attributes: dict[str, str], pieces: list[str]) -> str:
        text = _plain("".join(pieces))
        if name == "sub":
            return attributes.get("alias", text)
        if name == "phoneme":
            phonemes = attributes.get("ph", "").replace("/", "").replace(")", "").strip()
            known = phonemes and text and attributes.get("alphabet", "ipa") == "ipa" and "]" not in text
            return f"[{text}](/{phonemes}/)" if known else text
        interpret = self._say_as.get(attributes.get("interpret-as", ""))
        return interpret(text, attributes.get("format", "")) if interpret is not None else text

    def _flush(self, closed: bool = False) -> None:
        text = _plain("".join(self._text))
        self._text.clear()
        if self.parts:
            text = text.lstrip(
                " .,;:!?"
            )  # What closes a sentence whose last words were said in another manner.
        if text:
            if closed and text[-1] not in ".!?;:,":
                text += "."
            self.parts.append(Say(text, *self._manner[-1]))


def _plain(text: str) -> str:
    return " ".join(text.split())


def _break_ms(attributes: dict[str, str]) -> int:
    matched = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(ms|s)\s*", attributes.get("time", ""))
    if matched is not None:
        return min(round(float(matched[1]) * (1 if matched[2] == "ms" else 1000)), LONGEST_BREAK_MS)
    return BREAKS_MS.get(attributes.get("strength", "medium"), BREAKS_MS["medium"])


def _factor(written: str, named: Mapping[str, float]) -> float:
    """Return the factor that an attribute asks for; 1 for what cannot be read.

    A name, ``80%``, ``+20%``, ``-10%``, ``+2st`` (semitones), ``-6dB`` or a bare number.
    """
    written = written.strip()
    if written in named:
        return named[written]
    matched = re.fullmatch(r"([+-]?)([0-9]*\.?[0-9]+)\s*(%|st|dB|)", written)
    if matched is None:
        return 1.0
    sign, value = matched[1], float(matched[1] + matched[2])
    if matched[3] == "%":
        return min(max(1.0 + value / 100 if sign else value / 100, 0.1), 4.0)
    if matched[3] == "st":
        return float(min(max(2.0 ** (value / 12), 0.25), 4.0))
    if matched[3] == "dB":
        return float(min(max(10.0 ** (value / 20), 0.0), 4.0))
    return 1.0 if sign else min(max(value, 0.1), 4.0)
