"""Reports and messages that the call model and the media engine share: one struct for both sides.

The engine addresses ports and tracks by number. The call model addresses legs by name and tracks by a number
of its own. A signal carries either: its first field is an `int` for the engine, and a name or the call's own
number above. `softswitch.switch.conversation` replaces that one field as a signal passes, and nothing else.

Times named ``at``, ``began`` and ``ended`` are monotonic seconds. All values are plain, so that they can
cross a process boundary.
"""

from typing import Generic

import msgspec
from typing_extensions import TypeVar

Id = TypeVar("Id", bound=int | str, default=int)
"""How the side that holds a signal names a port: by number in the engine, by name in the call model."""


class Report(msgspec.Struct, frozen=True, tag=True):
    """Base class of all reports of the engine."""


class Message(msgspec.Struct, frozen=True, tag=True):
    """Base class of all messages to the engine."""


# --- reports about a port -------------------------------------------------------------------


class PortReport(Report, Generic[Id], frozen=True):
    """Base class of reports about a port."""

    port: Id
    """Number of the port; in the call model the name of the leg that it carries."""
    at: float
    """When the engine noticed."""

    @property
    def leg(self) -> Id:
        """The leg that the port carries, as the call model says it."""
        return self.port


class SpeechStarted(PortReport[Id], frozen=True):
    """The party began to speak at ``began``, which is before ``at``: detection needs time."""

    began: float


class SpeechStopped(PortReport[Id], frozen=True):
    """Speech that had begun at ``began`` gave way to silence at ``ended``."""

    began: float
    ended: float


class DigitReceived(PortReport[Id], frozen=True):
    """One press of a key, however it was transmitted."""

    digit: str
    duration_ms: int = 100
    method: str = "rfc4733"
    """rfc4733, inband or info."""
    crossed: bool = False
    """The other party of the mix already received it, as a relayed event packet or as an audible tone."""


class MediaSilent(PortReport[Id], frozen=True):
    """Neither RTP nor RTCP has arrived for ``seconds`` on a port that is not held."""

    seconds: float


class MediaResumed(PortReport[Id], frozen=True):
    """RTP arrives again after :class:`MediaSilent`, or for the first time (``seconds`` 0)."""

    seconds: float


# --- reports about a track ------------------------------------------------------------------


class TrackReport(Report, frozen=True):
    """Base class of reports about a track."""

    track: int
    """Number of the track in the engine; in the call model the number that the call gave to the playback."""
    at: float
    """When the engine noticed."""


class TrackStarted(TrackReport, frozen=True):
    """The first audio of a track was sent; reported once, even if the track runs empty and is fed again."""


class TrackDrained(TrackReport, frozen=True):
    """A track that was not ended ran empty; reported once until the track is fed again."""

    played_ms: int = 0
    """Audio that was played, milliseconds."""


class MarkReached(TrackReport, frozen=True):
    """All audio before a mark was played, or discarded."""

    name: str
    cleared: bool = False
    """The audio was discarded, not played."""


class TrackEnded(TrackReport, frozen=True):
    """A track was played to its end and was freed."""

    played_ms: int


class TrackDropped(TrackReport, frozen=True):
    """A track was cut short and was freed."""

    played_ms: int
    """Audio that was played."""
    total_ms: int
    """Audio that was fed."""
    subtitle: str = ""
    """The text that was heard, as far as the source of the audio knows it; the engine leaves it empty."""


# --- messages to a port ---------------------------------------------------------------------


class PortMessage(Message, Generic[Id], frozen=True):
    """Base class of messages to a port."""

    port: Id
    """Number of the port; in the call model the name of the leg that it carries."""

    @property
    def leg(self) -> Id:
        """The leg that the port carries, as the call model says it."""
        return self.port


class SetMuted(PortMessage[Id], frozen=True):
    """Keep the audio of a port out of the mix, or mix it again; the port still hears."""

    muted: bool


class SetDenoise(PortMessage[Id], frozen=True):
    """Switch noise suppression of a port's audio on or off."""

    on: bool


class SetEchoControl(PortMessage[Id], frozen=True):
    """Switch the cancelling of what a port is sent from what it says on or off."""

    on: bool


class SetGainControl(PortMessage[Id], frozen=True):
    """Switch the gain control of a port's audio on or off."""

    on: bool


class SetInbandDtmf(PortMessage[Id], frozen=True):
    """Switch the detection of DTMF tones in a port's audio on or off."""

    on: bool


# --- messages to a track --------------------------------------------------------------------


class TrackMessage(Message, frozen=True):
    """Base class of messages to a track."""

    track: int
    """Number of the track in the engine; in the call model the number that the call gave to the playback."""


class PlaceMark(TrackMessage, frozen=True):
    """Put a mark behind the queued audio of a track; reported when the audio before it was played."""

    name: str


class EndTrack(TrackMessage, frozen=True):
    """Let a track end once its queue is played; it is freed then and :class:`TrackEnded` is reported."""


class DropTrack(TrackMessage, frozen=True):
    """Discard the queued audio and end the track; :class:`TrackDropped` follows the cleared marks."""

    fade_ms: int = 10
    """Duration of the fade-out, 0-2000 ms."""
    at_boundary: bool = False
    """Play the current sentence to its end first."""


class SetTrack(TrackMessage, frozen=True):
    """Change a track while it plays; fields that are None stay as they are."""

    paused: bool | None = None
    gain: float | None = None
    ramp_ms: int = 20


EngineEffect = (
    SetMuted[str]
    | SetDenoise[str]
    | SetEchoControl[str]
    | SetGainControl[str]
    | SetInbandDtmf[str]
    | PlaceMark
    | EndTrack
    | DropTrack
    | SetTrack
)
"""Messages that a call decides on and the engine executes by itself."""
