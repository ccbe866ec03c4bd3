"""What a room consists of, how people come to and go from their seats, and who is told."""

from collections.abc import Iterable

from softswitch.call import room_events as ev
from softswitch.call.room_parts import (
    Participant,
    Presence,
    RoomRefused,
    RoomState,
    RoomTimes,
    RoomWish,
    Step,
    state_with,
)

GONE_KEPT = 256
"""People of the past whose last figures may still come."""


class RoomCore:
    """The state of one room and its inner moves; :class:`softswitch.call.room.Room` has the verbs."""

    def __init__(
        self,
        room_id: str,
        switch_id: str,
        now: float,
        *,
        name: str = "",
        settings: dict[str, object] | None = None,
        wish: RoomWish | None = None,
        times: RoomTimes | None = None,
    ) -> None:
        """Make an empty room.

        Args:
            room_id: Its id.
            switch_id: Id of the switch as a participant: the sender of its answers.
            now: The time.
            name: For people.
            settings: As the client gave them.
            wish: What they ask for.
            times: How long things may take.
        """
        self.id, self.switch_id, self.name = room_id, switch_id, name
        self.settings = settings or {}
        self.wish = wish or RoomWish()
        self.created = self.updated = self._now = now
        self.state = RoomState.CREATED
        self.reason = ""
        self.people: dict[str, Participant] = {}
        """Those who have a seat, by id, in the order in which they came."""
        self.gone: dict[str, Participant] = {}
        self.mixing = False
        """Whether the switch mixes, fixed while somebody is here."""
        self._times = times or RoomTimes()
        self._told: list[ev.Told] = []
        self._effects: list[ev.RoomEffect] = []

    # --- for the owner ----------------------------------------------------------------

    def take_told(self) -> list[ev.Told]:
        """Return what is to be told since the last time."""
        told, self._told = self._told, []
        return told

    def take_effects(self) -> list[ev.RoomEffect]:
        """Return what is to be done since the last time."""
        effects, self._effects = self._effects, []
        return effects

    def deadline(self) -> float | None:
        """Return when :meth:`elapse` wants to be called."""
        return min((one.due for one in self.people.values() if one.due is not None), default=None)

    @property
    def mixed(self) -> bool:
        """Whether the switch mixes, or would if somebody came now."""
        return self.mixing if self.people else self.wish.mixed

    @property
    def seats(self) -> int:
        """How many people fit in."""
        if self.people and self.mixing and not self.wish.mixed:
            return min(self.wish.max_participants or self._times.cap, self._times.cap)
        return self.wish.seats(self._times.cap)

    # --- the end -----------------------------------------------------------------------------

    def close(self, reason: str, now: float) -> None:
        """End the room: everybody is told, and calls in it are hung up."""
        self._now = now
        if self.state is RoomState.CLOSED:
            return
        everybody = list(self.people.values())
        self._tell(everybody, ev.RoomClosed(room=self.id, reason=reason))
        for one in everybody:
            self._go(one, reason)
        self.state, self.reason, self.updated = RoomState.CLOSED, reason, now
        self._do(ev.SetRecording(on=False), ev.KeepRoom(), ev.Finish(reason=reason))

    # --- inside -----------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self.state is RoomState.CLOSED:
            raise RoomRefused("ROOM_NOT_FOUND", "Room does not exist")

    def _here(self, participant: str) -> Participant:
        one = self.people.get(participant)
        if one is None:
            raise RoomRefused("NOT_IN_ROOM", "Not currently in the room")
        return one

    def _bind(self, one: Participant, metadata: dict[str, object]) -> None:
        """Give a seat to the socket that has come for it."""
        one.bound = True
        one.metadata.update(metadata)
        if one.state is Presence.DISCONNECTED:
            one.step(Step.RETURN)
        self._await(one)
        self._tell([one], ev.Joined(room=self.id, participant=one.id, status=one.state.value))
        if one.flowing:
            self._connect(one)
        self._do(ev.KeepParticipant(participant=one.id))
        self._deliver_pending(one)

    def _connect(self, one: Participant) -> None:
        if not one.step(Step.CONNECT):
            return
        one.due = None
        if not self.mixing and not one.speaking:
            one.speaking = True
            self._tell(self._others(one), ev.VoiceStarted(participant=one.id))
        self._do(ev.KeepParticipant(participant=one.id))

    def _hush(self, one: Participant) -> None:
        if one.speaking:
            one.speaking = False
            self._tell(self._others(one), ev.VoiceStopped(participant=one.id))

    def _leave(self, one: Participant, reason: str) -> None:
        self._hush(one)
        others = self._others(one)
        self._tell([*others, one], ev.ParticipantLeft(participant=one.id, reason=reason))
        if not others:
            self._tell([one], ev.RoomClosed(room=self.id, reason="all_participants_left"))
        self._go(one, reason)
        if not others:
            self.close("all_participants_left", self._now)
            return
        self._settle_state()
        if not self.mixing:
            # Who is left has nobody to be connected with until somebody else comes.
            for other in others:
                if other.step(Step.AGAIN):
                    other.speaking = False
                    other.due = None
                    self._do(ev.KeepParticipant(participant=other.id))

    def _go(self, one: Participant, reason: str) -> None:
        one.step(Step.LEAVE)
        one.left, one.reason, one.due, one.bound = self._now, reason, None, False
        one.pending.clear()
        del self.people[one.id]
        self.gone[one.id] = one
        while len(self.gone) > GONE_KEPT:
            del self.gone[next(iter(self.gone))]
        if one.seated or one.kind == "call":
            self._do(ev.CloseSeat(participant=one.id, reason=reason))
        self._do(ev.KeepParticipant(participant=one.id), ev.Unbind(participant=one.id))

    def _settle_state(self) -> None:
        state = state_with(len(self.people))
        if state is not self.state:
            self.state, self.updated = state, self._now
            self._do(ev.KeepRoom())

    def _await(self, one: Participant) -> None:
        """Start the time to connect; a peer with a socket may wait for the other as long as it likes."""
        if one.state is not Presence.CONNECTING:
            return
        alone = not self.mixing and one.bound and len(self.people) < 2
        one.due = None if alone else self._now + self._times.connect_s

    def _await_peers(self) -> None:
        """Start the time of those who waited for a peer."""
        for one in self.people.values():
            if one.due is None:
                self._await(one)

    def _deliver_pending(self, one: Participant) -> None:
        """Tell somebody who has come what was said and who speaks."""
        for other in self._others(one):
            if other.speaking:
                self._tell([one], ev.VoiceStarted(participant=other.id))
            waiting, other.pending = other.pending, []
            for event in waiting:
                self._tell([one], event)

    def _others(self, one: Participant) -> list[Participant]:
        return [other for other in self.people.values() if other is not one]

    def _tell(self, to: Iterable[Participant], event: ev.RoomEvent) -> None:
        reached = tuple(one.id for one in to if one.bound)
        if reached:
            self._told.append(ev.Told(reached, event))

    def _do(self, *effects: ev.RoomEffect) -> None:
        self._effects += effects
