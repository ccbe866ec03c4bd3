"""What a participant missed of the others while its socket was lost."""

from softswitch.room.events import ParticipantJoined, ParticipantLeft, RoomEvent, VoiceStarted, VoiceStopped


class Missed:
    """Who came, left and stopped speaking, as little as tells the outcome.

    It never has more events than there were participants before plus those that are there now: of one that
    came and left again nothing is kept.
    """

    def __init__(self) -> None:
        """Start with nothing missed."""
        self._presence: dict[str, ParticipantJoined | ParticipantLeft] = {}
        self._silent: dict[str, VoiceStopped] = {}

    def add(self, event: RoomEvent) -> None:
        """Note an event that its recipient could not get; one that no returning client needs is dropped."""
        match event:
            case ParticipantJoined():
                self._presence[event.participant] = event
            case ParticipantLeft():
                self._silent.pop(event.participant, None)
                if isinstance(self._presence.pop(event.participant, None), ParticipantJoined):
                    return
                self._presence[event.participant] = event
            case VoiceStopped():
                if event.participant not in self._presence:
                    self._silent[event.participant] = event
            case VoiceStarted():
                # Who speaks is told anyway.
                self._silent.pop(event.participant, None)
            case _:
                pass

    def take(self) -> list[RoomEvent]:
        """Return what was missed, and forget it: first who left, so that the room is never too full."""
        left = [event for event in self._presence.values() if isinstance(event, ParticipantLeft)]
        came = [event for event in self._presence.values() if isinstance(event, ParticipantJoined)]
        events = [*self._silent.values(), *left, *came]
        self._presence.clear()
        self._silent.clear()
        return events
