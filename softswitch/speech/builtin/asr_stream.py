"""One party's speech: cut into utterances here, recognised one after another by borrowed workers."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from softswitch.audio import pcm as pcm16
from softswitch.audio.pcm import Pcm
from softswitch.errors import SoftswitchError
from softswitch.speech.builtin import worker_wire as wire
from softswitch.speech.builtin.asr_pool import RecogniserPool, Worker
from softswitch.speech.builtin.fork_server import WorkerLostError
from softswitch.speech.endpointer import FRAME, Endpointer
from softswitch.speech.frames import FrameCutter
from softswitch.speech.interface import (
    AsrDelta,
    AsrFinal,
    AsrOutput,
    SpeechBusyError,
    SpeechError,
    SpeechMetric,
)
from softswitch.speech.outputs import OutputQueue

logger = logging.getLogger(__name__)

PAUSE_MS = 800
"""Silence that ends an utterance where no caller of the stream calls ``finalize``."""
LONGEST_S = 20.0
"""An utterance is cut here."""
MAX_WAITING = 4
"""Utterances of one stream that may wait; of more, the oldest is dropped."""
_LISTEN = 8
"""Pieces of the first utterance to hear before its band is believed: some 200 ms."""
_PATIENCE_S = LONGEST_S + 25.0
"""Longest time with one worker."""


@dataclass(slots=True, eq=False)
class _Utterance:
    """Audio, and from some moment on the worker that it goes to."""

    start_ms: float
    began: float
    pieces: deque[bytes] = field(default_factory=deque)
    narrow: bool = False
    ended: float | None = None
    worker: Worker | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)


class RecognitionStream:
    """A :class:`softswitch.speech.interface.AsrStream` that borrows a worker for each utterance.

    In between no process works for it, so that a few processes serve many calls.
    """

    def __init__(
        self,
        provider: str,
        pool: RecogniserPool,
        grammar: str | Sequence[str],
        *,
        sample_rate: int,
        warnings: Sequence[str] = (),
        clock: Callable[[], float],
    ) -> None:
        """Begin to listen; needs a running loop.

        Args:
            provider: its name, for the keys of measurements.
            pool: lends workers.
            grammar: what may be said: a name, phrases, or empty for free speech.
            sample_rate: of the audio that will be pushed, Hz.
            warnings: what the opener could not honour.
            clock: monotonic seconds.
        """
        self.warnings: Sequence[str] = tuple(warnings)
        self._provider = provider
        self._pool = pool
        self._grammar = grammar if isinstance(grammar, str) else list(grammar)
        self._clock = clock
        self._frames = FrameCutter(sample_rate)
        self._endpointer = Endpointer(PAUSE_MS, LONGEST_S)
        self._samples = 0
        self._current: _Utterance | None = None
        self._waiting: deque[_Utterance] = deque()
        self._to_do = asyncio.Event()
        self._outputs = OutputQueue()
        self._index = 0
        self._means: dict[bool, str] = {}
        self._unknown_told = False
        # Owned by the stream, which cancels it; its failures become outputs, so that nothing is lost with it.
        self._worker = asyncio.get_running_loop().create_task(self._work())

    # --- the writer's side --------------------------------------------------------

    def push(self, pcm: bytes) -> None:
        """Take PCM16 at the stream's rate."""
        for frame in self._frames.push(pcm):
            self._hear(frame)

    def finalize(self) -> None:
        """End the utterance that goes on."""
        self._endpointer.end()
        self._end_utterance()

    def close(self) -> None:
        """Stop at once."""
        self._worker.cancel()
        self._waiting.clear()
        self._outputs.close()

    def _hear(self, frame: Pcm) -> None:
        self._samples += FRAME
        piece = self._endpointer.push(frame)
        if piece is None:
            return
        if self._current is None:
            begin_ms = (self._samples - piece.size) * 1000 / wire.RATE
            self._current = _Utterance(begin_ms, self._clock())
            self._queue(self._current)
        self._current.narrow = self._endpointer.narrow
        self._give(self._current, pcm16.to_bytes(piece))
        if not self._endpointer.speaking:
            self._end_utterance()

    def _queue(self, utterance: _Utterance) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._pool.counters["asr_utterances_dropped"] += 1
            self._waiting.popleft()
        self._waiting.append(utterance)
        self._to_do.set()

    def _give(self, utterance: _Utterance, pcm: bytes) -> None:
        if utterance.worker is None:
            utterance.pieces.append(pcm)
        elif not utterance.worker.audio(pcm):
            self._pool.counters["asr_pieces_dropped"] += 1
        utterance.news.set()

    def _end_utterance(self) -> None:
        if self._current is None:
            return
        self._current.ended = self._clock()
        if self._current.worker is not None:
            self._current.worker.end()
        self._current.news.set()
        self._current = None

    # --- the reader's side --------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[AsrOutput]:
        return self._outputs

    async def __anext__(self) -> AsrOutput:
        """Return what was understood next."""
        return await anext(self._outputs)

    def _tell(self, output: AsrOutput) -> None:
        if not self._outputs.put(output):
            self._pool.counters["asr_outputs_dropped"] += 1

    # --- recognition --------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._to_do.clear()
                await self._to_do.wait()
            await self._until_heard(self._waiting[0])
            utterance = self._waiting.popleft()
            try:
                await self._recognise(utterance)
            except SpeechBusyError as error:
                self._tell(SpeechError("asr", str(error), 503))
            except (SoftswitchError, WorkerLostError, TimeoutError) as error:
                logger.warning("an utterance was not recognised", exc_info=True)
                self._tell(SpeechError("asr", str(error) or "the recogniser takes too long", 500))
            utterance.pieces.clear()

    async def _until_heard(self, utterance: _Utterance) -> None:
        """Wait until enough of the first utterance is there to know its band."""
        while not self._means and len(utterance.pieces) < _LISTEN and utterance.ended is None:
            utterance.news.clear()
            await utterance.news.wait()

    async def _recognise(self, utterance: _Utterance) -> None:
        """Borrow a worker, give it what is there and what comes, and tell what it says."""
        worker = await self._pool.borrow()
        usable = False
        try:
            narrow = utterance.narrow
            means = self._means.get(narrow, "")
            worker.begin({"grammar": self._grammar, "means": means, "narrow": narrow})
            while utterance.pieces:
                worker.audio(utterance.pieces.popleft())
            utterance.worker = worker
            if utterance.ended is not None:
                worker.end()
            async with asyncio.timeout(_PATIENCE_S):
                self._means[narrow] = await self._results(worker, utterance)
            usable = True
        finally:
            utterance.worker = None
            self._pool.give_back(worker, usable=usable)

    async def _results(self, worker: Worker, utterance: _Utterance) -> str:
        """Tell the results of an utterance; return the means that the worker had in the end."""
        told = False
        while True:
            kind, result = await worker.read()
            text = str(result.get("text", ""))
            if kind == wire.FINAL:
                if text or told:
                    self._tell(self._result(AsrFinal, utterance, text, result))
                    since = self._clock() if utterance.ended is None else utterance.ended
                    self._measure("completed", since, utterance)
                    self._index += 1
                self._tell_unknown(result.get("unknown", ()))
                return str(result.get("means", ""))
            if not told:
                self._measure("ttfb", utterance.began, utterance)
            told = True
            self._tell(self._result(AsrDelta, utterance, text, result))

    def _result(
        self, kind: type[AsrDelta], utterance: _Utterance, text: str, result: dict[str, Any]
    ) -> AsrDelta:
        start_ms = round(utterance.start_ms + result.get("start_ms", 0))
        end_ms = round(utterance.start_ms + result.get("end_ms", 0))
        return kind(self._index, text, start_ms, end_ms, result.get("confidence"))

    def _measure(self, what: str, since: float, utterance: _Utterance) -> None:
        elapsed_ms = round((self._clock() - since) * 1000)
        data: dict[str, object] = {"index": self._index, "narrowband": utterance.narrow}
        self._tell(SpeechMetric(f"{what}.asr.{self._provider}", elapsed_ms, data))

    def _tell_unknown(self, phrases: Sequence[str]) -> None:
        if phrases and not self._unknown_told:
            self._unknown_told = True
            listed = ", ".join(repr(phrase) for phrase in phrases[:5])
            self._tell(SpeechError("asr", f"grammar: words of {listed} are not in the dictionary", 400))
