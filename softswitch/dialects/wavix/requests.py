"""The bodies of requests (wire-wavix §1); the OpenAPI description is generated from them."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from softswitch.dialects.wavix.stream_messages import Channel, StreamType

Url = Annotated[str, Meta(max_length=8192)]
RingSeconds = Annotated[int, Meta(ge=1, le=600)]
Extra = Literal["start", "dtmf", "mark_status", "hangup"]
WebhookType = Literal["on-call", "post-call"]


class Originate(msgspec.Struct, frozen=True, kw_only=True):
    """Call somebody."""

    from_: Annotated[str, Meta(description="Caller ID to show.", max_length=255)] = msgspec.field(name="from")
    to: Annotated[
        str,
        Meta(
            description="E.164 number; or a user of this switch, a SIP URI, `echo`, `tone`, `room:<id>`.",
            max_length=255,
        ),
    ]
    status_callback: Annotated[Url | None, Meta(description="URL that is told how the call goes.")] = None
    callback_url: Annotated[Url | None, Meta(description="The same as status_callback.")] = None
    call_recording: Annotated[bool, Meta(description="Record the call.")] = False
    recording: Annotated[bool, Meta(description="The same as call_recording.")] = False
    machine_detection: Annotated[bool, Meta(description="Not built: true is refused.")] = False
    voicemail_detection: Annotated[bool, Meta(description="Not built: true is refused.")] = False
    tag: Annotated[str, Meta(description="Any text of yours.", max_length=255)] = ""
    max_duration: Annotated[
        Annotated[int, Meta(ge=1, le=86400)] | None,
        Meta(description="Longest call, in seconds from the answer."),
    ] = None
    timeout: Annotated[RingSeconds | None, Meta(description="Longest ringing, in seconds.")] = None


class StartStream(msgspec.Struct, frozen=True, kw_only=True):
    """Stream a call to a WebSocket service."""

    stream_url: Annotated[Url, Meta(description="ws or wss URL of the service, dialled as it stands.")]
    stream_type: Annotated[
        StreamType, Meta(description="oneway: the service listens; twoway: it may speak, too.")
    ]
    stream_channel: Annotated[
        Channel, Meta(description="What it hears; a twoway service hears inbound whatever is asked for.")
    ]
    stream_headers: Annotated[
        dict[str, str], Meta(description="Further headers of the handshake (an addition).")
    ] = {}
    hangup_on_stream_close: Annotated[
        bool, Meta(description="End the call when the service goes or cannot be reached (an addition).")
    ] = False
    reconnect_s: Annotated[
        float,
        Meta(
            ge=0,
            le=300,
            description="How long a broken connection is tried again, in seconds (an addition).",
        ),
    ] = 0.0
    stream_extras: Annotated[
        tuple[Extra, ...] | None,
        Meta(description="More than the plain protocol (an addition); null: as the settings say."),
    ] = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer a call that came in; with any stream field, all three are required."""

    call_recording: Annotated[bool, Meta(description="Record the call.")] = False
    recording: Annotated[bool, Meta(description="The same as call_recording.")] = False
    stream_url: Annotated[Url | None, Meta(description="Start a stream as soon as the call is answered.")] = (
        None
    )
    stream_type: StreamType | None = None
    stream_channel: Channel | None = None


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """Write on a call."""

    tag: Annotated[str, Meta(max_length=255)] = ""


class Play(msgspec.Struct, frozen=True, kw_only=True):
    """Play a file into a call."""

    audio_file: Annotated[Url, Meta(description="http or https URL of a sound file.")]
    delay_before_playing: Annotated[
        int, Meta(ge=0, le=10000, description="Silence before, in milliseconds.")
    ] = 0


class Speak(msgspec.Struct, frozen=True, kw_only=True):
    """Speak a text into a call."""

    text: Annotated[str, Meta(max_length=10000)]
    voice: Annotated[str, Meta(max_length=128, description="Empty: that of the settings.")] = ""
    max_repeat_count: Annotated[int, Meta(ge=1, le=10, description="How many times it is said.")] = 1


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """Connect a call with somebody else."""

    to: Annotated[str, Meta(description="As in a new call.", max_length=255)]
    from_: Annotated[str, Meta(description="Caller ID to show.", max_length=255)] = msgspec.field(
        default="", name="from"
    )
    timeout: Annotated[int, Meta(ge=1, le=600, description="Longest ringing, in seconds.")] = 30


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """What is said before keys are gathered: one of both."""

    play: Url | None = None
    say: Annotated[str, Meta(max_length=10000)] | None = None


class PromptAudio(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is played before keys are gathered."""

    url: Url
    stop_on_keypress: bool = True


class Collect(msgspec.Struct, frozen=True, kw_only=True):
    """Gather keys; what came of it is told to the callback, or to who is told of the call."""

    min_digits: Annotated[int, Meta(ge=0, le=20)] = 1
    max_digits: Annotated[int, Meta(ge=1, le=20)] = 20
    timeout: Annotated[int, Meta(ge=1, le=60, description="Seconds for the first key and between keys.")] = 5
    termination_character: Annotated[str, Meta(max_length=1)] = "#"
    audio: PromptAudio | None = None
    prompt: Prompt | None = None
    callback_url: Url | None = None
    max_attempts: Annotated[int, Meta(ge=1, le=10)] = 1


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """Have a URL told of all calls of the account."""

    url: Annotated[Url, Meta(description="http or https.")]
    event_type: Annotated[
        WebhookType, Meta(description="on-call: each step of a call; post-call: one record at its end.")
    ]
