"""Reports to a :class:`softswitch.call.call.Call` from endpoints, the engine, speech and other calls.

``leg`` is the name of a leg within its call, ``track`` the number that the call gave to a playback. Times
named ``began`` or ``ended`` are monotonic seconds. A call never raises because of a report.

The reports that the engine makes are those of :mod:`softswitch.signals`: one struct for both sides.
"""

import msgspec

from softswitch.call.vocabulary.rejection import Rejection
from softswitch.call.vocabulary.stream_words import FromService
from softswitch.call.vocabulary.values import Candidate, SuperviseMode
from softswitch.signals import (
    DigitReceived,
    MarkReached,
    MediaResumed,
    MediaSilent,
    PortReport,
    SpeechStarted,
    SpeechStopped,
    TrackDrained,
    TrackDropped,
    TrackEnded,
    TrackReport,
    TrackStarted,
)

__all__ = [
    "Bridged",
    "DialogForeign",
    "DialogJoined",
    "DigitReceived",
    "DigitsPassed",
    "LegAnswered",
    "LegEnded",
    "LegFailed",
    "LegHeld",
    "LegReferred",
    "LegRejected",
    "LegReplaced",
    "LegReport",
    "LegRinging",
    "LegTrickled",
    "LegUpdated",
    "LegWarned",
    "MarkReached",
    "Measured",
    "MediaResumed",
    "MediaSilent",
    "OfLeg",
    "OfPlayback",
    "PeerHeld",
    "PortReport",
    "RecordingClosed",
    "Refused",
    "Report",
    "ReportBase",
    "SourceDone",
    "SourceFailed",
    "SourceFed",
    "SpeechStarted",
    "SpeechStopped",
    "SpeechWarned",
    "StreamEnded",
    "StreamOpened",
    "StreamReport",
    "StreamTold",
    "StreamWarned",
    "Supervises",
    "SupervisionOver",
    "TextReceived",
    "TrackDrained",
    "TrackDropped",
    "TrackEnded",
    "TrackReport",
    "TrackStarted",
    "Transcribed",
    "TransferRequested",
    "Unbridged",
]


class ReportBase(msgspec.Struct, frozen=True):
    """Base of the reports that only the call model knows; the others are signals of the engine."""


class LegReport(ReportBase, frozen=True):
    """Base of the reports about a leg that its endpoint makes."""

    leg: str
    """Name of the leg."""


# --- from endpoints ------------------------------------------------------------


class LegRinging(LegReport, frozen=True):
    """The peer is alerted (18x)."""

    early_media: bool = False


class LegAnswered(LegReport, frozen=True):
    """Negotiation is complete; audio may flow."""

    sdp: str = ""
    """The answer for the client; empty on a WebSocket leg."""
    codec: str = "pcm"
    sample_rate: int = 16000
    ptime_ms: int = 20
    tones_only: bool = False
    """Whether its digits come as tones in the audio and in no other way."""
    trunk: str = ""
    """Name of the trunk it was dialled over."""


class LegUpdated(LegReport, frozen=True):
    """A later offer was answered (ICE restart, hold, other codecs)."""

    sdp: str


class LegTrickled(LegReport, frozen=True):
    """Local ICE candidates that came after the answer; an empty text says that nothing follows."""

    candidates: tuple[Candidate, ...]


class LegHeld(LegReport, frozen=True):
    """The peer put the call on hold or resumed it."""

    held: bool


class LegRejected(LegReport, frozen=True):
    """The peer refused the call."""

    code: int
    reason: str
    from_peer: bool = False
    """Whether `reason` is the phrase of a SIP response; else it is an error text for the client only."""
    redirect_to: tuple[str, ...] = ()
    """URIs that a redirection names and that were not called, the preferred one first."""


class LegFailed(LegReport, frozen=True):
    """The leg could not be set up, or broke; its endpoint has released everything."""

    sender: str
    """invite for a fault of the offer or option, else the part that failed: webrtc, ice, dtls, media."""
    error: str
    code: int = 500


