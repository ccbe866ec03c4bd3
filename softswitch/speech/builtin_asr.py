"""The listener that is always there: pocketsphinx in processes of its own, for English."""

import time
from collections.abc import Callable

from softswitch.speech import grammar
from softswitch.speech.asr_pool import RecogniserPool
from softswitch.speech.asr_stream import RecognitionStream
from softswitch.speech.interface import AsrOptions, AsrStream
from softswitch.speech.setup import Setup

NAME = "builtin"
MODELS = frozenset({"", NAME, "en-us"})
"""Names of the one model there is."""


class BuiltinAsr:
    """The processes, and the streams that borrow from them."""

    name = NAME

    def __init__(self, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without processes; see :class:`RecogniserPool`."""
        self._pool = RecogniserPool(workers, clock)
        self._clock = clock

    @property
    def counters(self) -> dict[str, float]:
        """What happened so far."""
        return dict(self._pool.counters)

    async def load(self) -> None:
        """Load the model and one worker.

        Raises:
            SpeechUnavailableError: the recogniser is not installed or does not start.
        """
        await self._pool.start()

    async def open(self, options: AsrOptions) -> AsrStream:
        """Open a stream; raises as :meth:`load` does."""
        await self._pool.start()
        warnings = []
        if options.language and not options.language.lower().startswith("en"):
            warnings.append(f"language: the built-in recogniser knows English, not {options.language!r}")
        if options.model.lower() not in MODELS:
            warnings.append(f"model: the built-in recogniser has no {options.model!r}; its own listens")
        if options.hotwords:
            warnings.append("hotwords: the built-in recogniser has none; give phrases as grammar")
        wanted = options.grammar
        if isinstance(wanted, str) and wanted not in grammar.FREE and wanted not in grammar.NAMED:
            warnings.append(f"grammar: there is no {wanted!r} (there are: {', '.join(grammar.NAMED)}, free)")
            wanted = ""
        return RecognitionStream(
            NAME, self._pool, wanted, sample_rate=options.sample_rate, warnings=warnings, clock=self._clock
        )

    async def close(self) -> None:
        """End all processes."""
        await self._pool.close()


def make(setup: Setup) -> BuiltinAsr:
    """Make the provider (entry point ``builtin`` of ``softswitch.asr``)."""
    return BuiltinAsr(setup.settings.workers)
