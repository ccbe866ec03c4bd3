"""What a provider of speech is: the options it takes, the streams it opens, what these yield.

A stream is fed by calls that never block and read by ``async for``. Whatever goes wrong inside one is yielded
as a :class:`SpeechError`; only opening may raise. Times are milliseconds from the stream's own first sample.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from softswitch.audio.pcm import Indices, Pcm
from softswitch.errors import NotNowError, UnavailableError


class SpeechUnavailableError(UnavailableError):
    """Say that a provider cannot work on this host, and what is missing."""


class SpeechBusyError(NotNowError):
    """Say that a provider has as much to do as it is allowed to."""


# --- speaking -------------------------------------------------------------------


class TtsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How text is to be spoken."""

    provider: str = ""
    """Name under which the provider was found."""
    voice: str = ""
    """The provider's own name of a voice; empty: its choice."""
    language: str = ""
    """BCP 47; empty: by the voice, else by the script of the text."""
    rate: float = 1.0
    """Speed, 1 is the voice's own; providers clip it to what they can."""
    pitch: float = 1.0
    """Factor on the voice's own pitch."""
    volume: float = 1.0
    """Factor on the samples."""
    sample_rate: int = 0
    """A wish, Hz; 0: the provider's own. What comes says its rate."""
    extra: dict[str, object] = {}
    """What only this provider understands: keys, models ..."""


class TtsAudio(msgspec.Struct, frozen=True):
    """A piece of speech."""

    pcm: bytes
    """PCM16 little-endian mono."""
    sample_rate: int
    """Hz."""
    text: str | None = None
    """The sentence that begins with this piece; None inside a sentence."""
    last: bool = False
    """Whether the sentence ends with this piece (which may then be empty): a good place to stop."""


class TtsMark(msgspec.Struct, frozen=True):
    """Where a word begins."""

    text: str
    offset_ms: int
    """In the stream's audio."""


class TtsDone(msgspec.Struct, frozen=True):
    """Everything pushed has been spoken; the last thing a stream yields."""

    duration_ms: int


class SpeechMetric(msgspec.Struct, frozen=True):
    """A measurement worth an event."""

    key: str
    """``ttfb.tts.builtin``, ``completion.asr.builtin`` ..."""
    duration_ms: int
    data: dict[str, object] = {}


class SpeechError(msgspec.Struct, frozen=True):
    """Something failed; the call goes on."""

    sender: Literal["asr", "tts"]
    error: str
    code: int = 500
    """As in HTTP: 500 failed, 503 busy, 413 too much."""


TtsOutput = TtsAudio | TtsMark | TtsDone | SpeechMetric | SpeechError


class TtsStream(Protocol):
    """Text in, speech out, in order."""

    warnings: Sequence[str]
    """What was asked for and could not be had; known once the stream is open."""

    def push_text(self, text: str) -> None:
        """Take more text; sentences are spoken as soon as they are whole."""

    def flush(self) -> None:
        """Speak what is held back; no text follows, and :class:`TtsDone` will."""

    def cancel(self) -> None:
        """Stop at once and free what works for this stream; the iteration ends."""

    def __aiter__(self) -> AsyncIterator[TtsOutput]:
        """Yield what is spoken; a slow reader slows the synthesis down."""


class Tts(Protocol):
    """Something that speaks."""

    name: str

    async def open(self, options: TtsOptions) -> TtsStream:
        """Open a stream.

        Raises:
            SoftswitchError: it cannot be opened here and now.
        """

    def voices(self) -> Sequence[str]:
        """Return the names of the voices known without asking anybody."""

    async def close(self) -> None:
        """Let everything go."""


# --- listening ------------------------------------------------------------------


class AsrOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How speech is to be recognised."""

    provider: str = ""
    language: str = ""
    model: str = ""
    sample_rate: int = 16000
    """Of the audio that will be pushed, Hz."""
    grammar: str | tuple[str, ...] = ""
    """``digits``, ``yes/no``, ``free`` (the same as empty), or the phrases that may be said."""
    hotwords: tuple[str, ...] = ()
    """Words to expect in free speech."""
    extra: dict[str, object] = {}


class AsrDelta(msgspec.Struct, frozen=True):
    """What an utterance seems to say so far."""

    index: int
    """Of the utterance, from 0; a final has the index of its deltas."""
    text: str
    start_ms: int
    """In the audio pushed so far."""
    end_ms: int
    confidence: float | None = None


class AsrFinal(AsrDelta, frozen=True):
    """What an utterance said."""


AsrOutput = AsrDelta | AsrFinal | SpeechMetric | SpeechError


class AsrStream(Protocol):
    """Speech in, text out."""

    warnings: Sequence[str]
    """What was asked for and could not be had; known once the stream is open."""

    def push(self, pcm: bytes) -> None:
        """Take PCM16 little-endian mono; never blocks, drops the oldest where it must and counts it."""

    def finalize(self) -> None:
        """Note that the speaker fell silent: the final is wanted now."""

    def close(self) -> None:
        """Stop at once; the iteration ends."""

    def __aiter__(self) -> AsyncIterator[AsrOutput]:
        """Yield what is understood."""


class Asr(Protocol):
    """Something that listens."""

    name: str

    async def open(self, options: AsrOptions) -> AsrStream:
        """Open a stream.

        Raises:
            SoftswitchError: it cannot be opened here and now.
        """

    async def close(self) -> None:
        """Let everything go."""


# --- telling speech from noise --------------------------------------------------


class VadBank(Protocol):
    """A detector of speech for many slots; the media engine asks for the same."""

    rate: int
    """Sample rate it wants, Hz."""

    def grow(self, slots: int) -> None:
        """Make room for slots 0 to `slots` - 1."""

    def reset(self, slots: Indices) -> None:
        """Forget what `slots` sounded like."""

    def push(self, pcm: Pcm, slots: Indices) -> NDArray[np.float32]:
        """Return the probability that each row is speech, ``(n,)``, 0 to 1.

        Args:
            pcm: ``(n, samples of 20 ms)`` float32 in PCM16 units.
            slots: rows of the state, each at most once.
        """
