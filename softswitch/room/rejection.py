"""Reasons for which a room refuses something, as symbols: the dialect has the words and the error codes."""

from enum import StrEnum

from softswitch.errors import RejectedError


class RoomReason(StrEnum):
    """Symbol of what is wrong with a request to a room; dialects word it."""

    INVALID = "invalid"
    MALFORMED = "malformed"
    FORBIDDEN = "forbidden"
    SPEAK_FORBIDDEN = "speak_forbidden"
    SPEAK_NEEDED = "speak_needed"
    """A peer-to-peer room is only for participants that may speak."""
    UNKNOWN_ROOM = "unknown_room"
    UNKNOWN_SESSION = "unknown_session"
    UNKNOWN_RECORDING = "unknown_recording"
    TOO_MANY_ROOMS = "too_many_rooms"
    FULL = "full"
    ALREADY_JOINED = "already_joined"
    """``value``: name of the agent."""
    NOT_IN_ROOM = "not_in_room"
    INVALID_TOKEN = "invalid_token"
    CONNECT_TIMEOUT = "connect_timeout"
    MEDIA_FAILED = "media_failed"
    PEER_TO_PEER = "peer_to_peer"
    """A call cannot join a peer-to-peer room."""
    NO_OFFER_BY_SWITCH = "no_offer_by_switch"
    NO_OFFER = "no_offer"
    CANDIDATE_BEFORE_OFFER = "candidate_before_offer"
    TOO_MANY_CANDIDATES = "too_many_candidates"


class RoomRefused(RejectedError):
    """A room cannot do what was asked of it; it lives on.

    Attributes:
        reason: Symbol of the reason.
        value: Name that belongs to it.
        text: Words of the part that refuses, which replace those of the dialect.
        code: The HTTP status that says the same.
    """

    def __init__(self, reason: RoomReason, text: str = "", *, value: str = "") -> None:
        super().__init__(text or f"{reason} {value}".rstrip())
        self.reason, self.text, self.value = reason, text, value
        self.code = CODES[reason]


CODES = {
    RoomReason.INVALID: 422,
    RoomReason.MALFORMED: 400,
    RoomReason.FORBIDDEN: 403,
    RoomReason.SPEAK_FORBIDDEN: 403,
    RoomReason.SPEAK_NEEDED: 403,
    RoomReason.INVALID_TOKEN: 401,
    RoomReason.UNKNOWN_ROOM: 404,
    RoomReason.UNKNOWN_SESSION: 404,
    RoomReason.UNKNOWN_RECORDING: 404,
    RoomReason.TOO_MANY_ROOMS: 429,
    RoomReason.FULL: 409,
    RoomReason.ALREADY_JOINED: 409,
    RoomReason.NOT_IN_ROOM: 404,
    RoomReason.CONNECT_TIMEOUT: 408,
    RoomReason.MEDIA_FAILED: 422,
    RoomReason.PEER_TO_PEER: 422,
    RoomReason.NO_OFFER_BY_SWITCH: 422,
    RoomReason.NO_OFFER: 422,
    RoomReason.CANDIDATE_BEFORE_OFFER: 422,
    RoomReason.TOO_MANY_CANDIDATES: 422,
}
"""HTTP status of each reason."""
