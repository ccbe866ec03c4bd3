"""Interface between the client of a stream and the dialect that its service speaks.

A stream carries the audio of a call to an outside service over a WebSocket that the switch dials. The client
(:mod:`.client`) owns the connection: dialling, egress rules, pacing, bounds, marks, reconnection and
counters. A dialect owns the words: what is sent at each occasion, and what a received message means. It does
no I/O and reads no clock; the time is an argument.

Adding a dialect touches three files: a module with a :class:`StreamSession` and a :class:`StreamDialect`, its
line in `softswitch/dialects/streams/__init__.py`, and its test.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import msgspec

from softswitch.call.interfaces import Numbers, PlaybackStatus, StreamRequest
from softswitch.call.vocabulary.stream_words import FromService, ToolResult
from softswitch.call.vocabulary.values import StreamTrack

Encoding = Literal["pcm16", "pcmu", "pcma"]
"""PCM16 little endian, G.711 µ-law or G.711 A-law; always mono."""

Messages = Sequence[bytes]
"""Text messages to be sent, UTF-8, in order."""


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Encoding and sample rate of one direction of a stream."""

    encoding: Encoding = "pcm16"
    sample_rate: int = 24000
    """Hz; 8000 where the encoding is G.711."""


@dataclass(frozen=True, slots=True)
class StreamTraits:
    """Properties of a dialect that decide how the client treats its streams."""

    sends: AudioFormat = AudioFormat()
    """Audio that :meth:`StreamSession.media` is given."""
    receives: AudioFormat = AudioFormat()
    """Audio of :class:`Audio` values that name no format of their own."""
    frame_ms: int = 20
    """Duration of the audio in one media message; a multiple of 20."""
    binary_media: bool = False
    """Whether media messages are binary; all other messages are text."""
    takes_binary: bool = False
    """Whether the service may send binary messages; if not, they are counted and dropped."""
    acknowledges_marks: bool = True
    """Whether the service is told that a mark was played or cleared."""
    reconnects: bool = False
    """Whether the protocol knows a second connection of the same stream."""
    awaits_ready: bool = False
    """Whether no audio may be sent before the service was :class:`Ready`."""
    follows_speech: bool = False
    """Whether the service is told when the party begins and ends to speak; the switch detects it."""
    follows_playback: bool = False
    """Whether the service is told when its audio begins, runs out or is cleared."""
    keepalive_s: float = 0.0
    """Seconds between two calls of :meth:`StreamSession.keepalive`; 0: it is never called."""
    farewell_s: float = 0.0
    """Longest wait, after :meth:`StreamSession.stop`, for the service's :class:`Close`; 0: no wait."""


# --- handshake ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to open the WebSocket: the values that a signature needs."""

    epoch_s: int
    """Moment of the attempt, epoch seconds."""
    nonce: str
    """A random text of 32 hexadecimal digits, new for each attempt."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """Additions of a dialect to the HTTP request that opens the WebSocket."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Signature, credentials, ids; they replace headers of the request that have the same name."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Query parameters added to the URL; host and path cannot be changed."""
    subprotocols: tuple[str, ...] = ()
    """Sub-protocols to offer, the preferred one first (RFC 6455 section 1.9)."""


# --- what a received message means ----------------------------------------------------


class Audio(msgspec.Struct, frozen=True):
    """Audio to be played into the call, behind what is queued."""

    data: bytes
    """Any number of bytes."""
    format: AudioFormat | None = None
    """None: as the traits say."""


class PlaceMark(msgspec.Struct, frozen=True):
    """Request to be told when everything queued so far was heard or cleared."""

    name: str


class Clear(msgspec.Struct, frozen=True):
    """Request to drop the audio that is queued."""


class HangUp(msgspec.Struct, frozen=True):
    """Request to end the call."""

    drain: bool = False
    """Whether what the service has said is heard before."""


class Ready(msgspec.Struct, frozen=True):
    """The service takes audio from now on: at first (``awaits_ready``) or again after a pause."""


class Pause(msgspec.Struct, frozen=True):
    """The service takes no audio until it is :class:`Ready` again."""


class Reply(msgspec.Struct, frozen=True):
    """A text message that has to be sent back at once: a pong, an acknowledgement, an error."""

    message: bytes


class Close(msgspec.Struct, frozen=True):
    """The service has ended the stream by a message; the client closes the WebSocket."""

    reason: str
    """For the operator."""
    code: int = 1000
    """Close code (RFC 6455 section 7.4)."""


class Misdirected(msgspec.Struct, frozen=True):
    """A message for another stream; it is counted and dropped."""


class Complaint(msgspec.Struct, frozen=True):
    """An error that the service reports; it is logged once for each stream."""

    text: str


StreamValue = (
    Audio | PlaceMark | Clear | HangUp | Ready | Pause | Reply | Close | Misdirected | Complaint | FromService
)
"""Everything that a received message can mean; texts and tool calls are told to the call."""

Values = Sequence[StreamValue]


# --- media messages that compiled code writes -----------------------------------------------


class MediaWords(NamedTuple):
    """Text of the media messages of a track."""

    words: bytes
    """The text, with the octets below where values stand."""
    step: int
    """Time of a frame in the unit of the dialect's times."""


