"""Error codes and words of the rooms dialect for the reasons of the room model."""

from typing import Final

from softswitch.room.rejection import RoomReason, RoomRefused

_WORDS: Final[dict[RoomReason, tuple[str, str]]] = {
    RoomReason.INVALID: ("INVALID_REQUEST", "The request is not valid"),
    RoomReason.MALFORMED: ("INVALID_REQUEST", "The body is not JSON"),
    RoomReason.FORBIDDEN: ("FORBIDDEN", "Not allowed"),
    RoomReason.SPEAK_FORBIDDEN: ("FORBIDDEN", "the grant 'speak' is required in this room"),
    RoomReason.SPEAK_NEEDED: ("FORBIDDEN", "the grant 'speak' is required in a room that is peer to peer"),
    RoomReason.UNKNOWN_ROOM: ("ROOM_NOT_FOUND", "Room does not exist"),
    RoomReason.UNKNOWN_SESSION: ("SESSION_NOT_FOUND", "Session does not exist"),
    RoomReason.UNKNOWN_RECORDING: ("RECORDING_NOT_FOUND", "Recording does not exist"),
    RoomReason.TOO_MANY_ROOMS: ("TOO_MANY_ROOMS", "Too many rooms are open"),
    RoomReason.FULL: ("ROOM_FULL", "Room has reached maximum participants"),
    RoomReason.ALREADY_JOINED: ("ALREADY_JOINED", "{value} is already in the room"),
    RoomReason.NOT_IN_ROOM: ("NOT_IN_ROOM", "Not currently in the room"),
    RoomReason.INVALID_TOKEN: ("INVALID_TOKEN", "Authentication failed"),
    RoomReason.CONNECT_TIMEOUT: ("CONNECTION_TIMEOUT", "not connected in time"),
    RoomReason.MEDIA_FAILED: ("WEBCRTC_ERROR", "the media connection failed"),
    RoomReason.PEER_TO_PEER: ("WEBCRTC_ERROR", "the room is peer to peer: calls need one that is mixed"),
    RoomReason.NO_OFFER_BY_SWITCH: (
        "WEBCRTC_ERROR",
        "the switch made no offer: send one, and it answers",
    ),
    RoomReason.NO_OFFER: ("WEBCRTC_ERROR", "no participant has made an offer"),
    RoomReason.CANDIDATE_BEFORE_OFFER: ("WEBCRTC_ERROR", "a candidate comes after an offer"),
    RoomReason.TOO_MANY_CANDIDATES: ("WEBCRTC_ERROR", "too many candidates wait for a peer"),
}


def error_code(reason: RoomReason) -> str:
    """Return the error code of a reason."""
    return _WORDS[reason][0]


def message(reason: RoomReason, text: str = "", value: str = "") -> str:
    """Return the sentence of a reason, or the words that the refusing part has given."""
    return text or _WORDS[reason][1].format(value=value)


def refusal_message(refused: RoomRefused) -> str:
    """Return the sentence of a refusal."""
    return message(refused.reason, refused.text, refused.value)


def refusal_phrase(refused: RoomRefused) -> str:
    """Return the reason phrase for a call that a room refuses: the error code and the sentence."""
    return f"{error_code(refused.reason)}: {refusal_message(refused)}"
