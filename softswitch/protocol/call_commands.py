"""Commands of `/call`, `/call/webrtc` and `/call/sip`: one struct each, for server, client and API pages.

The server reads them (:mod:`softswitch.dialects.rustpbx.parse`): a value out of range is refused by its name,
unknown keys are ignored. Only the spellings of the document stand here; the server maps others to these
before. ``softswitch.client`` writes them; fields that have their default are left out.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(max_length=262_144)]
Name = Annotated[str, Meta(max_length=1024)]
Millis = Annotated[int, Meta(ge=0, le=86_400_000)]


class Command(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="command", omit_defaults=True
):
    """Base of all commands; ``requestId`` asks for an ``ack``."""

    request_id: Annotated[str, Meta(max_length=256)] | None = None


class Option(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Base of the objects inside ``option``."""


class Intent(Option, frozen=True):
    """Something that the party may want, and how it may be said."""

    name: Name
    phrases: Annotated[list[Name], Meta(min_length=1, max_length=64)]


class Grammar(Option, frozen=True):
    """What may be said; what fits none of it is rejected."""

    type: Literal["phrases", "spot", "intents", "digits"]
    items: Annotated[list[Name | Intent], Meta(max_length=64)] = []
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5


class Asr(Option, frozen=True):
    """Speech recognition: provider and its parameters."""

    provider: Name | list[Name] = ""
    language: Name = ""
    model: Name = ""
    model_type: Name = ""
    grammar: Name | list[Name] | Grammar = ""
    hotwords: Name | list[Name] = ""


class Tts(Option, frozen=True):
    """Speech synthesis: provider, voice and its parameters."""

    provider: Name | list[Name] = ""
    speaker: Name = ""
    language: Name = ""
    speed: Annotated[float, Meta(ge=0.25, le=4)] = 1.0
    pitch: Annotated[float, Meta(ge=0.25, le=4)] = 1.0
    volume: Annotated[float, Meta(ge=0, le=10)] = 1.0
    samplerate: Annotated[int, Meta(ge=8000, le=48000)] = 16000


class Vad(Option, frozen=True):
    """Voice activity detection: detector, paddings and thresholds."""

    type: Name = ""
    speech_padding: Millis = 250
    silence_padding: Millis = 100
    voice_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    silence_timeout: Millis | None = None


class Recorder(Option, frozen=True):
    """Recording: file name, sample rate and container."""

    recorder_file: Name = ""
    samplerate: Literal[8000, 16000, 24000, 48000] = 16000
    ptime: Millis = 0
    format: Literal["wav", "opus", "ogg"] = "wav"
    tone: Annotated[int, Meta(ge=2000, le=60_000)] | None = None
    transcribe: bool = False


class Eou(Option, frozen=True):
    """End of utterance: milliseconds of silence after which one is complete."""

    timeout: Annotated[int, Meta(ge=100, le=10_000)] = 500
    min_silence: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    max_silence: Annotated[int, Meta(ge=100, le=20_000)] | None = None
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.95


class Amd(Option, frozen=True):
    """Whether and how it is told who answers, a person or a machine."""

    silence: Annotated[int, Meta(ge=500, le=60_000)] = 5000
    beep: Annotated[int, Meta(ge=0, le=180_000)] = 40_000


class BargeIn(Option, frozen=True):
    """Barge-in: whether the party's speech stops the playback, and from when on."""

    mode: Literal["server", "client", "off"] = "server"
    min_speech_ms: Annotated[int, Meta(ge=0, le=5000)] = 300
    min_words: Annotated[int, Meta(ge=0, le=20)] = 0
    fade_ms: Annotated[int, Meta(ge=0, le=2000)] = 40
    fillers: list[Name] | None = None


class MediaPass(Option, frozen=True):
    """A WebSocket service that receives the party's audio as raw PCM, and is heard by it."""

    url: Name
    input_sample_rate: Literal[8000, 16000, 24000, 48000] = 16000
    output_sample_rate: Literal[8000, 16000, 24000, 48000] = 16000
    packet_size: Annotated[int, Meta(ge=2, le=65536, multiple_of=2)] = 2560
    ptime: Millis = 0
    live: bool = False
    protocol: Annotated[str, Meta(max_length=64)] = "raw"
    headers: dict[Name, Name] = {}
    session: dict[str, Any] = {}


