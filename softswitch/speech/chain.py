"""Streams over a chain of providers: where one fails in the middle, the next one goes on."""

from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, Protocol, TypeVar

import msgspec

from softswitch.speech.interface import (
    AsrDelta,
    AsrFinal,
    AsrOutput,
    AsrStream,
    AsrTurn,
    SpeechError,
    SpeechSwitched,
    TtsAudio,
    TtsDone,
    TtsMark,
    TtsOutput,
    TtsStream,
)

MAX_REPLAY_S = 20.0
"""Audio kept for the next provider: that of an utterance whose final text has not come."""

Stream = TypeVar("Stream", TtsStream, AsrStream)


class Next(msgspec.Struct, Generic[Stream], frozen=True):
    """The provider that takes over."""

    provider: str
    stream: Stream
    warnings: tuple[str, ...] = ()


class Successors(Protocol[Stream]):
    """The rest of a chain."""

    async def follow(self, failed: str, error: str) -> Next[Stream] | None:
        """Open the next provider, given the one that failed and why; None: no other one works."""

    def worked(self, provider: str) -> None:
        """Note that a provider gave a result."""


class TtsChain:
    """A :class:`TtsStream` that goes on with the next provider; a sentence that broke off is said again."""

    def __init__(self, provider: str, stream: TtsStream, successors: Successors[TtsStream]) -> None:
        self.warnings = stream.warnings
        self._provider = provider
        self._stream = stream
        self._successors = successors
        self._text = ""
        """What was pushed and is not yet spoken to the end of a sentence."""
        self._sentence = ""
        self._spoken_ms = 0.0
        self._base_ms = 0.0
        self._flushed = False
        self._cancelled = False

    def push_text(self, text: str) -> None:
        """Take more text."""
        if not self._flushed:
            self._text += text
        self._stream.push_text(text)

    def flush(self) -> None:
        """Speak what is held back; no text follows."""
        self._flushed = True
        self._stream.flush()

    def cancel(self) -> None:
        """Stop at once."""
        self._cancelled = True
        self._stream.cancel()

    async def __aiter__(self) -> AsyncIterator[TtsOutput]:
        """Yield what is spoken."""
        while True:
            failure: SpeechError | None = None
            async for output in self._stream:
                match output:
                    case SpeechError():
                        failure = output
                        break
                    case TtsAudio():
                        self._follow(output)
                        yield output
                    case TtsMark():
                        yield TtsMark(output.text, round(output.offset_ms + self._base_ms))
                    case TtsDone():
                        yield TtsDone(round(self._spoken_ms))
                    case _:
                        yield output
            if failure is None or self._cancelled:
                return
            switched = await self._switch(failure)
            if switched is None:
                yield failure
                return
            yield switched

    def _follow(self, piece: TtsAudio) -> None:
        """Keep track of what is spoken."""
        self._spoken_ms += len(piece.pcm) * 500 / piece.sample_rate
        if piece.text is not None:
            self._sentence = piece.text
        if piece.last:
            self._successors.worked(self._provider)
        if piece.last and self._sentence:
            before, found, after = self._text.partition(self._sentence)
            # White space and markup may differ from what was pushed; then the text is left as it is.
            self._text = after if found and not before.strip() else self._text
            self._sentence = ""

    async def _switch(self, failure: SpeechError) -> SpeechSwitched | None:
        self._stream.cancel()
        following = await self._successors.follow(self._provider, failure.error)
        if following is None:
            return None
        if self._cancelled:
            following.stream.cancel()
            return None
        self._provider, self._stream = following.provider, following.stream
        self._base_ms = self._spoken_ms
        self._sentence = ""
        if self._text:
            self._stream.push_text(self._text)
        if self._flushed:
            self._stream.flush()
        return SpeechSwitched("tts", "; ".join(following.warnings), failure.code)


class AsrChain:
    """An :class:`AsrStream` that goes on with the next provider; an unfinished utterance is heard again."""

    def __init__(
        self, provider: str, stream: AsrStream, sample_rate: int, successors: Successors[AsrStream]
    ) -> None:
        self.warnings = stream.warnings
        self._provider = provider
        self._stream: AsrStream | None = stream
        self._successors = successors
        self._rate = sample_rate
        self._pushed_ms = 0.0
        self._kept: deque[tuple[float, bytes]] = deque()
        self._finalized = False
        self._base_ms = 0.0
        self._index_base = 0
        self._next_index = 0
        self._closed = False

    def push(self, pcm: bytes) -> None:
        """Take PCM16 little-endian mono."""
        self._finalized = False
        self._kept.append((self._pushed_ms, pcm))
        self._pushed_ms += len(pcm) * 500 / self._rate
        while self._pushed_ms - self._kept[0][0] > MAX_REPLAY_S * 1000:
            self._kept.popleft()
        if self._stream is not None:
            self._stream.push(pcm)

    def finalize(self) -> None:
        """Ask for the final text."""
        self._finalized = True
        if self._stream is not None:
            self._stream.finalize()

    def close(self) -> None:
        """Stop at once."""
        self._closed = True
        if self._stream is not None:
            self._stream.close()

    async def __aiter__(self) -> AsyncIterator[AsrOutput]:
        """Yield what is understood."""
        while self._stream is not None:
            held: SpeechError | None = None
            async for output in self._stream:
                if held is not None:
                    # The stream went on after this error, which therefore did not end it.
                    yield held
                    held = None
                match output:
                    case SpeechError():
                        held = output
                    case AsrDelta():
                        yield self._moved(output)
                    case AsrTurn():
                        yield AsrTurn(output.probability, round(output.end_ms + self._base_ms))
                    case _:
                        yield output
            if self._closed:
                return
            failure = held or SpeechError("asr", f"provider {self._provider!r} ended", 502)
            switched = await self._switch(failure)
            if switched is None:
                yield failure
                return
            yield switched

    def _moved(self, output: AsrDelta) -> AsrDelta:
        """Return a result with the times and the index of the chain's own stream."""
        index = output.index + self._index_base
        end_ms = round(output.end_ms + self._base_ms)
        self._next_index = max(self._next_index, index + isinstance(output, AsrFinal))
        if isinstance(output, AsrFinal):
            self._successors.worked(self._provider)
            while self._kept and self._kept[0][0] < end_ms:
                self._kept.popleft()
        return msgspec.structs.replace(
            output, index=index, start_ms=round(output.start_ms + self._base_ms), end_ms=end_ms
        )

    async def _switch(self, failure: SpeechError) -> SpeechSwitched | None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None
        following = await self._successors.follow(self._provider, failure.error)
        if following is None:
            return None
        if self._closed:
            following.stream.close()
            return None
        self._provider, self._stream = following.provider, following.stream
        self._base_ms = self._kept[0][0] if self._kept else self._pushed_ms
        self._index_base = self._next_index
        for _, pcm in self._kept:
            self._stream.push(pcm)
        if self._finalized and self._kept:
            self._stream.finalize()
        return SpeechSwitched("asr", "; ".join(following.warnings), failure.code)
