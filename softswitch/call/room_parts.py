"""What a room is made of: its states as tables, its wishes, the people in it and their sessions."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import msgspec

from softswitch.call.room_events import RoomEvent
from softswitch.errors import RejectedError


class RoomState(StrEnum):
    """Where a room stands."""

    CREATED = "created"
    WAITING = "waiting"
    ACTIVE = "active"
    CLOSED = "closed"


def state_with(people: int) -> RoomState:
    """Return the state of an open room by how many people have a seat; it never goes back to created."""
    return RoomState.ACTIVE if people > 1 else RoomState.WAITING


class Presence(StrEnum):
    """Where a participant stands."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    LEFT = "left"


class Step(StrEnum):
    """What moves a participant."""

    CONNECT = "connect"
    DROP = "drop"
    RETURN = "return"
    AGAIN = "again"
    LEAVE = "leave"


PRESENCES: dict[tuple[Presence, Step], Presence] = {
    (Presence.CONNECTING, Step.CONNECT): Presence.CONNECTED,
    (Presence.CONNECTING, Step.DROP): Presence.DISCONNECTED,
    (Presence.CONNECTED, Step.DROP): Presence.DISCONNECTED,
    (Presence.CONNECTED, Step.AGAIN): Presence.CONNECTING,
    (Presence.DISCONNECTED, Step.RETURN): Presence.CONNECTING,
    (Presence.CONNECTING, Step.LEAVE): Presence.LEFT,
    (Presence.CONNECTED, Step.LEAVE): Presence.LEFT,
    (Presence.DISCONNECTED, Step.LEAVE): Presence.LEFT,
}


class RoomRefused(RejectedError):
    """A room cannot do what was asked of it; it lives on.

    Attributes:
        room_code: The wire's name of the reason.
    """

    def __init__(self, room_code: str, message: str) -> None:
        """Remember the reason; the status that says the same follows from it."""
        super().__init__(message)
        self.room_code = room_code
        self.code = STATUSES[room_code]


STATUSES = {
    "ROOM_NOT_FOUND": 404,
    "ROOM_FULL": 409,
    "ALREADY_JOINED": 409,
    "NOT_IN_ROOM": 404,
    "INVALID_TOKEN": 401,
    "WEBCRTC_ERROR": 422,
    "CONNECTION_TIMEOUT": 408,
    "INVALID_REQUEST": 422,
    "SESSION_NOT_FOUND": 404,
}
"""The errors of rooms and the HTTP status of each."""


class RoomWish(msgspec.Struct, frozen=True):
    """What the settings of a room ask for, read from what the client gave."""

    topology: Literal["", "p2p", "mix"] = ""
    """Empty: by the other wishes."""
    max_participants: int | None = None
    codec: str = ""
    bitrate: int = 0
    record: bool = False
    container: Literal["wav", "opus"] = "wav"

    @property
    def mixed(self) -> bool:
        """Whether the switch mixes: recording and more than two people need it."""
        if self.topology:
            return self.topology == "mix"
        return self.record or (self.max_participants or 0) > 2

    def seats(self, cap: int) -> int:
        """Return how many people fit in; ``cap``: in a mixed room that names no number."""
        if not self.mixed:
            return min(self.max_participants or 2, 2)
        return min(self.max_participants or cap, cap)


class RoomTimes(msgspec.Struct, frozen=True):
    """How long things may take, in seconds, and how many people one room may have."""

    grace_s: float = 20.0
    connect_s: float = 30.0
    cap: int = 100


@dataclass(slots=True)
class Stats:
    """What a participant sent and was sent."""

    voice_packets_sent: int = 0
    voice_packets_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    packet_loss_percent: float = 0.0
    avg_latency_ms: int = 0
    source: Literal["none", "client", "switch"] = "none"

    def add(self, other: "Stats") -> None:
        """Add the figures of a further connection of the same stay."""
        before, after = self.voice_packets_sent, other.voice_packets_sent
        if before + after:
            share = after / (before + after)
            loss = self.packet_loss_percent * (1 - share) + other.packet_loss_percent * share
            self.packet_loss_percent = round(loss, 2)
            self.avg_latency_ms = round(self.avg_latency_ms * (1 - share) + other.avg_latency_ms * share)
        self.voice_packets_sent += after
        self.voice_packets_received += other.voice_packets_received
        self.bytes_sent += other.bytes_sent
        self.bytes_received += other.bytes_received
        self.source = other.source


MAX_PENDING = 64
"""Messages kept for somebody who is not there yet."""


@dataclass(slots=True)
class Participant:
    """Somebody in a room, and the session of this stay."""

    id: str
    session: str
    agent: str
    owner: str
    """Name of the credentials it came with: nobody else may take the seat."""
    joined: float
    metadata: dict[str, object] = field(default_factory=dict)
    kind: Literal["peer", "call"] = "peer"
    """peer: by ``/ws``; call: a leg of a call that was put into the room."""
    state: Presence = Presence.CONNECTING
    bound: bool = False
    """Whether a live socket speaks for it."""
    due: float | None = None
    """When it is given up: it connects for too long, or does not come back."""
    offered: bool = False
    """An offer of it waits for an answer."""
    seated: bool = False
    """The switch carries its audio."""
    described: str = ""
    """Session id in the description of its last offer: a connection keeps it for life (RFC 9429 5.2.1)."""
    flowing: bool = False
    """Its audio has arrived."""
    speaking: bool = False
    muted: bool = False
    left: float | None = None
    reason: str = ""
    stats: Stats = field(default_factory=Stats)
    pending: list[RoomEvent] = field(default_factory=list)
    """What a peer said while nobody could hear it."""

    def step(self, step: Step) -> bool:
        """Move; return whether that was possible."""
        after = PRESENCES.get((self.state, step))
        if after is None:
            return False
        self.state = after
        return True

    @property
    def display_name(self) -> str:
        """The name to show."""
        name = self.metadata.get("display_name")
        return name if isinstance(name, str) and name else self.agent


def session_of(sdp: str) -> str:
    """Return the session id of a description (RFC 8866 section 5.2); empty where it has none."""
    origin = next((line for line in sdp.splitlines() if line.startswith("o=")), "")
    return "".join(origin.split()[1:2])