TIME, NUMBER, PAYLOAD, STAMP, CHUNK = b"\1", b"\2", b"\3", b"\4", b"\5"
"""Where stand: the moment of sending (RFC 3339, with milliseconds), the number of the message, the audio in
base64, its time, and its number among media messages. No JSON has these octets."""


# --- the dialect ----------------------------------------------------------------------


class StreamSession(ABC):
    """One stream in its dialect: builds the messages to the service and reads those of the service.

    It lives as long as the stream, across connections. Occasions at which a dialect sends nothing keep the
    methods of this class. ``now_ms`` is always epoch milliseconds.
    """

    traits: StreamTraits
    """Fixed for the life of the session."""

    def handshake(self, attempt: Attempt) -> Handshake:
        """Return what is added to the request that opens the WebSocket."""
        return Handshake()

    def opened(self, now_ms: int) -> Messages:
        """Return the first messages of a connection; called once for each connection."""
        return ()

    @abstractmethod
    def media(self, track: StreamTrack, frame: int, audio: bytes, now_ms: int) -> bytes:
        """Return one media message, text or binary as the traits say; empty: nothing is sent.

        Args:
            track: The audio's direction.
            frame: Number of this frame in the track, from 0; frames that were not sent are counted too.
            audio: ``frame_ms`` of audio in the format ``sends``.
            now_ms: Epoch milliseconds.
        """

    def media_words(self, track: StreamTrack) -> MediaWords | None:
        """Return how media messages are written, where compiled code may write and read them (docs/adr/0054).

        It then reads text messages that are ``{"event":"media","media":{"payload":…}}``, with base64 of PCM16
        at 24 kHz, as :class:`Audio`, also with the id of the stream in ``stream_id``.
        """
        return None

    def count_with(self, numbers: Numbers) -> None:  # noqa: B027  (most dialects need none)
        """Number messages in another place from now on; only where there are :meth:`media_words`."""

    def mark(self, name: str, cleared: bool, now_ms: int) -> Messages:
        """Return the acknowledgement of a mark: it was played, or its audio was cleared."""
        return ()

    def heard(self, name: str, cleared: bool, now_ms: int) -> Values:
        """Return what the passing of a mark means for the call; called after :meth:`mark`."""
        return ()

    def dtmf(self, digit: str, now_ms: int) -> Messages:
        """Return the report of a key that the party pressed."""
        return ()

    def playback(self, status: PlaybackStatus, played_ms: int | None, now_ms: int) -> Messages:
        """Return the report of the playback of the service's audio; only with ``follows_playback``.

        Args:
            status: What happened to the playback.
            played_ms: Audio that was heard since the stream began, milliseconds, where the playback was
                cleared; None otherwise.
            now_ms: Epoch milliseconds.
        """
        return ()

    def cut(self, played_ms: int, now_ms: int) -> Values:
        """Return what a cleared playback means for the call; called before :meth:`playback`.

        Args:
            played_ms: Audio that was heard since the stream began, milliseconds.
            now_ms: Epoch milliseconds.
        """
        return ()

    def ended(self, now_ms: int) -> Values:
        """Return what is left to do when the service, and not the switch, has ended the connection."""
        return ()

    def speech(self, speaking: bool, now_ms: int) -> Values:
        """Return what follows from speech of the party; only with ``follows_speech``."""
        return ()

    def tool_result(self, result: ToolResult, now_ms: int) -> Messages:
        """Return the answer to a tool call of the service."""
        return ()

    def keepalive(self, now_ms: int) -> Messages:
        """Return the messages that are due every ``keepalive_s`` seconds."""
        return ()

    def stop(self, now_ms: int) -> Messages:
        """Return the last messages of the stream."""
        return ()

    def unreadable(self, reason: str, now_ms: int) -> Messages:
        """Return the report of a message of the service that could not be read; ``reason`` says why."""
        return ()

    def read_text(self, data: bytes, now_ms: int) -> Values:
        """Return what a text message means.

        Raises:
            MalformedError: The message cannot be read; the client counts it and goes on.
        """
        return ()

    def read_binary(self, data: bytes, now_ms: int) -> Values:
        """Return what a binary message means; only with ``takes_binary``.

        Raises:
            MalformedError: The message cannot be read; the client counts it and goes on.
        """
        return ()


class StreamDialect(Protocol):
    """A dialect with its settings; it makes the sessions of its streams."""

    def open(self, request: StreamRequest) -> StreamSession:
        """Return the session of a new stream.

        Raises:
            MalformedError: The dialect cannot carry what is requested; the text names the field.
        """


StreamDialects = Mapping[str, StreamDialect]
"""The dialects of a process, by the name that `StreamRequest.protocol` has."""
