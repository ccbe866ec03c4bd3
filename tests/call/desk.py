"""A call with a clock in the test's hand."""

from typing import TypeVar

from softswitch.call import effects, events, reports
from softswitch.call.call import Call
from softswitch.call.commands import CallOption, Command, Invite
from softswitch.call.lifetime import CallLimits

E = TypeVar("E", bound=events.Event)
F = TypeVar("F", bound=effects.Effect)


class Desk:
    """Drives one call; remembers everything it said."""

    def __init__(self, option: CallOption | None = None, kind: str = "websocket", **limits: float) -> None:
        """Make a call; with an option it is invited and answered."""
        self.now = 100.0
        self.call = Call("s1", kind, self.now, epoch_offset=1_700_000_000.0, limits=CallLimits(**limits))
        self.events: list[events.Event] = []
        self.effects: list[effects.Effect] = []
        if option is not None:
            self.command(Invite(option=option))
            self.report(reports.LegAnswered("party"))

    def command(self, command: Command) -> None:
        """Give a command."""
        self.call.command(command, self.now)
        self._drain()

    def report(self, *what: reports.Report) -> None:
        """Tell what happened."""
        for report in what:
            self.call.report(report, self.now)
        self._drain()

    def wait(self, seconds: float) -> None:
        """Let time pass; deadlines on the way are kept."""
        until = self.now + seconds
        while (due := self.call.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.call.elapse(self.now)
            self._drain()
        self.now = until

    def heard(self, track: int, played_ms: int = 100) -> None:
        """Let a track be fed, sound, and be heard to its end."""
        self.report(reports.SourceFed(track), reports.PlaybackStarted(track))
        self.report(reports.PlaybackDrained(track), reports.PlaybackEnded(track, played_ms))

    def told(self, kind: type[E]) -> list[E]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def did(self, kind: type[F]) -> list[F]:
        """Return the effects of one kind."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def names(self) -> list[str]:
        """Return the names of all events, in order."""
        return [type(event).__name__ for event in self.events]

    def _drain(self) -> None:
        self.events += self.call.take_events()
        self.effects += self.call.take_effects()