class LegWarned(LegReport, frozen=True):
    """The endpoint refused a candidate, a later offer or a message; the leg lives on."""

    sender: str
    error: str
    code: int = 400


class LegEnded(LegReport, frozen=True):
    """The peer hung up, or its connection was lost."""

    reason: str = "caller"
    initiator: str = "caller"
    headers: dict[str, str] = {}
    """Further headers of the BYE."""


class LegReferred(LegReport, frozen=True):
    """Progress or end of a REFER that the switch sent."""

    code: int
    reason: str
    final: bool


class TransferRequested(LegReport, frozen=True):
    """The peer requests a transfer (RFC 3515)."""

    refer_to: str
    """URI to call, without its ``Replaces``."""
    referred_by: str
    replaces: tuple[str, str, str] | None = None
    """Call-ID, to-tag and from-tag of the dialog to be replaced by an attended transfer (RFC 3891)."""


class TextReceived(LegReport, frozen=True):
    """The peer sent a text (SIP MESSAGE)."""

    body: str
    content_type: str


# --- from the engine -----------------------------------------------------------


class RecordingClosed(ReportBase, frozen=True):
    """A recording is complete."""

    name: str
    duration_ms: int
    size: int
    error: str = ""


# --- from speech and other sources ---------------------------------------------


class SourceFed(ReportBase, frozen=True):
    """Audio of a text or file was fed to a track, which sounds from now on."""

    track: int


class SourceDone(ReportBase, frozen=True):
    """A text or file given to a track was fed completely.

    Of a streamed text the last words may be held back until
    :class:`softswitch.call.vocabulary.effects.CompleteText`.
    """

    track: int
    item: int


class SourceFailed(ReportBase, frozen=True):
    """A text or file given to a track could not be turned into audio."""

    track: int
    item: int
    sender: str
    error: str
    code: int = 500


class Transcribed(LegReport, frozen=True):
    """Speech recognition has a partial or final transcript."""

    index: int
    text: str
    began: float
    ended: float
    final: bool
    confidence: float | None = None
    rejected: bool = False
    """Whether it fits nothing of the grammar."""
    match: str = ""
    """The item of the grammar that it fits."""


class TurnJudged(LegReport, frozen=True):
    """A party has paused, and its turn is over with some probability, judged by its sound."""

    probability: float
    ended: float


class AnsweredBy(LegReport, frozen=True):
    """A person or a machine has answered, or a machine has beeped."""

    result: str
    """``human``, ``machine``, ``beep`` or ``unknown``."""
    reason: str
    """What told it: ``words``, ``rhythm``, ``silence``, ``tone``."""
    at: float
    speech_began: float | None
    spoken_s: float
    """How much was said; of a beep, how long it was."""
    text: str


class ToneHeard(LegReport, frozen=True):
    """A tone of the network was heard before the answer."""

    tone: str
    """``ringback``, ``busy``, ``congestion`` or ``sit``."""
    frequencies: tuple[int, ...]
    """Hz."""
    at: float


class SpeechWarned(ReportBase, frozen=True):
    """A speech provider degraded or failed; the call goes on."""

    sender: str
    error: str
    code: int = 500


class Measured(ReportBase, frozen=True):
    """A measurement worth an event: ``ttfb.tts.builtin`` ..."""

    key: str
    duration_ms: int
    data: dict[str, object]


# --- from other calls and the switch --------------------------------------------


class Bridged(ReportBase, frozen=True):
    """The call was joined with another one."""

    other: str
    alone: bool = False
    """Whether the party has no other participant to talk to: the call ends with the bridge."""


class Unbridged(ReportBase, frozen=True):
    """The bridge with another call has ended."""

    other: str
    goes_on: bool = False
    """Whether the call goes on although its party was left alone: another one takes the place."""


