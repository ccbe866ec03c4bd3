"""The commands as they stand on the wire: one struct each, the wire's spelling by ``rename``.

Only the spellings of the document; others are mapped to these before (:mod:`.spelling`). Unknown keys are
ignored.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(max_length=262_144)]
Name = Annotated[str, Meta(max_length=1024)]
Millis = Annotated[int, Meta(ge=0, le=86_400_000)]


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="command"):
    """Base of all commands; ``requestId`` asks for an ``ack``."""

    request_id: Annotated[str, Meta(max_length=256)] | None = None


class Option(msgspec.Struct, frozen=True, rename="camel"):
    """Base of what stands inside ``option``."""


class Asr(Option, frozen=True):
    """How speech is to be recognised."""

    provider: Name | list[Name] = ""
    language: Name = ""
    model: Name = ""
    model_type: Name = ""
    grammar: Name | list[Name] = ""
    hotwords: Name | list[Name] = ""


class Tts(Option, frozen=True):
    """How text is to be spoken."""

    provider: Name | list[Name] = ""
    speaker: Name = ""
    language: Name = ""
    speed: Annotated[float, Meta(ge=0.25, le=4)] = 1.0
    pitch: Annotated[float, Meta(ge=0.25, le=4)] = 1.0
    volume: Annotated[float, Meta(ge=0, le=10)] = 1.0
    samplerate: Annotated[int, Meta(ge=8000, le=48000)] = 16000


class Vad(Option, frozen=True):
    """How speech is told from silence."""

    type: Name = ""
    speech_padding: Millis = 250
    silence_padding: Millis = 100
    voice_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    silence_timeout: Millis | None = None


class Recorder(Option, frozen=True):
    """What to record."""

    recorder_file: Name = ""
    samplerate: Literal[8000, 16000, 24000, 48000] = 16000
    ptime: Millis = 0
    format: Literal["wav", "opus", "ogg"] = "wav"


class Eou(Option, frozen=True):
    """When an utterance is taken as complete."""

    timeout: Annotated[int, Meta(ge=100, le=10_000)] = 500


class BargeIn(Option, frozen=True):
    """Who stops the machine when the party speaks."""

    mode: Literal["server", "client", "off"] = "server"
    min_speech_ms: Annotated[int, Meta(ge=0, le=5000)] = 300
    min_words: Annotated[int, Meta(ge=0, le=20)] = 0
    fade_ms: Annotated[int, Meta(ge=0, le=2000)] = 40
    fillers: list[Name] | None = None


class MediaPass(Option, frozen=True):
    """A raw PCM WebSocket that hears the party and speaks to it."""

    url: Name
    input_sample_rate: Literal[8000, 16000, 24000, 48000] = 16000
    output_sample_rate: Literal[8000, 16000, 24000, 48000] = 16000
    packet_size: Annotated[int, Meta(ge=2, le=65536, multiple_of=2)] = 2560
    ptime: Millis = 0


class Ambiance(Option, frozen=True):
    """A bed of sound under the speech."""

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
    """Everything an invite may ask for."""

    caller: Name = ""
    callee: Name = ""
    offer: Text = ""
    codec: Name = ""
    samplerate: Literal[8000, 16000, 24000, 48000] = 16000
    asr: Asr | None = None
    tts: Tts | None = None
    vad: Vad | bool | None = None
    recorder: Recorder | bool | None = None
    denoise: bool = False
    eou: Eou | bool | None = None
    barge_in: BargeIn | bool | None = None
    media_pass: MediaPass | None = None
    ambiance: Ambiance | None = None
    subscribe: bool = False
    inband_dtmf: bool | None = None
    binary_events: bool = False
    inactivity_timeout: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    handshake_timeout: Name | float | None = None
    enable_ipv6: bool = False
    sip: Sip | None = None
    extra: dict[Name, object] = {}


class Invite(Wire, frozen=True, kw_only=True, tag="invite"):
    """Initiate a call, or accept an incoming one."""

    option: CallOption = CallOption()


class Accept(Wire, frozen=True, kw_only=True, tag="accept"):
    """Accept an incoming call."""

    option: CallOption = CallOption()


class TtsCommand(Wire, frozen=True, kw_only=True, tag="tts"):
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


class Play(Wire, frozen=True, kw_only=True, tag="play"):
    """Play audio from a URL."""

    url: Name
    play_id: Name | None = None
    auto_hangup: bool = False
    wait_input_timeout: Millis | None = None
    offset_ms: Millis = 0
    loop: bool = False
    gain: Annotated[float, Meta(ge=0, le=4)] = 1.0
    layer: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{0,32}$")] = ""


class Interrupt(Wire, frozen=True, kw_only=True, tag="interrupt"):
    """Stop what plays."""

    graceful: bool = False
    fade_out_ms: Annotated[int, Meta(ge=0, le=2000)] = 10
    play_id: Name | None = None


class Pause(Wire, frozen=True, kw_only=True, tag="pause"):
    """Hold what plays."""


class Resume(Wire, frozen=True, kw_only=True, tag="resume"):
    """Go on with what was paused."""


class Hangup(Wire, frozen=True, kw_only=True, tag="hangup"):
    """End the call."""

    reason: Name = "user_requested"
    initiator: Name = "user"
    headers: dict[Name, Name] = {}


class IceCandidate(Option, frozen=True):
    """A candidate in the words of RTCIceCandidate."""

    candidate: Name = ""
    sdp_mid: Name | None = msgspec.field(name="sdpMid", default=None)
    sdp_m_line_index: int | None = msgspec.field(name="sdpMLineIndex", default=None)


class Candidate(Wire, frozen=True, kw_only=True, tag="candidate"):
    """Add ICE candidates."""

    candidates: Annotated[list[Name | IceCandidate], Meta(max_length=64)]


class Offer(Wire, frozen=True, kw_only=True, tag="offer"):
    """Renegotiate: ICE restart, hold, other codecs (ours)."""

    offer: Text


class Reject(Wire, frozen=True, kw_only=True, tag="reject"):
    """Refuse an incoming call."""

    reason: Name = ""
    code: Annotated[int, Meta(ge=300, le=699)] = 486


class Ringing(Wire, frozen=True, kw_only=True, tag="ringing"):
    """Alert an incoming caller."""

    early_media: bool = False
    ringtone: Name = ""
    recorder: Recorder | bool | None = None


class ReferOptions(Option, frozen=True):
    """How to transfer."""

    timeout: Annotated[float, Meta(ge=1, le=600)] = 30
    moh: Name = ""
    auto_hangup: bool = True
    sip: Sip | None = None
    asr: Asr | None = None
    denoise: bool = False


class Refer(Wire, frozen=True, kw_only=True, tag="refer"):
    """Invite a second party and bridge it."""

    callee: Name
    caller: Name = ""
    options: ReferOptions = ReferOptions()
    method: Literal["", "invite", "refer"] = ""


class Mute(Wire, frozen=True, kw_only=True, tag="mute"):
    """Silence a track, or all."""

    track_id: Name | None = None


class Unmute(Wire, frozen=True, kw_only=True, tag="unmute"):
    """Let a track, or all, be heard again."""

    track_id: Name | None = None


class History(Wire, frozen=True, kw_only=True, tag="history"):
    """Put a line into the conversation's history."""

    speaker: Name
    text: Text


