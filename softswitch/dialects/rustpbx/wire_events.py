"""The events as they stand on the wire: nulls left out, times as integer milliseconds."""

from typing import Annotated

import msgspec
from msgspec import Meta

Millis = Annotated[int, Meta(ge=0)]


class Wire(msgspec.Struct, frozen=True, rename="camel", tag_field="event", omit_defaults=True, kw_only=True):
    """Base of all events; ``seq`` counts those of one call from 1."""

    timestamp: Millis
    seq: int | None = None


class Track(Wire, frozen=True, kw_only=True):
    """Base of events that name a track."""

    track_id: str


class Incoming(Track, frozen=True, kw_only=True, tag="incoming"):
    """A call has come in."""

    caller: str
    callee: str
    sdp: str
    headers: dict[str, str] | None = None


class AudioFormat(msgspec.Struct, frozen=True, rename="camel"):
    """The format of binary audio."""

    codec: str
    sample_rate: int
    ptime: int


class Answer(Track, frozen=True, kw_only=True, tag="answer"):
    """The call is up."""

    sdp: str
    audio: AudioFormat | None = None
    resume: str | None = None
    refer: bool | None = None


class Resumed(Track, frozen=True, kw_only=True, tag="resumed"):
    """The client has come back; ``resume`` is its token for the next time."""

    resume: str


class Ringing(Track, frozen=True, kw_only=True, tag="ringing"):
    """The far end rings."""

    early_media: bool


class Reject(Track, frozen=True, kw_only=True, tag="reject"):
    """The far end refused."""

    code: int
    reason: str


class Hangup(Track, frozen=True, kw_only=True, tag="hangup"):
    """The call is over."""

    reason: str
    initiator: str
    start_time: str
    answer_time: str | None = None
    hangup_time: str
    from_: str | None = msgspec.field(name="from", default=None)
    to: str | None = None
    headers: dict[str, str] | None = None


class Speaking(Track, frozen=True, kw_only=True, tag="speaking"):
    """The party began to speak."""

    start_time: Millis


class Silence(Track, frozen=True, kw_only=True, tag="silence"):
    """The party fell silent."""

    start_time: Millis
    duration: Millis
    speech_start: Millis | None = None
    speech_duration: Millis | None = None


class Asr(Track, frozen=True, kw_only=True):
    """What was understood."""

    index: int
    start_time: Millis
    end_time: Millis
    text: str
    confidence: float | None = None


class AsrDelta(Asr, frozen=True, kw_only=True, tag="asrDelta"):
    """A first understanding."""


class AsrFinal(Asr, frozen=True, kw_only=True, tag="asrFinal"):
    """The final understanding."""


class Dtmf(Track, frozen=True, kw_only=True, tag="dtmf"):
    """A key was pressed."""

    digit: str
    duration_ms: Millis | None = None
    method: str | None = None


class TrackStart(Track, frozen=True, kw_only=True, tag="trackStart"):
    """A track sounds."""

    play_id: str | None = None


class TrackEnd(Track, frozen=True, kw_only=True, tag="trackEnd"):
    """A track is over."""

    duration: Millis
    play_id: str | None = None


class Interruption(Track, frozen=True, kw_only=True, tag="interruption"):
    """A playback was cut short."""

    position: Millis
    play_id: str | None = None
    total_duration: Millis | None = None
    subtitle: str | None = None


class Error(Track, frozen=True, kw_only=True, tag="error"):
    """Something went wrong."""

    sender: str
    error: str
    code: int | None = None
    request_id: str | None = None


class Metrics(Wire, frozen=True, kw_only=True, tag="metrics"):
    """A measurement."""

    key: str
    duration: Millis
    data: dict[str, object]


class Binary(Track, frozen=True, kw_only=True, tag="binary"):
    """Audio in JSON form (``option.binaryEvents``)."""

    data: list[int]


class Mark(Track, frozen=True, kw_only=True, tag="mark"):
    """A mark was passed or cleared."""

    name: str
    status: str
    play_id: str | None = None


class Collect(Track, frozen=True, kw_only=True, tag="collect"):
    """Digits were gathered."""

    digits: str
    reason: str


class Hold(Track, frozen=True, kw_only=True, tag="hold"):
    """The far end holds, or not any more."""

    on_hold: bool


class Mute(Track, frozen=True, kw_only=True, tag="mute"):
    """A track was muted or unmuted."""

    muted: bool


class Eou(Track, frozen=True, kw_only=True, tag="eou"):
    """The utterance is over."""

    completed: bool
    complete: bool
    text: str


class Media(Track, frozen=True, kw_only=True, tag="media"):
    """Media stopped or came back."""

    state: str
    seconds: int


class AddHistory(Track, frozen=True, kw_only=True, tag="addHistory"):
    """A line of history."""

    sender: str
    speaker: str
    text: str


class TransferRequest(Track, frozen=True, kw_only=True, tag="transferRequest"):
    """The far end asks to be transferred."""

    refer_to: str
    referred_by: str


class Message(Track, frozen=True, kw_only=True, tag="message"):
    """A text came from the far end."""

    body: str
    content_type: str


class Stream(Track, frozen=True, kw_only=True, tag="stream"):
    """A stream to an outside service began or ended."""

    stream_id: str
    status: str
    reason: str | None = None


class Custom(Track, frozen=True, kw_only=True, tag="custom"):
    """Something of the application's own."""

    sender: str
    data: object


class Ack(Wire, frozen=True, kw_only=True, tag="ack"):
    """A command was carried out."""

    request_id: str
