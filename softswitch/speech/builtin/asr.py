"""The listener that is always there: a neural recogniser of English, else pocketsphinx."""

import logging
import time
from collections.abc import Callable, Mapping

from softswitch.speech.builtin import grammar
from softswitch.speech.builtin.asr_pool import RecogniserPool
from softswitch.speech.builtin.asr_stream import RecognitionStream
from softswitch.speech.builtin.ear_stream import COUNTERS, EarStream
from softswitch.speech.builtin.items import Items
from softswitch.speech.builtin.workers import WorkerPool
from softswitch.speech.interface import AsrOptions, AsrStream, Grammar, SpeechUnavailableError
from softswitch.speech.setup import Setup

logger = logging.getLogger(__name__)

NAME = "builtin"
NEURAL, SMALL = "moonshine", "pocketsphinx"
MODELS = frozenset({"", NAME, "en-us", NEURAL, SMALL})
"""Names by which a call may choose a model; the first three mean the default."""
ENGINE = "softswitch.speech.builtin.neural_ears"
_SPEED = 10.0
"""Seconds of sound that one process hears in a second, until that is measured."""


class BuiltinAsr:
    """The processes, and the streams that share them."""

    name = NAME
    languages = ("en",)

    def __init__(
        self, workers: int, clock: Callable[[], float] = time.monotonic, engine: str = ENGINE
    ) -> None:
        """Begin without processes.

        Args:
            workers: processes of the recogniser; each takes some 50 MB beside the 170 that they share.
            clock: monotonic seconds.
            engine: module of the neural recogniser.
        """
        self._ears = WorkerPool("asr", engine, workers, speed=_SPEED, clock=clock)
        self._ears.counters |= dict.fromkeys(COUNTERS, 0)
        self._small = RecogniserPool(workers, clock)
        self._clock = clock
        self._missing = ""

    @property
    def counters(self) -> Mapping[str, float]:
        """What happened so far, with either recogniser."""
        both = dict(self._ears.counters)
        for name, count in self._small.counters.items():
            both[name] = both.get(name, 0) + count
        return both

    async def load(self) -> None:
        """Load the neural recogniser, and where it is missing pocketsphinx.

        Raises:
            SpeechUnavailableError: neither is installed, or neither starts.
        """
        try:
            await self._ears.start()
        except SpeechUnavailableError as error:
            if not self._missing:
                logger.warning(
                    "pocketsphinx listens: the neural recogniser is missing", extra={"error": str(error)}
                )
            self._missing = str(error)
            try:
                await self._small.start()
            except SpeechUnavailableError as other:
                raise SpeechUnavailableError(f"{error}; {other}") from other
        else:
            self._missing = ""

    async def open(self, options: AsrOptions) -> AsrStream:
        """Open a stream; raises as :meth:`load` does."""
        warnings = []
        model = options.model.lower()
        if model not in MODELS:
            warnings.append(f"model: the built-in recogniser has no {options.model!r}; its own listens")
        if options.language and not options.language.lower().startswith("en"):
            warnings.append(f"language: the built-in recogniser knows English, not {options.language!r}")
        wanted = options.grammar
        if isinstance(wanted, str) and wanted not in grammar.FREE and wanted not in grammar.NAMED:
            warnings.append(f"grammar: there is no {wanted!r} (there are: {', '.join(grammar.NAMED)}, free)")
            wanted = ""
        if model == SMALL:
            await self._small.start()
            return self._open_small(options, wanted, warnings)
        await self.load()
        if self._missing:
            warnings.append(f"model: pocketsphinx listens ({self._missing})")
            return self._open_small(options, wanted, warnings)
        return EarStream(
            NAME,
            self._ears,
            _items(wanted),
            sample_rate=options.sample_rate,
            hotwords=options.hotwords,
            warnings=warnings,
            clock=self._clock,
        )

    def _open_small(
        self, options: AsrOptions, wanted: str | tuple[str, ...] | Grammar, warnings: list[str]
    ) -> AsrStream:
        if options.hotwords:
            warnings.append("hotwords: pocketsphinx has none; give phrases as grammar")
        if isinstance(wanted, Grammar):
            warnings.append(
                f"grammar: pocketsphinx rejects nothing, type {wanted.type!r} is a list of phrases"
            )
            wanted = tuple(Items(wanted).all_phrases)
        return RecognitionStream(
            NAME, self._small, wanted, sample_rate=options.sample_rate, warnings=warnings, clock=self._clock
        )

    async def close(self) -> None:
        """End all processes."""
        await self._ears.close()
        await self._small.close()


def _items(wanted: str | tuple[str, ...] | Grammar) -> Items | None:
    """Return what may be said, None for anything."""
    if isinstance(wanted, Grammar):
        return Items(wanted)
    if isinstance(wanted, tuple):
        return Items(Grammar("phrases", wanted)) if wanted else None
    if wanted == "digits":
        return Items(Grammar("digits", ()))
    if wanted in grammar.NAMED:
        return Items(Grammar("phrases", grammar.NAMED[wanted]))
    return None


def make(setup: Setup) -> BuiltinAsr:
    """Make the provider (entry point ``builtin`` of ``softswitch.asr``)."""
    return BuiltinAsr(setup.settings.workers)
