"""What happened below: told to a :class:`softswitch.call.call.Call` by endpoints, the engine and speech.

``leg`` is the name of a leg within its call, ``track`` the number the call gave to a playback. Times named
``began`` or ``ended`` are monotonic seconds. Reports are values; a call never raises because of one.
"""

import msgspec


class Report(msgspec.Struct, frozen=True):
    """Base of all reports."""


# --- from endpoints ------------------------------------------------------------


class LegRinging(Report, frozen=True):
    """The far end is alerted (18x)."""

    leg: str
    early_media: bool = False


class LegAnswered(Report, frozen=True):
    """Negotiation is complete and the leg may speak."""

    leg: str
    sdp: str = ""
    """The answer for the client; empty on a WebSocket leg."""
    codec: str = "pcm"
    sample_rate: int = 16000
    ptime_ms: int = 20
    tones_only: bool = False
    """Whether its digits come as tones in the audio and in no other way."""
    trunk: str = ""
    """Name of the trunk it was dialled over."""


class LegUpdated(Report, frozen=True):
    """A later offer was answered (ICE restart, hold, other codecs)."""

    leg: str
    sdp: str


class LegHeld(Report, frozen=True):
    """The far end put the call on hold or took it back."""

    leg: str
    held: bool


class LegRejected(Report, frozen=True):
    """The far end refused."""

    leg: str
    code: int
    reason: str


class LegFailed(Report, frozen=True):
    """The leg could not be set up, or broke; nothing of it is left."""

    leg: str
    sender: str
    """invite for a fault of the offer or option, else the part that failed: webrtc, ice, dtls, media."""
    error: str
    code: int = 500


class LegWarned(Report, frozen=True):
    """Something was refused but the leg lives on (a bad candidate, a bad later offer)."""

    leg: str
    sender: str
    error: str
    code: int = 400


class LegEnded(Report, frozen=True):
    """The far end hung up, or its connection was lost."""

    leg: str
    reason: str = "caller"
    initiator: str = "caller"
    headers: dict[str, str] = {}
    """Further headers of the BYE."""


class LegReferred(Report, frozen=True):
    """A REFER that we sent goes on, or has come to its end."""

    leg: str
    code: int
    reason: str
    final: bool


class TransferRequested(Report, frozen=True):
    """The far end asks to be transferred (RFC 3515)."""

    leg: str
    refer_to: str
    """URI to call, without its ``Replaces``."""
    referred_by: str
    replaces: tuple[str, str, str] | None = None
    """Call-ID, to-tag and from-tag of the dialog to be replaced by an attended transfer (RFC 3891)."""


class TextReceived(Report, frozen=True):
    """The far end sent a text (SIP MESSAGE)."""

    leg: str
    body: str
    content_type: str


# --- from the engine -----------------------------------------------------------


class PlaybackStarted(Report, frozen=True):
    """The first audio of a track went out."""

    track: int


class PlaybackDrained(Report, frozen=True):
    """Everything that was fed to a track so far has been heard."""

    track: int


class PlaybackEnded(Report, frozen=True):
    """A track was heard to its end."""

    track: int
    played_ms: int


class PlaybackDropped(Report, frozen=True):
    """A track was cut short."""

    track: int
    played_ms: int
    total_ms: int
    subtitle: str = ""
    """The text that was heard, as far as the source of the audio knows it."""


class MarkReached(Report, frozen=True):
    """Everything before a mark was heard, or cleared."""

    track: int
    name: str
    cleared: bool = False


class SpeechStarted(Report, frozen=True):
    """The party of a leg began to speak."""

    leg: str
    began: float


class SpeechStopped(Report, frozen=True):
    """The party of a leg fell silent."""

    leg: str
    began: float
    ended: float


class DigitReceived(Report, frozen=True):
    """The party pressed a key."""

    leg: str
    digit: str
    duration_ms: int = 100
    method: str = "rfc4733"
    crossed: bool = False
    """Whether whoever hears the party has it already, as a tone or relayed with the audio."""


class MediaSilent(Report, frozen=True):
    """Nothing arrives from a leg that should send."""

    leg: str
    seconds: float


class MediaResumed(Report, frozen=True):
    """Media arrives again (or for the first time)."""

    leg: str
    seconds: float


class RecordingClosed(Report, frozen=True):
    """A recording is complete."""

    name: str
    duration_ms: int
    size: int
    error: str = ""


# --- from speech and other sources ---------------------------------------------


class SourceFed(Report, frozen=True):
    """Audio of a text or file is on its way to a track: it sounds (again)."""

    track: int


class SourceDone(Report, frozen=True):
    """A text or file given to a track has been fed: nothing of it is still to come.

    Of a streamed text the last words may be held back until :class:`softswitch.call.effects.CompleteText`.
    """

    track: int
    item: int


class SourceFailed(Report, frozen=True):
    """A text or file given to a track could not be turned into audio."""

    track: int
    item: int
    sender: str
    error: str
    code: int = 500


class Transcribed(Report, frozen=True):
    """Speech recognition understood something."""

    leg: str
    index: int
    text: str
    began: float
    ended: float
    final: bool
    confidence: float | None = None


class SpeechWarned(Report, frozen=True):
    """A speech provider degraded or failed; the call goes on."""

    sender: str
    error: str
    code: int = 500


class Measured(Report, frozen=True):
    """A measurement worth an event: ``ttfb.tts.builtin`` ..."""

    key: str
    duration_ms: int
    data: dict[str, object]


# --- from other calls and from the house ----------------------------------------


class Bridged(Report, frozen=True):
    """The call was joined with another one."""

    other: str
    alone: bool = False
    """Whether the party has nobody else to talk to: the call is over when they part."""


class Unbridged(Report, frozen=True):
    """The call is on its own again."""

    other: str


class DigitsPassed(Report, frozen=True):
    """Somebody in the call this one is joined with pressed keys."""

    digits: str


class DialogJoined(Report, frozen=True):
    """The call was joined with the one that a dialog belongs to; ``leg`` has no part in it any more."""

    leg: str


class DialogForeign(Report, frozen=True):
    """A dialog to be replaced belongs to no call of ours that could be joined."""

    leg: str


class LegReplaced(Report, frozen=True):
    """Another call takes the place of a leg."""

    leg: str


class Refused(Report, frozen=True):
    """An effect could not be carried out; the call lives on."""

    sender: str
    error: str
    code: int = 500
    request_id: str | None = None


# --- from streams -----------------------------------------------------------------


class StreamOpened(Report, frozen=True):
    """The service of a stream is connected, for the first time or again."""

    stream: str


class StreamEnded(Report, frozen=True):
    """A stream is over, and what its service said was heard."""

    stream: str
    status: str
    """stopped: by us; closed: by the service; lost: the connection broke; failed: it never was."""
    reason: str = ""


StreamReport = StreamOpened | StreamEnded
