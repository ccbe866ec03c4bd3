"""The messages of ``/ws``: those of clients, which are read, and the events, which are written."""

from typing import Any

import msgspec

from softswitch.dialects.bounds import TooMany, count, is_crowded, too_deep
from softswitch.dialects.rooms.options import Faults
from softswitch.dialects.rooms.rest import read_agent, read_metadata
from softswitch.dialects.rooms.wording import error_code, message
from softswitch.protocol import room_messages as w
from softswitch.room import events as ev
from softswitch.room.model import Stats
from softswitch.room.rejection import RoomReason, RoomRefused

MAX_SDP = 65536
MAX_CANDIDATE = 1024


class Auth(msgspec.Struct, frozen=True):
    """The credentials of the client."""

    token: str


class Join(msgspec.Struct, frozen=True):
    """A request for a seat in a room."""

    room: str
    agent: str
    metadata: dict[str, Any]


class _OfParticipant(msgspec.Struct, frozen=True):
    """Base of messages for a participant that has a seat."""

    room: str
    participant: str


class Leave(_OfParticipant, frozen=True):
    """The participant leaves."""


class Offer(_OfParticipant, frozen=True):
    """An SDP offer of the participant."""

    sdp: str


class Answer(_OfParticipant, frozen=True):
    """The participant's answer to an SDP offer."""

    sdp: str


class IceCandidate(_OfParticipant, frozen=True):
    """An ICE candidate of the participant."""

    candidate: dict[str, Any]


class Mute(_OfParticipant, frozen=True):
    """The participant mutes itself, or ends that."""

    muted: bool


class State(_OfParticipant, frozen=True):
    """The state of the participant's connection (an addition to the API)."""

    state: str


class Figures(_OfParticipant, frozen=True):
    """Figures that the participant measured (an addition to the API)."""

    stats: Stats


ParticipantMessage = Leave | Offer | Answer | IceCandidate | Mute | State | Figures
"""A message for a participant that has a seat."""
ClientMessage = Auth | Join | ParticipantMessage
"""A message of a client."""

CONNECTION_STATES = ("disconnected", "connecting", "connected", "reconnecting", "failed")


