"""What the switch tells its clients, one struct per event; what a struct does not know stands in `extra`."""

from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="event"):
    """Be the base of all events. Times and durations are milliseconds, times since the epoch."""

    timestamp: int = 0
    """When it happened."""

    seq: int | None = None
    """Its number within the call, from 1; None from a switch that does not count."""

    track_id: str = ""
    """The track it is about: the session id for the party, ``server-side-track`` for the playback."""

    extra: dict[str, Any] = {}
    """Fields of the message that this version of the client does not know, as they came."""

    @property
    def name(self) -> str:
        """Return the name of the event on the wire."""
        return str(self.__struct_config__.tag)


class AudioFormat(msgspec.Struct, frozen=True, rename="camel"):
    """What the binary messages of a ``/call`` are made of."""

    codec: str = "pcm"
    sample_rate: int = 16000
    """Hz."""

    ptime: int = 20
    """Milliseconds in a message of the switch."""


class Incoming(Event, frozen=True, kw_only=True, tag="incoming"):
    """A call has come in and waits to be accepted."""

    caller: str = ""
    callee: str = ""
    sdp: str = ""
    headers: dict[str, str] = {}


class Ringing(Event, frozen=True, kw_only=True, tag="ringing"):
    """The far end rings."""

    early_media: bool = False


class Answer(Event, frozen=True, kw_only=True, tag="answer"):
    """The call is up."""

    sdp: str = ""
    """The SDP answer; empty on ``/call``."""

    audio: AudioFormat | None = None
    """On ``/call``: the format of binary messages, both ways."""

    resume: str | None = None
    """The token to come back with, where one was asked for. A secret."""

    refer: bool = False
    """It was the second leg of a transfer that answered."""

    def __repr__(self) -> str:
        """Show neither the SDP nor the token: both are nobody's business in a log."""
        return f"Answer(seq={self.seq}, track_id={self.track_id!r}, audio={self.audio!r}, ...)"


class Resumed(Event, frozen=True, kw_only=True, tag="resumed"):
    """The client has come back after its socket was lost."""

    resume: str = ""
    """The token for the next time. A secret."""

    def __repr__(self) -> str:
        """Show no token."""
        return f"Resumed(seq={self.seq}, track_id={self.track_id!r}, ...)"


class Reject(Event, frozen=True, kw_only=True, tag="reject"):
    """The far end refused."""

    code: int = 0
    reason: str = ""


class Hangup(Event, frozen=True, kw_only=True, tag="hangup"):
    """The call is over; nothing follows."""

    reason: str = ""
    initiator: str = ""
    start_time: str = ""
    """RFC 3339."""

    answer_time: str | None = None
    hangup_time: str = ""
    caller: str = msgspec.field(name="from", default="")
    callee: str = msgspec.field(name="to", default="")
    headers: dict[str, str] = {}
    """Further headers of the far end's BYE."""


class Speaking(Event, frozen=True, kw_only=True, tag="speaking"):
    """The party began to speak."""

    start_time: int = 0


class Silence(Event, frozen=True, kw_only=True, tag="silence"):
    """The party fell silent."""

    start_time: int = 0
    duration: int = 0
    speech_start: int | None = None
    speech_duration: int | None = None


class AsrDelta(Event, frozen=True, kw_only=True, tag="asrDelta"):
    """What was understood so far."""

    index: int = 0
    start_time: int = 0
    end_time: int = 0
    text: str = ""
    confidence: float | None = None


class AsrFinal(Event, frozen=True, kw_only=True, tag="asrFinal"):
    """What was understood."""

    index: int = 0
    start_time: int = 0
    end_time: int = 0
    text: str = ""
    confidence: float | None = None


class Eou(Event, frozen=True, kw_only=True, tag="eou"):
    """The party has said what it wanted to say."""

    completed: bool = False
    text: str = ""


class Dtmf(Event, frozen=True, kw_only=True, tag="dtmf"):
    """The party pressed a key."""

    digit: str = ""
    duration_ms: int | None = None
    method: str = ""


class Collect(Event, frozen=True, kw_only=True, tag="collect"):
    """The digits that were asked for."""

    digits: str = ""
    reason: str = ""


class TrackStart(Event, frozen=True, kw_only=True, tag="trackStart"):
    """A track begins to sound."""

    play_id: str | None = None


