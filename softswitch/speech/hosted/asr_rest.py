"""Recognition by HTTP: each utterance is one request."""

import asyncio
import contextlib
import logging
from collections import deque

import numpy as np

from softswitch.audio import pcm as pcm16
from softswitch.audio.pcm import Pcm
from softswitch.egress import SWITCH, Asker, EgressError, EgressPool
from softswitch.errors import SoftswitchError
from softswitch.speech.endpointer import FRAME, RATE, Endpointer
from softswitch.speech.frames import FrameCutter
from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.asr_base import HostedAsrStream, Opening
from softswitch.speech.hosted.errors import vendor_error
from softswitch.speech.hosted.wire import RestAsrProtocol, Unreadable

logger = logging.getLogger(__name__)

PAUSE_MS = 800
"""Silence that ends an utterance where `finalize` is not called."""
LONGEST_S = 30.0
"""An utterance is cut here."""
MAX_WAITING = 3
"""Utterances that wait for the answer before them; of more, the oldest is dropped."""
MAX_BODY = 1_000_000
ATTEMPTS = 2


class RestAsrStream(HostedAsrStream):
    """Recognition of whole utterances; there are no deltas."""

    def __init__(
        self,
        opening: Opening,
        access: Access,
        protocol: RestAsrProtocol,
        pool: EgressPool,
        asker: Asker = SWITCH,
    ) -> None:
        """Begin to listen; needs a running loop.

        Args:
            opening: what it is opened with.
            access: the provider.
            protocol: makes the requests; its rate must be 16 kHz.
            pool: sends them.
            asker: the call.
        """
        super().__init__(opening, RATE)
        self._access = access
        self._protocol = protocol
        self._pool = pool
        self._asker = asker
        self._endpointer = Endpointer(PAUSE_MS, LONGEST_S)
        self._frames = FrameCutter(opening.sample_rate)
        self._samples = 0
        self._current: list[Pcm] = []
        self._start_ms = 0.0
        self._waiting: deque[tuple[float, float, bytes, float]] = deque()
        self._to_do = asyncio.Event()
        # Owned by the stream, which cancels it; its failures become outputs, so that nothing is lost with it.
        self._worker = asyncio.get_running_loop().create_task(self._work())

    def push(self, pcm: bytes) -> None:
        """Take PCM16 at the stream's rate."""
        if self._outputs.ended:
            return
        for frame in self._frames.push(pcm):
            self._hear(frame)

    def finalize(self) -> None:
        """Send the utterance that goes on."""
        self._endpointer.end()
        self._end_utterance()

    def close(self) -> None:
        """Stop at once."""
        self._outputs.close()
        self._release()
        self._worker.cancel()

    def _hear(self, frame: Pcm) -> None:
        self._samples += FRAME
        piece = self._endpointer.push(frame)
        if piece is None:
            return
        if not self._current:
            self._start_ms = (self._samples - piece.size) * 1000 / RATE
        self._current.append(piece)
        if not self._endpointer.speaking:
            self._end_utterance()

    def _end_utterance(self) -> None:
        if not self._current:
            return
        audio = pcm16.to_bytes(np.concatenate(self._current))
        self._current.clear()
        if len(self._waiting) >= MAX_WAITING:
            _, _, dropped, _ = self._waiting.popleft()
            self._counters.dropped_ms += len(dropped) // (2 * RATE // 1000)
        length_ms = len(audio) * 1000 / (2 * RATE)
        self._waiting.append((self._start_ms, length_ms, audio, self._clock()))
        self._to_do.set()

    async def _work(self) -> None:
        try:
            while True:
                while not self._waiting:
                    self._to_do.clear()
                    await self._to_do.wait()
                start_ms, length_ms, audio, ended = self._waiting.popleft()
                self._began = self._ended = ended
                self._used(length_ms)
                try:
                    text = await self._recognise(audio)
                except SoftswitchError as error:
                    self._fail(str(error), getattr(error, "code", 502))
                    return
                self._tell(text, round(start_ms), round(start_ms + length_ms), None, final=True)
        finally:
            self._release()
            self._outputs.end()

    async def _recognise(self, audio: bytes) -> str:
        """Return the text of an utterance; a connection that breaks is tried once more."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with asyncio.timeout(self._opening.patience_s):
                    return await self._ask(audio)
            except EgressError as error:
                if attempt == ATTEMPTS:
                    raise vendor_error(self._access, 0, str(error)) from None
                self._counters.reconnects += 1
            except TimeoutError:
                raise vendor_error(
                    self._access, 504, f"no text within {self._opening.patience_s:g} s"
                ) from None
        raise AssertionError

    async def _ask(self, audio: bytes) -> str:
        request = self._protocol.request(audio)
        async with contextlib.AsyncExitStack() as stack:
            answer = await stack.enter_async_context(
                self._pool.request(
                    request.url,
                    headers=request.headers,
                    body=request.body,
                    trusted=self._access.trusted,
                    timeout_s=self._opening.patience_s,
                    asker=self._asker,
                )
            )
            body = await answer.read(MAX_BODY)
        if answer.status != 200:
            raise vendor_error(self._access, answer.status, body.decode("utf-8", "replace"))
        heard = self._protocol.receive(body)
        if isinstance(heard, Unreadable):
            self._counters.unreadable += 1
            raise vendor_error(self._access, 502, "the answer has no text")
        return heard.text
