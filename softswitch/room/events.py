"""Events of a room for its participants, and effects that the switch executes for it."""

import msgspec

from softswitch.room.rejection import RoomReason


class RoomEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the events for participants."""


class Joined(RoomEvent, frozen=True):
    """The recipient has joined the room."""

    room: str
    participant: str
    status: str


class ParticipantJoined(RoomEvent, frozen=True):
    """Another participant has joined."""

    participant: str
    agent: str
    display_name: str
    status: str


class ParticipantLeft(RoomEvent, frozen=True):
    """A participant has left."""

    participant: str
    reason: str


class OfferCame(RoomEvent, frozen=True):
    """The other participant made an offer."""

    sender: str
    sdp: str


class AnswerCame(RoomEvent, frozen=True):
    """The other participant, or the switch, answered an offer."""

    sender: str
    sdp: str


class CandidateCame(RoomEvent, frozen=True):
    """The other participant sent an ICE candidate."""

    sender: str
    candidate: dict[str, object]


class VoiceStarted(RoomEvent, frozen=True):
    """A participant has begun to speak; in a peer-to-peer room: is connected."""

    participant: str


class VoiceStopped(RoomEvent, frozen=True):
    """A participant has stopped speaking."""

    participant: str


class MutedChanged(RoomEvent, frozen=True):
    """A participant was muted or unmuted."""

    participant: str
    muted: bool


class RoomError(RoomEvent, frozen=True):
    """A failure that concerns the recipient."""

    reason: RoomReason
    text: str = ""
    """Words of the part that failed, if it has any."""


class RoomClosed(RoomEvent, frozen=True):
    """The room was closed."""

    room: str
    reason: str


class Delivery(msgspec.Struct, frozen=True):
    """An event and the ids of the participants that receive it."""

    to: tuple[str, ...]
    event: RoomEvent


# --- effects ----------------------------------------------------------------------------


class RoomEffect(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the effects."""


class OpenSeat(RoomEffect, frozen=True):
    """Answer an offer and put its sender into the mix."""

    participant: str
    sdp: str


class OfferSeat(RoomEffect, frozen=True):
    """Renegotiate with a participant in the mix."""

    participant: str
    sdp: str


class AddSeatCandidate(RoomEffect, frozen=True):
    """Add an ICE candidate to the connection of a participant."""

    participant: str
    candidate: dict[str, object]


class MuteSeat(RoomEffect, frozen=True):
    """Mute or unmute a participant in the mix."""

    participant: str
    muted: bool


class CloseSeat(RoomEffect, frozen=True):
    """Take a participant out of the mix: close its connection, or release or end its call."""

    participant: str
    reason: str


class SetRecording(RoomEffect, frozen=True):
    """Start or stop the recording."""

    on: bool


class KeepRoom(RoomEffect, frozen=True):
    """Save the room in its present state."""


class KeepParticipant(RoomEffect, frozen=True):
    """Save a participant and its session in their present state."""

    participant: str


class Unbind(RoomEffect, frozen=True):
    """Detach the socket of a participant."""

    participant: str


class Finish(RoomEffect, frozen=True):
    """Release everything that the room held: it was closed."""

    reason: str
