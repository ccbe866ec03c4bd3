"""What the people in a room are told, and what the switch is to do for a room."""

import msgspec


class RoomEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what sockets are told."""


class Joined(RoomEvent, frozen=True):
    """You are in."""

    room: str
    participant: str
    status: str


class ParticipantJoined(RoomEvent, frozen=True):
    """Somebody came."""

    participant: str
    agent: str
    display_name: str
    status: str


class ParticipantLeft(RoomEvent, frozen=True):
    """Somebody went."""

    participant: str
    reason: str


class OfferCame(RoomEvent, frozen=True):
    """A peer offers."""

    sender: str
    sdp: str


class AnswerCame(RoomEvent, frozen=True):
    """A peer, or the switch, answers."""

    sender: str
    sdp: str


class CandidateCame(RoomEvent, frozen=True):
    """A peer has a candidate."""

    sender: str
    candidate: dict[str, object]


class VoiceStarted(RoomEvent, frozen=True):
    """Somebody can be heard."""

    participant: str


class VoiceStopped(RoomEvent, frozen=True):
    """Somebody cannot be heard any more."""

    participant: str


class MutedChanged(RoomEvent, frozen=True):
    """Somebody was muted, or is not any more."""

    participant: str
    muted: bool


class RoomError(RoomEvent, frozen=True):
    """Something went wrong."""

    code: str
    message: str


class RoomClosed(RoomEvent, frozen=True):
    """The room is no more."""

    room: str
    reason: str


class Told(msgspec.Struct, frozen=True):
    """An event and who is to be told: ids of participants."""

    to: tuple[str, ...]
    event: RoomEvent


# --- effects ----------------------------------------------------------------------------


class RoomEffect(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what the switch is to do."""


class OpenSeat(RoomEffect, frozen=True):
    """Answer an offer and put its sender into the mix."""

    participant: str
    sdp: str


class OfferSeat(RoomEffect, frozen=True):
    """Renegotiate with somebody in the mix."""

    participant: str
    sdp: str


class AddSeatCandidate(RoomEffect, frozen=True):
    """Give a candidate to somebody's seat."""

    participant: str
    candidate: dict[str, object]


class MuteSeat(RoomEffect, frozen=True):
    """Silence somebody in the mix, or not any more."""

    participant: str
    muted: bool


class CloseSeat(RoomEffect, frozen=True):
    """Take somebody out of the mix: end its connection, or give its call back, or hang that up."""

    participant: str
    reason: str


class SetRecording(RoomEffect, frozen=True):
    """Record, or record no more."""

    on: bool


class KeepRoom(RoomEffect, frozen=True):
    """Store the room as it is now."""


class KeepParticipant(RoomEffect, frozen=True):
    """Store a participant and its session as they are now."""

    participant: str


class Unbind(RoomEffect, frozen=True):
    """A socket speaks for this participant no more."""

    participant: str


class Finish(RoomEffect, frozen=True):
    """The room is over: release everything."""

    reason: str
