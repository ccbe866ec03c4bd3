"""A speech provider that beeps once for each word: a small one that does all a provider has to do."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np

from softswitch.speech.provider import Setup, SpeechError, TtsAudio, TtsDone, TtsOptions, TtsOutput

RATE = 16000
BEEP_MS = 120
MAX_WORDS = 10_000
"""Words that wait at most; a provider bounds whatever it keeps."""


class BeeperStream:
    """One stream: text in, beeps out, in order."""

    def __init__(self, options: TtsOptions) -> None:
        self.warnings: Sequence[str] = () if not options.voice else (f"voice {options.voice!r} is unknown",)
        self._volume = min(max(options.volume, 0.0), 2.0)
        self._words: asyncio.Queue[str | None] = asyncio.Queue()
        self._rest = ""
        self._refused = 0

    def push_text(self, text: str) -> None:
        """Take more text; a word is spoken once the space behind it has come."""
        *words, self._rest = (self._rest + text).split(" ")
        for word in words:
            self._put(word)

    def flush(self) -> None:
        """Speak the last word; no text follows."""
        self._put(self._rest)
        self._words.put_nowait(None)

    def cancel(self) -> None:
        """Stop at once."""
        while not self._words.empty():
            self._words.get_nowait()
        self._words.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[TtsOutput]:
        """Yield a beep for each word, and `TtsDone` at the end."""
        beep = 8000 * self._volume * np.sin(2 * np.pi * 440 * np.arange(RATE * BEEP_MS // 1000) / RATE)
        pcm = np.pad(beep, (0, RATE // 20)).clip(-32768, 32767).astype("<i2").tobytes()
        duration_ms = 0
        while (word := await self._words.get()) is not None:
            yield TtsAudio(pcm, RATE, text=word, last=True)
            duration_ms += BEEP_MS + 50
        if self._refused:
            yield SpeechError("tts", f"{self._refused} words were dropped", 413)
        yield TtsDone(duration_ms)

    def _put(self, word: str) -> None:
        if word and self._words.qsize() < MAX_WORDS:
            self._words.put_nowait(word)
        elif word:
            self._refused += 1


class Beeper:
    """The provider: one for all calls of the switch."""

    name = "beeper"

    async def open(self, options: TtsOptions) -> BeeperStream:
        """Open a stream for one playback."""
        return BeeperStream(options)

    def voices(self) -> Sequence[str]:
        """Return no voices: there is one beep only."""
        return ()

    async def close(self) -> None:
        """Close nothing: no connection is kept."""


def make(setup: Setup) -> Beeper:
    """Return the provider; called when the first call asks for it."""
    return Beeper()
