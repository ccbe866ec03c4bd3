"""The providers of speech: found by name, opened one after another until one works.

A provider is an entry point of the group ``softswitch.asr``, ``softswitch.tts`` or ``softswitch.vad``; its
name is the ``provider`` (or ``vad.type``) of the wire, its value a function that takes a :class:`Setup` and
returns an :class:`Asr`, a :class:`Tts` or a new :class:`VadBank`. Nothing is imported before it is asked for.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, Literal, Protocol, TypeVar, cast, runtime_checkable

import msgspec

from softswitch import settings
from softswitch.egress import EgressClient
from softswitch.errors import PeerError, SoftswitchError
from softswitch.speech.backoff import Backoff
from softswitch.speech.chain import AsrChain, Next, TtsChain
from softswitch.speech.hosted.catalogue import HostedProviders
from softswitch.speech.hosted.provider import HostedAsr, HostedTts
from softswitch.speech.interface import (
    Asr,
    AsrDelta,
    AsrFinal,
    AsrOptions,
    AsrOutput,
    AsrStream,
    AsrTurn,
    Grammar,
    Intent,
    Meter,
    SpeechBusyError,
    SpeechError,
    SpeechMetric,
    SpeechSwitched,
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
    "AsrTurn",
    "Grammar",
    "Intent",
    "Meter",
    "Opened",
    "Providers",
    "Setup",
    "SpeechBusyError",
    "SpeechError",
    "SpeechMetric",
    "SpeechSwitched",
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
SWITCH_S = 1.0
"""Seconds that a provider of a chain has to open, and to its first result, before the next one goes on."""
LEAVE_ALONE_S = 5.0
"""Seconds that a chain leaves out a provider after a failure; twice as long after each further one."""
MAX_FAILING = 4096
"""Providers and accounts whose failures are remembered."""

_BUILT_IN: Mapping[Kind, Mapping[str, str]] = {
    "asr": {DEFAULT: "softswitch.speech.builtin.asr:make"},
    "tts": {DEFAULT: "softswitch.speech.builtin.tts:make"},
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
    """None: no provider works, or nothing was wanted."""
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

    def __init__(
        self,
        speech: settings.Speech | None = None,
        client: EgressClient | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at the names; nothing is loaded yet.

        Args:
            speech: the operator's section; None: its defaults.
            client: the way to hosted providers; None: one with the default rules.
            clock: monotonic seconds.
        """
        self._settings = speech or settings.Speech()
        self._setup = Setup(self._settings, PhraseCache(self._settings.cache_mb * 1_000_000))
        self.hosted = HostedProviders(self._settings, client or EgressClient(), self._setup.phrases)
        self._clock = clock
        self._failing: dict[tuple[Kind, str, str], Backoff] = {}
        self._found = {kind: _find(kind) for kind in _BUILT_IN}
        self._asr: dict[str, Asr] = {}
        self._tts: dict[str, Tts] = {}
        self._vads: dict[str, Callable[[], VadBank]] | None = None
        self.switched = 0
        """Times that another provider of a chain took over."""

    def use(self, speech: settings.Speech) -> None:
        """Take other hosted providers while running; the other settings of the section stay as they are."""
        self.hosted.use(speech)

    def names(self, kind: Kind) -> list[str]:
        """Return the names of the providers of a kind."""
        return sorted(self._found[kind])

    def tts(self, name: str) -> Tts:
        """Return a speaker.

        Raises:
            UnknownProviderError: the name is unknown.
            SoftswitchError: it cannot work here.
        """
        if (hosted := self.hosted.find(name, "", {})) is not None:
            return HostedTts(hosted)
        if name not in self._tts:
            self._tts[name] = cast("Tts", self._make("tts", name))
        return self._tts[name]

    def asr(self, name: str) -> Asr:
        """Return a listener; raises as :meth:`tts` does."""
        if (hosted := self.hosted.find(name, "", {})) is not None:
            return HostedAsr(hosted)
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
        """Open the first speaker of `names` that works, and the built-in one if none does; never raises.

        A hosted one that fails later is followed by the next one of the chain, within the same stream. A
        voice or model that was asked for is that of the first name: it means nothing to the others.
        """
        chain = _Chain[TtsStream](self, "tts", names, options.account)

        async def open_one(name: str, patience_s: float) -> TtsStream:
            wanted = msgspec.structs.replace(
                options,
                provider=name,
                voice=options.voice if name in names[:1] else "",
                patience_s=patience_s,
            )
            hosted = self.hosted.find(name, options.account, options.extra)
            if hosted is not None:
                return await hosted.open_tts(self._with_tts_defaults(wanted, hosted.voice, hosted.language))
            return await self.tts(name).open(self._with_tts_defaults(wanted))

        chain.open_one = open_one
        opened = await chain.open()
        if opened.stream is not None and chain.may_go_on(opened.provider, options.extra):
            stream = TtsChain(opened.provider, opened.stream, chain)
            return Opened(stream, opened.warnings, opened.provider)
        return opened

    async def open_asr(self, names: Sequence[str], options: AsrOptions) -> Opened[AsrStream]:
        """Open the first listener of `names` that works, as :meth:`open_tts` does; never raises."""
        chain = _Chain[AsrStream](self, "asr", names, options.account)

        async def open_one(name: str, patience_s: float) -> AsrStream:
            hosted = self.hosted.find(name, options.account, options.extra)
            own = hosted.language if hosted is not None else ""
            wanted = msgspec.structs.replace(
                options,
                provider=name,
                model=options.model if name in names[:1] else "",
                language=options.language or own or self._settings.language,
                patience_s=patience_s,
            )
            return await (hosted.open_asr(wanted) if hosted else self.asr(name).open(wanted))

        chain.open_one = open_one
        opened = await chain.open()
        if opened.stream is not None and chain.may_go_on(opened.provider, options.extra):
            stream = AsrChain(opened.provider, opened.stream, options.sample_rate, chain)
            return Opened(stream, opened.warnings, opened.provider)
        return opened

    def _with_tts_defaults(self, options: TtsOptions, voice: str = "", language: str = "") -> TtsOptions:
        """Return options with what the call left open.

        Args:
            options: of the call.
            voice: the provider's default; empty: that of `[speech]`, for its own provider.
            language: the provider's default; a voice that was asked for speaks its own.
        """
        own = voice or (self._settings.voice if options.provider == self._settings.tts else "")
        spoken = language or ("" if options.voice else self._settings.language)
        return msgspec.structs.replace(
            options, voice=options.voice or own, language=options.language or spoken
        )

    def backoff(self, kind: Kind, name: str, account: str) -> Backoff:
        """Return how long a provider is to be left alone, for an account."""
        key = (kind, name, account)
        if key not in self._failing and len(self._failing) >= MAX_FAILING:
            del self._failing[next(iter(self._failing))]
        return self._failing.setdefault(key, Backoff(LEAVE_ALONE_S, 60.0))

    @property
    def now(self) -> float:
        """Return monotonic seconds."""
        return self._clock()

    async def start(self) -> None:
        """Load the providers of the settings, so that the first call does not wait for them.

        With ``[speech] preload = false`` nothing is loaded: the first call that speaks or listens waits for
        it.
        """
        if not self._settings.preload:
            return
        wanted: list[tuple[str, Callable[[str], object], str]] = [
            ("tts", self.tts, self._settings.tts),
            ("asr", self.asr, self._settings.asr),
        ]
        for kind, get, name in wanted:
            if name in OFF or self.hosted.find(name, "", {}) is not None:
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
        providers: list[Tts | Asr] = [*self._tts.values(), *self._asr.values()]
        for provider in providers:
            try:
                await provider.close()
            except Exception:
                logger.warning("a provider failed to close", extra={"provider": provider.name}, exc_info=True)
        self._tts.clear()
        self._asr.clear()
        await self.hosted.close()

    def counters(self) -> dict[str, float]:
        """Return plain numbers for the metrics."""
        phrases = self._setup.phrases
        numbers: dict[str, float] = {"phrase_hits": phrases.hits, "phrase_misses": phrases.misses}
        numbers |= {"switched": self.switched, **self.hosted.connections()}
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


