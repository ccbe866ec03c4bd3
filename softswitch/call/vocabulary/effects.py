"""Effects: decisions of a call that the switch executes.

``track`` is a number that the call gives to each playback, unique within the call; ``item`` counts the texts
and files given to one track. ``leg`` is the name of a leg within the call.

Effects that the engine executes by itself are the messages of :mod:`softswitch.signals`: one struct for both.
"""

from typing import Literal

import msgspec

from softswitch.call.vocabulary.commands import (
    AmdOption,
    AsrOption,
    CallOption,
    MediaPassOption,
    RecorderOption,
    StreamOption,
    TtsOption,
    VadOption,
)
from softswitch.call.vocabulary.stream_words import ToService
from softswitch.call.vocabulary.values import AgentSide, Candidate, SuperviseMode, WaitingSound
from softswitch.signals import (
    DropTrack,
    EndTrack,
    EngineEffect,
    PlaceMark,
    PortMessage,
    SetDenoise,
    SetEchoControl,
    SetGainControl,
    SetInbandDtmf,
    SetMuted,
    SetTrack,
    TrackMessage,
)

__all__ = [
    "AcceptTransfer",
    "AddLegCandidates",
    "CloseCall",
    "CloseLeg",
    "CloseStream",
    "CompleteText",
    "DetectSpeech",
    "DropTrack",
    "Effect",
    "EndTrack",
    "FinalizeUtterance",
    "JoinCalls",
    "JoinDialog",
    "OfferLeg",
    "OpenLeg",
    "OpenPlayback",
    "OpenStream",
    "PartCalls",
    "PassDigits",
    "PassMedia",
    "PlaceMark",
    "PlaySound",
    "PlayUrl",
    "PortMessage",
    "PrepareLeg",
    "Record",
    "ReferLeg",
    "RejectLeg",
    "RingLeg",
    "SendLegDigits",
    "SendLegMessage",
    "SetDenoise",
    "SetEchoControl",
    "SetGainControl",
    "SetInbandDtmf",
    "SetMuted",
    "SetTrack",
    "ShareAudio",
    "SpeakAudio",
    "SpeakText",
    "SuperviseCall",
    "TellHold",
    "TellStream",
    "TellTransfer",
    "TrackMessage",
    "Transcribe",
]


class EffectBase(msgspec.Struct, frozen=True):
    """Base of the effects that only the call model knows; the others are messages to the engine."""


# --- legs -----------------------------------------------------------------------


class PrepareLeg(EffectBase, frozen=True):
    """Make the endpoint of an incoming call; it neither rings nor answers yet."""

    leg: str
    option: CallOption


class OpenLeg(EffectBase, frozen=True):
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
    early_media: bool = True
    """Whether the callee is heard before its answer."""


class RingLeg(EffectBase, frozen=True):
    """Alert the caller."""

    leg: str
    early_media: bool


class RejectLeg(EffectBase, frozen=True):
    """Refuse the caller."""

    leg: str
    code: int
    reason: str


class OfferLeg(EffectBase, frozen=True):
    """Renegotiate a leg."""

    leg: str
    sdp: str


class AddLegCandidates(EffectBase, frozen=True):
    """Pass ICE candidates on."""

    leg: str
    candidates: tuple[Candidate, ...]


class CloseLeg(EffectBase, frozen=True):
    """Hang one leg up."""

    leg: str
    reason: str
    headers: dict[str, str] = {}


class SendLegDigits(EffectBase, frozen=True):
    """Send digits to the peer of a leg."""

    leg: str
    digits: str


class SendLegMessage(EffectBase, frozen=True):
    """Send a text to the peer of a leg (SIP MESSAGE)."""

    leg: str
    body: str
    content_type: str
    request_id: str | None = None


class ReferLeg(EffectBase, frozen=True):
    """Ask the peer of a leg to call another party (SIP REFER)."""

    leg: str
    target: str
    headers: dict[str, str] = {}
    request_id: str | None = None


class AcceptTransfer(EffectBase, frozen=True):
    """Accept the REFER of a leg's peer."""

    leg: str


class TellTransfer(EffectBase, frozen=True):
    """Report the progress of a transfer to the peer of a leg.

    Without a :class:`AcceptTransfer` before it, a final code refuses the REFER.
    """

    leg: str
    code: int
    reason: str


class JoinDialog(EffectBase, frozen=True):
    """Join with the call that a dialog belongs to, in its place (attended transfer).

    :class:`softswitch.call.vocabulary.reports.DialogJoined` or
    :class:`softswitch.call.vocabulary.reports.DialogForeign` follows.
    """

    leg: str
    """The leg whose peer requested the transfer."""
    replaces: tuple[str, str, str]
    """Call-ID, to-tag and from-tag."""


