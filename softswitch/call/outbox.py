"""Where the parts of a call put what they decided, and the one place that turns monotonic into wall time."""

from softswitch.call.effects import Effect
from softswitch.call.events import Event


class Outbox:
    """Events and effects in the order they were decided in; the switch drains it after each transition."""

    def __init__(self, session: str, epoch_offset: float) -> None:
        """Start empty.

        Args:
            session: Id of the call, which is the wire's track id of the party.
            epoch_offset: Seconds to add to monotonic time to get epoch seconds, fixed for the life of the
                call so that a jump of the wall clock changes nothing.
        """
        self.session = session
        self.now = 0.0
        self.events: list[Event] = []
        self.effects: list[Effect] = []
        self._offset = epoch_offset

    def emit(self, event: Event) -> None:
        """Append an event."""
        self.events.append(event)

    def do(self, effect: Effect) -> None:
        """Append an effect."""
        self.effects.append(effect)

    def epoch_ms(self, monotonic: float | None = None) -> int:
        """Return epoch milliseconds of a monotonic time (of now where none is given)."""
        return round(((self.now if monotonic is None else monotonic) + self._offset) * 1000)

    def take_events(self) -> list[Event]:
        """Return the events since the last time."""
        events, self.events = self.events, []
        return events

    def take_effects(self) -> list[Effect]:
        """Return the effects since the last time."""
        effects, self.effects = self.effects, []
        return effects
