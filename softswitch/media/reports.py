"""What the engine tells: plain values only, as in :mod:`softswitch.media.messages`.

Times named ``at`` are monotonic seconds.
"""

from typing import Literal

import msgspec


class Report(msgspec.Struct, frozen=True, tag=True):
    """Base of everything that the engine reports."""


class TrackStarted(Report, frozen=True):
    """The first audio of a track was sent (again after it had run empty and was not ended: never twice)."""

    track: int
    at: float


class TrackLow(Report, frozen=True):
    """Less than ``low_ms`` waits in a track; once until it is fed again."""

    track: int
    at: float
    buffered_ms: int


class TrackDrained(Report, frozen=True):
    """A track that was not ended ran empty; once until it is fed again."""

    track: int
    at: float


class MarkReached(Report, frozen=True):
    """Everything before a mark was sent, or thrown away."""

    track: int
    at: float
    name: str
    cleared: bool


class TrackEnded(Report, frozen=True):
    """A track was played to its end and is freed."""

    track: int
    at: float
    played_ms: int


class TrackDropped(Report, frozen=True):
    """A track was cut short and is freed."""

    track: int
    at: float
    played_ms: int
    """Audio that was heard."""
    total_ms: int
    """Audio that had been fed."""


class SpeechStarted(Report, frozen=True):
    """Someone began to speak at ``began`` (before ``at``: detection needs time)."""

    port: int
    at: float
    began: float


class SpeechStopped(Report, frozen=True):
    """Speech ended: silence began at ``ended``."""

    port: int
    at: float
    began: float
    ended: float


class DigitReceived(Report, frozen=True):
    """One press of a key, whichever way it came."""

    port: int
    at: float
    digit: str
    duration_ms: int
    method: Literal["rfc4733", "inband"]
    crossed: bool = False
    """The other party of its mix has had it already: forwarded as it came, or heard as the tones it is."""


class DigitsSent(Report, frozen=True):
    """All digits of a :class:`SendDigits` have gone out."""

    port: int
    at: float
    digits: str


class MediaSilent(Report, frozen=True):
    """No RTP nor RTCP for three seconds on an RTP port that is not held."""

    port: int
    at: float
    seconds: float


class MediaResumed(Report, frozen=True):
    """RTP came again after :class:`MediaSilent`, or for the first time (``seconds`` 0)."""

    port: int
    at: float
    seconds: float


class RecorderClosed(Report, frozen=True):
    """A recording is complete on disk, or stopped early with an ``error``."""

    recorder: int
    at: float
    path: str
    duration_ms: int
    size: int
    error: str = ""


class PortFailed(Report, frozen=True):
    """A port failed by itself and was closed; the others were not touched."""

    port: int
    at: float
    error: str


class PortClosed(Report, frozen=True):
    """A port is gone; its statistics."""

    port: int
    at: float
    statistics: dict[str, float]
    """packets_received, packets_sent, packets_lost, packets_late, packets_rejected, concealed_ms, jitter_ms,
    round_trip_ms, dropped_ms ..., as far as the kind of port knows them."""


class Output(msgspec.Struct):
    """What one tick hands out, all ports together."""

    reports: list[Report] = []
    frames: list[tuple[int, bytes]] = []
    """(port or tap, audio of this tick in the port's or tap's format)."""
    datagrams: list[tuple[int, bytes]] = []
    """(port, encrypted datagram) for ports connected without an ``fd``."""
