"""The providers of speech: found by name, opened one after another until one works.

A provider is an entry point of the group ``softswitch.asr``, ``softswitch.tts`` or ``softswitch.vad``; its
name is the ``provider`` (or ``vad.type``) of the wire, its value a function that takes a :class:`Setup` and
returns an :class:`Asr`, a :class:`Tts` or a new :class:`VadBank`. Nothing is imported before it is asked for.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, Literal, Protocol, TypeVar, cast, runtime_checkable

import msgspec

from softswitch import settings
from softswitch.errors import PeerError, SoftswitchError
from softswitch.speech.interface import (
    Asr,
    AsrDelta,
    AsrFinal,
    AsrOptions,
    AsrOutput,
    AsrStream,
    SpeechBusyError,
    SpeechError,
    SpeechMetric,
    SpeechUnavailableError,
    Tts,
    TtsAudio,
    TtsDone,
    TtsMark,
    TtsOptions,
    TtsOutput,
    TtsStream,
    VadBank,
)
from softswitch.speech.phrases import PhraseCache
from softswitch.speech.setup import Setup

__all__ = [
    "Asr",
    "AsrDelta",
    "AsrFinal",
    "AsrOptions",
    "AsrOutput",
    "AsrStream",
    "Opened",
    "Providers",
    "Setup",
    "SpeechBusyError",
    "SpeechError",
    "SpeechMetric",
    "SpeechUnavailableError",
    "Tts",
    "TtsAudio",
    "TtsDone",
    "TtsMark",
    "TtsOptions",
    "TtsOutput",
    "TtsStream",
    "UnknownProviderError",
    "VadBank",
]

logger = logging.getLogger(__name__)

Kind = Literal["asr", "tts", "vad"]
DEFAULT = "builtin"
OFF = frozenset({"", "off", "none"})

_BUILT_IN: Mapping[Kind, Mapping[str, str]] = {
    "asr": {DEFAULT: "softswitch.speech.builtin_asr:make"},
    "tts": {DEFAULT: "softswitch.speech.builtin_tts:make"},
    "vad": {
        "silero": "softswitch.speech.vad:silero",
        "webrtc": "softswitch.speech.vad:webrtc",
        "energy": "softswitch.speech.vad:energy",
    },
}
"""The same as our own entry points, so that a checkout that is not installed speaks and listens too."""

Stream = TypeVar("Stream", TtsStream, AsrStream)


class UnknownProviderError(PeerError):
    """Say that there is no provider of that name, and which there are."""

    code = 404

    def __init__(self, kind: Kind, name: str, known: Sequence[str]) -> None:
        there_are = ", ".join(known) or "none"
        super().__init__(f"{kind} provider {name!r} is unknown (there are: {there_are})", field="provider")
        self.kind = kind
        self.name = name
        self.known = tuple(known)


@dataclass(frozen=True, slots=True)
class Opened(Generic[Stream]):
    """What came of opening a chain of providers."""

    stream: Stream | None
    """None: nobody works, or nothing was wanted."""
    warnings: list[str] = field(default_factory=list)
    """Each is worth one ``error`` event; the call goes on."""
    provider: str = ""
    """Who it is."""


@runtime_checkable
class _Loadable(Protocol):
    """A provider with something to load before the first call needs it."""

    async def load(self) -> None: ...


class Providers:
    """The catalogue: one provider of a name for all calls."""

    def __init__(self, speech: settings.Speech | None = None) -> None:
        """Look at the names; nothing is loaded yet.

        Args:
            speech: the operator's section; None: its defaults.
        """
        self._settings = speech or settings.Speech()
        self._setup = Setup(self._settings, PhraseCache(self._settings.cache_mb * 1_000_000))
        self._found = {kind: _find(kind) for kind in _BUILT_IN}
        self._asr: dict[str, Asr] = {}
        self._tts: dict[str, Tts] = {}
        self._vads: dict[str, Callable[[], VadBank]] | None = None

    def names(self, kind: Kind) -> list[str]:
        """Return the names of the providers of a kind."""
        return sorted(self._found[kind])

    def tts(self, name: str) -> Tts:
        """Return a speaker.

        Raises:
            UnknownProviderError: there is none of that name.
            SoftswitchError: it cannot work here.
        """
        if name not in self._tts:
            self._tts[name] = cast("Tts", self._make("tts", name))
        return self._tts[name]

    def asr(self, name: str) -> Asr:
        """Return a listener; raises as :meth:`tts` does."""
        if name not in self._asr:
            self._asr[name] = cast("Asr", self._make("asr", name))
        return self._asr[name]

    def vad(self, name: str) -> VadBank:
        """Return a new bank; raises as :meth:`tts` does."""
        return cast("VadBank", self._make("vad", name))

    def vads(self) -> Mapping[str, Callable[[], VadBank]]:
        """Return what makes a bank, by name, for those that work on this host."""
        if self._vads is None:
            self._vads = {}
            for name in self.names("vad"):
                try:
                    self.vad(name)
                except Exception as error:  # noqa: BLE001  (a plug-in's failure leaves the others)
                    logger.warning(
                        "a detector of speech is missing", extra={"vad": name, "error": str(error)}
                    )
                else:
                    self._vads[name] = partial(self.vad, name)
        return self._vads

    async def open_tts(self, names: Sequence[str], options: TtsOptions) -> Opened[TtsStream]:
        """Open the first speaker of `names` that works, and the built-in one if none does; never raises."""

        async def open_one(name: str) -> TtsStream:
            # The voice of one provider is no voice of the one that takes its place: one warning is enough.
            voice = options.voice if name in names else ""
            return await self.tts(name).open(msgspec.structs.replace(options, provider=name, voice=voice))

        return await _first("tts", names, open_one)

    async def open_asr(self, names: Sequence[str], options: AsrOptions) -> Opened[AsrStream]:
        """Open the first listener of `names` that works, and the built-in one if none does; never raises."""

        async def open_one(name: str) -> AsrStream:
            model = options.model if name in names else ""
            return await self.asr(name).open(msgspec.structs.replace(options, provider=name, model=model))

        return await _first("asr", names, open_one)

    async def start(self) -> None:
        """Load the providers of the settings, so that the first call does not wait for them."""
        wanted: list[tuple[str, Callable[[str], object], str]] = [
            ("tts", self.tts, self._settings.tts),
            ("asr", self.asr, self._settings.asr),
        ]
        for kind, get, name in wanted:
            if name in OFF:
                continue
            try:
                provider = get(name)
                if isinstance(provider, _Loadable):
                    await provider.load()
            except Exception as error:  # noqa: BLE001  (told now, and again to each call)
                extra = {"kind": kind, "provider": name, "error": str(error)}
                logger.warning("a provider of speech does not work here", extra=extra)

    async def close(self) -> None:
        """Let all providers go."""
        everyone: list[Tts | Asr] = [*self._tts.values(), *self._asr.values()]
        for provider in everyone:
            try:
                await provider.close()
            except Exception:
                logger.warning("a provider failed to close", extra={"provider": provider.name}, exc_info=True)
        self._tts.clear()
        self._asr.clear()

    def counters(self) -> dict[str, float]:
        """Return plain numbers for the metrics."""
        phrases = self._setup.phrases
        numbers: dict[str, float] = {"phrase_hits": phrases.hits, "phrase_misses": phrases.misses}
        for provider in (*self._tts.values(), *self._asr.values()):
            numbers |= getattr(provider, "counters", {})
        return numbers

    def _make(self, kind: Kind, name: str) -> object:
        try:
            found = self._found[kind][name]
        except KeyError:
            raise UnknownProviderError(kind, name, self.names(kind)) from None
        return found.load()(self._setup)


def _find(kind: Kind) -> dict[str, EntryPoint]:
    group = f"softswitch.{kind}"
    found = {name: EntryPoint(name, value, group) for name, value in _BUILT_IN[kind].items()}
    for point in entry_points(group=group):
        found.setdefault(point.name, point)
    return found


async def _first(
    kind: Kind, names: Sequence[str], open_one: Callable[[str], Awaitable[Stream]]
) -> Opened[Stream]:
    """Open one provider after another until one works."""
    warnings: list[str] = []
    for name in dict.fromkeys((*names, DEFAULT)):
        if name in OFF:
            break
        try:
            stream: Stream = await open_one(name)
            if warnings:
                warnings[-1] += f"; {name!r} takes its place"
            return Opened(stream, [*warnings, *stream.warnings], name)
        except UnknownProviderError as error:
            warnings.append(str(error))
        except SoftswitchError as error:
            warnings.append(f"{kind} provider {name!r}: {error}")
        except Exception as error:  # A plug-in may raise anything; speech never fails a call.
            logger.warning("a provider failed to open", extra={"kind": kind, "provider": name}, exc_info=True)
            warnings.append(f"{kind} provider {name!r}: {type(error).__name__}: {error}")
    return Opened(None, warnings)
