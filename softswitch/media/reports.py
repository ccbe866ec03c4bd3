"""Reports of the engine, plain values as in :mod:`softswitch.media.messages`.

Times named ``at`` are monotonic seconds.
"""

import msgspec

from softswitch.signals import (
    DigitReceived,
    MarkReached,
    MediaResumed,
    MediaSilent,
    PortReport,
    Report,
    SpeechStarted,
    SpeechStopped,
    TrackDrained,
    TrackDropped,
    TrackEnded,
    TrackReport,
    TrackStarted,
)

__all__ = [
    "DigitReceived",
    "DigitsSent",
    "MarkReached",
    "MediaResumed",
    "MediaSilent",
    "Output",
    "PortClosed",
    "PortFailed",
    "PortQuality",
    "PortReport",
    "RecorderClosed",
    "Report",
    "SpeechStarted",
    "SpeechStopped",
    "TrackCleared",
    "TrackDrained",
    "TrackDropped",
    "TrackEnded",
    "TrackFull",
    "TrackLow",
    "TrackReport",
    "TrackStarted",
]


class TrackCleared(TrackReport, frozen=True):
    """The queued audio of a track was discarded; the track stays open."""

    played_ms: int
    """Audio played since the track began, including the end that fades out, milliseconds."""


class TrackFull(TrackReport, frozen=True):
    """Audio was refused because the queue of a track was full; reported once for each track."""

    refused_ms: int


class TrackLow(TrackReport, frozen=True):
    """Less than ``low_ms`` is queued in a track; reported once until the track is fed again."""

    buffered_ms: int


class DigitsSent(PortReport, frozen=True):
    """All digits of one :class:`SendDigits` were sent."""

    digits: str


class RecorderClosed(Report, frozen=True):
    """A recording is complete on disk, or stopped early with an ``error``."""

    recorder: int
    at: float
    path: str
    duration_ms: int
    size: int
    error: str = ""


class PortFailed(PortReport, frozen=True):
    """An error in one port closed this port; other ports continue."""

    error: str


class PortClosed(PortReport, frozen=True):
    """A port was closed."""

    statistics: dict[str, float]
    """packets_received, packets_sent, packets_lost, packets_late, packets_rejected, concealed_ms, jitter_ms,
    round_trip_ms, dropped_ms and others; a port lists those that its kind has."""


class PortQuality(PortReport, frozen=True):
    """How well a port received in the last five seconds, and how well its peer did by its last report."""

    codec: str
    """Encoding name of what was received."""
    loss: float
    """Share of the packets that were not played, 0 to 1: lost, or too late."""
    far_loss: float
    """Share of the packets to the peer that were lost, 0 to 1."""
    jitter_ms: float
    """Jitter of what is received (RFC 3550 section 6.4.1)."""
    delay_ms: float
    """Delay that the jitter buffer adds."""
    round_trip_ms: float
    """Round trip by RTCP; 0: unknown."""


class Output(msgspec.Struct):
    """Results of one tick for all ports together."""

    reports: list[Report] = []
    frames: list[tuple[int, bytes]] = []
    """(port or tap, audio of this tick in the port's or tap's format)."""
    datagrams: list[tuple[int, bytes]] = []
    """(port, datagram) for ports connected without an ``fd``; encrypted where the port has keys."""
    strays: list[tuple[int, bytes, tuple[str, int]]] = []
    """(port, datagram, its source) read from a socket of ICE and no media of the peer: STUN and DTLS."""
    roused: list[int] = []
    """Feed ports and streams whose WebSocket the tick serves, where something is left to the event loop."""
