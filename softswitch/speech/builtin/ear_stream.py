"""One party's speech for the neural recogniser: cut into utterances, heard while they are said.

Each utterance is heard anew every second while it goes on, and once more as soon as the speaker pauses: where
the pause turns out to be the end, the text is there already. What was understood before is given along as a
draft.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from softswitch.audio import pcm as pcm16
from softswitch.audio.pcm import Pcm
from softswitch.errors import SoftswitchError
from softswitch.speech.builtin.completeness import likelihood
from softswitch.speech.builtin.items import Items
from softswitch.speech.builtin.workers import WorkerPool
from softswitch.speech.endpointer import FRAME, RATE, Endpointer
from softswitch.speech.frames import FrameCutter
from softswitch.speech.interface import (
    AsrDelta,
    AsrFinal,
    AsrOutput,
    AsrTurn,
    SpeechBusyError,
    SpeechError,
    SpeechMetric,
)
from softswitch.speech.outputs import OutputQueue

logger = logging.getLogger(__name__)

COUNTERS = ("asr_utterances", "asr_utterances_dropped", "asr_outputs_dropped")
PAUSE_MS = 800
"""Silence that ends an utterance where ``finalize`` does not come."""
LONG_S, BREATH_MS = 8.0, 300
"""In a longer utterance a shorter silence ends it: hearing it anew takes the longer, the longer it is."""
LONGEST_S = 20.0
"""An utterance is cut here."""
LOOK_MS, LATE_LOOK_MS = 120, 200
"""Silence after which an utterance is heard in case it is over: with an idle process, and without."""
TURN_MS = 200
"""Silence after which the turn is judged."""
PARTIAL_S = 1.0
"""Speech between two partial texts."""
MAX_ENDED = 4
"""Utterances of one stream that may wait for their text; of more, the oldest is dropped."""
TURN_S = 8.0
"""Of the sound, so much is judged for the end of a turn."""
FINAL, TURN, LOOK, PARTIAL = 0.0, 0.5, 1.0, 2.0
"""Ranks of jobs."""
PATIENCE_S = {FINAL: 3.0, TURN: 0.3, LOOK: 1.0, PARTIAL: 0.1}
"""How long a job may wait for its turn; without a look the final is heard later, without a partial there is
none.
"""
WORDS_S = 0.4
"""The verdict on a turn waits so long for the words."""
_TAIL_MS = 60
"""Of the silence after the last sound, so much belongs to it."""
_TURN_COST_S = 0.6
"""What judging a turn costs, in seconds of sound that is heard."""
_COST_S = 0.7
"""What each job costs beside the length of its sound, in seconds of sound."""


@dataclass(slots=True, eq=False)
class _Utterance:
    start: int
    """Samples of the stream before it."""
    began: float
    sound: bytearray = field(default_factory=bytearray)
    spoken: int = 0
    """Bytes up to the last sound that was loud."""
    sent: int = 0
    """Bytes at the last job."""
    heard: int = 0
    """Bytes that the newest result is of."""
    result: dict[str, Any] | None = None
    looked: int = 0
    """`spoken` when the last look began."""
    look: "asyncio.Task[None] | None" = None
    """The job that hears the whole of it, as far as is known."""
    partial: "asyncio.Task[None] | None" = None
    told: bool = False
    """Whether a text was told."""
    text: str = ""
    ended: float | None = None


class EarStream:
    """A :class:`softswitch.speech.interface.AsrStream` that shares the processes of the recogniser."""

    def __init__(
        self,
        provider: str,
        pool: WorkerPool,
        items: Items | None,
        *,
        sample_rate: int,
        hotwords: Sequence[str] = (),
        warnings: Sequence[str] = (),
        clock: Callable[[], float],
    ) -> None:
        """Begin to listen; needs a running loop.

        Args:
            provider: its name, for the keys of measurements.
            pool: the recogniser's processes.
            items: what may be said; None: anything.
            sample_rate: of the audio that will be pushed, Hz.
            hotwords: words to expect.
            warnings: what the opener could not honour.
            clock: monotonic seconds.
        """
        self.warnings: Sequence[str] = tuple(warnings)
        self._provider = provider
        self._pool = pool
        self._items = items
        self._hotwords = list(hotwords)
        self._clock = clock
        self._frames = FrameCutter(sample_rate)
        self._endpointer = Endpointer(PAUSE_MS, LONGEST_S, BREATH_MS, LONG_S)
        self._samples = 0
        self._current: _Utterance | None = None
        self._ended: deque[_Utterance] = deque()
        self._to_finish = asyncio.Event()
        self._outputs = OutputQueue()
        self._index = 0
        self._loop = asyncio.get_running_loop()
        self._jobs: set[asyncio.Task[None]] = set()
        # Owned by the stream, which cancels it; its failures become outputs, so that nothing is lost with it.
        self._finisher = self._loop.create_task(self._finish_all())

    # --- the writer's side --------------------------------------------------------

    def push(self, pcm: bytes) -> None:
        """Take PCM16 at the stream's rate."""
        if self._outputs.ended:
            return
        for frame in self._frames.push(pcm):
            self._hear(frame)

    def finalize(self) -> None:
        """End the utterance that goes on."""
        self._endpointer.end()
        self._end_utterance()

    def close(self) -> None:
        """Stop at once."""
        self._finisher.cancel()
        for job in self._jobs:
            job.cancel()
        self._outputs.close()

    def _hear(self, frame: Pcm) -> None:
        self._samples += FRAME
        piece = self._endpointer.push(frame)
        if piece is None:
            return
        if self._current is None:
            self._current = _Utterance(self._samples - piece.size, self._clock())
        utterance = self._current
        utterance.sound += pcm16.to_bytes(piece)
        quiet_ms = self._endpointer.quiet_ms
        if not quiet_ms:
            utterance.spoken = len(utterance.sound)
        if not self._endpointer.speaking:
            self._end_utterance()
        elif quiet_ms in {LOOK_MS, LATE_LOOK_MS, TURN_MS}:
            self._pause(utterance, quiet_ms)
        elif not quiet_ms and len(utterance.sound) - utterance.sent >= int(PARTIAL_S * RATE * 2):
            self._partial(utterance)

    def _pause(self, utterance: _Utterance, quiet_ms: int) -> None:
        """Judge the turn, and hear the whole in case it is over: once in each pause."""
        if quiet_ms == TURN_MS:
            self._judge(utterance)
        looked = utterance.looked == utterance.spoken
        if not looked and (quiet_ms == LATE_LOOK_MS or (quiet_ms == LOOK_MS and self._pool.idle)):
            utterance.looked = utterance.spoken
            utterance.look = self._begin(utterance, LOOK)

    def _partial(self, utterance: _Utterance) -> None:
        """Hear how far the speaker has come, unless there is something more urgent to do."""
        under_way = utterance.partial is not None and not utterance.partial.done()
        if self._items is None and not under_way and self._pool.idle:
            utterance.partial = self._begin(utterance, PARTIAL)

    def _end_utterance(self) -> None:
        utterance, self._current = self._current, None
        if utterance is None:
            return
        utterance.ended = self._clock()
        if len(self._ended) >= MAX_ENDED:
            self._pool.counters["asr_utterances_dropped"] += 1
            self._ended.popleft()
            self._tell(SpeechError("asr", f"busy: {MAX_ENDED} utterances wait for their text", 503))
        self._ended.append(utterance)
        self._to_finish.set()

    # --- the reader's side --------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[AsrOutput]:
        return self._outputs

    async def __anext__(self) -> AsrOutput:
        """Return what was understood next."""
        return await anext(self._outputs)

    def _tell(self, output: AsrOutput) -> None:
        if not self._outputs.put(output):
            self._pool.counters["asr_outputs_dropped"] += 1

    # --- jobs ---------------------------------------------------------------------

    def _begin(self, utterance: _Utterance, rank: float) -> "asyncio.Task[None]":
        # Owned by the stream, which cancels it when it is closed; its failure is kept until the final is
        # wanted.
        job = self._loop.create_task(self._listen(utterance, rank, len(utterance.sound)))
        self._jobs.add(job)
        job.add_done_callback(self._over)
        utterance.sent = len(utterance.sound)
        return job

    def _judge(self, utterance: _Utterance) -> None:
        """Ask how likely the turn is over; the answer takes less time than the text."""
        if self._pool.about.get("turns"):
            job = self._loop.create_task(self._judged(utterance, utterance.spoken))
            self._jobs.add(job)
            job.add_done_callback(self._over)

    async def _judged(self, utterance: _Utterance, spoken: int) -> None:
        begin = max(len(utterance.sound) - int(TURN_S * RATE) * 2, 0)
        request = {"turn": True, "text": False}
        sound = bytes(utterance.sound[begin:])
        result = await self._pool.result(
            request, sound, rank=TURN, cost=_TURN_COST_S, patience_s=PATIENCE_S[TURN]
        )
        if "turn" not in result:
            return
        look = utterance.look
        if look is not None and not look.done() and utterance.spoken == spoken:
            await asyncio.wait([look], timeout=WORDS_S)
        # Speech that has gone on since makes the answer worthless.
        if utterance.spoken == spoken:
            self._tell(AsrTurn(self._likelihood(utterance, result), self._end_ms(utterance)))

    def _likelihood(self, utterance: _Utterance, judged: dict[str, Any]) -> float:
        """Weigh the sound of a pause with the words before it, where all of them were understood."""
        heard = utterance.result if self._covered(utterance) else None
        if heard is None or "sound" not in judged or "complete" not in heard:
            return float(judged["turn"])
        return likelihood(judged["sound"], heard["complete"])

    def _over(self, job: "asyncio.Task[None]") -> None:
        self._jobs.discard(job)
        if not job.cancelled():
            job.exception()  # Looked at, so that it is not reported as forgotten.

    async def _listen(self, utterance: _Utterance, rank: float, size: int) -> None:
        """Let an utterance be heard as far as it has come; tell what that brings."""
        request: dict[str, Any] = {"hotwords": self._hotwords, "quick": rank == PARTIAL}
        if utterance.result is not None:
            request["draft"] = utterance.result["tokens"]
        if self._items is not None:
            request["phrases"] = self._items.phrases
        sound = bytes(utterance.sound[:size])
        result = await self._pool.result(
            request, sound, rank=rank, cost=size / 2 / RATE + _COST_S, patience_s=PATIENCE_S[rank]
        )
        if size < utterance.heard:
            return
        utterance.heard, utterance.result = size, result
        if utterance.ended is None:
            self._tell_partial(utterance, result)

    def _tell_partial(self, utterance: _Utterance, result: dict[str, Any]) -> None:
        text = result["text"]
        if self._items is not None or not text or text == utterance.text:
            return
        if not utterance.told:
            self._measure("ttfb", utterance.began)
        utterance.told, utterance.text = True, text
        start_ms = utterance.start * 1000 // RATE
        self._tell(AsrDelta(self._index, text, start_ms, self._end_ms(utterance), result["confidence"]))

    @staticmethod
    def _covered(utterance: _Utterance) -> bool:
        """Return whether all that is loud in an utterance has been heard."""
        return utterance.result is not None and utterance.heard >= utterance.spoken

    @staticmethod
    def _end_ms(utterance: _Utterance) -> int:
        return (utterance.start + utterance.spoken // 2) * 1000 // RATE + _TAIL_MS

    # --- finals -------------------------------------------------------------------

    async def _finish_all(self) -> None:
        while True:
            while not self._ended:
                self._to_finish.clear()
                await self._to_finish.wait()
            utterance = self._ended.popleft()
            try:
                await self._finish(utterance)
            except SpeechBusyError as error:
                self._tell(SpeechError("asr", str(error), 503))
            except SoftswitchError as error:
                logger.warning("an utterance was not recognised", exc_info=True)
                self._tell(SpeechError("asr", str(error), 500))

    async def _finish(self, utterance: _Utterance) -> None:
        """Tell what an utterance said: from what was heard at its last pause, or heard anew."""
        look = utterance.look
        if look is not None and not self._covered(utterance) and not look.done():
            await asyncio.wait([look])
        if not self._covered(utterance):
            await self._begin(utterance, FINAL)
        result = utterance.result
        if result is None:
            return
        final = self._final(utterance, result)
        if final.text or final.rejected or utterance.told:
            self._pool.counters["asr_utterances"] += 1
            self._tell(final)
            self._index += 1
            ended = self._clock() if utterance.ended is None else utterance.ended
            self._measure("completed", ended)

    def _final(self, utterance: _Utterance, result: dict[str, Any]) -> AsrFinal:
        start_ms, end_ms = utterance.start * 1000 // RATE, self._end_ms(utterance)
        if self._items is None:
            return AsrFinal(self._index, result["text"], start_ms, end_ms, result["confidence"])
        verdict = self._items.judge(result)
        return AsrFinal(
            self._index,
            verdict.text,
            start_ms,
            end_ms,
            verdict.confidence,
            rejected=verdict.rejected,
            match=verdict.match,
        )

    def _measure(self, what: str, since: float) -> None:
        elapsed_ms = round((self._clock() - since) * 1000)
        data: dict[str, object] = {"index": self._index}
        self._tell(SpeechMetric(f"{what}.asr.{self._provider}", elapsed_ms, data))
