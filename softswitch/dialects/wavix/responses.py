"""The bodies of answers and webhooks (wire-wavix §1)."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from softswitch.dialects.wavix.stream_messages import Direction

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


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """What an on_call_event is about."""

    type: Annotated[
        Literal["stream", "collect", "transfer", "error"],
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
    event_payload: Happening | None
    from_: str = msgspec.field(name="from")
    to: str
    call_started: Moment
    call_answered: Moment | None
    call_finished: Moment | None
    call_completed: Annotated[Moment | None, Meta(description="The same as call_finished.")]
    machine_detected: Annotated[bool, Meta(description="false: nobody looked for a machine.")]
    tag: str


class CallAnswer(Call, frozen=True, kw_only=True):
    """A call that was begun."""

    success: bool = True


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """It is done."""

    success: bool = True


class StreamStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A stream is being set up."""

    stream_id: str
    success: bool = True


class OneCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call."""

    call: Call
    success: bool = True


class ManyCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Live calls, the oldest first."""

    calls: list[Call]
    success: bool = True


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A URL that is told of the account's calls."""

    id: int
    url: str
    event_type: Literal["on-call", "post-call"]


class ManyWebhooks(msgspec.Struct, frozen=True, kw_only=True):
    """The webhooks of the account."""

    webhooks: list[Webhook]
    success: bool = True


class WebhookMade(Webhook, frozen=True, kw_only=True):
    """A webhook that was made, or was there already."""

    success: bool = True


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is posted after a call."""

    uuid: str
    direction: Direction
    from_: str = msgspec.field(name="from")
    to: str
    date: Annotated[Moment, Meta(description="Beginning of the call.")]
    duration: Annotated[int, Meta(ge=0, description="Seconds from the answer to the end.")]
    disposition: Literal["answered", "noanswer", "busy", "failed"]
    answered_by: Annotated[str | None, Meta(description="null: nobody looked whether it was a machine.")]


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


def body(answer: msgspec.Struct) -> bytes:
    """Return an answer as JSON."""
    return msgspec.json.encode(answer)
