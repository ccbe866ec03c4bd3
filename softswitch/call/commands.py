"""What a client may ask of a call; dialects translate their wire text to these."""

import msgspec

from softswitch.call.needs import Candidate, SipOption, StreamChannel, StreamExtra
from softswitch.errors import RejectedError


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all commands."""

    request_id: str | None = None
    """Echoed in an ``ack`` or ``error`` event."""


class CommandRejected(RejectedError):
    """A command cannot be carried out; the call lives on.

    Attributes:
        error: What is wrong, in words for the client.
        code: A number in the manner of HTTP status codes.
        sender: The part that refuses; ``command`` unless told otherwise.
        request_id: That of the command, where it had one.
    """

    def __init__(
        self, error: str, code: int = 400, sender: str = "command", request_id: str | None = None
    ) -> None:
        """Remember what to tell the client."""
        super().__init__(error)
        self.error = error
        self.code = code
        self.sender = sender
        self.request_id = request_id


# --- options of a call ----------------------------------------------------------


class AsrOption(msgspec.Struct, frozen=True):
    """How speech is to be recognised."""

    providers: tuple[str, ...] = ()
    language: str = ""
    model: str = ""
    grammar: str | tuple[str, ...] = ""
    hotwords: tuple[str, ...] = ()
    extra: dict[str, object] = {}


class TtsOption(msgspec.Struct, frozen=True):
    """How text is to be spoken."""

    providers: tuple[str, ...] = ()
    voice: str = ""
    language: str = ""
    rate: float = 1.0
    pitch: float = 1.0
    volume: float = 1.0
    sample_rate: int = 16000
    extra: dict[str, object] = {}


class VadOption(msgspec.Struct, frozen=True):
    """How speech is told from silence."""

    kind: str = ""
    """silero, webrtc, energy or a plug-in; empty: the default of the settings."""
    start_ms: int = 250
    stop_ms: int = 300
    threshold: float = 0.5
    silence_timeout_ms: int | None = None
    """Repeat ``silence`` after this long without speech; None never."""
    off: bool = False


class RecorderOption(msgspec.Struct, frozen=True):
    """What to record."""

    name: str = ""
    """Wish for the file's name; only its last part is used, below the recordings folder."""
    sample_rate: int = 16000
    container: str = "wav"


class EouOption(msgspec.Struct, frozen=True):
    """When an utterance is taken as complete."""

    silence_ms: int = 500


class BargeInOption(msgspec.Struct, frozen=True):
    """Whether and how the party's speech stops the machine."""

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


class CallOption(msgspec.Struct, frozen=True):
    """Everything an invite may ask for."""

    caller: str = ""
    callee: str = ""
    offer: str = ""
    codec: str = ""
    sample_rate: int = 16000
    asr: AsrOption | None = None
    tts: TtsOption = TtsOption()
    vad: VadOption = VadOption()
    recorder: RecorderOption | None = None
    denoise: bool = False
    eou: EouOption | None = None
    barge_in: BargeInOption = BargeInOption()
    media_pass: MediaPassOption | None = None
    ambiance: AmbianceOption | None = None
    subscribe: bool = False
    inband_dtmf: bool | None = None
    """Listen for tones in the audio; None: only where the leg knows no other way."""
    binary_events: bool = False
    inactivity_s: float | None = None
    handshake_s: float | None = None
    max_duration_s: float | None = None
    """How long the call may last; None: as long as the settings allow."""
    headers: dict[str, str] = {}
    """Further headers of an outgoing INVITE; those of the caller's on an incoming one."""
    sip: SipOption = SipOption()
    """How to prove who we are to a SIP server."""
    shown: dict[str, object] = {}
    """The option as the client gave it, without its secrets: for lists and records."""


# --- setting up and ending ------------------------------------------------------


class Invite(Command, frozen=True):
    """Set the call up (``accept`` on an incoming one)."""

    option: CallOption = CallOption()


