"""One room, sans-I/O: who is in it, what they are told of each other, when it is over."""

from collections.abc import Iterable

from softswitch.call import room_events as ev
from softswitch.call.room_parts import (
    MAX_PENDING,
    Participant,
    Presence,
    RoomRefused,
    RoomState,
    RoomTimes,
    RoomWish,
    Stats,
    Step,
    state_with,
)

GONE_KEPT = 256
"""People of the past whose last figures may still come."""


class Room:
    """One room.

    The owner calls the verbs and, when :meth:`deadline` has passed, :meth:`elapse`; after each it drains
    :meth:`take_told` and :meth:`take_effects`, in this order. Times are monotonic seconds.
    """

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

    def elapse(self, now: float) -> None:
        """Give up those who connect for too long or do not come back."""
        self._now = now
        for one in [one for one in self.people.values() if one.due is not None and now >= one.due]:
            if one.state is Presence.DISCONNECTED:
                self._leave(one, "connection_lost")
            else:
                self._tell([one], ev.RoomError(code="CONNECTION_TIMEOUT", message="not connected in time"))
                self._leave(one, "connection_timeout")

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

    # --- coming and going ----------------------------------------------------------------

    def join(self, one: Participant, now: float, *, bound: bool) -> Participant:
        """Give somebody a seat, or back the one that waits for him; raises RoomRefused.

        Args:
            one: Who comes, with fresh ids.
            now: The time.
            bound: Whether it comes by a live socket, which speaks for it from now on.
        """
        self._now = now
        self._check_open()
        known = next((each for each in self.people.values() if each.agent == one.agent), None)
        if known is not None:
            if not bound or known.bound or known.kind == "call" or known.owner != one.owner:
                raise RoomRefused("ALREADY_JOINED", f"{one.agent} is already in the room")
            self._bind(known, one.metadata)
            return known
        if one.kind == "call" and ((self.people and not self.mixing) or self.wish.topology == "p2p"):
            raise RoomRefused("WEBCRTC_ERROR", "the room is peer to peer: calls need one that is mixed")
        if self.people and len(self.people) >= self.seats:
            raise RoomRefused("ROOM_FULL", "Room has reached maximum participants")
        if not self.people:
            self.mixing = self.wish.mixed or one.kind == "call"
            if self.mixing and self.wish.record:
                self._do(ev.SetRecording(on=True))
        one.joined, one.bound = now, bound
        self.people[one.id] = one
        self._settle_state()
        self._await(one)
        if bound:
            self._tell([one], ev.Joined(room=self.id, participant=one.id, status=one.state.value))
        self._tell(
            self._others(one),
            ev.ParticipantJoined(
                participant=one.id, agent=one.agent, display_name=one.display_name, status=one.state.value
            ),
        )
        self._await_peers()
        self._do(ev.KeepParticipant(participant=one.id))
        if bound:
            self._deliver_pending(one)
        return one

    def drop(self, participant: str, now: float) -> None:
        """Note that somebody's socket is gone; it may come back for a while."""
        self._now = now
        one = self.people.get(participant)
        if one is None or not one.step(Step.DROP):
            return
        one.bound = one.offered = False
        one.due = now + self._times.grace_s
        if not self.mixing:
            self._hush(one)
        self._do(ev.KeepParticipant(participant=one.id))

    def leave(self, participant: str, now: float, reason: str = "user_left") -> None:
        """Let somebody go; raises RoomRefused where it is not here."""
        self._now = now
        self._leave(self._here(participant), reason)

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

    def update(self, now: float, *, name: str, settings: dict[str, object], wish: RoomWish) -> None:
        """Change name and settings; what cannot change while people are here waits for the next start."""
        self._now = self.updated = now
        self._check_open()
        before, self.wish = self.wish, wish
        self.name, self.settings = name, settings
        if self.people and self.mixing and before.record != wish.record:
            self._do(ev.SetRecording(on=wish.record))
        self._do(ev.KeepRoom())

    # --- what people say --------------------------------------------------------------------

    def offer(self, participant: str, sdp: str, now: float) -> None:
        """Take an offer: for the peer, or for the switch itself."""
        self._now = now
        one = self._here(participant)
        if self.mixing:
            renew = one.seated and one.state is Presence.CONNECTED and not one.offered
            one.offered = True
            one.seated = True
            kind = ev.OfferSeat if renew else ev.OpenSeat
            self._do(kind(participant=one.id, sdp=sdp))
            return
        one.offered = True
        one.pending.clear()
        self._relay(one, ev.OfferCame(sender=one.id, sdp=sdp))

    def answer(self, participant: str, sdp: str, now: float) -> None:
        """Take an answer and pass it to the peer, who is connected with it from here on."""
        self._now = now
        one = self._here(participant)
        if self.mixing:
            raise RoomRefused("WEBCRTC_ERROR", "the switch made no offer: send one, and it answers")
        asked = [peer for peer in self._others(one) if peer.offered]
        if not asked:
            raise RoomRefused("WEBCRTC_ERROR", "nobody has made an offer")
        self._tell(asked, ev.AnswerCame(sender=one.id, sdp=sdp))
        for each in (*asked, one):
            each.offered = False
            self._connect(each)

    def candidate(self, participant: str, candidate: dict[str, object], now: float) -> None:
        """Take a candidate: for the peer, or for the switch itself."""
        self._now = now
        one = self._here(participant)
        if self.mixing:
            if not one.seated:
                raise RoomRefused("WEBCRTC_ERROR", "a candidate comes after an offer")
            self._do(ev.AddSeatCandidate(participant=one.id, candidate=candidate))
            return
        self._relay(one, ev.CandidateCame(sender=one.id, candidate=candidate))

    def mute(self, participant: str, muted: bool, now: float) -> None:
        """Silence somebody, or not any more."""
        self._now = now
        one = self._here(participant)
        one.muted = muted
        if self.mixing:
            self._do(ev.MuteSeat(participant=one.id, muted=muted))
        self._tell(self.people.values(), ev.MutedChanged(participant=one.id, muted=muted))

    def tell_state(self, participant: str, state: str, now: float) -> None:
        """Take a peer's own word for how it is connected (p2p; a mix knows by itself)."""
        self._now = now
        one = self._here(participant)
        if self.mixing:
            return
        if state == "connected":
            self._connect(one)
        elif one.step(Step.AGAIN):
            self._hush(one)
            self._await(one)
            self._do(ev.KeepParticipant(participant=one.id))

    def tell_stats(self, participant: str, stats: Stats, now: float) -> None:
        """Take a peer's own figures; in a mixed room the switch has measured better ones."""
        self._now = now
        one = self._here(participant)
        if not self.mixing:
            one.stats = stats
            self._do(ev.KeepParticipant(participant=one.id))

    # --- what the switch sees ---------------------------------------------------------------

    def answered(self, participant: str, sdp: str, now: float) -> None:
        """Pass the switch's own answer on."""
        self._now = now
        if one := self.people.get(participant):
            one.offered = False
            self._tell([one], ev.AnswerCame(sender=self.switch_id, sdp=sdp))
            if one.muted:
                self._do(ev.MuteSeat(participant=one.id, muted=True))

    def seat_failed(self, participant: str, message: str, now: float, *, over: bool) -> None:
        """Tell somebody what is wrong with its connection; ``over``: there is none any more."""
        self._now = now
        one = self.people.get(participant)
        if one is None:
            return
        one.offered = False
        self._tell([one], ev.RoomError(code="WEBCRTC_ERROR", message=message))
        if over:
            self.seat_lost(participant, now)

    def seat_lost(self, participant: str, now: float) -> None:
        """Note that somebody's audio is gone; its socket may make another offer."""
        self._now = now
        one = self.people.get(participant)
        if one is None:
            return
        one.seated = one.flowing = one.offered = False
        self._hush(one)
        if one.kind == "call":
            self._leave(one, "connection_lost")
        elif one.step(Step.AGAIN):
            self._await(one)
            self._do(ev.KeepParticipant(participant=one.id))

    def flowing(self, participant: str, now: float) -> None:
        """Note that somebody's audio has arrived: it is connected."""
        self._now = now
        if one := self.people.get(participant):
            one.seated = one.flowing = True
            if one.state is Presence.CONNECTING:
                self._connect(one)

    def spoke(self, participant: str, speaking: bool, now: float) -> None:
        """Note that somebody in the mix began to speak, or fell silent."""
        self._now = now
        one = self.people.get(participant)
        if one is None or not self.mixing:
            return
        if speaking and not one.speaking and not one.muted:
            one.speaking = True
            self._tell(self._others(one), ev.VoiceStarted(participant=one.id))
        elif not speaking:
            self._hush(one)

    def measured(self, participant: str, stats: Stats) -> None:
        """Take the figures of somebody's connection, which may come after everything else."""
        one = self.people.get(participant) or self.gone.get(participant)
        if one is not None:
            one.stats.add(stats)
            self._do(ev.KeepParticipant(participant=one.id))

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

    def _relay(self, one: Participant, event: ev.RoomEvent) -> None:
        """Pass something to the peer, or keep it until there is one."""
        peers = [other for other in self._others(one) if other.bound]
        if peers:
            self._tell(peers, event)
        elif len(one.pending) < MAX_PENDING:
            one.pending.append(event)
        else:
            raise RoomRefused("WEBCRTC_ERROR", "too many candidates wait for a peer")

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