class Ambiance(Option, frozen=True):
    """Background sound under the speech; it is lowered while speech plays."""

    path: Name
    duck_level: Annotated[float, Meta(ge=0, le=4)] = 0.1
    normal_level: Annotated[float, Meta(ge=0, le=4)] = 0.3


class Sip(Option, frozen=True):
    """Credentials and headers of an outgoing SIP call."""

    username: Name = ""
    password: Name = ""
    realm: Name = ""
    contact: Name = ""
    headers: dict[Name, Name] = {}


class CallOption(Option, frozen=True):
    """All options of the commands ``invite`` and ``accept``."""

    caller: Name = ""
    callee: Name = ""
    offer: Text = ""
    trickle: bool = False
    codec: Name = ""
    samplerate: Literal[8000, 16000, 24000, 48000] = 16000
    asr: Asr | None = None
    tts: Tts | None = None
    vad: Vad | bool | None = None
    recorder: Recorder | bool | None = None
    denoise: bool = False
    agc: bool = False
    aec: bool = False
    eou: Eou | bool | None = None
    barge_in: BargeIn | bool | None = None
    amd: Amd | bool | None = None
    tones: bool | None = None
    media_pass: MediaPass | None = None
    ambiance: Ambiance | None = None
    subscribe: bool = False
    live: bool | None = None
    inband_dtmf: bool | None = None
    binary_events: bool = False
    away: Literal["pause", "continue"] = "pause"
    inactivity_timeout: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    handshake_timeout: Name | float | None = None
    enable_ipv6: bool = False
    sip: Sip | None = None
    extra: dict[Name, object] = {}


class Invite(Command, frozen=True, kw_only=True, tag="invite"):
    """Initiate a call, or accept an incoming one."""

    option: CallOption = CallOption()


class Accept(Command, frozen=True, kw_only=True, tag="accept"):
    """Accept an incoming call."""

    option: CallOption = CallOption()


class TtsCommand(Command, frozen=True, kw_only=True, tag="tts"):
    """Convert text to speech and play it."""

    text: Text = ""
    speaker: Name = ""
    play_id: Name | None = None
    auto_hangup: bool = False
    streaming: bool = False
    end_of_stream: bool = False
    option: Tts | None = None
    wait_input_timeout: Millis | None = None
    base64: bool = False
    cache_key: Name = ""
    layer: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{0,32}$")] = ""


class Play(Command, frozen=True, kw_only=True, tag="play"):
    """Play audio from a URL."""

    url: Name
    play_id: Name | None = None
    auto_hangup: bool = False
    wait_input_timeout: Millis | None = None
    offset_ms: Millis = 0
    loop: bool = False
    gain: Annotated[float, Meta(ge=0, le=4)] = 1.0
    layer: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{0,32}$")] = ""


class Interrupt(Command, frozen=True, kw_only=True, tag="interrupt"):
    """Stop the playback."""

    graceful: bool = False
    fade_out_ms: Annotated[int, Meta(ge=0, le=2000)] = 10
    play_id: Name | None = None


class Pause(Command, frozen=True, kw_only=True, tag="pause"):
    """Pause the playback."""


class Resume(Command, frozen=True, kw_only=True, tag="resume"):
    """Resume the playback that was paused."""


class Hangup(Command, frozen=True, kw_only=True, tag="hangup"):
    """End the call."""

    reason: Name = "user_requested"
    initiator: Name = "user"
    headers: dict[Name, Name] = {}
    refer: bool = False


class IceCandidate(Option, frozen=True):
    """A candidate as ``RTCIceCandidate.toJSON`` gives it."""

    candidate: Name = ""
    sdp_mid: Name | None = msgspec.field(name="sdpMid", default=None)
    sdp_m_line_index: int | None = msgspec.field(name="sdpMLineIndex", default=None)


class Candidate(Command, frozen=True, kw_only=True, tag="candidate"):
    """Add ICE candidates."""

    candidates: Annotated[list[Name | IceCandidate], Meta(max_length=64)]


