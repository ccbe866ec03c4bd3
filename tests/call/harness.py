"""A call with a clock that the test advances."""

from typing import Any, TypeVar

from softswitch.call.call import Call
from softswitch.call.kind import LegKind
from softswitch.call.lifetime import CallLimits
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import CallOption, Command, Invite

E = TypeVar("E", bound=events.Event)
F = TypeVar("F", bound=effects.Effect)


class Harness:
    """Driver of one call, which records its events and effects."""

    def __init__(self, option: CallOption | None = None, kind: str = "websocket", **limits: Any) -> None:
        """Make a call; with an option it is invited and answered."""
        self.now = 100.0
        self.call = Call(
            "s1", LegKind(kind), self.now, epoch_offset=1_700_000_000.0, limits=CallLimits(**limits)
        )
        self.events: list[events.Event] = []
        self.effects: list[effects.Effect] = []
        if option is not None:
            self.command(Invite(option=option))
            self.report(reports.LegAnswered("party"))

    def command(self, command: Command) -> None:
        """Execute a command."""
        self.call.command(command, self.now)
        self._drain()

    def report(self, *what: reports.Report) -> None:
        """Deliver reports."""
        for report in what:
            self.call.report(report, self.now)
        self._drain()

    def wait(self, seconds: float) -> None:
        """Advance the clock by ``seconds``, stopping at each deadline."""
        until = self.now + seconds
        while (due := self.call.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.call.elapse(self.now)
            self._drain()
        self.now = until

    def heard(self, track: int, played_ms: int = 100) -> None:
        """Report that a track is fed, starts, drains and ends."""
        self.report(reports.SourceFed(track), reports.TrackStarted(track, 100.0))
        self.report(reports.TrackDrained(track, 100.0), reports.TrackEnded(track, 100.0, played_ms))

    def emitted(self, kind: type[E]) -> list[E]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def effects_of(self, kind: type[F]) -> list[F]:
        """Return the effects of one kind."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def names(self) -> list[str]:
        """Return the names of all events, in order."""
        return [type(event).__name__ for event in self.events]

    def _drain(self) -> None:
        self.events += self.call.take_events()
        self.effects += self.call.take_effects()
