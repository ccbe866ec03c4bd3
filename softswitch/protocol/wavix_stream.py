"""Messages of a Wavix stream, in both directions; the AsyncAPI description is generated from them.

Used by :mod:`softswitch.dialects.wavix`. The source document is Wavix's call streaming AsyncAPI.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from pybase64 import b64decode

from softswitch.errors import MalformedError

StreamType = Literal["oneway", "twoway"]
Channel = Literal["inbound", "outbound", "both"]
Direction = Literal["inbound", "outbound"]
MarkStatus = Literal["played", "cleared"]

EventTime = Annotated[
    str, Meta(description="Moment of the event: ISO 8601, UTC.", examples=["2026-01-15T10:30:00.250Z"])
]
CallId = Annotated[str, Meta(description="The call's uuid, as REST and webhooks have it.")]
StreamId = Annotated[str, Meta(description="Id of the stream, as the start of the stream answered it.")]
Sequence = Annotated[
    int,
    Meta(
        ge=1, description="Counts every message of the stream but connected; a gap is audio that was dropped."
    ),
]
MarkName = Annotated[str, Meta(max_length=16_384, description="Name that the service gave the mark.")]


# --- from the switch ------------------------------------------------------------------


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    """Base of all messages to a service."""

    event_time: EventTime


class Connected(Message, frozen=True, kw_only=True, tag="connected"):
    """The socket is open: the first message, unnumbered."""


class MediaFormat(msgspec.Struct, frozen=True):
    """Format of the payloads."""

    encoding: str = "audio/pcm"
    sample_rate: int = 24000
    channels: int = 1


class Start(Message, frozen=True, kw_only=True, tag="start"):
    """The stream begins: the second message, before any audio."""

    call_id: CallId
    stream_id: StreamId
    stream_type: StreamType
    channel: Annotated[Channel, Meta(description="The channel that was requested.")]
    sequence_number: Sequence
    from_: Annotated[str | None, Meta(description="The caller; only with the extra `start`.")] = (
        msgspec.field(default=None, name="from")
    )
    to: Annotated[str | None, Meta(description="The callee; only with the extra `start`.")] = None
    direction: Annotated[
        Direction | None, Meta(description="Direction of the call; only with the extra `start`.")
    ] = None
    tag: Annotated[str | None, Meta(description="The call's tag; only with the extra `start`.")] = None
    media_format: Annotated[
        MediaFormat | None, Meta(description="Format of the payloads; only with the extra `start`.")
    ] = None
    buffer_ms: Annotated[
        int | None,
        Meta(
            description="Milliseconds of audio that the service may be ahead; audio beyond it is refused."
            " Two-way streams with the extra `start` only."
        ),
    ] = None


class StartExtra(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of `start` with the extra of that name."""

    from_: str = ""
    to: str = ""
    direction: Direction = "outbound"
    tag: str = ""
    buffer_ms: int | None = None


class MediaPart(msgspec.Struct, frozen=True, kw_only=True):
    """20 ms of the call's audio."""

    payload: Annotated[
        str, Meta(description="20 ms of PCM16, little endian, mono, 24 kHz (960 bytes), in base64.")
    ]
    track: Annotated[Direction, Meta(description="inbound: what the party says; outbound: what it hears.")]
    timestamp: Annotated[int, Meta(ge=0, description="Milliseconds from the start of the stream.")]
    chunk: Annotated[int, Meta(ge=1, description="Counts the media messages of the stream.")]


class Media(Message, frozen=True, kw_only=True, tag="media"):
    """Audio of the call: one message for each track every 20 ms."""

    call_id: CallId
    stream_id: StreamId
    sequence_number: Sequence
    media: MediaPart


class MarkPart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mark that was passed or cleared."""

    name: MarkName
    status: Annotated[
        MarkStatus | None,
        Meta(description="Whether it was played or cleared; only with the extra `mark_status`."),
    ] = None


class Mark(Message, frozen=True, kw_only=True, tag="mark"):
    """All audio that was queued before a mark was played, or cleared."""

    call_id: CallId
    stream_id: StreamId
    sequence_number: Sequence
    mark: MarkPart


class DtmfPart(msgspec.Struct, frozen=True, kw_only=True):
    """A key of the telephone."""

    digit: str


class Dtmf(Message, frozen=True, kw_only=True, tag="dtmf"):
    """The party pressed a key; only with the extra `dtmf`."""

    call_id: CallId
    stream_id: StreamId
    sequence_number: Sequence
    dtmf: DtmfPart


class Stop(Message, frozen=True, kw_only=True, tag="stop"):
    """The stream ends: the last message; then the switch closes the socket with 1000."""

    call_id: CallId
    stream_id: StreamId
    sequence_number: Sequence


Outgoing = Connected | Start | Media | Mark | Dtmf | Stop


# --- from the service -----------------------------------------------------------------


class Order(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of all messages of a service."""

    stream_id: Annotated[
        str | None,
        Meta(description="Where given, it must be that of the stream: other messages are dropped silently."),
    ] = None


class Sound(msgspec.Struct, frozen=True):
    """Audio to be played."""

    payload: Annotated[
        bytes, Meta(description="PCM16, little endian, mono, 24 kHz, of any length, in base64.")
    ]


class PlayMedia(Order, frozen=True, kw_only=True, tag="media"):
    """Play audio into the call, behind what is queued."""

    media: Sound


class NamedMark(msgspec.Struct, frozen=True):
    """Name of a mark."""

    name: Annotated[str, Meta(max_length=16_384, description="Name that comes back with the mark.")]


class PlaceMark(Order, frozen=True, kw_only=True, tag="mark"):
    """Ask for a `mark` when all audio that is queued now was played."""

    mark: NamedMark


class Clear(Order, frozen=True, kw_only=True, tag="clear"):
    """Drop the queued audio at once; its marks come back in order."""


class HangUp(Order, frozen=True, kw_only=True, tag="hangup"):
    """End the call; only with the extra `hangup`."""

    drain: Annotated[bool, Meta(description="Play what is queued before, and only then end the call.")] = (
        False
    )


Incoming = PlayMedia | PlaceMark | Clear | HangUp

_decode: Callable[[bytes], Incoming] = msgspec.json.Decoder(Incoming).decode


class _SoundText(msgspec.Struct, frozen=True):
    payload: str


class _PlayText(Order, frozen=True, kw_only=True, tag="media"):
    """`PlayMedia` whose payload is not decoded."""

    media: _SoundText


_decode_text: Callable[[bytes], _PlayText | Clear] = msgspec.json.Decoder(_PlayText | Clear).decode
_STANDARD = str.maketrans("-_", "+/", " \t\r\n")
"""From the URL-safe alphabet to the standard one (RFC 4648 section 5), without line breaks."""


def read(data: bytes) -> Incoming:
    """Read a message of a service.

    Raises:
        MalformedError: It is not JSON, not such an event, or its audio is not base64.
    """
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            return _read_other_base64(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
            raise MalformedError(str(error)) from error


def _read_other_base64(data: bytes) -> PlayMedia:
    """Read audio in base64 that is unpadded, broken into lines, or in the URL-safe alphabet.

    Raises:
        ValueError: It is no such message, or no base64.
    """
    message = _decode_text(data)
    if not isinstance(message, _PlayText):
        raise ValueError("no audio")
    text = message.media.payload.translate(_STANDARD).rstrip("=")
    padded = text + "=" * (-len(text) % 4)
    return PlayMedia(media=Sound(b64decode(padded, validate=True)), stream_id=message.stream_id)