class Supervises(ReportBase, frozen=True):
    """The party supervises another call from now on, or in another way than before."""

    other: str
    mode: SuperviseMode


class SupervisionOver(ReportBase, frozen=True):
    """The supervised call is over, or the supervision was ended."""

    other: str


class PeerHeld(ReportBase, frozen=True):
    """The parties of the bridged call hold it, or no longer."""

    held: bool


class DigitsPassed(ReportBase, frozen=True):
    """A party of the bridged call pressed keys."""

    digits: str


class DialogJoined(LegReport, frozen=True):
    """The call was joined with the call of a dialog; ``leg`` no longer takes part."""


class DialogForeign(LegReport, frozen=True):
    """The dialog to be replaced belongs to no call of this switch that could be joined."""


class LegReplaced(LegReport, frozen=True):
    """Another call takes the place of a leg."""


class Refused(ReportBase, frozen=True):
    """An effect could not be carried out; the call lives on."""

    sender: str
    error: str = ""
    """Words of the part that failed."""
    code: int = 500
    request_id: str | None = None
    rejection: Rejection | None = None
    """The reason as symbols, where the switch itself rejects."""


# --- from streams -----------------------------------------------------------------


class StreamOpened(ReportBase, frozen=True):
    """The service of a stream is connected, for the first time or again."""

    stream: str
    follows_speech: bool = False
    """Whether the service needs to be told when the party speaks."""


class StreamEnded(ReportBase, frozen=True):
    """A stream is over, and what its service said was heard."""

    stream: str
    status: str
    """stopped: by the switch; closed: by the service; lost: the connection broke; failed: it never opened."""
    reason: str = ""


class StreamWarned(ReportBase, frozen=True):
    """Something about a stream that its application should know; the stream goes on."""

    stream: str
    reason: str


class StreamTold(ReportBase, frozen=True):
    """The service of a stream tells something besides its audio."""

    stream: str
    word: FromService


StreamReport = StreamOpened | StreamEnded | StreamWarned | StreamTold

Report = (
    LegRinging
    | LegAnswered
    | LegUpdated
    | LegTrickled
    | LegHeld
    | LegRejected
    | LegFailed
    | LegWarned
    | LegEnded
    | LegReferred
    | TransferRequested
    | TextReceived
    | RecordingClosed
    | SourceFed
    | SourceDone
    | SourceFailed
    | Transcribed
    | TurnJudged
    | AnsweredBy
    | ToneHeard
    | SpeechWarned
    | Measured
    | Bridged
    | Unbridged
    | DigitsPassed
    | PeerHeld
    | Supervises
    | SupervisionOver
    | DialogJoined
    | DialogForeign
    | LegReplaced
    | Refused
    | StreamOpened
    | StreamEnded
    | StreamWarned
    | StreamTold
    | SpeechStarted[str]
    | SpeechStopped[str]
    | DigitReceived[str]
    | MediaSilent[str]
    | MediaResumed[str]
    | TrackStarted
    | TrackDrained
    | MarkReached
    | TrackEnded
    | TrackDropped
)
"""All reports to a call."""

OfLeg = (
    LegRinging
    | LegAnswered
    | LegUpdated
    | LegTrickled
    | LegHeld
    | LegRejected
    | LegFailed
    | LegWarned
    | LegEnded
    | TextReceived
    | Transcribed
    | TurnJudged
    | AnsweredBy
    | ToneHeard
    | SpeechStarted[str]
    | SpeechStopped[str]
    | DigitReceived[str]
    | MediaSilent[str]
    | MediaResumed[str]
)
"""Reports about a leg, which the part of the call handles that the leg belongs to."""

OfPlayback = (
    SourceFed
    | SourceDone
    | SourceFailed
    | TrackStarted
    | TrackDrained
    | MarkReached
    | TrackEnded
    | TrackDropped
)
"""Reports about a playback or a source that feeds it."""
