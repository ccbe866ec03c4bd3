"""Commands of a client to a call; dialects translate their wire text to these."""

from enum import Enum
from typing import ClassVar, Literal

import msgspec

from softswitch.call.vocabulary.values import (
    AgentSide,
    Candidate,
    SipOption,
    StreamChannel,
    StreamExtra,
    Subject,
    SuperviseMode,
)


class Reach(Enum):
    """How far a command reaches; the table of authority knows what each reach needs."""

    SETS_UP = "sets up"
    """It sets up or refuses a call, which may still wait to be taken."""
    REACHES_OUT = "reaches out"
    """It makes or moves calls, or sends to the peer."""
    SPEAKS = "speaks"
    """The party hears it."""
    HEARS = "hears"
    """The client hears the party."""
    SUPERVISES = "supervises"
    """It has the party hear, or speak in, another live call."""
    RECORDS = "records"
    """It decides what is recorded."""
    ENDS = "ends"
    """It ends the call."""


class CommandBase(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all commands."""

    reach: ClassVar[Reach]

    request_id: str | None = None
    """Repeated in the ``ack`` or ``error`` event that answers the command."""


# --- options of a call ----------------------------------------------------------


class IntentOption(msgspec.Struct, frozen=True):
    """Something that the party may want, and how it may be said."""

    name: str
    phrases: tuple[str, ...]


class GrammarOption(msgspec.Struct, frozen=True):
    """What may be said; what fits none of it is rejected."""

    type: Literal["phrases", "spot", "intents", "digits"]
    items: tuple[str | IntentOption, ...] = ()
    threshold: float = 0.5


class AsrOption(msgspec.Struct, frozen=True):
    """Options of speech recognition."""

    providers: tuple[str, ...] = ()
    language: str = ""
    model: str = ""
    grammar: str | tuple[str, ...] | GrammarOption = ""
    hotwords: tuple[str, ...] = ()
    extra: dict[str, object] = {}


class TtsOption(msgspec.Struct, frozen=True):
    """Options of speech synthesis."""

    providers: tuple[str, ...] = ()
    voice: str = ""
    language: str = ""
    rate: float = 1.0
    pitch: float = 1.0
    volume: float = 1.0
    sample_rate: int = 16000
    extra: dict[str, object] = {}


class VadOption(msgspec.Struct, frozen=True):
    """Options of voice activity detection."""

    kind: str = ""
    """silero, webrtc, energy or a plug-in; empty: the default of the settings."""
    start_ms: int = 250
    stop_ms: int = 300
    threshold: float = 0.5
    silence_timeout_ms: int | None = None
    """Repeat ``silence`` after this long without speech; None never."""
    off: bool = False


class RecorderOption(msgspec.Struct, frozen=True):
    """Options of a recording."""

    name: str = ""
    """Requested name of the file; only its last part is used, below the recordings folder."""
    sample_rate: int = 16000
    container: str = "wav"
    transcribe: bool = False
    """Whether a transcript is made of it after the call."""
    tone_ms: int = 0
    """Interval of the beeps that announce it to all parties; 0: as the settings say."""


class EouOption(msgspec.Struct, frozen=True):
    """Options of the end of an utterance."""

    silence_ms: int = 500
    """Silence that ends it where its sound was not judged."""
    least_ms: int = 200
    """Silence that ends it where it sounds complete."""
    most_ms: int = 1500
    """Silence that ends it where it sounds as if more will come."""
    threshold: float = 0.95
    """Probability from which on it sounds complete."""


class AmdOption(msgspec.Struct, frozen=True):
    """Whether and how it is told who answers, a person or a machine."""

    silence_s: float = 5.0
    """Without a word for so long it is unknown."""
    beep_s: float = 40.0
    """A machine's beep is waited for so long."""


class BargeInOption(msgspec.Struct, frozen=True):
    """Options of barge-in: whether and how the party's speech stops playbacks."""

    server: bool = False
    min_speech_ms: int = 300
    min_words: int = 0
    fade_ms: int = 40
    fillers: tuple[str, ...] = ("uh", "um", "hmm", "mhm", "ah", "oh", "yeah", "okay", "ok", "right")


class MediaPassOption(msgspec.Struct, frozen=True):
    """A raw PCM WebSocket that hears the party and speaks to it."""

    url: str
    input_sample_rate: int = 16000
    output_sample_rate: int = 16000
    packet_bytes: int = 2560
    live: bool = False
    """True: the service speaks in real time; what a stall made late is caught up with."""
    protocol: str = "raw"
    """Name of the dialect that the service speaks; any but `raw` makes it a stream of the call."""
    headers: dict[str, str] = {}
    session: dict[str, object] = {}
    """As in :class:`StreamOption`."""


class AmbianceOption(msgspec.Struct, frozen=True):
    """A bed of sound under the speech."""

    path: str
    duck_level: float = 0.1
    normal_level: float = 0.3


class StreamOption(msgspec.Struct, frozen=True):
    """A stream of the call's audio to an outside service, which may speak."""

    url: str
    two_way: bool = False
    channel: StreamChannel = "inbound"
    headers: dict[str, str] = {}
    reconnect_s: float = 0.0
    """How long a broken connection is tried again; 0: not at all."""
    hangup_on_close: bool = False
    """End the call when the service goes, or cannot be reached."""
    extras: tuple[StreamExtra, ...] = ()
    live: bool = False
    """True: the service speaks in real time; what a stall made late is caught up with."""
    protocol: str = "wavix"
    """Name of the dialect that the service speaks."""
    encoding: str = ""
    """Encoding of the audio, as the dialect names it; empty: its default."""
    sample_rate: int = 0
    """Sample rate of the audio, Hz; 0: the default of the dialect."""
    parameters: dict[str, str] = {}
    """Named values for the service, which a dialect carries in its first messages."""
    session: dict[str, object] = {}
    """Settings of the session in the words of a speech-to-speech service, over those of the operator."""


class CallOption(msgspec.Struct, frozen=True):
    """Options of an invite."""

    caller: str = ""
    callee: str = ""
    offer: str = ""
    trickle: bool = False
    """Whether the client takes ICE candidates that are found after the answer."""
    codec: str = ""
    sample_rate: int = 16000
    asr: AsrOption | None = None
    tts: TtsOption = TtsOption()
    vad: VadOption = VadOption()
    recorder: RecorderOption | None = None
    denoise: bool = False
    agc: bool = False
    """Bring the party's speech to one level."""
    aec: bool = False
    """Cancel the echo of what the party hears in what it says."""
    eou: EouOption | None = None
    barge_in: BargeInOption = BargeInOption()
    amd: AmdOption | None = None
    tones: bool = False
    """Whether tones of the network are told that are heard before the answer."""
    media_pass: MediaPassOption | None = None
    ambiance: AmbianceOption | None = None
    subscribe: bool = False
    live: bool | None = None
    """Whether late audio of the client's socket is caught up with after a stall; None: only if it had arrived
    in real time, so that audio sent ahead is heard whole."""
    inband_dtmf: bool | None = None
    """Listen for tones in the audio; None: only where the leg knows no other way."""
    binary_events: bool = False
    away: Literal["pause", "continue"] = "pause"
    """What playbacks do while the client is away whose socket carries the audio."""
    waits: bool = False
    """Whether the party waits for another one, and hears music while nothing else plays."""
    inactivity_s: float | None = None
    handshake_s: float | None = None
    max_duration_s: float | None = None
    """How long the call may last; None: as long as the settings allow."""
    headers: dict[str, str] = {}
    """Further headers of an outgoing INVITE; those of the caller's on an incoming one."""
    sip: SipOption = SipOption()
    """Credentials for a SIP server."""
    faults: tuple[str, ...] = ()
    """What was wrong in it, by field, and was left at its default; one error event tells them."""
    shown: dict[str, object] = {}
    """The option as the client gave it, without its secrets: for lists and records."""


# --- setting up and ending ------------------------------------------------------


class Invite(CommandBase, frozen=True):
    """Set the call up (``accept`` on an incoming one)."""

    reach: ClassVar[Reach] = Reach.SETS_UP

    option: CallOption = CallOption()


class Accept(CommandBase, frozen=True):
    """Accept an incoming call; the same as :class:`Invite` where the client itself is the party."""

    reach: ClassVar[Reach] = Reach.SETS_UP

    option: CallOption = CallOption()


Strategy = Literal["sequential", "parallel"]
"""sequential: one after the other until one answers; parallel: all ring, the first answer wins."""


class Connect(CommandBase, frozen=True):
    """Dial a callee for a waiting caller, who is answered with it (a rule of the settings)."""

    reach: ClassVar[Reach] = Reach.REACHES_OUT

    callee: str
    caller: str = ""
    """Number shown to the callee; empty: that of the caller."""
    trunk: str = ""
    headers: dict[str, str] = {}
    timeout_s: float = 60.0
    may_transfer: bool = True
    """Whether the caller may transfer: a stranger's transfer would dial at the operator's cost."""
    recorder: RecorderOption | None = None
    """Record the call from its answer on."""
    further: tuple["Connect", ...] = ()
    """Further callees, dialled by the strategy."""
    strategy: Strategy = "sequential"


class Ring(CommandBase, frozen=True):
    """Alert an incoming caller."""

    reach: ClassVar[Reach] = Reach.SETS_UP

    early_media: bool = False
    ringtone: str = ""
    recorder: RecorderOption | None = None


class Reject(CommandBase, frozen=True):
    """Refuse an incoming call."""

    reach: ClassVar[Reach] = Reach.SETS_UP

    reason: str = ""
    code: int = 486


class Offer(CommandBase, frozen=True):
    """Renegotiate."""

    reach: ClassVar[Reach] = Reach.REACHES_OUT

    sdp: str


class AddCandidates(CommandBase, frozen=True):
    """Add trickled ICE candidates."""

    reach: ClassVar[Reach] = Reach.REACHES_OUT

    candidates: tuple[Candidate, ...]


class Hangup(CommandBase, frozen=True):
    """End the call."""

    reach: ClassVar[Reach] = Reach.ENDS

    reason: str = "user_requested"
    initiator: str = "user"
    headers: dict[str, str] = {}
    refer: bool = False
    """End the second party's leg alone; the call goes on."""


# --- speaking -------------------------------------------------------------------


class Say(CommandBase, frozen=True):
    """Speak a text."""

    reach: ClassVar[Reach] = Reach.SPEAKS

    text: str = ""
    pcm: bytes = b""
    """Audio given instead of a text: PCM16 LE at the option's sample rate."""
    play_id: str | None = None
    auto_hangup: bool = False
    streaming: bool = False
    end_of_stream: bool = False
    wait_input_ms: int | None = None
    option: TtsOption | None = None
    layer: str = ""
    cache_key: str = ""


class Play(CommandBase, frozen=True):
    """Play a file from a URL."""

    reach: ClassVar[Reach] = Reach.SPEAKS

    url: str
    play_id: str | None = None
    auto_hangup: bool = False
    wait_input_ms: int | None = None
    offset_ms: int = 0
    loop: bool = False
    gain: float = 1.0
    layer: str = ""


class Interrupt(CommandBase, frozen=True):
    """Stop playbacks."""

    reach: ClassVar[Reach] = Reach.SPEAKS

    graceful: bool = False
    fade_ms: int = 10
    play_id: str | None = None


class Pause(CommandBase, frozen=True):
    """Pause playbacks."""

    reach: ClassVar[Reach] = Reach.SPEAKS


class Resume(CommandBase, frozen=True):
    """Resume paused playbacks."""

    reach: ClassVar[Reach] = Reach.SPEAKS


class PlaceMark(CommandBase, frozen=True):
    """Put a mark behind the audio given so far; an event follows when it is heard."""

    reach: ClassVar[Reach] = Reach.SPEAKS

    name: str


# --- digits ---------------------------------------------------------------------


class SendDtmf(CommandBase, frozen=True):
    """Send digits to the peer."""

    reach: ClassVar[Reach] = Reach.REACHES_OUT

    digits: str


class Collect(CommandBase, frozen=True):
    """Gather digits from the party."""

    reach: ClassVar[Reach] = Reach.HEARS

    min_digits: int = 1
    max_digits: int = 20
    terminators: str = "#"
    timeout_ms: int = 5000
    barge_in: bool = True


# --- the rest -------------------------------------------------------------------


class Mute(CommandBase, frozen=True):
    """Silence the party or the machine, or end that."""

    reach: ClassVar[Reach] = Reach.SPEAKS

    muted: bool
    subject: Subject | None = None
    """The first party or a layer of the machine; None: both."""


class Record(CommandBase, frozen=True):
    """Start, pause, resume or stop the recording of the call."""

    reach: ClassVar[Reach] = Reach.RECORDS

    action: Literal["start", "pause", "resume", "stop"]
    option: RecorderOption | None = None
    """File of a recording that starts; None: the defaults."""


class Supervise(CommandBase, frozen=True):
    """Let the party of this call supervise a live call, change how, or end that."""

    reach: ClassVar[Reach] = Reach.SUPERVISES

    mode: SuperviseMode | Literal["stop"] = "listen"
    other: str = ""
    """Id of the live call, or name of a user who takes part in one; empty: the one that is supervised now."""
    side: AgentSide | None = None
    """The side of the agent; None: as it was, at first as the switch sees it."""
    transcript: bool | None = None
    """Whether both sides are transcribed for the supervisor; None: as it was."""
    auto_hangup: bool = False
    """End this call with the supervision; keys 1 to 4 of its telephone choose the mode."""


class AddHistory(CommandBase, frozen=True):
    """Put a line into the conversation's history."""

    reach: ClassVar[Reach] = Reach.SPEAKS

    speaker: str
    text: str


class SendMessage(CommandBase, frozen=True):
    """Send a text to the peer."""

    reach: ClassVar[Reach] = Reach.REACHES_OUT

    body: str
    content_type: str = "text/plain"


class Custom(CommandBase, frozen=True):
    """Pass an event of the application to all subscribers."""

    reach: ClassVar[Reach] = Reach.SPEAKS

    sender: str = ""
    data: object = None


class Refer(CommandBase, frozen=True):
    """Dial a second party for the first, or execute the transfer that the peer requested."""

    reach: ClassVar[Reach] = Reach.REACHES_OUT

    callee: str
    caller: str = ""
    timeout_s: float = 30.0
    moh: str = ""
    auto_hangup: bool = True
    method: str = ""
    """``refer``: the peer is asked to call by itself (SIP REFER)."""
    headers: dict[str, str] = {}
    sip: SipOption | None = None
    """None: as in the invite."""
    asr: AsrOption | None = None
    """Recognise the speech of the second party, too."""
    denoise: bool = False
    recorder: RecorderOption | None = None
    """Record the call from the second party's answer on, unless it is recorded already."""
    amd: AmdOption | None = None
    """Detect whether a person or a machine has answered as the second party."""


class Bridge(CommandBase, frozen=True):
    """Join this call with another one."""

    reach: ClassVar[Reach] = Reach.REACHES_OUT

    other: str


class Unbridge(CommandBase, frozen=True):
    """Part the joined calls."""

    reach: ClassVar[Reach] = Reach.REACHES_OUT


# --- streams --------------------------------------------------------------------


class StartStream(CommandBase, frozen=True):
    """Stream the call to an outside service; ``stream`` is the id of the new stream, chosen by the client."""

    reach: ClassVar[Reach] = Reach.HEARS

    stream: str
    option: StreamOption


class StopStream(CommandBase, frozen=True):
    """End a stream."""

    reach: ClassVar[Reach] = Reach.HEARS

    stream: str


class AnswerTool(CommandBase, frozen=True):
    """Answer a tool call of a stream's service."""

    reach: ClassVar[Reach] = Reach.SPEAKS

    tool_call: str
    """Id of the tool call."""
    result: object = None
    """Any JSON."""
    failed: bool = False
    """Whether the tool failed; the result says why."""


WhileUp = (
    Say
    | Play
    | Interrupt
    | Pause
    | Resume
    | PlaceMark
    | SendDtmf
    | Collect
    | Mute
    | Record
    | Supervise
    | AddHistory
    | SendMessage
    | Custom
    | Refer
    | Bridge
    | Unbridge
    | StartStream
    | StopStream
    | AnswerTool
)
"""Commands that need an answered call."""

Command = Invite | Accept | Connect | Ring | Reject | Offer | AddCandidates | Hangup | WhileUp
"""All commands."""
