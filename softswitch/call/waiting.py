"""What a party hears while it waits: music during a hold or a transfer, ringback while the target rings."""

from softswitch.call.outbox import Outbox
from softswitch.call.parties import Parties
from softswitch.call.playbacks import Playbacks
from softswitch.call.transfers import Transfers
from softswitch.call.vocabulary import effects, reports
from softswitch.call.vocabulary.values import WaitingSound
from softswitch.callees import reached_by_leg

FADE_MS = 60
"""Fade of a sound that ends, milliseconds."""
_SOUNDS: dict[str, WaitingSound] = {"dialling": "music", "ringing": "ringback"}
"""Sound by the stage of the party that is dialled; early media are its own sound."""


class WaitingSounds:
    """The sound for the party of a call that waits; no event tells of it.

    It is a track of the call: in a call with two legs both would hear it, but the one that holds the call
    receives nothing. Of two bridged calls, each plays its own parties their sound.
    """

    def __init__(
        self, outbox: Outbox, parties: Parties, transfers: Transfers, playbacks: Playbacks, *, music: bool
    ) -> None:
        """Begin in silence.

        Args:
            outbox: Takes effects.
            parties: Legs of the call.
            transfers: Transfers that a peer asked for.
            playbacks: What the application plays, in whose favour the sound is silent.
            music: Whether there is music; ringback is played in any case.
        """
        self._outbox, self._parties, self._transfers = outbox, parties, transfers
        self._playbacks, self._music = playbacks, music
        self._held: set[str] = set()
        """Legs whose peers hold the call."""
        self._peer_held = False
        """Whether all parties of the bridged call hold it."""
        self.waits = False
        """Whether the party waits for another one."""
        self._told: str | None = None
        """Bridged call that was told of a hold."""
        self._sound: WaitingSound | None = None
        self._track = 0
        """Number of the last track; negative, to be told apart from those of playbacks."""

    @staticmethod
    def owns(track: int) -> bool:
        """Whether a track is one of these sounds."""
        return track < 0

    def held(self, report: reports.LegHeld) -> None:
        """Note a hold or its end."""
        if report.held:
            self._held.add(report.leg)
        else:
            self._held.discard(report.leg)

    def peer_held(self, held: bool) -> None:
        """Note that the parties of the bridged call hold it, or no longer."""
        self._peer_held = held

    def review(self) -> None:
        """Begin, change or end the sound by the present state of the call."""
        parties, second = self._parties, self._parties.second
        if not (
            self.waits or self._held or self._peer_held or self._sound or self._told
            or second is not None or parties.other is not None or self._transfers.asked is not None
        ):  # fmt: skip
            return  # Nothing waits or sounds: so it is in most calls after each report.
        self._held &= {parties.party, *([second.leg] if second is not None else [])}
        self._tell()
        wanted = self._wanted()
        if wanted == "music" and not self._music:
            wanted = None
        if wanted == self._sound:
            return
        if self._sound is not None:
            self._outbox.do(effects.DropTrack(self._track, FADE_MS))
        self._sound = wanted
        if wanted is not None:
            self._track -= 1
            self._outbox.do(effects.OpenPlayback(self._track))
            self._outbox.do(effects.PlaySound(self._track, wanted))

    def _tell(self) -> None:
        """Tell the bridged call whether this one holds it."""
        parties = self._parties
        if parties.other is None:
            self._peer_held, self._told = False, None
            return
        alone = parties.second is None or not parties.second.up
        told = parties.other if alone and parties.party in self._held else None
        if told != self._told:
            self._outbox.do(effects.TellHold(parties.other, told is not None))
            self._told = told

    def _wanted(self) -> WaitingSound | None:
        parties, second = self._parties, self._parties.second
        if not parties.up or self._playbacks.speaking:
            return None
        party_held = parties.party in self._held
        waits_for = self._transfers.target(self._held)
        if waits_for is not None:
            return _SOUNDS.get(waits_for)
        if second is not None and not second.up and second.refer is not None:
            return None if party_held or second.refer.moh else _SOUNDS.get(second.stage)
        if self.waits and second is None and parties.other is None:
            return "music"
        if parties.other is not None:
            return "music" if self._peer_held and not party_held else None
        if second is None or not second.up or reached_by_leg(second.callee):
            return None
        return "music" if party_held != (second.leg in self._held) else None
