"""Events of `/call`, `/call/webrtc` and `/call/sip`: one struct each, for server, client and API pages.

The server writes them (:mod:`softswitch.dialects.rustpbx.render`): every required field is there, fields with
their default are left out. ``softswitch.client`` reads them with :mod:`softswitch.protocol.event_reading`.
Times are epoch milliseconds, durations milliseconds.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

__all__ = [
    "Ack",
    "AddHistory",
    "Amd",
    "Answer",
    "AsrDelta",
    "AsrFinal",
    "Attendee",
    "AudioFormat",
    "Binary",
    "Bridged",
    "Candidate",
    "Collect",
    "Custom",
    "Dtmf",
    "Eou",
    "Error",
    "Event",
    "Hangup",
    "Hold",
    "IceCandidate",
    "Inactivity",
    "Incoming",
    "Interruption",
    "Levels",
    "Mark",
    "Media",
    "MediaReady",
    "Message",
    "Metrics",
    "Mute",
    "Overheard",
    "Recording",
    "Reject",
    "Resumed",
    "Ringing",
    "Silence",
    "Speaking",
    "Stream",
    "Supervision",
    "Tone",
    "ToolCall",
    "TrackEnd",
    "TrackStart",
    "TransferRequest",
    "Unbridged",
    "Unknown",
]

Millis = Annotated[int, Meta(ge=0)]


class Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    tag_field="event",
    omit_defaults=True,
    dict=True,
):
    """Base of all events; instances have a dictionary, for the fields that a reader does not know."""

    timestamp: Millis
    """Moment of the event."""

    seq: int | None = None
    """Number of the event within its call, from 1; None from a switch that does not count."""

    @property
    def name(self) -> str:
        """Name of the event on the wire."""
        return str(self.__struct_config__.tag)

    @property
    def track_id(self) -> str:
        """Track that the event is about; empty where the event has none."""
        return ""

    @property
    def extra(self) -> dict[str, Any]:
        """Fields of a received message that its struct does not know, as they came."""
        extra: dict[str, Any] = self.__dict__.get("extra", {})
        return extra


class Track(Event, frozen=True, kw_only=True):
    """Base of events that name a track."""

    track_id: str
    """The session id for the party, ``server-side-track`` for the playback."""


class Incoming(Track, frozen=True, kw_only=True, tag="incoming"):
    """A call has come in and waits to be accepted."""

    caller: str
    callee: str
    sdp: str
    headers: dict[str, str] = {}


class AudioFormat(msgspec.Struct, frozen=True, rename="camel"):
    """Format of the binary messages of a ``/call``."""

    codec: str = "pcm"
    sample_rate: int = 16000
    """Hz."""

    ptime: int = 20
    """Milliseconds in a message of the switch."""


class Answer(Track, frozen=True, kw_only=True, tag="answer"):
    """The call is up."""

    sdp: str
    """The SDP answer: that of the switch, on an outgoing ``/call/sip`` that of the callee; empty on
    ``/call``."""

    audio: AudioFormat | None = None
    """On ``/call``: the format of binary messages, both ways."""

    resume: str | None = None
    """The token to resume the call with, where one was asked for. A secret."""

    refer: bool = False
    """Whether the second leg of a transfer answered."""

    def __repr__(self) -> str:
        """Show neither the SDP nor the token: logs must not have them."""
        return f"Answer(seq={self.seq}, track_id={self.track_id!r}, audio={self.audio!r}, ...)"


class Resumed(Track, frozen=True, kw_only=True, tag="resumed"):
    """The client has resumed the call after its socket was lost."""

    resume: str
    """The token for the next time. A secret."""

    unheard: Millis | None = None
    """How much of all playbacks was played while the client was away."""

    def __repr__(self) -> str:
        """Show no token."""
        return f"Resumed(seq={self.seq}, track_id={self.track_id!r}, ...)"


class Ringing(Track, frozen=True, kw_only=True, tag="ringing"):
    """The remote party rings."""

    early_media: bool
    refer: bool = False
    """Whether it is the second party of a transfer."""


class Reject(Track, frozen=True, kw_only=True, tag="reject"):
    """The remote party refused the call."""

    code: int
    reason: str
    refer: bool = False
    """Whether it is the second party of a transfer; the call goes on."""
    redirect_to: tuple[str, ...] = ()
    """URIs that the remote party redirects to (a code of 300 to 399) and that were not called."""


class Attendee(msgspec.Struct, frozen=True, rename="camel"):
    """A participant as the document's implementation names it."""

    username: str = ""
    """Number or user; the user part of a SIP URI."""

    realm: str = ""
    """Host of a SIP URI; else empty."""

    source: str = ""
    """The name as the call has it."""


