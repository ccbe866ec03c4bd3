"""Kinds of the leg that a call begins with, and what the call model has to know of each."""

from enum import StrEnum
from typing import NamedTuple


class _Traits(NamedTuple):
    by_number: bool = False
    """The party is dialled or has called by telephone; a callee names the party itself."""
    tones_only: bool = False
    audio_in_socket: bool = False
    setup_s: float = 30.0


class LegKind(StrEnum):
    """Kind of a call's first leg; the value stands in records, lists and metrics."""

    WEBSOCKET = "websocket"
    """A client that sends audio over its own WebSocket."""
    WEBRTC = "webrtc"
    """A browser."""
    SIP = "sip"
    """A telephone, which called or is called."""
    LOCAL = "local"
    """The inner end of a pair of legs, where a call enters a room."""
    AGENT = "agent"
    """The inner end of a pair of legs, where an agent of the switch serves a call."""
    QUEUE = "queue"
    """The inner end of a pair of legs, where a caller waits in a queue."""
    VOICEMAIL = "voicemail"
    """The inner end of a pair of legs, where a caller leaves a message."""
    ROOM = "room"
    """What the switch itself says in a room."""

    @property
    def by_number(self) -> bool:
        """Whether a callee names the party itself, and not a second party to be dialled."""
        return _TRAITS[self].by_number

    @property
    def tones_only(self) -> bool:
        """Whether digits can come only as tones in the audio."""
        return _TRAITS[self].tones_only

    @property
    def audio_in_socket(self) -> bool:
        """Whether audio and commands share one socket, so that audio arrives before its close."""
        return _TRAITS[self].audio_in_socket

    @property
    def is_inner(self) -> bool:
        """Whether another call of the switch stands before this one: applications are told of that one."""
        return self in (LegKind.LOCAL, LegKind.AGENT, LegKind.QUEUE, LegKind.VOICEMAIL)

    @property
    def in_room(self) -> bool:
        """Whether the leg is inside a room, whose participants hear no sound for those that wait."""
        return self in (LegKind.LOCAL, LegKind.ROOM)

    @property
    def setup_s(self) -> float:
        """Longest time until the answer where an invite names none, seconds."""
        return _TRAITS[self].setup_s


_TRAITS = {
    LegKind.WEBSOCKET: _Traits(tones_only=True, audio_in_socket=True),
    LegKind.WEBRTC: _Traits(),
    LegKind.SIP: _Traits(by_number=True, setup_s=90.0),
    LegKind.LOCAL: _Traits(),
    LegKind.AGENT: _Traits(),
    LegKind.QUEUE: _Traits(),
    LegKind.VOICEMAIL: _Traits(),
    LegKind.ROOM: _Traits(),
}