class Offer(Command, frozen=True, kw_only=True, tag="offer"):
    """Renegotiate: ICE restart, hold, other codecs (an addition)."""

    offer: Text


class Reject(Command, frozen=True, kw_only=True, tag="reject"):
    """Refuse an incoming call."""

    reason: Name = ""
    code: Annotated[int, Meta(ge=300, le=699)] = 486


class Ringing(Command, frozen=True, kw_only=True, tag="ringing"):
    """Alert an incoming caller."""

    early_media: bool = False
    ringtone: Name = ""
    recorder: Recorder | bool | None = None


class ReferOptions(Option, frozen=True):
    """Options of a transfer: seconds to wait, music on hold, credentials."""

    timeout: Annotated[float, Meta(ge=1, le=600)] = 30
    moh: Name = ""
    auto_hangup: bool = True
    sip: Sip | None = None
    asr: Asr | None = None
    denoise: bool = False


class Refer(Command, frozen=True, kw_only=True, tag="refer"):
    """Invite a second party and bridge it."""

    callee: Name
    caller: Name = ""
    options: ReferOptions = ReferOptions()
    method: Literal["", "invite", "refer"] = ""


class Mute(Command, frozen=True, kw_only=True, tag="mute"):
    """Mute a track, or all tracks."""

    track_id: Name | None = None


class Unmute(Command, frozen=True, kw_only=True, tag="unmute"):
    """Unmute a track, or all tracks."""

    track_id: Name | None = None


class Record(Command, frozen=True, kw_only=True, tag="record"):
    """Start, pause, resume or stop the recording of the call."""

    action: Literal["start", "pause", "resume", "stop"] = "start"
    recorder: Recorder | bool | None = None


class Supervise(Command, frozen=True, kw_only=True, tag="supervise"):
    """Supervise a live call: listen, whisper to the agent, join, take over; or end that."""

    mode: Literal["listen", "whisper", "join", "takeOver", "stop"] = "listen"
    target_session_id: Name = ""
    side: Literal["first", "second"] | None = None
    transcript: bool | None = None
    auto_hangup: bool = False


class History(Command, frozen=True, kw_only=True, tag="history"):
    """Add a line to the history of the conversation."""

    speaker: Name
    text: Text


class Message(Command, frozen=True, kw_only=True, tag="message"):
    """Send a text to the remote party."""

    body: Text
    content_type: Name = "text/plain"


class Bridge(Command, frozen=True, kw_only=True, tag="bridge"):
    """Join this call with another one."""

    target_session_id: Name


class Unbridge(Command, frozen=True, kw_only=True, tag="unbridge"):
    """Separate this call from the one it was joined with."""


class Custom(Command, frozen=True, kw_only=True, tag="custom"):
    """Send an event of the application's own to all subscribers of the call."""

    sender: Name = ""
    data: object = None


class ToolResult(Command, frozen=True, kw_only=True, tag="toolResult"):
    """Answer a tool call of a stream's service."""

    tool_call_id: Name
    result: object = None
    failed: bool = False


class Mark(Command, frozen=True, kw_only=True, tag="mark"):
    """Ask for a ``mark`` event when playback passes everything queued so far."""

    name: Annotated[str, Meta(max_length=256)]


class Dtmf(Command, frozen=True, kw_only=True, tag="dtmf"):
    """Send digits to the remote party; a comma is a pause of half a second."""

    digits: Annotated[str, Meta(pattern="^[0-9*#A-Da-d,]{1,64}$")]


class Collect(Command, frozen=True, kw_only=True, tag="collect"):
    """Collect digits that the party presses."""

    min_digits: int = 1
    max_digits: int = 20
    terminators: Name = "#"
    timeout_ms: int = 5000
    barge_in: bool = True


WireCommand = (
    Invite | Accept | TtsCommand | Play | Interrupt | Pause | Resume | Hangup | Candidate | Offer | Reject |
    Ringing | Refer | Mute | Unmute | Record | Supervise | History | Message | Bridge | Unbridge | Custom |
    Mark | Dtmf | Collect | ToolResult
)  # fmt: skip
"""Union of all commands of the dialect."""
