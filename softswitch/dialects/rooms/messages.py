"""``/ws``: what clients say, and what they are told."""

from typing import Any

import msgspec

from softswitch.call import room_events as ev
from softswitch.call.room_parts import RoomRefused, Stats
from softswitch.dialects.rooms.rest import read_agent, read_metadata
from softswitch.dialects.rooms.wishes import Faults, too_deep

MAX_SDP = 65536
MAX_CANDIDATE = 1024


class Said(msgspec.Struct, frozen=True):
    """Base of what a client says."""


class Auth(Said, frozen=True):
    """Who is there."""

    token: str


class Join(Said, frozen=True):
    """Let me in."""

    room: str
    agent: str
    metadata: dict[str, Any]


class Inside(Said, frozen=True):
    """Base of what is said by somebody who is in."""

    room: str
    participant: str


class Leave(Inside, frozen=True):
    """Let me go."""


class Offer(Inside, frozen=True):
    """My session description, to be answered."""

    sdp: str


class Answer(Inside, frozen=True):
    """My answer to yours."""

    sdp: str


class IceCandidate(Inside, frozen=True):
    """One of my addresses."""

    candidate: dict[str, Any]


class Mute(Inside, frozen=True):
    """Silence me, or not any more."""

    muted: bool


class State(Inside, frozen=True):
    """How I am connected (ours)."""

    state: str


class Figures(Inside, frozen=True):
    """What I measured (ours)."""

    stats: Stats


CONNECTION_STATES = ("disconnected", "connecting", "connected", "reconnecting", "failed")


def parse(text: str | bytes) -> Said:
    """Read a message; raises RoomRefused naming what is wrong."""
    try:
        given = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise RoomRefused("INVALID_REQUEST", f"message: {error}") from None
    if not isinstance(given, dict) or too_deep(given, 12):
        raise RoomRefused("INVALID_REQUEST", "message: must be an object with a type")
    kind = given.get("type")
    faults = Faults()
    if kind == "auth":
        token = _text(given, "token", 8192, faults)
        faults.check()
        return Auth(token)
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise RoomRefused("INVALID_REQUEST", f"type: must be one of auth, {', '.join(_READERS)}")
    said = reader(given, faults)
    faults.check()
    return said


def _join(given: dict[str, Any], faults: Faults) -> Said:
    return Join(
        _text(given, "roomId", 128, faults),
        read_agent(given.get("agentId"), "agentId", faults),
        read_metadata(given.get("metadata", {}), faults),
    )


def _leave(given: dict[str, Any], faults: Faults) -> Said:
    return Leave(*_place(given, faults))


def _offer(given: dict[str, Any], faults: Faults) -> Said:
    return Offer(*_place(given, faults), _description(given, "offer"))


def _answer(given: dict[str, Any], faults: Faults) -> Said:
    return Answer(*_place(given, faults), _description(given, "answer"))


def _candidate(given: dict[str, Any], faults: Faults) -> Said:
    place = _place(given, faults)
    candidate = given.get("candidate")
    if not isinstance(candidate, dict) or len(msgspec.json.encode(candidate)) > MAX_CANDIDATE:
        raise RoomRefused("WEBCRTC_ERROR", "candidate: must be an RTCIceCandidateInit")
    line, mid, text = (candidate.get(key) for key in ("sdpMLineIndex", "sdpMid", "candidate"))
    wrong = line is not None and (isinstance(line, bool) or not isinstance(line, int))
    if not isinstance(text, str) or wrong or not isinstance(mid, str | None):
        raise RoomRefused("WEBCRTC_ERROR", "candidate: must be an RTCIceCandidateInit")
    if text and not text.startswith("candidate:"):
        raise RoomRefused("WEBCRTC_ERROR", "candidate.candidate: must begin with candidate:")
    return IceCandidate(*place, candidate)


def _mute(given: dict[str, Any], faults: Faults) -> Said:
    muted = given.get("muted")
    if not isinstance(muted, bool):
        faults.add("muted", "must be true or false")
    return Mute(*_place(given, faults), muted is True)


def _state(given: dict[str, Any], faults: Faults) -> Said:
    state = given.get("state")
    if state not in CONNECTION_STATES:
        faults.add("state", f"must be one of {', '.join(CONNECTION_STATES)}")
    return State(*_place(given, faults), str(state))


def _figures(given: dict[str, Any], faults: Faults) -> Said:
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
        raise RoomRefused("WEBCRTC_ERROR", f'{kind}: must be an object with type "{kind}" and sdp')
    if not isinstance(sdp, str) or not sdp.startswith("v=0") or len(sdp) > MAX_SDP:
        raise RoomRefused("WEBCRTC_ERROR", f"{kind}.sdp: must be a session description")
    return sdp


def _figure(stats: dict[str, Any], name: str, faults: Faults) -> float:
    first, *rest = name.split("_")
    value = stats.get(first + "".join(word.title() for word in rest), stats.get(name, 0))
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53:
        return value
    faults.add(f"stats.{name}", "must be a number")
    return 0


# --- what clients are told ----------------------------------------------------------------


def render(event: ev.RoomEvent) -> str:
    """Return an event as its message."""
    return msgspec.json.encode(_fields(event)).decode()


def _fields(event: ev.RoomEvent) -> dict[str, object]:
    match event:
        case ev.Joined():
            fields: dict[str, object] = {"roomId": event.room, "participantId": event.participant}
            return {"type": "room:joined", **fields, "status": event.status}
        case ev.ParticipantJoined():
            participant = {"id": event.participant, "agentId": event.agent}
            participant |= {"display_name": event.display_name, "status": event.status}
            return {"type": "room:participant-joined", "participant": participant}
        case ev.ParticipantLeft():
            return {
                "type": "room:participant-left",
                "participantId": event.participant,
                "reason": event.reason,
            }
        case ev.OfferCame():
            offer = {"type": "offer", "sdp": event.sdp}
            return {"type": "webrtc:offer", "fromParticipantId": event.sender, "offer": offer}
        case ev.AnswerCame():
            answer = {"type": "answer", "sdp": event.sdp}
            return {"type": "webrtc:answer", "fromParticipantId": event.sender, "answer": answer}
        case ev.CandidateCame():
            return {
                "type": "webrtc:ice-candidate",
                "fromParticipantId": event.sender,
                "candidate": event.candidate,
            }
        case ev.VoiceStarted():
            return {"type": "voice:stream-started", "participantId": event.participant}
        case ev.VoiceStopped():
            return {"type": "voice:stream-stopped", "participantId": event.participant}
        case ev.MutedChanged():
            return {"type": "room:muted", "participantId": event.participant, "muted": event.muted}
        case ev.RoomError():
            return {"type": "room:error", "code": event.code, "message": event.message}
        case ev.RoomClosed():
            return {"type": "room:closed", "roomId": event.room, "reason": event.reason}
        case _:
            raise TypeError(f"{type(event).__name__} has no message")
