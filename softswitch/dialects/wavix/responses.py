"""The bodies of answers and webhooks of Wavix call control."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from softswitch.protocol.wavix_stream import Direction

EventType = Literal[
    "call_setup",
    "ringing",
    "early_media",
    "answered",
    "completed",
    "busy",
    "cancelled",
    "rejected",
    "failed",
    "on_call_event",
]
Moment = Annotated[str, Meta(description="ISO 8601, UTC.", examples=["2026-01-15T10:30:00.250Z"])]


class CallEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the call that an on_call_event is about, and its payload."""

    type: Annotated[
        Literal["stream", "collect", "audio", "transfer", "machine_detection", "error", "tool_call"],
        Meta(description="The part of the call."),
    ]
    payload: dict[str, object]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call: in answers, in webhooks and on the feed `/sip`."""

    uuid: Annotated[str, Meta(description="The call's id; `call_id` in the messages of streams.")]
    id: Annotated[str, Meta(description="The same.")]
    direction: Direction
    event_type: EventType
    event_time: Moment
    event_payload: CallEvent | None
    from_: str = msgspec.field(name="from")
    to: str
    call_started: Moment
    call_answered: Moment | None
    call_finished: Moment | None
    call_completed: Annotated[Moment | None, Meta(description="The same as call_finished.")]
    machine_detected: Annotated[
        bool, Meta(description="Whether a machine has answered, where machine_detection was asked for.")
    ]
    tag: str


class CallAnswer(Call, frozen=True, kw_only=True):
    """A call that was begun."""

    success: bool = True


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The request was carried out."""

    success: bool = True


class StreamStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A stream is being set up."""

    stream_id: str
    success: bool = True


class Playing(Done, frozen=True, kw_only=True):
    """A file or a text will be played."""

    playback_id: Annotated[str, Meta(description="The same in the events of the type audio.")]


class OneCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call."""

    call: Call
    success: bool = True


class ManyCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Live calls, the oldest first."""

    calls: list[Call]
    success: bool = True


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A URL that gets messages about the calls of the account."""

    id: int
    url: str
    event_type: Literal["on-call", "post-call"]


class WebhookMade(Webhook, frozen=True, kw_only=True):
    """A webhook that was made, or was there already."""

    success: bool = True


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The record that is posted after a call."""

    uuid: str
    direction: Direction
    from_: str = msgspec.field(name="from")
    to: str
    date: Annotated[Moment, Meta(description="Beginning of the call.")]
    duration: Annotated[int, Meta(ge=0, description="Seconds from the answer to the end.")]
    disposition: Literal["answered", "noanswer", "busy", "failed"]
    destination: Annotated[str, Meta(description="The callee.")]
    per_minute: Annotated[str, Meta(description="Price of a minute in US dollars.")]
    charge: Annotated[str, Meta(description="Price of the call in US dollars.")]
    answered_by: Annotated[
        Literal["human", "machine"] | None,
        Meta(description="Who answered; null where that was not detected."),
    ]


class Transcribed(msgspec.Struct, frozen=True, kw_only=True):
    """What is posted once the transcript of a call is there, or could not be made."""

    uuid: Annotated[str, Meta(description="Id of the call.")]
    status: Literal["completed", "failed"]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was refused."""

    success: bool = False
    message: str
    errors: Annotated[dict[str, str] | UnsetType, Meta(description="What is wrong, by field.")] = UNSET
    error: Annotated[bool | UnsetType, Meta(description="true with 401.")] = UNSET


def failure(message: str, errors: dict[str, str] | None = None, *, unauthorized: bool = False) -> bytes:
    """Return the body of a refusal."""
    body = Failure(message=message, errors=errors or UNSET, error=True if unauthorized else UNSET)
    return msgspec.json.encode(body)


def transcribed(call_id: str, status: Literal["completed", "failed"]) -> bytes:
    """Return the body that is posted once the transcript of a call is there, or has failed."""
    return body(Transcribed(uuid=call_id, status=status))


def body(answer: msgspec.Struct | Sequence[msgspec.Struct]) -> bytes:
    """Return an answer as JSON."""
    return msgspec.json.encode(answer)
