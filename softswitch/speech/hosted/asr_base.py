"""The common part of recognition streams: outputs in order, indices, measurements, usage."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from softswitch.audio import pcm as pcm16
from softswitch.audio.resample import StreamResampler
from softswitch.speech.hosted.accounts import Concurrency
from softswitch.speech.interface import (
    AsrDelta,
    AsrFinal,
    AsrOutput,
    SpeechError,
    SpeechMetric,
    Usage,
)
from softswitch.speech.outputs import OutputQueue


@dataclass(slots=True)
class Opening:
    """What a stream is opened with, besides its protocol."""

    provider: str
    sample_rate: int
    """Of the audio that is pushed, Hz."""
    concurrency: Concurrency
    usage: Usage
    patience_s: float
    """Seconds from `finalize` to the final text."""
    attempts: int = 3
    """Connections that may fail one after another, while there is audio to recognise."""
    warnings: Sequence[str] = ()
    clock: Callable[[], float] = field(default=time.monotonic)


class HostedAsrStream:
    """A :class:`softswitch.speech.interface.AsrStream`, but for how the audio gets to the vendor."""

    def __init__(self, opening: Opening, rate: int) -> None:
        """Begin to listen; needs a running loop.

        Args:
            opening: what it is opened with; one beginning is counted already.
            rate: of the audio that the vendor gets, Hz.
        """
        self.warnings: Sequence[str] = tuple(opening.warnings)
        self._opening = opening
        self._rate = rate
        self._counters = opening.concurrency.counters
        self._clock = opening.clock
        same = opening.sample_rate == rate
        self._resampler = None if same else StreamResampler(opening.sample_rate, rate)
        self._outputs = OutputQueue()
        self._index = 0
        self._told = False
        self._began: float | None = None
        self._ended: float | None = None
        self._released = False

    def __aiter__(self) -> AsyncIterator[AsrOutput]:
        return self._outputs

    async def __anext__(self) -> AsrOutput:
        """Return what was understood next."""
        return await anext(self._outputs)

    def _resample(self, pcm: bytes) -> bytes:
        """Return pushed audio at the vendor's rate."""
        if self._resampler is None:
            return pcm
        return pcm16.to_bytes(self._resampler.process(pcm16.from_bytes(pcm)))

    def _give(self, output: AsrOutput) -> None:
        if not self._outputs.put(output):
            self._counters.outputs_dropped += 1

    def _used(self, length_ms: float) -> None:
        self._opening.usage.seconds += length_ms / 1000
        self._counters.seconds += length_ms / 1000

    def _utterance_began(self) -> None:
        if self._began is None:
            self._began = self._clock()

    def _utterance_ended(self) -> None:
        if self._ended is None and self._began is not None:
            self._ended = self._clock()

    def _tell(self, text: str, start_ms: int, end_ms: int, confidence: float | None, *, final: bool) -> None:
        """Give a delta or a final; a final ends the utterance."""
        if not text and not (final and self._told):
            if final:
                self._next_utterance()
            return
        if not self._told:
            self._told = True
            self._measure("ttfb", self._began)
        kind = AsrFinal if final else AsrDelta
        self._give(kind(self._index, text, start_ms, end_ms, confidence))
        if final:
            self._measure("completed", self._clock() if self._ended is None else self._ended)
            self._index += 1
            self._next_utterance()

    def _release(self) -> None:
        """Count the end of the work with the vendor, once."""
        if not self._released:
            self._released = True
            self._opening.concurrency.end()

    def _next_utterance(self) -> None:
        self._told = False
        self._began = self._ended = None

    def _measure(self, what: str, since: float | None) -> None:
        now = self._clock()
        elapsed_ms = round((now - (now if since is None else since)) * 1000)
        data: dict[str, object] = {
            "index": self._index,
            "seconds": round(self._opening.usage.seconds, 2),
        }
        self._give(SpeechMetric(f"{what}.asr.{self._opening.provider}", elapsed_ms, data))

    def _fail(self, error: str, code: int) -> None:
        """Give an error and end the stream."""
        self._counters.failed += 1
        self._give(SpeechError("asr", error, code))
        self._outputs.end()
