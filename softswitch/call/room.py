"""One room, sans-I/O: who is in it, what they are told of each other, when it is over."""

from softswitch.call import room_events as ev
from softswitch.call.room_core import RoomCore
from softswitch.call.room_parts import (
    MAX_PENDING,
    Participant,
    Presence,
    RoomRefused,
    RoomWish,
    Stats,
    Step,
    session_of,
)


class Room(RoomCore):
    """One room.

    The owner calls the verbs and, when :meth:`deadline` has passed, :meth:`elapse`; after each it drains
    :meth:`take_told` and :meth:`take_effects`, in this order. Times are monotonic seconds.
    """

    def elapse(self, now: float) -> None:
        """Give up those who connect for too long or do not come back."""
        self._now = now
        for one in [one for one in self.people.values() if one.due is not None and now >= one.due]:
            if one.state is Presence.DISCONNECTED:
                self._leave(one, "connection_lost")
            else:
                self._tell([one], ev.RoomError(code="CONNECTION_TIMEOUT", message="not connected in time"))
                self._leave(one, "connection_timeout")

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
            described, one.described = one.described, session_of(sdp)
            # Who comes back may come with another connection, while the old one still seems to live.
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

    def _relay(self, one: Participant, event: ev.RoomEvent) -> None:
        """Pass something to the peer, or keep it until there is one."""
        peers = [other for other in self._others(one) if other.bound]
        if peers:
            self._tell(peers, event)
        elif len(one.pending) < MAX_PENDING:
            one.pending.append(event)
        else:
            raise RoomRefused("WEBCRTC_ERROR", "too many candidates wait for a peer")
