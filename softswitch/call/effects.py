"""What a call has decided and the switch carries out.

``track`` is a number the call gives to each playback, unique within the call; ``item`` counts the texts and
files given to one track. ``leg`` names a leg within the call.
"""

import msgspec

from softswitch.call.commands import (
    AsrOption,
    CallOption,
    MediaPassOption,
    RecorderOption,
    StreamOption,
    TtsOption,
    VadOption,
)
from softswitch.call.needs import Candidate


class Effect(msgspec.Struct, frozen=True):
    """Base of all effects."""


# --- legs -----------------------------------------------------------------------


class PrepareLeg(Effect, frozen=True):
    """Make the endpoint of somebody who calls; it neither rings nor answers yet."""

    leg: str
    option: CallOption


class OpenLeg(Effect, frozen=True):
    """Make the endpoint of a leg and let it answer or dial."""

    leg: str
    option: CallOption
    callee: str = ""
    """What to dial for a further leg; empty: the client or the caller is the party."""
    trunk: str = ""
    ring_s: float | None = None
    """How long the callee may ring."""
    by_rules: bool = False
    """Whether the callee goes by the rules of the settings, as if a user had dialled it."""


class RingLeg(Effect, frozen=True):
    """Alert an incoming caller."""

    leg: str
    early_media: bool


class RejectLeg(Effect, frozen=True):
    """Refuse an incoming caller."""

    leg: str
    code: int
    reason: str


class OfferLeg(Effect, frozen=True):
    """Renegotiate a leg."""

    leg: str
    sdp: str


class AddLegCandidates(Effect, frozen=True):
    """Pass ICE candidates on."""

    leg: str
    candidates: tuple[Candidate, ...]


class CloseLeg(Effect, frozen=True):
    """Hang one leg up."""

    leg: str
    reason: str
    headers: dict[str, str] = {}


class MuteLeg(Effect, frozen=True):
    """Silence what a leg says, or not any more."""

    leg: str
    muted: bool


class SendLegDigits(Effect, frozen=True):
    """Send digits to a leg's far end."""

    leg: str
    digits: str


class SendLegMessage(Effect, frozen=True):
    """Send a text to a leg's far end (SIP MESSAGE)."""

    leg: str
    body: str
    content_type: str
    request_id: str | None = None


class ReferLeg(Effect, frozen=True):
    """Ask a leg's far end to call somebody else (SIP REFER)."""

    leg: str
    target: str
    headers: dict[str, str] = {}
    request_id: str | None = None


class AcceptTransfer(Effect, frozen=True):
    """Tell a leg's far end that its REFER is being worked on."""

    leg: str


class TellTransfer(Effect, frozen=True):
    """Tell a leg's far end how its transfer goes; without :class:`AcceptTransfer` it refuses the REFER."""

    leg: str
    code: int
    reason: str


class JoinDialog(Effect, frozen=True):
    """Join with the call that a dialog belongs to, in its place (attended transfer).

    :class:`softswitch.call.reports.DialogJoined` or :class:`softswitch.call.reports.DialogForeign` follows.
    """

    leg: str
    """The leg whose far end asked."""
    replaces: tuple[str, str, str]
    """Call-ID, to-tag and from-tag."""


class PassDigits(Effect, frozen=True):
    """Give digits to the legs of the call this one is joined with."""

    other: str
    digits: str


class JoinCalls(Effect, frozen=True):
    """Put this call's legs and another call's into one mix."""

    other: str
    request_id: str | None = None


class PartCalls(Effect, frozen=True):
    """Take the calls apart again."""

    other: str


# --- playbacks ------------------------------------------------------------------


class OpenPlayback(Effect, frozen=True):
    """Open a track."""

    track: int
    gain: float = 1.0
    duck_to: float | None = None


class SpeakText(Effect, frozen=True):
    """Synthesise a text onto a track, behind what was given before."""

    track: int
    item: int
    text: str
    option: TtsOption
    complete: bool
    """False: more text of the same sentence may follow (streamed text)."""
    cache_key: str = ""


class SpeakAudio(Effect, frozen=True):
    """Put given audio onto a track."""

    track: int
    item: int
    pcm: bytes
    sample_rate: int


class PlayUrl(Effect, frozen=True):
    """Fetch, decode and feed a file onto a track."""

    track: int
    item: int
    url: str
    offset_ms: int = 0
    loop: bool = False


class CompleteText(Effect, frozen=True):
    """Speak what is held back of a streamed text: nothing more comes."""

    track: int
    item: int


class MarkPlayback(Effect, frozen=True):
    """Put a mark behind everything given to a track so far."""

    track: int
    name: str


class EndPlayback(Effect, frozen=True):
    """Let a track end when everything in it was heard."""

    track: int


class DropPlayback(Effect, frozen=True):
    """Cut a track short."""

    track: int
    fade_ms: int
    graceful: bool = False


class PausePlayback(Effect, frozen=True):
    """Hold a track, or let it go on."""

    track: int
    paused: bool


class SetPlaybackGain(Effect, frozen=True):
    """Change the loudness of a track."""

    track: int
    gain: float


# --- listening ------------------------------------------------------------------


class DetectSpeech(Effect, frozen=True):
    """Switch speech detection of a leg on."""

    leg: str
    option: VadOption


class DetectTones(Effect, frozen=True):
    """Listen for dialling tones in a leg's audio."""

    leg: str


class Denoise(Effect, frozen=True):
    """Suppress noise in what a leg says."""

    leg: str


class Transcribe(Effect, frozen=True):
    """Start speech recognition of a leg."""

    leg: str
    option: AsrOption


class FinalizeUtterance(Effect, frozen=True):
    """Tell speech recognition that the party fell silent."""

    leg: str


class Record(Effect, frozen=True):
    """Record a leg: what it says left, what it hears right."""

    leg: str
    option: RecorderOption


class PassMedia(Effect, frozen=True):
    """Open a raw PCM WebSocket that hears a leg and speaks to it."""

    leg: str
    option: MediaPassOption


class OpenStream(Effect, frozen=True):
    """Open a stream of a leg to an outside service."""

    stream: str
    leg: str
    option: StreamOption


class TellStream(Effect, frozen=True):
    """Tell the service of a stream that the party pressed a key."""

    stream: str
    digit: str


class CloseStream(Effect, frozen=True):
    """End a stream."""

    stream: str


class ShareAudio(Effect, frozen=True):
    """Send the audio of both sides to the client as indexed binary frames."""

    leg: str


class CloseCall(Effect, frozen=True):
    """The call is over: release everything it holds and close its sockets."""

    reason: str
