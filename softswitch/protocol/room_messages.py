"""The messages of ``/ws``: a struct each, for what the switch writes, for the API pages and for their test.

What clients send is read by :mod:`softswitch.dialects.rooms.messages`, which names each wrong field.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Id = Annotated[str, Meta(min_length=1, max_length=128)]
Figure = Annotated[float, Meta(ge=0, lt=2**53)]


class Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="type"):
    """Base of all messages."""


class OfParticipant(Message, frozen=True, kw_only=True):
    """Base of messages for a participant that has a seat."""

    room_id: Id
    participant_id: Id


# --- from clients ---------------------------------------------------------------


class Auth(Message, frozen=True, kw_only=True, tag="auth"):
    """The credentials of the client: the first message where keys are set and the request had none."""

    token: Annotated[str, Meta(min_length=1, max_length=8192)]


class Join(Message, frozen=True, kw_only=True, tag="room:join"):
    """Take a seat in a room."""

    room_id: Id
    agent_id: Annotated[str, Meta(description="Name of the participant; the same one takes its seat again.")]
    metadata: Annotated[dict[str, Any], Meta(description="`display_name` and any others.")] = {}


class Leave(OfParticipant, frozen=True, kw_only=True, tag="room:leave"):
    """Leave the room."""


class OfferDescription(msgspec.Struct, frozen=True):
    """A session description of the type offer."""

    sdp: str
    type: Literal["offer"] = "offer"


class AnswerDescription(msgspec.Struct, frozen=True):
    """A session description of the type answer."""

    sdp: str
    type: Literal["answer"] = "answer"


class SendOffer(OfParticipant, frozen=True, kw_only=True, tag="webrtc:offer"):
    """An offer, for the other participant or for the switch."""

    offer: OfferDescription


class SendAnswer(OfParticipant, frozen=True, kw_only=True, tag="webrtc:answer"):
    """The answer to an offer."""

    answer: AnswerDescription


class SendCandidate(OfParticipant, frozen=True, kw_only=True, tag="webrtc:ice-candidate"):
    """One ICE candidate."""

    candidate: Annotated[dict[str, Any], Meta(description="RTCIceCandidateInit.")]


class Mute(OfParticipant, frozen=True, kw_only=True, tag="room:mute"):
    """Mute oneself, or end that."""

    muted: bool


class State(OfParticipant, frozen=True, kw_only=True, tag="state"):
    """The state of the connection in a p2p room."""

    state: Literal["disconnected", "connecting", "connected", "reconnecting", "failed"]


class StatsFigures(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Figures of a connection."""

    voice_packets_sent: Figure = 0
    voice_packets_received: Figure = 0
    bytes_sent: Figure = 0
    bytes_received: Figure = 0
    packet_loss_percent: Figure = 0
    avg_latency_ms: Figure = 0


class SendStats(OfParticipant, frozen=True, kw_only=True, tag="stats"):
    """Figures that the client measured in a p2p room."""

    stats: StatsFigures


Received = Auth | Join | Leave | SendOffer | SendAnswer | SendCandidate | Mute | State | SendStats
"""What a client may send."""


# --- from the switch ------------------------------------------------------------


class Joined(Message, frozen=True, kw_only=True, tag="room:joined"):
    """The seat is taken."""

    room_id: str
    participant_id: str
    status: str


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A participant."""

    id: str
    agent_id: str = msgspec.field(name="agentId")
    display_name: str
    status: str


class ParticipantJoined(Message, frozen=True, kw_only=True, tag="room:participant-joined"):
    """Another participant has come."""

    participant: Person


class ParticipantLeft(Message, frozen=True, kw_only=True, tag="room:participant-left"):
    """A participant has left."""

    participant_id: str
    reason: str


class OfferCame(Message, frozen=True, kw_only=True, tag="webrtc:offer"):
    """An offer of the other participant."""

    from_participant_id: str
    offer: OfferDescription


class AnswerCame(Message, frozen=True, kw_only=True, tag="webrtc:answer"):
    """An answer of the other participant, or of the switch."""

    from_participant_id: str
    answer: AnswerDescription


class CandidateCame(Message, frozen=True, kw_only=True, tag="webrtc:ice-candidate"):
    """A candidate of the other participant."""

    from_participant_id: str
    candidate: dict[str, Any]


class VoiceStarted(Message, frozen=True, kw_only=True, tag="voice:stream-started"):
    """The audio of a participant begins."""

    participant_id: str


class VoiceStopped(Message, frozen=True, kw_only=True, tag="voice:stream-stopped"):
    """The audio of a participant has ended."""

    participant_id: str


class Muted(Message, frozen=True, kw_only=True, tag="room:muted"):
    """A participant was muted or unmuted."""

    participant_id: str
    muted: bool


class Error(Message, frozen=True, kw_only=True, tag="room:error"):
    """A message was refused."""

    code: str
    message: str


class Closed(Message, frozen=True, kw_only=True, tag="room:closed"):
    """The room is closed."""

    room_id: str
    reason: str


Sent = (
    Joined
    | ParticipantJoined
    | ParticipantLeft
    | OfferCame
    | AnswerCame
    | CandidateCame
    | VoiceStarted
    | VoiceStopped
    | Muted
    | Error
    | Closed
)
"""What the switch sends."""