class TrackEnd(Event, frozen=True, kw_only=True, tag="trackEnd"):
    """A track is over."""

    duration: int = 0
    play_id: str | None = None


class Interruption(Event, frozen=True, kw_only=True, tag="interruption"):
    """A playback was cut short."""

    position: int = 0
    """How much of it was heard."""

    play_id: str | None = None
    total_duration: int | None = None
    subtitle: str | None = None


class Mark(Event, frozen=True, kw_only=True, tag="mark"):
    """Playback passed a mark, or dropped it."""

    mark: str = msgspec.field(name="name", default="")
    """The name the mark was given."""

    status: str = ""
    """``played`` or ``cleared``."""

    play_id: str | None = None


class Error(Event, frozen=True, kw_only=True, tag="error"):
    """Something went wrong; the call goes on unless a hangup follows."""

    sender: str = ""
    error: str = ""
    code: int | None = None
    request_id: str | None = None


class Ack(Event, frozen=True, kw_only=True, tag="ack"):
    """A command was carried out."""

    request_id: str = ""


class Metrics(Event, frozen=True, kw_only=True, tag="metrics"):
    """A measurement."""

    key: str = ""
    duration: int = 0
    data: dict[str, Any] = {}


class Hold(Event, frozen=True, kw_only=True, tag="hold"):
    """The far end holds the call, or takes it up again."""

    on_hold: bool = False


class Mute(Event, frozen=True, kw_only=True, tag="mute"):
    """A track was silenced, or is heard again."""

    muted: bool = False


class Media(Event, frozen=True, kw_only=True, tag="media"):
    """The party's sound stays away, or came back."""

    state: str = ""
    seconds: int = 0


class AddHistory(Event, frozen=True, kw_only=True, tag="addHistory"):
    """A line of the conversation was noted."""

    sender: str = ""
    speaker: str = ""
    text: str = ""


class TransferRequest(Event, frozen=True, kw_only=True, tag="transferRequest"):
    """The far end asks to be transferred."""

    refer_to: str = ""
    referred_by: str = ""


class Message(Event, frozen=True, kw_only=True, tag="message"):
    """A text came from the far end."""

    body: str = ""
    content_type: str = ""


class Stream(Event, frozen=True, kw_only=True, tag="stream"):
    """A stream to an outside service began or ended."""

    stream_id: str = ""
    status: str = ""
    reason: str = ""


class Custom(Event, frozen=True, kw_only=True, tag="custom"):
    """Something of the application's own."""

    sender: str = ""
    data: Any = None


class Unknown(Event, frozen=True, kw_only=True, tag="unknown"):
    """An event this client does not know, or one with a field of a type it did not expect."""

    kind: str = ""
    """Its name on the wire; all its fields are in `extra`."""

    @property
    def name(self) -> str:
        """Return the name of the event on the wire."""
        return self.kind


def _named(base: type[Event]) -> dict[str, type[Event]]:
    return {str(kind.__struct_config__.tag): kind for kind in base.__subclasses__() if kind is not Unknown}


KINDS = _named(Event)
"""The struct of each event, by its name on the wire."""

_FIELDS = {kind: frozenset(kind.__struct_encode_fields__) - {"extra"} for kind in KINDS.values()}
_FIELDS[Unknown] = frozenset(Event.__struct_encode_fields__) - {"extra"}


class NotAnEventError(ValueError):
    """A text message is no JSON object with an ``event`` in it."""


def decode(text: str | bytes) -> Event:
    """Return the event of a text message.

    Raises:
        NotAnEventError: it is none.
    """
    try:
        message = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotAnEventError(f"no JSON: {error}") from None
    name = message.get("event") if isinstance(message, dict) else None
    if not isinstance(name, str):
        raise NotAnEventError("no JSON object with an event")
    del message["event"]
    kind = KINDS.get(name, Unknown)
    known = {key: value for key, value in message.items() if key in _FIELDS[kind] and value is not None}
    rest = {key: value for key, value in message.items() if key not in _FIELDS[kind]}
    try:
        if kind is not Unknown:
            return msgspec.convert({**known, "event": name, "extra": rest}, kind, strict=False)
        return msgspec.convert(
            {**known, "event": "unknown", "kind": name, "extra": rest}, Unknown, strict=False
        )
    except msgspec.ValidationError:
        # One field of another type must not cost the application its call: it gets what came.
        return Unknown(kind=name, extra=message)