class Hangup(Track, frozen=True, kw_only=True, tag="hangup"):
    """The call is over; no event follows."""

    reason: str
    initiator: str
    start_time: str
    """RFC 3339."""

    answer_time: str | None = None
    hangup_time: str
    caller: Attendee | None = msgspec.field(name="from", default=None)
    """None: no caller was named."""

    callee: Attendee | None = msgspec.field(name="to", default=None)
    """None: no callee was named."""

    headers: dict[str, str] = {}
    """Further headers of the remote party's BYE."""


class Speaking(Track, frozen=True, kw_only=True, tag="speaking"):
    """The party began to speak."""

    start_time: Millis


class Silence(Track, frozen=True, kw_only=True, tag="silence"):
    """The party fell silent."""

    start_time: Millis
    duration: Millis
    speech_start: Millis | None = None
    speech_duration: Millis | None = None


class Asr(Track, frozen=True, kw_only=True):
    """Base of the results of speech recognition."""

    index: int
    start_time: Millis
    end_time: Millis
    text: str
    confidence: float | None = None


class AsrDelta(Asr, frozen=True, kw_only=True, tag="asrDelta"):
    """An interim result of speech recognition."""


class AsrFinal(Asr, frozen=True, kw_only=True, tag="asrFinal"):
    """A final result of speech recognition; the text is empty where a grammar rejects it."""

    rejected: bool = False
    """Whether it fits no item of the grammar."""

    match: str = ""
    """The item of the grammar that it fits."""

    is_filler: bool = False
    """Whether it is only fillers, such as "uh" and "okay" (those of ``bargeIn.fillers``)."""


class Amd(Track, frozen=True, kw_only=True, tag="amd"):
    """A person or a machine has answered, or a machine has beeped."""

    result: str
    """``human``, ``machine``, ``beep`` or ``unknown``."""

    reason: str
    """What the result rests on: ``words``, ``rhythm``, ``silence`` or ``tone``."""

    at: Millis
    speech_start: Millis | None = None
    duration: int
    """Duration of the speech, or of the beep, milliseconds."""

    text: str = ""


class Tone(Track, frozen=True, kw_only=True, tag="tone"):
    """A tone of the network was heard before the answer."""

    tone: str
    """``ringback``, ``busy``, ``congestion`` or ``sit``."""

    frequencies: list[int]
    """Its frequencies in Hz; those of a SIT in their order."""

    at: Millis


class Eou(Track, frozen=True, kw_only=True, tag="eou"):
    """The party has finished its utterance."""

    completed: bool
    complete: bool
    """The same as ``completed``."""

    text: str
    probability: float | None = None
    """Probability that the turn was over, judged by its sound."""


class Dtmf(Track, frozen=True, kw_only=True, tag="dtmf"):
    """The party pressed a key."""

    digit: str
    duration_ms: Millis | None = None
    method: str = ""


class Collect(Track, frozen=True, kw_only=True, tag="collect"):
    """The digits of the command ``collect``."""

    digits: str
    reason: str


class TrackStart(Track, frozen=True, kw_only=True, tag="trackStart"):
    """A track begins to sound."""

    play_id: str | None = None


class TrackEnd(Track, frozen=True, kw_only=True, tag="trackEnd"):
    """A track is over."""

    duration: Millis
    play_id: str | None = None
    unheard: Millis | None = None
    """What was played while the client was away; it is not part of the duration."""


class Interruption(Track, frozen=True, kw_only=True, tag="interruption"):
    """A playback was cut short."""

    position: Millis
    """How much of it was heard."""

    current: Millis | None = None
    """The same, under the name that other clients read."""

    play_id: str | None = None
    total_duration: Millis | None = None
    subtitle: str | None = None
    unheard: Millis | None = None
    """What was played while the client was away; it is not part of the position."""


class Mark(Track, frozen=True, kw_only=True, tag="mark"):
    """Playback passed a mark, or dropped it."""

    mark: str = msgspec.field(name="name")
    """Name of the mark."""

    status: str
    """``played`` or ``cleared``."""

    play_id: str | None = None


class Error(Track, frozen=True, kw_only=True, tag="error"):
    """A command or a part of the call failed; the call goes on unless a hangup follows."""

    sender: str
    error: str
    code: int | None = None
    request_id: str | None = None


class Metrics(Event, frozen=True, kw_only=True, tag="metrics"):
    """A measurement."""

    key: str
    duration: Millis
    data: dict[str, Any]


class Binary(Track, frozen=True, kw_only=True, tag="binary"):
    """Audio in JSON form (``option.binaryEvents``); ``seq`` counts these events alone, from 1."""

    data: list[int]


