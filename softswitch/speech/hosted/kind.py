"""What a kind of provider can do: how its protocol objects are made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.wire import (
    AsrProtocol,
    NewId,
    Now,
    RestAsrProtocol,
    RestTtsProtocol,
    TtsProtocol,
)

Query = TypeVar("Query")
Made = TypeVar("Made")


class AsrQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How speech is to be recognised, settings included."""

    language: str = ""
    """BCP 47."""
    model: str = ""
    sample_rate: int = 16000
    hotwords: tuple[str, ...] = ()


class TtsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """How text is to be spoken, settings included."""

    voice: str = ""
    language: str = ""
    """BCP 47."""
    model: str = ""
    sample_rate: int = 0
    """Hz; 0: the vendor's own."""
    rate: float = 1.0
    pitch: float = 1.0
    volume: float = 1.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where protocol objects get what they may not read themselves."""

    now: Now
    new_id: NewId


@dataclass(frozen=True, slots=True)
class OverSocket(Generic[Query, Made]):
    """A protocol that runs over a connection."""

    make: Callable[[Access, Query, Source], Made]


@dataclass(frozen=True, slots=True)
class OverHttp(Generic[Query, Made]):
    """A protocol of single requests."""

    make: Callable[[Access, Query, Source], Made]


AsrWay = OverSocket["AsrQuery", AsrProtocol] | OverHttp["AsrQuery", RestAsrProtocol]
TtsWay = OverSocket["TtsQuery", TtsProtocol] | OverHttp["TtsQuery", RestTtsProtocol]


@dataclass(frozen=True, slots=True)
class Kind:
    """A vendor's protocols."""

    base_url: str = ""
    """The vendor's own address; empty: the operator must give one. `{region}` stands for the region."""
    needs: tuple[str, ...] = ("key",)
    """What it does not work without, where `base_url` is the vendor's own."""
    asr: Callable[[Access, AsrQuery], AsrWay] | None = None
    """Chooses among its protocols for recognition."""
    tts: TtsWay | None = None


def nearest(wanted: int, known: tuple[int, ...], default: int) -> int:
    """Return a sample rate that a vendor offers: the wanted one, else the next higher, else the highest."""
    if not wanted:
        return default
    return next((rate for rate in sorted(known) if rate >= wanted), max(known))


def short(language: str) -> str:
    """Return the language of a BCP 47 tag without its region: "en" of "en-US"."""
    return language.replace("_", "-").split("-")[0].lower()