class PassDigits(EffectBase, frozen=True):
    """Send digits to the legs of the bridged call."""

    other: str
    digits: str


class TellHold(EffectBase, frozen=True):
    """Tell the bridged call that the parties of this one hold it, or no longer."""

    other: str
    held: bool


class JoinCalls(EffectBase, frozen=True):
    """Put this call's legs and another call's into one mix."""

    other: str
    request_id: str | None = None


class PartCalls(EffectBase, frozen=True):
    """Take the calls apart again."""

    other: str


class SuperviseCall(EffectBase, frozen=True):
    """Let the party of this call supervise another one, or end that (without an id)."""

    other: str
    mode: SuperviseMode = "listen"
    side: AgentSide | None = None
    transcript: bool | None = None
    alone: bool = False
    """Whether this call ends with a take-over's bridge."""
    request_id: str | None = None


# --- playbacks ------------------------------------------------------------------


class OpenPlayback(EffectBase, frozen=True):
    """Open a track."""

    track: int
    gain: float = 1.0
    duck_to: float | None = None


class SpeakText(EffectBase, frozen=True):
    """Synthesise a text onto a track, behind what was given before."""

    track: int
    item: int
    text: str
    option: TtsOption
    complete: bool
    """False: more text of the same sentence may follow (streamed text)."""
    cache_key: str = ""


class SpeakAudio(EffectBase, frozen=True):
    """Put given audio onto a track."""

    track: int
    item: int
    pcm: bytes
    sample_rate: int


class PlayUrl(EffectBase, frozen=True):
    """Fetch, decode and feed a file onto a track."""

    track: int
    item: int
    url: str
    offset_ms: int = 0
    loop: bool = False


class PlaySound(EffectBase, frozen=True):
    """Play a sound of the switch onto a track until it is dropped."""

    track: int
    sound: WaitingSound


class CompleteText(EffectBase, frozen=True):
    """Speak the held-back end of a streamed text, which is complete now."""

    track: int
    item: int


# --- listening ------------------------------------------------------------------


class DetectSpeech(EffectBase, frozen=True):
    """Switch speech detection of a leg on."""

    leg: str
    option: VadOption


class Transcribe(EffectBase, frozen=True):
    """Start speech recognition of a leg."""

    leg: str
    option: AsrOption


class DetectAnswer(EffectBase, frozen=True):
    """Find out whether a person or a machine has answered on a leg."""

    leg: str
    option: AmdOption


class DetectTones(EffectBase, frozen=True):
    """Begin or stop to listen for tones of the network on a leg that is not answered yet."""

    leg: str
    on: bool


class FinalizeUtterance(EffectBase, frozen=True):
    """Have speech recognition finish the utterance: the party fell silent."""

    leg: str


class Record(EffectBase, frozen=True):
    """Record a leg: what it says left, what it hears right."""

    leg: str
    option: RecorderOption


class ChangeRecording(EffectBase, frozen=True):
    """Pause, resume or stop the recording of the call."""

    action: Literal["pause", "resume", "stop"]


class PassMedia(EffectBase, frozen=True):
    """Open a raw PCM WebSocket that hears a leg and speaks to it."""

    leg: str
    option: MediaPassOption


class OpenStream(EffectBase, frozen=True):
    """Open a stream of a leg to an outside service."""

    stream: str
    leg: str
    option: StreamOption


class TellStream(EffectBase, frozen=True):
    """Tell the service of a stream something besides the audio."""

    stream: str
    word: ToService


class CloseStream(EffectBase, frozen=True):
    """End a stream."""

    stream: str


class ShareAudio(EffectBase, frozen=True):
    """Send the audio of both sides to the client as indexed binary frames."""

    leg: str


class CloseCall(EffectBase, frozen=True):
    """The call is over: release everything it holds and close its sockets."""

    reason: str


Effect = (
    PrepareLeg
    | OpenLeg
    | RingLeg
    | RejectLeg
    | OfferLeg
    | AddLegCandidates
    | CloseLeg
    | SendLegDigits
    | SendLegMessage
    | ReferLeg
    | AcceptTransfer
    | TellTransfer
    | JoinDialog
    | PassDigits
    | TellHold
    | JoinCalls
    | PartCalls
    | SuperviseCall
    | OpenPlayback
    | SpeakText
    | SpeakAudio
    | PlayUrl
    | PlaySound
    | CompleteText
    | DetectSpeech
    | Transcribe
    | DetectAnswer
    | DetectTones
    | FinalizeUtterance
    | Record
    | ChangeRecording
    | PassMedia
    | OpenStream
    | TellStream
    | CloseStream
    | ShareAudio
    | CloseCall
    | EngineEffect
)
"""All effects of a call."""