class IceCandidate(msgspec.Struct, frozen=True, omit_defaults=True):
    """A candidate as ``RTCPeerConnection.addIceCandidate`` takes it; an empty text ends the candidates."""

    candidate: str
    sdp_mid: str | None = msgspec.field(name="sdpMid", default=None)
    sdp_m_line_index: int | None = msgspec.field(name="sdpMLineIndex", default=None)


class Candidate(Track, frozen=True, kw_only=True, tag="candidate"):
    """ICE candidates of the switch came after the answer (``option.trickle``)."""

    candidates: list[IceCandidate]


class MediaReady(Track, frozen=True, kw_only=True, tag="mediaReady"):
    """Audio of the party arrives for the first time: the path is open."""


class Inactivity(Track, frozen=True, kw_only=True, tag="inactivity"):
    """Nothing happened for ``option.inactivityTimeout`` seconds; ``hangup`` follows."""


class Bridged(Track, frozen=True, kw_only=True, tag="bridged"):
    """The call was joined with another one, by a command of its own client or of the other one's."""

    target_session_id: str
    """Id of the other call."""


class Unbridged(Track, frozen=True, kw_only=True, tag="unbridged"):
    """The joined calls were parted."""

    target_session_id: str
    """Id of the other call."""


class Hold(Track, frozen=True, kw_only=True, tag="hold"):
    """The remote party put the call on hold, or resumed it."""

    on_hold: bool


class Mute(Track, frozen=True, kw_only=True, tag="mute"):
    """A track was muted or unmuted."""

    muted: bool


class Recording(Track, frozen=True, kw_only=True, tag="recording"):
    """The recording of the call was started, paused, resumed, or is complete."""

    state: str
    file: str | None = None
    duration: int | None = None


class Supervision(Track, frozen=True, kw_only=True, tag="supervision"):
    """This call supervises another one, does so in another way, or no longer."""

    target_session_id: str
    state: str
    mode: str


class Overheard(Track, frozen=True, kw_only=True, tag="overheard"):
    """What one side of the supervised call said."""

    target_session_id: str
    side: str
    index: int
    text: str
    final: bool


class Levels(Track, frozen=True, kw_only=True, tag="levels"):
    """How loud both sides of the supervised call are, in dBov."""

    target_session_id: str
    first: int
    second: int


class Media(Track, frozen=True, kw_only=True, tag="media"):
    """Media of the party stopped or came back."""

    state: str
    seconds: int


class AddHistory(Track, frozen=True, kw_only=True, tag="addHistory"):
    """A line of the conversation was noted."""

    sender: str
    speaker: str
    text: str


class TransferRequest(Track, frozen=True, kw_only=True, tag="transferRequest"):
    """The remote party asks to be transferred."""

    refer_to: str
    referred_by: str


class Message(Track, frozen=True, kw_only=True, tag="message"):
    """The remote party sent a text."""

    body: str
    content_type: str


class Stream(Track, frozen=True, kw_only=True, tag="stream"):
    """A stream to an outside service began or ended, or some of its audio is not heard (`warning`)."""

    stream_id: str
    status: str
    reason: str = ""


class ToolCall(Track, frozen=True, kw_only=True, tag="toolCall"):
    """The service of a stream wants a function to be called (`requested`), or no longer (`cancelled`)."""

    stream_id: str
    tool_call_id: str
    tool: str = msgspec.field(name="name")
    arguments: dict[str, Any] = {}
    status: str


class Custom(Track, frozen=True, kw_only=True, tag="custom"):
    """An event of the application's own."""

    sender: str
    data: Annotated[Any, Meta(description="Any JSON.")] = None


class Ack(Event, frozen=True, kw_only=True, tag="ack"):
    """A command was carried out."""

    request_id: str


class Unknown(Event, frozen=True, kw_only=True, tag="unknown"):
    """A received event that this version does not know, or one with a field of an unexpected type."""

    timestamp: int = 0
    track_id: str = ""
    kind: str = ""
    """Name of the event on the wire."""

    extra: dict[str, Any] = {}
    """All other fields, as they came."""

    @property
    def name(self) -> str:
        """Name of the event on the wire."""
        return self.kind


def _named(base: type[Event]) -> dict[str, type[Event]]:
    """Return the events below a base that have no events below them, by their name on the wire."""
    found: dict[str, type[Event]] = {}
    for kind in base.__subclasses__():
        found |= _named(kind) or {str(kind.__struct_config__.tag): kind}
    return found


KINDS = {name: kind for name, kind in _named(Event).items() if kind is not Unknown}
"""The struct of each event of the dialect, by its name on the wire."""
