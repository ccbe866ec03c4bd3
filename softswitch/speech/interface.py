"""What a provider of speech is: the options it takes, the streams it opens, what these yield.

A stream is fed by calls that never block and read by ``async for``. Whatever goes wrong inside one is yielded
as a :class:`SpeechError`; only opening may raise. Times are milliseconds from the stream's own first sample.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Usage:
    """What one stream used of one provider, as vendors bill it."""

    characters: int = 0
    """Text given to be spoken."""
    seconds: float = 0.0
    """Audio given to be recognised."""


@dataclass(slots=True)
class Meter:
    """What one part of a call uses of hosted providers, by the name of the provider."""

    used: dict[str, Usage] = field(default_factory=dict)

    def of(self, provider: str) -> Usage:
        """Return what is counted for a provider."""
        return self.used.setdefault(provider, Usage())


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
    account: str = ""
    """Account of the call."""
    call: str = ""
    """Id of the call."""
    patience_s: float = 0.0
    """Seconds to the first audio of a sentence before it has failed; 0: as long as the provider likes."""
    meter: Meter | None = None
    """Counts what is used."""


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
    """``ttfb.tts.builtin``, ``completed.asr.deepgram`` ..."""
    duration_ms: int
    data: dict[str, object] = {}


class SpeechError(msgspec.Struct, frozen=True):
    """Something failed; the call goes on."""

    sender: Literal["asr", "tts"]
    error: str
    code: int = 500
    """As in HTTP: 500 failed, 503 busy, 413 too much."""


class SpeechSwitched(msgspec.Struct, frozen=True):
    """Another provider of the chain has taken over; what was begun goes on with it."""

    sender: Literal["asr", "tts"]
    error: str
    """Which provider failed, why, and which one takes its place."""
    code: int = 502


TtsOutput = TtsAudio | TtsMark | TtsDone | SpeechMetric | SpeechError | SpeechSwitched


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
        """Return the names of the voices known without asking a service."""

    async def close(self) -> None:
        """Let everything go."""


# --- listening ------------------------------------------------------------------


class Intent(msgspec.Struct, frozen=True):
    """Something that a caller may want, and how it may be said."""

    name: str
    phrases: tuple[str, ...]


class Grammar(msgspec.Struct, frozen=True):
    """What may be said; what fits none of it is rejected."""

    type: Literal["phrases", "spot", "intents", "digits"]
    """The whole utterance is one of the items; an item occurs in it; it means one of them; it is digits."""
    items: tuple[str | Intent, ...] = ()
    threshold: float = 0.5
    """Confidence from which on an utterance fits, 0 to 1."""


class AsrOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How speech is to be recognised."""

    provider: str = ""
    language: str = ""
    model: str = ""
    sample_rate: int = 16000
    """Of the audio that will be pushed, Hz."""
    grammar: str | tuple[str, ...] | Grammar = ""
    """``digits``, ``yes/no``, ``free`` (the same as empty), the phrases that may be said, or more of them."""
    hotwords: tuple[str, ...] = ()
    """Words to expect in free speech."""
    extra: dict[str, object] = {}
    """What only this provider understands: keys, models ..."""
    account: str = ""
    """Account of the call."""
    call: str = ""
    """Id of the call."""
    patience_s: float = 0.0
    """Seconds to the final text of an utterance before it has failed; 0: as long as the provider likes."""
    meter: Meter | None = None
    """Counts what is used."""


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

    rejected: bool = False
    """Whether it fits nothing of the grammar; the text is empty then."""
    match: str = ""
    """The item of the grammar that it fits: a phrase as it was given, or the name of an intent."""


class AsrTurn(msgspec.Struct, frozen=True):
    """A speaker has paused: the probability that the turn is over, judged by its sound."""

    probability: float
    """0 to 1."""
    end_ms: int
    """When the speech ended, in the audio pushed so far."""


AsrOutput = AsrDelta | AsrFinal | AsrTurn | SpeechMetric | SpeechError | SpeechSwitched


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
