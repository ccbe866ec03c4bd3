"""What clients are told; dialects translate these to their wire text.

Times named ``*_time`` are epoch milliseconds, durations integer milliseconds. ``track_id`` is the wire's
track id.
"""

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events."""

    timestamp: int
    """Epoch milliseconds."""


class TrackEvent(Event, frozen=True, kw_only=True):
    """Base of events that name a track."""

    track_id: str


class Incoming(TrackEvent, frozen=True, kw_only=True):
    """A call has come in and waits to be accepted."""

    caller: str
    callee: str
    sdp: str
    headers: dict[str, str] | None = None


class Audio(msgspec.Struct, frozen=True):
    """The format of binary audio."""

    codec: str
    sample_rate: int
    ptime: int


class Answer(TrackEvent, frozen=True, kw_only=True):
    """The call is up."""

    sdp: str
    audio: Audio | None = None
    resume: str | None = None
    refer: bool | None = None


class Resumed(TrackEvent, frozen=True, kw_only=True):
    """The client has come back; ``resume`` is its token for the next time."""

    resume: str


class Ringing(TrackEvent, frozen=True, kw_only=True):
    """The far end rings."""

    early_media: bool


class Rejected(TrackEvent, frozen=True, kw_only=True):
    """The far end refused."""

    code: int
    reason: str


class HungUp(TrackEvent, frozen=True, kw_only=True):
    """The call is over; nothing follows."""

    reason: str
    initiator: str
    start_time: int
    answer_time: int | None
    hangup_time: int
    caller: str
    callee: str
    headers: dict[str, str] | None = None
    """Further headers of the far end's BYE."""


class Speaking(TrackEvent, frozen=True, kw_only=True):
    """The party began to speak."""

    start_time: int


class Silence(TrackEvent, frozen=True, kw_only=True):
    """The party fell silent."""

    start_time: int
    duration: int
    speech_start: int | None = None
    speech_duration: int | None = None


class AsrDelta(TrackEvent, frozen=True, kw_only=True):
    """A first understanding, which may change."""

    index: int
    start_time: int
    end_time: int
    text: str
    confidence: float | None = None


class AsrFinal(TrackEvent, frozen=True, kw_only=True):
    """What was said."""

    index: int
    start_time: int
    end_time: int
    text: str
    confidence: float | None = None


class Dtmf(TrackEvent, frozen=True, kw_only=True):
    """The party pressed a key."""

    digit: str
    duration_ms: int | None = None
    method: str | None = None


class TrackStart(TrackEvent, frozen=True, kw_only=True):
    """A track sounds."""

    play_id: str | None = None


class TrackEnd(TrackEvent, frozen=True, kw_only=True):
    """A track is over."""

    duration: int
    play_id: str | None = None


class Interruption(TrackEvent, frozen=True, kw_only=True):
    """A playback was cut short."""

    position: int
    play_id: str | None = None
    total_duration: int | None = None
    subtitle: str | None = None


class Error(TrackEvent, frozen=True, kw_only=True):
    """Something went wrong."""

    sender: str
    error: str
    code: int | None = None
    request_id: str | None = None


class Metrics(Event, frozen=True, kw_only=True):
    """A measurement."""

    key: str
    duration: int
    data: dict[str, object]


class Mark(TrackEvent, frozen=True, kw_only=True):
    """A mark was passed or cleared."""

    name: str
    status: str
    play_id: str | None = None


class Collected(TrackEvent, frozen=True, kw_only=True):
    """Digits were gathered."""

    digits: str
    reason: str


class Hold(TrackEvent, frozen=True, kw_only=True):
    """The far end holds, or not any more."""

    on_hold: bool


class Muted(TrackEvent, frozen=True, kw_only=True):
    """A track was muted or unmuted."""

    muted: bool


class EndOfUtterance(TrackEvent, frozen=True, kw_only=True):
    """The party has probably said what it wanted to say."""

    completed: bool
    text: str


class Media(TrackEvent, frozen=True, kw_only=True):
    """Media stopped or came back."""

    state: str
    seconds: float


class HistoryAdded(TrackEvent, frozen=True, kw_only=True):
    """A line of history."""

    sender: str
    speaker: str
    text: str


class TransferRequest(TrackEvent, frozen=True, kw_only=True):
    """The far end asks to be transferred."""

    refer_to: str
    referred_by: str


class MessageReceived(TrackEvent, frozen=True, kw_only=True):
    """A text came from the far end."""

    body: str
    content_type: str


class CustomEvent(TrackEvent, frozen=True, kw_only=True):
    """Something of the application's own."""

    sender: str
    data: object


class Ack(Event, frozen=True, kw_only=True):
    """A command with a request id was carried out."""

    request_id: str


class StreamChanged(TrackEvent, frozen=True, kw_only=True):
    """A stream to an outside service has begun, broken off and begun again, or ended."""

    stream_id: str
    status: str
    """started, resumed, stopped, closed, lost, failed."""
    reason: str | None = None