class Message(Wire, frozen=True, kw_only=True, tag="message"):
    """Send a text to the far end."""

    body: Text
    content_type: Name = "text/plain"


class Bridge(Wire, frozen=True, kw_only=True, tag="bridge"):
    """Join this call with another one."""

    target_session_id: Name


class Unbridge(Wire, frozen=True, kw_only=True, tag="unbridge"):
    """Part the calls."""


class Custom(Wire, frozen=True, kw_only=True, tag="custom"):
    """Tell all subscribers something of the application's own."""

    sender: Name = ""
    data: object = None


class Mark(Wire, frozen=True, kw_only=True, tag="mark"):
    """Tell when playback passes this point."""

    name: Annotated[str, Meta(max_length=256)]


class Dtmf(Wire, frozen=True, kw_only=True, tag="dtmf"):
    """Send digits to the far end."""

    digits: Annotated[str, Meta(pattern="^[0-9*#A-Da-d,]{1,64}$")]


class Collect(Wire, frozen=True, kw_only=True, tag="collect"):
    """Gather digits from the party."""

    min_digits: int = 1
    max_digits: int = 20
    terminators: Name = "#"
    timeout_ms: int = 5000
    barge_in: bool = True


WireCommand = (
    Invite | Accept | TtsCommand | Play | Interrupt | Pause | Resume | Hangup | Candidate | Offer | Reject |
    Ringing | Refer | Mute | Unmute | History | Message | Bridge | Unbridge | Custom | Mark | Dtmf | Collect
)  # fmt: skip
"""Every command of the dialect."""