class _Chain(Generic[Stream]):
    """The providers that are tried one after another for one stream."""

    open_one: Callable[[str, float], Awaitable[Stream]]
    """Opens a provider, given the seconds it has for a result; 0: as long as it likes."""

    def __init__(self, providers: Providers, kind: Kind, names: Sequence[str], account: str) -> None:
        self._providers = providers
        self._kind = kind
        self._account = account
        self._named = frozenset(names)
        self._left: deque[str] = deque()
        for name in dict.fromkeys((*names, DEFAULT)):
            if name in OFF:
                break
            self._left.append(name)

    async def open(self) -> Opened[Stream]:
        """Open one provider after another until one works."""
        warnings: list[str] = []
        while self._left:
            name = self._left.popleft()
            backoff = self._providers.backoff(self._kind, name, self._account)
            if self._left and (wait_s := backoff.wait_s(self._providers.now)):
                warnings.append(
                    f"{self._kind} provider {name!r} failed just now; tried again in {wait_s:.0f} s"
                )
                continue
            try:
                # A successor that the call names is wanted soon. The built-in provider, which comes last
                # unasked, is for failures: a slow server has its own time-out.
                hurried = any(following in self._named for following in self._left)
                async with asyncio.timeout(SWITCH_S if hurried and name != DEFAULT else None):
                    stream: Stream = await self.open_one(name, SWITCH_S if hurried else 0.0)
            except UnknownProviderError as unknown:
                warnings.append(self._unknown(unknown))
            except SoftswitchError as error:
                self._note(name, error)
                warnings.append(f"{self._kind} provider {name!r}: {error}")
            except TimeoutError:
                self._note(name, None)
                warnings.append(f"{self._kind} provider {name!r}: it did not open within {SWITCH_S:g} s")
            except Exception as error:  # A plug-in may raise anything; speech never fails a call.
                extra = {"kind": self._kind, "provider": name}
                logger.warning("a provider failed to open", extra=extra, exc_info=True)
                warnings.append(f"{self._kind} provider {name!r}: {type(error).__name__}: {error}")
            else:
                if warnings:
                    warnings[-1] += f"; {name!r} takes its place"
                return Opened(stream, [*warnings, *stream.warnings], name)
        return Opened(None, warnings)

    def _unknown(self, error: UnknownProviderError) -> str:
        """Return the text for an unknown name, with the hosted providers of the account among the known."""
        known = sorted({*error.known, *self._providers.hosted.names(self._account)})
        return str(UnknownProviderError(self._kind, error.name, known))

    def may_go_on(self, provider: str, extra: Mapping[str, object]) -> bool:
        """Tell whether a provider that was opened has a successor and may need it."""
        hosted = self._providers.hosted.find(provider, self._account, extra)
        return hosted is not None and bool(self._left)

    async def follow(self, failed: str, error: str) -> Next[Stream] | None:
        """Open what comes after a provider that failed."""
        self._providers.backoff(self._kind, failed, self._account).failed(self._providers.now)
        opened: Opened[Stream] = await self.open()
        if opened.stream is None:
            return None
        self._providers.switched += 1
        said = f"{self._kind} provider {failed!r} failed: {error}; {opened.provider!r} goes on"
        return Next(opened.provider, opened.stream, (said, *opened.warnings))

    def worked(self, provider: str) -> None:
        """Forget the failures of a provider that gave a result."""
        self._providers.backoff(self._kind, provider, self._account).succeeded()

    def _note(self, name: str, error: SoftswitchError | None) -> None:
        """Leave a provider alone for a while, unless it is only missing something or busy."""
        if not isinstance(error, SpeechUnavailableError | SpeechBusyError):
            self._providers.backoff(self._kind, name, self._account).failed(self._providers.now)
