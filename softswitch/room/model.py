"""Values of the room model: states as tables, options, participants and the statistics of their sessions."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import msgspec

from softswitch.room.events import RoomEvent
from softswitch.room.missed import Missed


class RoomState(StrEnum):
    """State of a room."""

    CREATED = "created"
    WAITING = "waiting"
    ACTIVE = "active"
    CLOSED = "closed"


def state_with(people: int) -> RoomState:
    """Return the state of an open room by its number of participants; it never returns to created."""
    return RoomState.ACTIVE if people > 1 else RoomState.WAITING


class Presence(StrEnum):
    """State of a participant."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    LEFT = "left"


class Step(StrEnum):
    """Input of the state table of participants."""

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


class RoomOptions(msgspec.Struct, frozen=True):
    """Options of a room, read from the settings that the client gave."""

    topology: Literal["", "p2p", "mix"] = ""
    """Empty: decided by the other options."""
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
        """Return the number of seats; ``cap`` bounds a mixed room."""
        if not self.mixed:
            return min(self.max_participants or 2, 2)
        return min(self.max_participants or cap, cap)


class RoomTimes(msgspec.Struct, frozen=True):
    """Times in seconds and the bound of participants of one room."""

    grace_s: float = 20.0
    """For a participant to come back after its socket was lost."""
    connect_s: float = 30.0
    cap: int = 100
    """Participants of one room."""
    empty_s: float = 0.0
    """Until a room that was never entered is closed; 0: it is kept."""


@dataclass(slots=True)
class Stats:
    """Statistics of the media of one session."""

    voice_packets_sent: int = 0
    voice_packets_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    packet_loss_percent: float = 0.0
    avg_latency_ms: int = 0
    source: Literal["none", "client", "switch"] = "none"

    def add(self, other: "Stats") -> None:
        """Add the statistics of a further connection of the same session.

        Loss and latency are means weighted by the packets sent on each connection.
        """
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
"""Messages kept for a peer that has not joined yet."""


@dataclass(slots=True)
class Participant:
    """A participant of a room and its session."""

    id: str
    session: str
    agent: str
    owner: str
    """Value of `Principal.seat` of its client: no other principal may resume the seat."""
    joined: float
    metadata: dict[str, object] = field(default_factory=dict)
    kind: Literal["peer", "call"] = "peer"
    """peer: a client of ``/ws``; call: a leg of a call that was put into the room."""
    state: Presence = Presence.CONNECTING
    bound: bool = False
    """Whether a live socket is attached."""
    due: float | None = None
    """When it is removed because it did not connect or come back, monotonic seconds."""
    offered: bool = False
    """Whether its offer awaits an answer."""
    seated: bool = False
    """Whether the switch carries its audio."""
    described: str = ""
    """Session id of its last offer, which is constant for one connection (RFC 9429 section 5.2.1)."""
    flowing: bool = False
    """Whether its audio has arrived."""
    speaking: bool = False
    muted: bool = False
    may_speak: bool = True
    """Whether its token grants it to speak; else it stays muted."""
    left: float | None = None
    reason: str = ""
    stats: Stats = field(default_factory=Stats)
    mute_told: bool = False
    """Whether others were told that it is muted, or is not any more."""
    pending: list[RoomEvent] = field(default_factory=list)
    """Messages to a peer that has not joined yet."""
    missed: Missed = field(default_factory=Missed)
    """Who came and left while its socket was lost."""

    def step(self, step: Step) -> bool:
        """Apply an input to the state; return whether it was allowed."""
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
