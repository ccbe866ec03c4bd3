"""Events of a call for its subscribers; dialects translate them to their wire text.

Instants are epoch seconds, durations are integer milliseconds.
"""

from typing import Annotated

import msgspec

from softswitch.call.vocabulary.rejection import Rejection
from softswitch.call.vocabulary.values import AgentSide, Candidate, Subject, SuperviseMode

Instant = Annotated[float, "epoch seconds"]
"""Epoch seconds by the clock of the call, which a jump of the wall clock does not change."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events."""

    timestamp: Instant


class SubjectEvent(Event, frozen=True, kw_only=True):
    """Base of events about one participant of the call."""

    subject: Subject


class Incoming(SubjectEvent, frozen=True, kw_only=True):
    """A call has come in and waits to be accepted."""

    caller: str
    callee: str
    sdp: str
    headers: dict[str, str] | None = None


class Audio(msgspec.Struct, frozen=True):
    """The format of binary audio."""

    codec: str
    sample_rate: int
    ptime: int


class Answer(SubjectEvent, frozen=True, kw_only=True):
    """The call is up."""

    sdp: str
    audio: Audio | None = None
    resume: str | None = None
    refer: bool | None = None


class Resumed(SubjectEvent, frozen=True, kw_only=True):
    """The client has reconnected; ``resume`` is its next token."""

    resume: str
    unheard: int | None = None
    """How much of all playbacks together was played while the client was away, milliseconds."""


class MediaReady(SubjectEvent, frozen=True, kw_only=True):
    """Audio of the party arrives for the first time: the path is open."""


class Inactivity(SubjectEvent, frozen=True, kw_only=True):
    """The party and its client were inactive for as long as the invite allows; the call ends."""


class Bridged(SubjectEvent, frozen=True, kw_only=True):
    """The call was joined with another one, by its own client or by that of the other call."""

    other: str


class Unbridged(SubjectEvent, frozen=True, kw_only=True):
    """The joined calls were parted."""

    other: str


class Ringing(SubjectEvent, frozen=True, kw_only=True):
    """The peer is alerted."""

    early_media: bool
    refer: bool | None = None
    """Whether it is the second party of a transfer."""


class Rejected(SubjectEvent, frozen=True, kw_only=True):
    """The peer refused."""

    code: int
    reason: str
    refer: bool | None = None
    """Whether it is the second party of a transfer."""
    redirect_to: tuple[str, ...] | None = None
    """URIs that a redirection names and that were not called, the preferred one first."""


class HungUp(SubjectEvent, frozen=True, kw_only=True):
    """The call has ended; it is the last event."""

    reason: str
    initiator: str
    start_time: Instant
    answer_time: Instant | None
    hangup_time: Instant
    caller: str
    callee: str
    headers: dict[str, str] | None = None
    """Further headers of the peer's BYE."""


class Speaking(SubjectEvent, frozen=True, kw_only=True):
    """The party began to speak."""

    start_time: Instant


class Silence(SubjectEvent, frozen=True, kw_only=True):
    """The party fell silent."""

    start_time: Instant
    duration: int
    speech_start: Instant | None = None
    speech_duration: int | None = None


class AsrDelta(SubjectEvent, frozen=True, kw_only=True):
    """A partial transcript, which may change."""

    index: int
    start_time: Instant
    end_time: Instant
    text: str
    confidence: float | None = None


class AsrFinal(SubjectEvent, frozen=True, kw_only=True):
    """A final transcript."""

    index: int
    start_time: Instant
    end_time: Instant
    text: str
    confidence: float | None = None
    rejected: bool | None = None
    """Whether it fits nothing of the grammar; None without a grammar that rejects."""
    match: str | None = None
    """The item of the grammar that it fits."""
    is_filler: bool | None = None
    """Whether it is only fillers, such as "uh" and "okay"; None: other words are among them."""


class Dtmf(SubjectEvent, frozen=True, kw_only=True):
    """The party pressed a key."""

    digit: str
    duration_ms: int | None = None
    method: str | None = None


class TrackStart(SubjectEvent, frozen=True, kw_only=True):
    """A track sounds."""

    play_id: str | None = None


class TrackEnd(SubjectEvent, frozen=True, kw_only=True):
    """A track has ended."""

    duration: int
    """What was heard of it, milliseconds."""
    play_id: str | None = None
    unheard: int | None = None
    """What was played while the client was away, milliseconds; None: nothing."""


