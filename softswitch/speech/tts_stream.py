"""The common part of every stream that speaks: sentences, order, look-ahead, phrase cache, measurements."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Protocol

from softswitch.errors import NotNowError
from softswitch.speech.interface import (
    SpeechError,
    SpeechMetric,
    TtsAudio,
    TtsDone,
    TtsMark,
    TtsOutput,
)
from softswitch.speech.phrases import Key, PhraseCache, Spoken
from softswitch.speech.sentences import SentenceCutter, closed

logger = logging.getLogger(__name__)

LOOK_AHEAD_S = 4.0
"""Audio that may wait for the reader before the next sentence is begun."""
SETTLE_S = 0.7
"""Streamed text that stops in the middle of a sentence is spoken after so long: its end may never come."""
PAUSE_S, BREATH_S = 0.18, 0.06
"""Silence before a sentence that follows another one, or a part of the same that was too long."""
MAX_PENDING = 65536
"""Characters that may wait to be spoken."""
MOST_CUT = 1000
"""Characters that are cut into sentences at once; others run before the next ones are."""

Synthesize = Callable[[str], AsyncGenerator[Spoken, None]]
"""Speak one sentence, in pieces."""


class Cutter(Protocol):
    """Cuts streamed text into sentences; see :class:`SentenceCutter`."""

    @property
    def holding(self) -> bool:
        """Whether something speakable is held back."""

    @property
    def waits_for_end(self) -> bool:
        """Whether what is held back is spoken only once it is whole, however long that takes."""

    def push(self, text: str) -> list[str]:
        """Take more text; return the sentences it completes."""

    def flush(self) -> list[str]:
        """Return what was held back."""


class SentenceStream:
    """A :class:`softswitch.speech.interface.TtsStream` made of a function that speaks one sentence.

    One task works through the sentences and stays `LOOK_AHEAD_S` of audio ahead of the reader.
    """

    def __init__(
        self,
        provider: str,
        synthesize: Synthesize,
        *,
        cache: PhraseCache | None = None,
        key: Key = (),
        warnings: Sequence[str] = (),
        cutter: Cutter | None = None,
        shown: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to work; needs a running loop.

        Args:
            provider: its name, for the keys of measurements.
            synthesize: speaks one sentence; closing its iterator early must free whatever works for it.
            cache: keeps whole sentences; None keeps nothing.
            key: all that changes the sound of a sentence, besides its text.
            warnings: what the opener could not honour.
            cutter: cuts the text into sentences; None: by its punctuation.
            shown: what is told of a sentence, where `cutter` puts more into it than is read.
            clock: monotonic seconds.
        """
        self.warnings: Sequence[str] = tuple(warnings)
        self._provider = provider
        self._synthesize = synthesize
        self._cache = cache
        self._key = (provider, *key)
        self._clock = clock
        self._cutter: Cutter = cutter or SentenceCutter()
        self._shown = shown
        self._texts: deque[str] = deque()
        self._sentences: deque[str] = deque()
        self._pending = 0
        self._closed = False
        self._cancelled = False
        self._outputs: deque[TtsOutput] = deque()
        self._ahead_s = 0.0
        self._spoken_s = self._sentence_s = self._pause_s = 0.0
        self._characters = 0
        self._cached = 0
        self._began: float | None = None
        self._heard = False
        self._to_do, self._to_read = asyncio.Event(), asyncio.Event()
        # Owned by the stream, which cancels it; its failures become outputs, so that nothing is lost with it.
        self._worker = asyncio.get_running_loop().create_task(self._work())

    # --- the writer's side --------------------------------------------------------

    def push_text(self, text: str) -> None:
        """Take more text."""
        if self._closed or not text:
            return
        if self._began is None:
            self._began = self._clock()
        if self._pending + len(text) > MAX_PENDING:
            self._give(SpeechError("tts", f"text: more than {MAX_PENDING} characters are waiting", 413))
            return
        self._texts.extend(text[at : at + MOST_CUT] for at in range(0, len(text), MOST_CUT))
        self._pending += len(text)
        self._to_do.set()

    def flush(self) -> None:
        """Speak what is held back; nothing follows."""
        self._closed = True
        self._to_do.set()

    def cancel(self) -> None:
        """Stop at once."""
        self._closed = self._cancelled = True
        self._texts.clear()
        self._sentences.clear()
        self._outputs.clear()
        self._worker.cancel()
        self._to_read.set()

    # --- the reader's side --------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[TtsOutput]:
        return self

    async def __anext__(self) -> TtsOutput:
        """Return what comes next; a slow reader slows the synthesis down."""
        while not self._outputs:
            if self._cancelled or self._worker.done():
                raise StopAsyncIteration
            self._to_read.clear()
            await self._to_read.wait()
        output = self._outputs.popleft()
        if isinstance(output, TtsAudio):
            self._ahead_s -= _seconds(output.pcm, output.sample_rate)
            if self._ahead_s < LOOK_AHEAD_S:
                self._to_do.set()
        return output

    def _give(self, output: TtsOutput) -> None:
        if not self._cancelled:
            self._outputs.append(output)
            self._to_read.set()

    # --- the worker ---------------------------------------------------------------

    async def _work(self) -> None:
        try:
            while await self._next_is_due():
                sentence = self._sentences.popleft()
                self._pending -= len(sentence)
                await self._speak(sentence)
            self._finish()
        finally:
            self._to_read.set()

    async def _next_is_due(self) -> bool:
        """Wait until a sentence should be spoken; return False when there will be none."""
        while not self._sentences or self._ahead_s >= LOOK_AHEAD_S:
            if not self._sentences and (self._texts or (self._closed and self._cutter.holding)):
                await self._cut()
                continue
            if self._closed and not self._sentences:
                return False
            self._to_do.clear()
            waits = self._cutter.holding and not self._cutter.waits_for_end and not self._sentences
            settle = SETTLE_S if waits else None
            try:
                async with asyncio.timeout(settle):
                    await self._to_do.wait()
            except TimeoutError:
                self._take(self._cutter.flush())
        return True

    async def _cut(self) -> None:
        """Cut some of the text that waits into sentences; at its end also what was held back."""
        if self._texts:
            text = self._texts.popleft()
            self._pending -= len(text)
            self._take(self._cutter.push(text))
            await asyncio.sleep(0)
        else:
            self._take(self._cutter.flush())

    def _take(self, sentences: Sequence[str]) -> None:
        self._sentences.extend(sentences)
        self._pending += sum(map(len, sentences))

    async def _speak(self, sentence: str) -> None:
        key = (*self._key, sentence)
        kept = self._cache.get(key) if self._cache is not None else None
        self._characters += len(sentence)
        self._cached += kept is not None
        pieces: list[Spoken] = []
        try:
            async with contextlib.aclosing(_again(kept) if kept else self._synthesize(sentence)) as speech:
                async for piece in speech:
                    if not pieces:
                        self._begin(sentence, piece)
                    else:
                        self._say(piece)
                    pieces.append(piece)
        except NotNowError as error:
            self._give(SpeechError("tts", str(error), 503))
        except Exception as error:  # A provider's failure is an answer, and ends this sentence alone.
            logger.warning("a provider failed to speak", extra={"provider": self._provider}, exc_info=True)
            self._give(SpeechError("tts", f"{self._provider}: {error}", 500))
        else:
            if pieces:
                self._give(TtsAudio(b"", pieces[-1].sample_rate, None, last=True))
            if self._cache is not None and kept is None and pieces:
                self._cache.put(key, tuple(pieces))

    def _begin(self, sentence: str, piece: Spoken) -> None:
        """Tell the first piece of a sentence, after a pause where something was said before."""
        pause = int(self._pause_s * piece.sample_rate)
        self._sentence_s = self._spoken_s + pause / piece.sample_rate
        text = self._shown(sentence)
        self._say(Spoken(bytes(2 * pause) + piece.pcm, piece.sample_rate, piece.words), text)
        self._pause_s = PAUSE_S if closed(text) else BREATH_S

    def _say(self, piece: Spoken, sentence: str | None = None) -> None:
        if piece.pcm or sentence is not None:
            self._give(TtsAudio(piece.pcm, piece.sample_rate, sentence))
            seconds = _seconds(piece.pcm, piece.sample_rate)
            self._ahead_s += seconds
            self._spoken_s += seconds
        for word, offset_ms in piece.words:
            self._give(TtsMark(word, round(self._sentence_s * 1000) + offset_ms))
        if not self._heard and piece.pcm:
            self._heard = True
            self._measure("ttfb")

    def _finish(self) -> None:
        if self._heard:
            self._measure("completed")
        self._give(TtsDone(round(self._spoken_s * 1000)))

    def _measure(self, what: str) -> None:
        began = self._clock() if self._began is None else self._began
        data: dict[str, object] = {
            "characters": self._characters,
            "audioMs": round(self._spoken_s * 1000),
            "cached": self._cached,
        }
        elapsed_ms = round((self._clock() - began) * 1000)
        self._give(SpeechMetric(f"{what}.tts.{self._provider}", elapsed_ms, data))


async def _again(pieces: Sequence[Spoken]) -> AsyncGenerator[Spoken, None]:
    """Yield what was spoken before."""
    for piece in pieces:
        yield piece


def _seconds(pcm: bytes, sample_rate: int) -> float:
    return len(pcm) / 2 / sample_rate
