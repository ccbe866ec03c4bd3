"""The bodies of requests of Wavix call control; the OpenAPI description is generated from them."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from softswitch.protocol.wavix_stream import Channel, StreamType

Url = Annotated[str, Meta(max_length=8192)]
RingSeconds = Annotated[int, Meta(ge=1, le=600)]
Extra = Literal["start", "dtmf", "mark_status", "hangup"]
WebhookType = Literal["on-call", "post-call"]


class Originate(msgspec.Struct, frozen=True, kw_only=True):
    """Call a destination."""

    from_: Annotated[str, Meta(description="Caller ID to show.", max_length=255)] = msgspec.field(name="from")
    to: Annotated[
        str,
        Meta(
            description="E.164 number; or a user of this switch, a SIP URI, `echo`, `tone`, `room:<id>`.",
            max_length=255,
        ),
    ]
    status_callback: Annotated[Url | None, Meta(description="URL that gets the messages about the call.")] = (
        None
    )
    callback_url: Annotated[Url | None, Meta(description="The same as status_callback.")] = None
    call_recording: Annotated[bool, Meta(description="Record the call.")] = False
    recording: Annotated[bool, Meta(description="The same as call_recording.")] = False
    machine_detection: Annotated[bool, Meta(description="Detect whether a person or a machine answers.")] = (
        False
    )
    voicemail_detection: Annotated[bool, Meta(description="The same as machine_detection.")] = False
    call_transcription: Annotated[
        bool, Meta(description="Record the call, and transcribe it after its end.")
    ] = False
    tag: Annotated[str, Meta(description="Any text, which the call shows again.", max_length=255)] = ""
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
        Channel, Meta(description="Audio that it hears; a twoway service always hears inbound.")
    ]
    stream_headers: Annotated[
        dict[str, str], Meta(description="Further headers of the handshake (an addition).")
    ] = {}
    hangup_on_stream_close: Annotated[
        bool, Meta(description="End the call when the service closes or cannot be reached (an addition).")
    ] = False
    reconnect_s: Annotated[
        float,
        Meta(
            ge=0,
            le=300,
            description="Longest time to reconnect after a broken connection, in seconds (an addition).",
        ),
    ] = 0.0
    stream_extras: Annotated[
        tuple[Extra, ...] | None,
        Meta(description="Extensions of the protocol (an addition); null: those of the settings."),
    ] = None
    stream_live: Annotated[
        bool,
        Meta(
            description="The service speaks in real time, never ahead: what a stall of its connection made"
            " late is caught up with (an addition)."
        ),
    ] = False

    protocol: Annotated[
        str, Meta(max_length=64, description="Protocol that the service speaks (an addition).")
    ] = "wavix"
    stream_encoding: Annotated[
        str,
        Meta(
            max_length=64,
            description="pcm16, pcmu or pcma, where the protocol has it; empty: its default (an addition).",
        ),
    ] = ""
    stream_sample_rate: Annotated[
        int,
        Meta(ge=0, le=192000, description="Sample rate in Hz; 0: the default of the protocol (an addition)."),
    ] = 0
    stream_parameters: Annotated[
        dict[str, str],
        Meta(description="Named values for the service, where the protocol has them (an addition)."),
    ] = {}
    stream_session: Annotated[
        dict[str, object],
        Meta(
            description="Settings of a speech-to-speech service in its own words, over those of the"
            " operator (an addition)."
        ),
    ] = {}


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """Answer a tool call of a stream's service (an addition)."""

    tool_call_id: Annotated[str, Meta(max_length=1024, description="As in the event `tool_call`.")]
    result: Annotated[object, Meta(description="Any JSON.")] = None
    failed: Annotated[bool, Meta(description="The tool failed; the result says why.")] = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer an incoming call; with any field of a stream, all three are required."""

    call_recording: Annotated[bool, Meta(description="Record the call.")] = False
    recording: Annotated[bool, Meta(description="The same as call_recording.")] = False
    call_transcription: Annotated[
        bool, Meta(description="Record the call, and transcribe it after its end.")
    ] = False
    stream_url: Annotated[Url | None, Meta(description="Start a stream as soon as the call is answered.")] = (
        None
    )
    stream_type: StreamType | None = None
    stream_channel: Channel | None = None


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """Write the tag of a call."""

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
    voice: Annotated[str, Meta(max_length=128, description="Empty: the voice of the settings.")] = ""
    language: Annotated[str, Meta(max_length=64, description="Empty: that of the voice or the settings.")] = (
        ""
    )
    delay_before_playing: Annotated[
        int, Meta(ge=0, le=10000, description="Silence before, in milliseconds.")
    ] = 0
    max_repeat_count: Annotated[int, Meta(ge=1, le=10, description="How many times the text is spoken.")] = 1


class ChangeRecording(msgspec.Struct, frozen=True, kw_only=True):
    """Start, pause, resume or stop the recording of a call."""

    action: Annotated[Literal["start", "pause", "resume", "stop"], Meta(description="What to do.")]
    format: Annotated[Literal["wav", "opus"], Meta(description="Container of a recording that starts.")] = (
        "wav"
    )


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """Transfer a call to another destination."""

    to: Annotated[str, Meta(description="As in a new call.", max_length=255)]
    from_: Annotated[str, Meta(description="Caller ID to show.", max_length=255)] = msgspec.field(
        default="", name="from"
    )
    timeout: Annotated[int, Meta(ge=1, le=600, description="Longest ringing, in seconds.")] = 30
    call_recording: Annotated[
        bool, Meta(description="Record the call from the answer of the destination on.")
    ] = False
    recording: Annotated[bool, Meta(description="The same as call_recording.")] = False
    call_transcription: Annotated[
        bool, Meta(description="The same, and transcribe it after the end of the call.")
    ] = False
    machine_detection: Annotated[
        bool, Meta(description="Detect whether a person or a machine answers at the destination.")
    ] = False
    voicemail_detection: Annotated[bool, Meta(description="The same as machine_detection.")] = False


class SpokenPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """A text that is spoken as the prompt."""

    text: Annotated[str, Meta(max_length=10000)]
    voice: Annotated[str, Meta(max_length=128, description="Empty: the voice of the settings.")] = ""
    language: Annotated[str, Meta(max_length=64, description="Empty: that of the voice or the settings.")] = (
        ""
    )


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """The prompt of a collection: exactly one of both."""

    play: Url | None = None
    say: SpokenPrompt | Annotated[str, Meta(max_length=10000)] | None = None


class PromptAudio(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is played as the prompt."""

    url: Url
    stop_on_keypress: bool = True


class Collect(msgspec.Struct, frozen=True, kw_only=True):
    """Collect digits; the result is posted to the callback, else to the recipients of the call."""

    min_digits: Annotated[int, Meta(ge=0, le=20)] = 1
    max_digits: Annotated[int, Meta(ge=1, le=20)] = 20
    timeout: Annotated[
        int, Meta(ge=1, le=60, description="Seconds for the first digit and between digits.")
    ] = 5
    termination_character: Annotated[str, Meta(max_length=1)] = "#"
    audio: PromptAudio | None = None
    prompt: Prompt | None = None
    callback_url: Url | None = None
    max_attempts: Annotated[int, Meta(ge=1, le=10)] = 1


class Retranscribe(msgspec.Struct, frozen=True, kw_only=True):
    """Transcribe the recording of a call."""

    language: Annotated[str, Meta(max_length=64, description="Empty: that of the settings.")] = ""
    webhook_url: Annotated[
        Url | None, Meta(description="Gets the outcome; else the webhooks of the type post-call do.")
    ] = None


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """Add a webhook for the calls of the account."""

    url: Annotated[Url, Meta(description="http or https.")]
    event_type: Annotated[
        WebhookType, Meta(description="on-call: each step of a call; post-call: one record at its end.")
    ]