class Interruption(SubjectEvent, frozen=True, kw_only=True):
    """A playback was cut short."""

    position: int
    current: int | None = None
    """The same as the position: what another switch of this API calls the time that was heard."""
    play_id: str | None = None
    total_duration: int | None = None
    subtitle: str | None = None
    unheard: int | None = None
    """What was played while the client was away, milliseconds; None: nothing."""


class Error(SubjectEvent, frozen=True, kw_only=True):
    """A failure, or the rejection of a command."""

    sender: str
    error: str = ""
    """Words of the part that failed."""
    code: int | None = None
    request_id: str | None = None
    rejection: Rejection | None = None
    """The reason as symbols, where a command was rejected; the dialect words it."""


class Metrics(Event, frozen=True, kw_only=True):
    """A measurement."""

    key: str
    duration: int
    data: dict[str, object]


class Mark(SubjectEvent, frozen=True, kw_only=True):
    """A mark was passed or cleared."""

    name: str
    status: str
    play_id: str | None = None


class Collected(SubjectEvent, frozen=True, kw_only=True):
    """Digits were gathered."""

    digits: str
    reason: str


class CandidatesFound(SubjectEvent, frozen=True, kw_only=True):
    """Local ICE candidates came after the answer."""

    candidates: tuple[Candidate, ...]


class Hold(SubjectEvent, frozen=True, kw_only=True):
    """The peer put the call on hold or resumed it."""

    on_hold: bool


class Muted(SubjectEvent, frozen=True, kw_only=True):
    """A track was muted or unmuted."""

    muted: bool


class Recording(SubjectEvent, frozen=True, kw_only=True):
    """The recording of the call was started, paused, resumed, or is complete."""

    state: str
    """started, paused, resumed or stopped."""
    file: str | None = None
    """Name of the file of a recording that is complete."""
    duration: int | None = None
    """Its milliseconds."""


class Supervision(SubjectEvent, frozen=True, kw_only=True):
    """The party supervises another call, does so in another way, or no longer."""

    other: str
    """Id of the supervised call."""
    state: str
    """started, changed or ended."""
    mode: SuperviseMode


class Overheard(SubjectEvent, frozen=True, kw_only=True):
    """What one side of the supervised call said, for its supervisor."""

    other: str
    side: AgentSide
    """first: its first party; second: all that this party hears."""
    index: int
    """Number of the utterance on that side."""
    text: str
    final: bool


class Levels(SubjectEvent, frozen=True, kw_only=True):
    """How loud both sides of the supervised call are, for its supervisor: dBov, -127 to 0."""

    other: str
    first: int
    second: int


class AnsweredBy(SubjectEvent, frozen=True, kw_only=True):
    """A person or a machine has answered, or a machine has beeped."""

    result: str
    reason: str
    at: Instant
    speech_start: Instant | None = None
    duration: int
    text: str | None = None


class ToneHeard(SubjectEvent, frozen=True, kw_only=True):
    """A tone of the network was heard before the answer."""

    tone: str
    frequencies: tuple[int, ...]
    at: Instant


class EndOfUtterance(SubjectEvent, frozen=True, kw_only=True):
    """The party has probably finished its utterance."""

    completed: bool
    text: str
    probability: float | None = None
    """How likely it was over, judged by its sound; None where that was not judged."""


class Media(SubjectEvent, frozen=True, kw_only=True):
    """Media stopped or came back."""

    state: str
    seconds: float


class HistoryAdded(SubjectEvent, frozen=True, kw_only=True):
    """A line of history."""

    sender: str
    speaker: str
    text: str


class TransferRequest(SubjectEvent, frozen=True, kw_only=True):
    """The peer requests a transfer."""

    refer_to: str
    referred_by: str


class MessageReceived(SubjectEvent, frozen=True, kw_only=True):
    """The peer sent a text."""

    body: str
    content_type: str


class CustomEvent(SubjectEvent, frozen=True, kw_only=True):
    """An event of the application itself."""

    sender: str
    data: object


class Ack(Event, frozen=True, kw_only=True):
    """A command with a request id was executed."""

    request_id: str


class StreamChanged(SubjectEvent, frozen=True, kw_only=True):
    """A stream to a service was opened, was resumed after a loss, lost audio, or ended."""

    stream_id: str
    status: str
    """started, resumed, warning, stopped, closed, lost, failed."""
    reason: str | None = None


class ToolCall(SubjectEvent, frozen=True, kw_only=True):
    """The service of a stream wants a function of the application to be called, or does so no longer."""

    stream_id: str
    tool_call_id: str
    name: str
    arguments: dict[str, object]
    status: str
    """``requested`` or ``cancelled``."""
