"""Recognises utterances of a recording one after another, and finds out which side said what."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from softswitch.errors import UnavailableError
from softswitch.speech import provider as speech
from softswitch.speech.endpointer import RATE
from softswitch.switch.transcripts.utterances import Utterance

PIECE = RATE * 2 // 10
"""Bytes of 100 ms."""
LEAD_S = 4.0
"""Audio that a recogniser in real time gets ahead of it: hosted ones drop what waits beyond 10 s."""
FINAL_S = 6.0
"""Longest wait for the text of an utterance before the next one, in seconds. Noise has none."""
LAST_S = 20.0
"""Longest wait for texts that are missing at the end."""
TRIES = 3
BUSY_S = 2.0
"""Pause before an utterance is tried again, in seconds."""
MOST_SEGMENTS = 64


class Heard(NamedTuple):
    """A text of one side."""

    side: int
    start_ms: int
    """From the beginning of the recording."""
    end_ms: int
    text: str


class _Segment(NamedTuple):
    begin_ms: int
    """Where it begins in what was pushed."""
    utterance: Utterance


class Listener:
    """One recognition stream for both sides."""

    def __init__(
        self, stream: speech.AsrStream, *, realtime: bool, on_heard: Callable[[Heard], None]
    ) -> None:
        """Begin to read the stream; :meth:`close` ends that.

        Args:
            stream: Just opened, for PCM16 at 16 kHz.
            realtime: Whether audio is pushed at the speed at which it was spoken.
            on_heard: Takes each text.
        """
        self._stream = stream
        self._realtime = realtime
        self._on_heard = on_heard
        self._pushed = 0
        self._segments: deque[_Segment] = deque(maxlen=MOST_SEGMENTS)
        self._missing: set[int] = set()
        """Where utterances without a text begin in what was pushed, in milliseconds."""
        self._told = asyncio.Event()
        """Set when there is a text of the newest utterance, or an error."""
        self._busy = False
        self._fault = ""
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def hear(self, utterance: Utterance) -> None:
        """Recognise an utterance; its text comes to `on_heard`, now or while later ones are recognised.

        Raises:
            UnavailableError: The recogniser failed, or stayed busy.
        """
        for _ in range(TRIES):
            self._busy = False
            await self._push(utterance)
            await self._wait(FINAL_S)
            if not self._busy:
                return
            await asyncio.sleep(BUSY_S)
        raise UnavailableError(self._fault or "the recogniser is busy")

    async def finish(self) -> None:
        """Wait for texts that are missing, for a limited time."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LAST_S
        while self._missing and (left_s := until - loop.time()) > 0 and not self._reader.done():
            self._told.clear()
            await self._wait(left_s)

    async def close(self) -> None:
        """End the stream."""
        self._stream.close()
        self._reader.cancel()
        await asyncio.wait([self._reader])

    async def _push(self, utterance: Utterance) -> None:
        loop = asyncio.get_running_loop()
        begin_ms = self._pushed * 1000 // (2 * RATE)
        self._segments.append(_Segment(begin_ms, utterance))
        self._missing.add(begin_ms)
        self._told.clear()
        began = loop.time()
        for begin in range(0, len(utterance.pcm), PIECE):
            piece = utterance.pcm[begin : begin + PIECE]
            self._stream.push(piece)
            self._pushed += len(piece)
            ahead_s = begin / (2 * RATE) - (loop.time() - began) - LEAD_S
            await asyncio.sleep(max(0.0, ahead_s) if self._realtime else 0)
        self._stream.finalize()

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._told.wait()
        if self._reader.done() and not self._busy:
            raise UnavailableError(self._fault or "the recogniser has ended")

    async def _read(self) -> None:
        try:
            async for output in self._stream:
                match output:
                    case speech.AsrFinal():
                        self._tell(output)
                    case speech.SpeechError():
                        self._fault, self._busy = output.error, output.code == 503
                        self._missing.discard(self._segments[-1].begin_ms if self._segments else 0)
                        self._told.set()
        finally:
            self._told.set()

    def _tell(self, final: speech.AsrFinal) -> None:
        """Give a text with the side that was being pushed at its time."""
        middle = (final.start_ms + final.end_ms) // 2
        found = next((one for one in reversed(self._segments) if one.begin_ms <= middle), None)
        if found is None:
            return
        self._missing.discard(found.begin_ms)
        if found is self._segments[-1] or not self._missing:
            self._told.set()
        if not final.text:
            return
        shift = found.utterance.start_ms - found.begin_ms
        start = max(final.start_ms + shift, found.utterance.start_ms)
        end = min(max(final.end_ms + shift, start), found.utterance.end_ms)
        self._on_heard(Heard(found.utterance.side, start, end, final.text))
