"""One room, sans-I/O: who is in it, what participants are told of each other, and when it is over."""

from collections.abc import Iterable

from softswitch.room import events as ev
from softswitch.room.model import (
    MAX_PENDING,
    Participant,
    Presence,
    RoomOptions,
    RoomState,
    RoomTimes,
    Stats,
    Step,
    session_of,
    state_with,
)
from softswitch.room.rejection import RoomReason, RoomRefused

GONE_KEPT = 256
"""Participants that have left and whose last statistics may still arrive."""


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
        wish: RoomOptions | None = None,
        times: RoomTimes | None = None,
    ) -> None:
        """Make an empty room.

        Args:
            room_id: Its id.
            switch_id: Id of the switch as a participant: the sender of its answers.
            now: The time.
            name: Name to show.
            settings: As the client gave them.
            wish: Options read from the settings.
            times: Times and bounds.
        """
        self.id, self.switch_id, self.name = room_id, switch_id, name
        self.settings = settings or {}
        self.wish = wish or RoomOptions()
        self.created = self.updated = self._now = now
        self.state = RoomState.CREATED
        self.reason = ""
        self.people: dict[str, Participant] = {}
        """Present participants by id, in the order in which they joined."""
        self.gone: dict[str, Participant] = {}
        self.mixing = False
        """Whether the switch mixes; constant while participants are present."""
        self._times = times or RoomTimes()
        self._told: list[ev.Delivery] = []
        self._effects: list[ev.RoomEffect] = []

    # --- for the owner ----------------------------------------------------------------

    def take_told(self) -> list[ev.Delivery]:
        """Return the new events with their recipients, in order."""
        told, self._told = self._told, []
        return told

    def take_effects(self) -> list[ev.RoomEffect]:
        """Return the new effects, in order."""
        effects, self._effects = self._effects, []
        return effects

    def deadline(self) -> float | None:
        """Return when :meth:`elapse` is due, monotonic seconds; None: nothing is."""
        if self.state is RoomState.CREATED:
            return self.updated + self._times.empty_s if self._times.empty_s else None
        return min((one.due for one in self.people.values() if one.due is not None), default=None)

    @property
    def mixed(self) -> bool:
        """Whether the switch mixes, or would if a participant joined now."""
        return self.mixing if self.people else self.wish.mixed

    @property
    def seats(self) -> int:
        """Number of seats."""
        if self.people and self.mixing and not self.wish.mixed:
            return min(self.wish.max_participants or self._times.cap, self._times.cap)
        return self.wish.seats(self._times.cap)

    # --- the end -----------------------------------------------------------------------------

    def close(self, reason: str, now: float) -> None:
        """Close the room: all participants are informed, and calls in it are hung up."""
        self._now = now
        if self.state is RoomState.CLOSED:
            return
        participants = list(self.people.values())
        self._tell(participants, ev.RoomClosed(room=self.id, reason=reason))
        for one in participants:
            self._go(one, reason)
        self.state, self.reason, self.updated = RoomState.CLOSED, reason, now
        self._do(ev.SetRecording(on=False), ev.KeepRoom(), ev.Finish(reason=reason))

    def elapse(self, now: float) -> None:
        """Close a room that was never entered; remove participants that did not connect or come back."""
        self._now = now
        due = self.deadline()
        if self.state is RoomState.CREATED and due is not None and now >= due:
            self.close("expired", now)
            return
        for one in [one for one in self.people.values() if one.due is not None and now >= one.due]:
            if one.state is Presence.DISCONNECTED:
                self._leave(one, "connection_lost")
            else:
                self._tell([one], ev.RoomError(reason=RoomReason.CONNECT_TIMEOUT))
                self._leave(one, "connection_timeout")

    # --- coming and going ----------------------------------------------------------------

    def join(self, one: Participant, now: float, *, bound: bool) -> Participant:
        """Add a participant, or attach it to the seat that it has already.

        The socket that has the seat of the same agent and principal is replaced: the caller releases it.

        Args:
            one: The participant, with new ids.
            now: Monotonic seconds.
            bound: Whether it joins by a live socket.

        Returns:
            The participant that has the seat, which may be the one known from before.

        Raises:
            RoomRefused: The participant cannot join.
        """
        self._now = now
        self._check_open()
        known = self.seat_of(one.agent)
        if known is not None:
            if not bound or known.kind == "call" or known.owner != one.owner:
                raise RoomRefused(RoomReason.ALREADY_JOINED, value=one.agent)
            if known.bound:
                # Its old socket only seems to live: a client that changed its network closes nothing.
                self.drop(known.id, now)
            known.may_speak = one.may_speak
            if not one.may_speak:
                known.muted = True
                self._do(ev.MuteSeat(participant=known.id, muted=True))
            self._bind(known, one.metadata)
            return known
        if one.kind == "call" and ((self.people and not self.mixing) or self.wish.topology == "p2p"):
            raise RoomRefused(RoomReason.PEER_TO_PEER)
        if self.people and len(self.people) >= self.seats:
            raise RoomRefused(RoomReason.FULL)
        if not one.may_speak and not self.mixed:
            # Audio of peers does not pass the switch, which therefore could not mute it.
            raise RoomRefused(RoomReason.SPEAK_NEEDED)
        if not self.people:
            self.mixing = self.wish.mixed or one.kind == "call"
            if self.mixing and self.wish.record:
                self._do(ev.SetRecording(on=True))
        one.joined, one.bound, one.muted = now, bound, not one.may_speak
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

    def seat_of(self, agent: str) -> Participant | None:
        """Return the participant of an agent; None where it has no seat."""
        return next((one for one in self.people.values() if one.agent == agent), None)

    def drop(self, participant: str, now: float) -> None:
        """Note that a participant's socket was lost; it may come back within the grace time."""
        self._now = now
        one = self.people.get(participant)
        if one is None or not one.step(Step.DROP):
            return
        one.bound = one.offered = False
        one.due = now + self._times.grace_s
        if not self.mixing:
            self._stop_speaking(one)
        self._do(ev.KeepParticipant(participant=one.id))

    def leave(self, participant: str, now: float, reason: str = "user_left") -> None:
        """Remove a participant; raises RoomRefused if it is not in the room."""
        self._now = now
        self._leave(self._here(participant), reason)

    def update(self, now: float, *, name: str, settings: dict[str, object], wish: RoomOptions) -> None:
        """Change name and settings; the topology of an occupied room changes once it is empty."""
        self._now = self.updated = now
        self._check_open()
        before, self.wish = self.wish, wish
        self.name, self.settings = name, settings
        if self.people and self.mixing and before.record != wish.record:
            self._do(ev.SetRecording(on=wish.record))
        self._do(ev.KeepRoom())

    # --- messages of participants -----------------------------------------------------------

    def offer(self, participant: str, sdp: str, now: float) -> None:
        """Pass an offer to the peer, or have the switch answer it."""
        self._now = now
        one = self._here(participant)
        if self.mixing:
            described, one.described = one.described, session_of(sdp)
            # A returning participant may have a new connection while the old one still seems to live.
            same = one.described == described
            renew = same and one.seated and one.state is Presence.CONNECTED and not one.offered
            one.offered = True
            one.seated = True
            kind = ev.OfferSeat if renew else ev.OpenSeat
            self._do(kind(participant=one.id, sdp=sdp))
            return
        one.offered = True
        one.pending.clear()
        self._relay(one, ev.OfferCame(sender=one.id, sdp=sdp))

    def answer(self, participant: str, sdp: str, now: float) -> None:
        """Pass an answer to the peer; both are connected from then on."""
        self._now = now
        one = self._here(participant)
        if self.mixing:
            raise RoomRefused(RoomReason.NO_OFFER_BY_SWITCH)
        asked = [peer for peer in self._others(one) if peer.offered]
        if not asked:
            raise RoomRefused(RoomReason.NO_OFFER)
        self._tell(asked, ev.AnswerCame(sender=one.id, sdp=sdp))
        for each in (*asked, one):
            each.offered = False
            self._connect(each)

    def candidate(self, participant: str, candidate: dict[str, object], now: float) -> None:
        """Pass an ICE candidate to the peer, or to the connection with the switch."""
        self._now = now
        one = self._here(participant)
        if self.mixing:
            if not one.seated:
                raise RoomRefused(RoomReason.CANDIDATE_BEFORE_OFFER)
            self._do(ev.AddSeatCandidate(participant=one.id, candidate=candidate))
            return
        self._relay(one, ev.CandidateCame(sender=one.id, candidate=candidate))

    def mute(self, participant: str, muted: bool, now: float) -> None:
        """Mute or unmute a participant."""
        self._now = now
        one = self._here(participant)
        if not muted and not one.may_speak:
            raise RoomRefused(RoomReason.SPEAK_FORBIDDEN)
        one.muted, one.mute_told = muted, True
        if self.mixing:
            self._do(ev.MuteSeat(participant=one.id, muted=muted))
        self._tell(self.people.values(), ev.MutedChanged(participant=one.id, muted=muted))

    def tell_state(self, participant: str, state: str, now: float) -> None:
        """Apply the connection state that a peer reports; in a mixed room the switch measures it."""
        self._now = now
        one = self._here(participant)
        if self.mixing:
            return
        if state == "connected":
            self._connect(one)
        elif one.step(Step.AGAIN):
            self._stop_speaking(one)
            self._await(one)
            self._do(ev.KeepParticipant(participant=one.id))

    def tell_stats(self, participant: str, stats: Stats, now: float) -> None:
        """Store the statistics that a peer reports; in a mixed room the switch measures them."""
        self._now = now
        one = self._here(participant)
        if not self.mixing:
            one.stats = stats
            self._do(ev.KeepParticipant(participant=one.id))

    # --- reports of the switch --------------------------------------------------------------

    def answered(self, participant: str, sdp: str, now: float) -> None:
        """Send the answer of the switch to a participant."""
        self._now = now
        if one := self.people.get(participant):
            one.offered = False
            self._tell([one], ev.AnswerCame(sender=self.switch_id, sdp=sdp))
            if one.muted:
                self._do(ev.MuteSeat(participant=one.id, muted=True))

    def seat_failed(self, participant: str, message: str, now: float, *, over: bool) -> None:
        """Report a failure of its connection to a participant; ``over``: the connection has ended."""
        self._now = now
        one = self.people.get(participant)
        if one is None:
            return
        one.offered = False
        self._tell([one], ev.RoomError(reason=RoomReason.MEDIA_FAILED, text=message))
        if over:
            self.seat_lost(participant, now)

    def seat_lost(self, participant: str, now: float) -> None:
        """Note that the connection of a participant has ended; its socket may make another offer."""
        self._now = now
        one = self.people.get(participant)
        if one is None:
            return
        one.seated = one.flowing = one.offered = False
        self._stop_speaking(one)
        if one.kind == "call":
            self._leave(one, "connection_lost")
        elif one.step(Step.AGAIN):
            self._await(one)
            self._do(ev.KeepParticipant(participant=one.id))

    def flowing(self, participant: str, now: float) -> None:
        """Note that the audio of a participant has arrived: it is connected."""
        self._now = now
        if one := self.people.get(participant):
            one.seated = one.flowing = True
            if one.state is Presence.CONNECTING:
                self._connect(one)

    def spoke(self, participant: str, speaking: bool, now: float) -> None:
        """Note that a participant in the mix began or stopped to speak."""
        self._now = now
        one = self.people.get(participant)
        if one is None or not self.mixing:
            return
        if speaking and not one.speaking and not one.muted:
            one.speaking = True
            self._tell(self._others(one), ev.VoiceStarted(participant=one.id))
        elif not speaking:
            self._stop_speaking(one)

    def measured(self, participant: str, stats: Stats) -> None:
        """Add the statistics of a connection, which may arrive after its participant has left."""
        one = self.people.get(participant) or self.gone.get(participant)
        if one is not None:
            one.stats.add(stats)
            self._do(ev.KeepParticipant(participant=one.id))

    def _relay(self, one: Participant, event: ev.RoomEvent) -> None:
        """Send an event to the peer, or keep it until a peer has joined."""
        peers = [other for other in self._others(one) if other.bound]
        if peers:
            self._tell(peers, event)
        elif len(one.pending) < MAX_PENDING:
            one.pending.append(event)
        else:
            raise RoomRefused(RoomReason.TOO_MANY_CANDIDATES)

    # --- inside -----------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self.state is RoomState.CLOSED:
            raise RoomRefused(RoomReason.UNKNOWN_ROOM)

    def _here(self, participant: str) -> Participant:
        one = self.people.get(participant)
        if one is None:
            raise RoomRefused(RoomReason.NOT_IN_ROOM)
        return one

    def _bind(self, one: Participant, metadata: dict[str, object]) -> None:
        """Attach a participant to the socket that resumes its seat."""
        one.bound = True
        one.metadata.update(metadata)
        if one.state is Presence.DISCONNECTED:
            one.step(Step.RETURN)
        self._await(one)
        self._tell([one], ev.Joined(room=self.id, participant=one.id, status=one.state.value))
        for event in one.missed.take():
            self._tell([one], event)
        # Told again whether it was missed or not: the socket may have been dead before the switch knew.
        for each in self.people.values():
            if each.muted or each.mute_told:
                self._tell([one], ev.MutedChanged(participant=each.id, muted=each.muted))
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

    def _stop_speaking(self, one: Participant) -> None:
        if one.speaking:
            one.speaking = False
            self._tell(self._others(one), ev.VoiceStopped(participant=one.id))

    def _leave(self, one: Participant, reason: str) -> None:
        self._stop_speaking(one)
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
            # The remaining participant has no peer until another one joins.
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
        """Start the time to connect; a peer that is alone may wait without a bound."""
        if one.state is not Presence.CONNECTING:
            return
        alone = not self.mixing and one.bound and len(self.people) < 2
        one.due = None if alone else self._now + self._times.connect_s

    def _await_peers(self) -> None:
        """Start the time to connect of participants that waited for a peer."""
        for one in self.people.values():
            if one.due is None:
                self._await(one)

    def _deliver_pending(self, one: Participant) -> None:
        """Send a new participant the waiting messages and the present speakers."""
        for other in self._others(one):
            if other.speaking:
                self._tell([one], ev.VoiceStarted(participant=other.id))
            waiting, other.pending = other.pending, []
            for event in waiting:
                self._tell([one], event)

    def _others(self, one: Participant) -> list[Participant]:
        return [other for other in self.people.values() if other is not one]

    def _tell(self, to: Iterable[Participant], event: ev.RoomEvent) -> None:
        """Send an event to those that have a socket; the others may learn of it when they come back."""
        recipients = list(to)
        for one in recipients:
            if not one.bound and one.state is Presence.DISCONNECTED:
                one.missed.add(event)
        reached = tuple(one.id for one in recipients if one.bound)
        if reached:
            self._told.append(ev.Delivery(reached, event))

    def _do(self, *effects: ev.RoomEffect) -> None:
        self._effects += effects
