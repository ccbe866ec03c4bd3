"""What a synthesiser in this process must be able to do, and the thread that it lives in."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import msgspec

from softswitch.speech.interface import SpeechBusyError
from softswitch.speech.lead_in import LeadIn, OnAudio
from softswitch.speech.phrases import Spoken

MAX_WAITING = 64
"""Sentences that may wait for one synthesiser; each takes some 20 ms."""


def ignore(_pcm: bytes, _rate: int) -> bool:
    """Want no audio."""
    return False


class Utterance(msgspec.Struct, frozen=True):
    """One sentence to be spoken."""

    text: str
    voice: str
    """One of the engine's own."""
    rate: float = 1.0
    pitch: float = 1.0


class VoiceEngine(Protocol):
    """A synthesiser with state of its own: only one thread may use it, one sentence at a time."""

    def speak(self, utterance: Utterance, on_audio: OnAudio) -> Sequence[tuple[str, int]]:
        """Speak, and return where the words begin, ms.

        Args:
            utterance: what to say.
            on_audio: is given the audio piece by piece; when it returns False the rest is not made.
        """


class VoiceThread:
    """The one thread in which an engine works; it takes sentences in the order in which they come.

    ctypes lets go of the interpreter's lock while the library works, so that the loop and the tick go on.
    """

    def __init__(self, name: str, load: Callable[[], VoiceEngine]) -> None:
        """Begin without the engine, which is loaded inside the thread when it is first needed."""
        self._load = load
        self._engine: VoiceEngine | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting = 0

    async def load(self) -> None:
        """Load the engine.

        Raises:
            SpeechUnavailableError: this host lacks it.
        """
        await asyncio.get_running_loop().run_in_executor(self._pool, self._loaded)

    def _loaded(self) -> VoiceEngine:
        if self._engine is None:
            self._engine = self._load()
        return self._engine

    async def speak(self, utterance: Utterance) -> AsyncGenerator[Spoken, None]:
        """Yield a sentence in pieces as they are made; closing the generator stops the engine.

        Raises:
            SpeechBusyError: too many sentences wait already.
        """
        if self._waiting >= MAX_WAITING:
            raise SpeechBusyError(f"busy: {self._waiting} sentences are waiting to be spoken")
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[Spoken | None] = asyncio.Queue()
        unwanted = threading.Event()

        def take(piece: Spoken | None) -> bool:
            try:
                loop.call_soon_threadsafe(pieces.put_nowait, piece)
            except RuntimeError:  # The loop has ended, and so has the wish.
                return False
            return not unwanted.is_set()

        def work() -> None:
            if not unwanted.is_set():
                rate = 0

                def on_audio(pcm: bytes, sample_rate: int) -> bool:
                    nonlocal rate
                    rate = sample_rate
                    return take(Spoken(pcm, sample_rate)) if pcm else not unwanted.is_set()

                lead_in = LeadIn(on_audio)
                words = self._loaded().speak(utterance, lead_in.take)
                if rate:
                    moved = ((word, max(begin_ms - lead_in.trimmed_ms, 0)) for word, begin_ms in words)
                    take(Spoken(b"", rate, tuple(moved)))

        self._waiting += 1
        job = loop.run_in_executor(self._pool, work)
        job.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
            await job
        finally:
            unwanted.set()
            job.cancel()
            self._waiting -= 1

    def close(self) -> None:
        """Let the thread end after the sentence it is at."""
        self._pool.shutdown(wait=False, cancel_futures=True)
