"""The messages of a stream, both ways (wire-wavix §2); the AsyncAPI description is generated from them."""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

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
    int, Meta(ge=1, description="Counts every message of the stream but connected; a hole is audio not sent.")
]
MarkName = Annotated[str, Meta(max_length=1024, description="Whatever name the service gave the mark.")]


# --- from the switch ------------------------------------------------------------------


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    """Base of everything that is sent to a service."""

    event_time: EventTime


class Connected(Message, frozen=True, kw_only=True, tag="connected"):
    """The socket is open: the first message, unnumbered."""


class MediaFormat(msgspec.Struct, frozen=True):
    """What a payload is."""

    encoding: str = "audio/pcm"
    sample_rate: int = 24000
    channels: int = 1


class Start(Message, frozen=True, kw_only=True, tag="start"):
    """The stream begins: the second message, before any audio."""

    call_id: CallId
    stream_id: StreamId
    stream_type: StreamType
    channel: Annotated[Channel, Meta(description="What was asked for.")]
    sequence_number: Sequence
    from_: Annotated[str | None, Meta(description="Who calls; only with the extra `start`.")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[str | None, Meta(description="Who is called; only with the extra `start`.")] = None
    direction: Annotated[
        Direction | None, Meta(description="Which way the call was set up; only with the extra `start`.")
    ] = None
    tag: Annotated[str | None, Meta(description="The call's tag; only with the extra `start`.")] = None
    media_format: Annotated[
        MediaFormat | None, Meta(description="What payloads are; only with the extra `start`.")
    ] = None


class StartExtra(msgspec.Struct, frozen=True, kw_only=True):
    """What a start tells with the extra of that name."""

    from_: str = ""
    to: str = ""
    direction: Direction = "outbound"
    tag: str = ""


class MediaPart(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the call's audio."""

    payload: Annotated[
        str, Meta(description="20 ms of PCM16, little endian, mono, 24 kHz (960 bytes), in base64.")
    ]
    track: Annotated[Direction, Meta(description="inbound: what the party says; outbound: what it hears.")]
    timestamp: Annotated[int, Meta(ge=0, description="Milliseconds from the start of the stream.")]
    chunk: Annotated[int, Meta(ge=1, description="Counts the pieces of the stream.")]


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
        MarkStatus | None, Meta(description="Which of both; only with the extra `mark_status`.")
    ] = None


class Mark(Message, frozen=True, kw_only=True, tag="mark"):
    """All that was queued before a mark has been heard, or cleared."""

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
    """Base of everything that a service may send."""

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
    """What a mark is called."""

    name: MarkName


class PlaceMark(Order, frozen=True, kw_only=True, tag="mark"):
    """Tell me when everything queued so far has been heard."""

    mark: NamedMark


class Clear(Order, frozen=True, kw_only=True, tag="clear"):
    """Drop what is queued, now; its marks come back in order."""


class HangUp(Order, frozen=True, kw_only=True, tag="hangup"):
    """End the call; only with the extra `hangup`."""


Incoming = PlayMedia | PlaceMark | Clear | HangUp

_decode: Callable[[bytes], Incoming] = msgspec.json.Decoder(Incoming).decode


def read(data: bytes) -> Incoming:
    """Read a message of a service.

    Raises:
        MalformedError: it is no JSON, no such event, or its audio is no base64.
    """
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(str(error)) from error