class Accept(Command, frozen=True):
    """Accept an incoming call; the same as :class:`Invite` where the client itself is the party."""

    option: CallOption = CallOption()


class Connect(Command, frozen=True):
    """Dial somebody for a caller who waits, and answer him when they do (a rule of the settings)."""

    callee: str
    caller: str = ""
    """Who is shown to be calling; empty: the caller."""
    trunk: str = ""
    headers: dict[str, str] = {}
    timeout_s: float = 60.0
    may_transfer: bool = True
    """Whether the caller may have us call somebody else: strangers would dial at our cost."""


class Ring(Command, frozen=True):
    """Alert an incoming caller."""

    early_media: bool = False
    ringtone: str = ""
    recorder: RecorderOption | None = None


class Reject(Command, frozen=True):
    """Refuse an incoming call."""

    reason: str = ""
    code: int = 486


class Offer(Command, frozen=True):
    """Renegotiate."""

    sdp: str


class AddCandidates(Command, frozen=True):
    """Add trickled ICE candidates."""

    candidates: tuple[Candidate, ...]


class Hangup(Command, frozen=True):
    """End the call."""

    reason: str = "user_requested"
    initiator: str = "user"
    headers: dict[str, str] = {}


# --- speaking -------------------------------------------------------------------


class Say(Command, frozen=True):
    """Speak a text."""

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


class Play(Command, frozen=True):
    """Play a file from a URL."""

    url: str
    play_id: str | None = None
    auto_hangup: bool = False
    wait_input_ms: int | None = None
    offset_ms: int = 0
    loop: bool = False
    gain: float = 1.0
    layer: str = ""


class Interrupt(Command, frozen=True):
    """Stop what plays."""

    graceful: bool = False
    fade_ms: int = 10
    play_id: str | None = None


class Pause(Command, frozen=True):
    """Hold what plays."""


class Resume(Command, frozen=True):
    """Go on with what was paused."""


class PlaceMark(Command, frozen=True):
    """Tell when everything said so far has been heard."""

    name: str


# --- digits ---------------------------------------------------------------------


class SendDtmf(Command, frozen=True):
    """Send digits to the far end."""

    digits: str


class Collect(Command, frozen=True):
    """Gather digits from the party."""

    min_digits: int = 1
    max_digits: int = 20
    terminators: str = "#"
    timeout_ms: int = 5000
    barge_in: bool = True


# --- the rest -------------------------------------------------------------------


class Mute(Command, frozen=True):
    """Silence the party (track = session id), the playback, or both (none named)."""

    muted: bool
    track_id: str | None = None


class AddHistory(Command, frozen=True):
    """Put a line into the conversation's history."""

    speaker: str
    text: str


class SendMessage(Command, frozen=True):
    """Send a text to the far end."""

    body: str
    content_type: str = "text/plain"


class Custom(Command, frozen=True):
    """Tell all subscribers something of the application's own."""

    sender: str = ""
    data: object = None


class Refer(Command, frozen=True):
    """Invite a second party and bridge it with the first, or carry out the transfer the far end asked for."""

    callee: str
    caller: str = ""
    timeout_s: float = 30.0
    moh: str = ""
    auto_hangup: bool = True
    method: str = ""
    """``refer``: the far end is asked to call by itself (SIP REFER)."""
    headers: dict[str, str] = {}
    sip: SipOption | None = None
    """None: as in the invite."""
    asr: AsrOption | None = None
    """Recognise what the second party says, too."""
    denoise: bool = False


class Bridge(Command, frozen=True):
    """Join this call with another one."""

    other: str


class Unbridge(Command, frozen=True):
    """Part the joined calls."""


# --- streams --------------------------------------------------------------------


class StartStream(Command, frozen=True):
    """Stream the call to an outside service; ``stream`` is the new stream's id, chosen by whoever asks."""

    stream: str
    option: StreamOption


class StopStream(Command, frozen=True):
    """End a stream."""

    stream: str
