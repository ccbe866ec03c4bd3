"""Interfaces between a vendor's protocol (pure: messages in, events out) and the streams that carry it.

A protocol object belongs to one connection. It reads no clock, makes no ids and does no I/O: all three are
given to it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

Message = str | bytes
"""A text or binary message of a WebSocket; bytes alone over TCP."""

NewId = Callable[[], str]
"""Makes an id that no other has: 32 hexadecimal digits."""

Now = Callable[[], float]
"""Returns epoch seconds."""


class Endpoint(msgspec.Struct, frozen=True):
    """A connection to open."""

    url: str
    """ws, wss or tcp."""
    headers: dict[str, str] = {}
    protocols: tuple[str, ...] = ()


class HttpRequest(msgspec.Struct, frozen=True):
    """A request to send."""

    url: str
    body: bytes
    headers: dict[str, str] = {}


# --- events -------------------------------------------------------------------------


class Ready(msgspec.Struct, frozen=True):
    """The vendor takes audio or text from now on."""


class Heard(msgspec.Struct, frozen=True):
    """What an utterance says, so far or in the end."""

    text: str
    final: bool = False
    start_ms: int | None = None
    """In the audio sent over this connection; None: the vendor does not say."""
    end_ms: int | None = None
    confidence: float | None = None


class Turned(msgspec.Struct, frozen=True):
    """The vendor holds the turn of the speaker to be over."""

    probability: float
    """0 to 1."""
    end_ms: int | None = None
    """In the audio sent over this connection."""


class Flushed(msgspec.Struct, frozen=True):
    """All audio before the last `finalize` is dealt with."""


class Audio(msgspec.Struct, frozen=True):
    """A piece of speech."""

    pcm: bytes
    """PCM16 little-endian mono, at the rate of the protocol object."""
    sample_rate: int = 0
    """Hz; 0: the rate of the protocol object."""


class Words(msgspec.Struct, frozen=True):
    """Where words begin, in milliseconds from the beginning of the text that is spoken."""

    words: tuple[tuple[str, int], ...]


class Done(msgspec.Struct, frozen=True):
    """The text is spoken to its end."""


class Failed(msgspec.Struct, frozen=True):
    """The vendor reports an error; the connection is of no further use."""

    error: str
    code: int = 502
    """As in HTTP: 401 key, 429 busy, 400 parameter."""


class Unreadable(msgspec.Struct, frozen=True):
    """A message that is not of this protocol; it is counted and ignored."""


AsrEvent = Ready | Heard | Turned | Flushed | Failed | Unreadable
TtsEvent = Ready | Audio | Words | Done | Failed | Unreadable


# --- protocols ----------------------------------------------------------------------


class AsrProtocol(Protocol):
    """Recognition over one connection."""

    rate: int
    """Sample rate of the audio to send, Hz."""
    piece_ms: int
    """Audio in one message."""
    realtime: bool
    """Whether audio must not be sent faster than it is spoken."""
    awaits_ready: bool
    """Whether audio may be sent only after :class:`Ready`."""
    answers_finalize: bool
    """Whether each `finalize` is followed by a final text or :class:`Flushed`, silence included."""
    tail_ms: int
    """Silence to send after the last audio so that the vendor finds the end; 0: `finalize` is enough."""
    one_shot: bool
    """Whether the connection ends with the utterance."""
    keep_alive_s: float
    """Seconds without audio after which :meth:`keep_alive` is sent; 0: never."""

    def endpoint(self) -> Endpoint:
        """Return what to connect to."""

    def hello(self) -> Sequence[Message]:
        """Return the first messages."""

    def audio(self, pcm: bytes) -> Sequence[Message]:
        """Return the messages that carry a piece of audio."""

    def finalize(self) -> Sequence[Message]:
        """Return the messages that ask for the final text of what was sent."""

    def keep_alive(self) -> Sequence[Message]:
        """Return the messages that keep an idle connection open; they may be audio of `piece_ms`."""

    def bye(self) -> Sequence[Message]:
        """Return the messages that end the session."""

    def receive(self, message: Message) -> Sequence[AsrEvent]:
        """Read a message of the vendor."""

    def closed(self, *, clean: bool) -> Sequence[AsrEvent]:
        """Return what the end of the connection means for what was sent.

        Args:
            clean: whether the vendor closed it on purpose.
        """


class TtsProtocol(Protocol):
    """Synthesis over one connection, one text after another."""

    rate: int
    """Sample rate of the audio that comes, Hz."""
    awaits_ready: bool
    """Whether text may be sent only after :class:`Ready`."""
    reusable: bool
    """Whether further texts may follow on the same connection."""

    def endpoint(self) -> Endpoint:
        """Return what to connect to."""

    def hello(self) -> Sequence[Message]:
        """Return the first messages."""

    def speak(self, text: str) -> Sequence[Message]:
        """Return the messages that have a text spoken to its end."""

    def renew(self) -> Sequence[Message]:
        """Return the messages between two texts; with `awaits_ready`, :class:`Ready` follows them."""

    def cancel(self) -> Sequence[Message]:
        """Return the messages that stop what is being spoken; the connection is closed after them."""

    def receive(self, message: Message) -> Sequence[TtsEvent]:
        """Read a message of the vendor."""


class RestAsrProtocol(Protocol):
    """Recognition of whole utterances by HTTP."""

    rate: int

    def request(self, pcm: bytes) -> HttpRequest:
        """Return the request for an utterance (PCM16 at `rate`)."""

    def receive(self, body: bytes) -> Heard | Unreadable:
        """Read the body of a successful answer."""


class RestTtsProtocol(Protocol):
    """Synthesis by HTTP, a request for each text."""

    rate: int

    def request(self, text: str) -> HttpRequest:
        """Return the request for a text."""

    def decode(self, chunk: bytes, *, last: bool) -> bytes:
        """Take a piece of the body of a successful answer; return the PCM16 that is known by now.

        Raises:
            ValueError: the body is not audio.
        """


# --- reading JSON -------------------------------------------------------------------

MOST_NUMBER = 1e12

_decoder = msgspec.json.Decoder()


def read_json(message: Message) -> dict[str, Any] | None:
    """Return the object of a JSON message; None where it is anything else."""
    try:
        found = _decoder.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def text_of(found: dict[str, Any], *path: str) -> str:
    """Return a text inside nested objects; empty where it is not there."""
    value = at(found, *path)
    return value if isinstance(value, str) else ""


def number_of(found: dict[str, Any], *path: str) -> float | None:
    """Return a number inside nested objects; None where it is not there or is beyond all times and codes."""
    return as_number(at(found, *path))


def as_number(value: object) -> float | None:
    """Return a value as a number; None where it is not one or is beyond all times and codes."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -MOST_NUMBER < value < MOST_NUMBER else None


def at(found: Any, *path: str) -> Any:
    """Return what lies inside nested objects; None where it is not there."""
    for name in path:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def objects(found: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list; nothing where it is no list."""
    if isinstance(found, list):
        yield from (one for one in found if isinstance(one, dict))


def to_json(value: object) -> str:
    """Return a value as a JSON text."""
    return msgspec.json.encode(value).decode()


def milliseconds(seconds: float | None) -> int | None:
    """Return seconds as whole milliseconds; None stays None."""
    return None if seconds is None else round(seconds * 1000)