def parse(text: str | bytes) -> ClientMessage:
    """Read a message; raises RoomRefused naming what is wrong."""
    if is_crowded(text):
        raise RoomRefused(RoomReason.INVALID, "message: it has too many lists and objects")
    try:
        given = msgspec.json.decode(text)
        count(given)
    except TooMany as error:
        raise RoomRefused(RoomReason.INVALID, f"message: {error}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise RoomRefused(RoomReason.INVALID, f"message: {error}") from None
    if not isinstance(given, dict) or too_deep(given, 12):
        raise RoomRefused(RoomReason.INVALID, "message: must be an object with a type")
    kind = given.get("type")
    faults = Faults()
    if kind == "auth":
        token = _text(given, "token", 8192, faults)
        faults.check()
        return Auth(token)
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise RoomRefused(RoomReason.INVALID, f"type: must be one of auth, {', '.join(_READERS)}")
    said = reader(given, faults)
    faults.check()
    return said


def _join(given: dict[str, Any], faults: Faults) -> ClientMessage:
    return Join(
        _text(given, "roomId", 128, faults),
        read_agent(given.get("agentId"), "agentId", faults),
        read_metadata(given.get("metadata", {}), faults),
    )


def _leave(given: dict[str, Any], faults: Faults) -> ClientMessage:
    return Leave(*_place(given, faults))


def _offer(given: dict[str, Any], faults: Faults) -> ClientMessage:
    return Offer(*_place(given, faults), _description(given, "offer"))


def _answer(given: dict[str, Any], faults: Faults) -> ClientMessage:
    return Answer(*_place(given, faults), _description(given, "answer"))


def _candidate(given: dict[str, Any], faults: Faults) -> ClientMessage:
    place = _place(given, faults)
    candidate = given.get("candidate")
    if not isinstance(candidate, dict) or len(msgspec.json.encode(candidate)) > MAX_CANDIDATE:
        raise RoomRefused(RoomReason.MEDIA_FAILED, "candidate: must be an RTCIceCandidateInit")
    line, mid, text = (candidate.get(key) for key in ("sdpMLineIndex", "sdpMid", "candidate"))
    wrong = line is not None and (isinstance(line, bool) or not isinstance(line, int))
    if not isinstance(text, str) or wrong or not isinstance(mid, str | None):
        raise RoomRefused(RoomReason.MEDIA_FAILED, "candidate: must be an RTCIceCandidateInit")
    if text and not text.startswith("candidate:"):
        raise RoomRefused(RoomReason.MEDIA_FAILED, "candidate.candidate: must begin with candidate:")
    return IceCandidate(*place, candidate)


def _mute(given: dict[str, Any], faults: Faults) -> ClientMessage:
    muted = given.get("muted")
    if not isinstance(muted, bool):
        faults.add("muted", "must be true or false")
    return Mute(*_place(given, faults), muted is True)


def _state(given: dict[str, Any], faults: Faults) -> ClientMessage:
    state = given.get("state")
    if state not in CONNECTION_STATES:
        faults.add("state", f"must be one of {', '.join(CONNECTION_STATES)}")
    return State(*_place(given, faults), str(state))


def _figures(given: dict[str, Any], faults: Faults) -> ClientMessage:
    stats = given.get("stats")
    place = _place(given, faults)
    if not isinstance(stats, dict):
        faults.add("stats", "must be an object")
        return Figures(*place, Stats())
    whole = {
        name: round(_figure(stats, name, faults))
        for name in ("voice_packets_sent", "voice_packets_received", "bytes_sent", "bytes_received")
    }
    return Figures(
        *place,
        Stats(
            **whole,
            packet_loss_percent=min(100.0, round(_figure(stats, "packet_loss_percent", faults), 2)),
            avg_latency_ms=round(_figure(stats, "avg_latency_ms", faults)),
            source="client",
        ),
    )


_READERS = {
    "room:join": _join,
    "room:leave": _leave,
    "webrtc:offer": _offer,
    "webrtc:answer": _answer,
    "webrtc:ice-candidate": _candidate,
    "room:mute": _mute,
    "state": _state,
    "stats": _figures,
}


def _text(given: dict[str, Any], key: str, most: int, faults: Faults) -> str:
    value = given.get(key)
    if isinstance(value, str) and 0 < len(value) <= most:
        return value
    faults.add(key, f"must be a text of 1 to {most} characters")
    return ""


def _place(given: dict[str, Any], faults: Faults) -> tuple[str, str]:
    return _text(given, "roomId", 128, faults), _text(given, "participantId", 128, faults)


def _description(given: dict[str, Any], kind: str) -> str:
    description = given.get(kind)
    sdp = description.get("sdp") if isinstance(description, dict) else None
    if not isinstance(description, dict) or description.get("type") != kind:
        raise RoomRefused(RoomReason.MEDIA_FAILED, f'{kind}: must be an object with type "{kind}" and sdp')
    if not isinstance(sdp, str) or not sdp.startswith("v=0") or len(sdp) > MAX_SDP:
        raise RoomRefused(RoomReason.MEDIA_FAILED, f"{kind}.sdp: must be a session description")
    return sdp


def _figure(stats: dict[str, Any], name: str, faults: Faults) -> float:
    first, *rest = name.split("_")
    value = stats.get(first + "".join(word.title() for word in rest), stats.get(name, 0))
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53:
        return value
    faults.add(f"stats.{name}", "must be a number")
    return 0


# --- events ----------------------------------------------------------------


def render(event: ev.RoomEvent) -> str:
    """Return an event as its message."""
    return msgspec.json.encode(_message(event)).decode()


def _message(event: ev.RoomEvent) -> w.Sent:
    match event:
        case ev.Joined():
            return w.Joined(room_id=event.room, participant_id=event.participant, status=event.status)
        case ev.ParticipantJoined():
            person = w.Person(
                id=event.participant,
                agent_id=event.agent,
                display_name=event.display_name,
                status=event.status,
            )
            return w.ParticipantJoined(participant=person)
        case ev.ParticipantLeft():
            return w.ParticipantLeft(participant_id=event.participant, reason=event.reason)
        case ev.OfferCame():
            return w.OfferCame(from_participant_id=event.sender, offer=w.OfferDescription(event.sdp))
        case ev.AnswerCame():
            return w.AnswerCame(from_participant_id=event.sender, answer=w.AnswerDescription(event.sdp))
        case ev.CandidateCame():
            return w.CandidateCame(from_participant_id=event.sender, candidate=event.candidate)
        case ev.VoiceStarted():
            return w.VoiceStarted(participant_id=event.participant)
        case ev.VoiceStopped():
            return w.VoiceStopped(participant_id=event.participant)
        case ev.MutedChanged():
            return w.Muted(participant_id=event.participant, muted=event.muted)
        case ev.RoomError():
            text = message(event.reason, event.text)
            return w.Error(code=error_code(event.reason), message=text)
        case ev.RoomClosed():
            return w.Closed(room_id=event.room, reason=event.reason)
        case _:
            raise TypeError(f"the event {type(event).__name__} has no message")
