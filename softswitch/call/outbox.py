"""Events and effects that the parts of a call decided, and the clock that dates them."""

from softswitch.call.vocabulary.effects import Effect
from softswitch.call.vocabulary.events import Event
from softswitch.call.vocabulary.values import party_of


class Outbox:
    """Queue of events and effects in their order; the switch drains it after each transition."""

    def __init__(self, session: str, epoch_offset: float) -> None:
        """Make an empty outbox.

        Args:
            session: Id of the call.
            epoch_offset: Seconds to add to monotonic time to get epoch seconds, fixed for the life of the
                call so that a jump of the wall clock changes nothing.
        """
        self.session = session
        self.party = party_of(session)
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

    def clock(self, monotonic: float | None = None) -> float:
        """Return epoch seconds of a monotonic time, of now where none is given."""
        return (self.now if monotonic is None else monotonic) + self._offset

    def take_events(self) -> list[Event]:
        """Return the events since the last call, and forget them."""
        events, self.events = self.events, []
        return events

    def take_effects(self) -> list[Effect]:
        """Return the effects since the last call, and forget them."""
        effects, self.effects = self.effects, []
        return effects
