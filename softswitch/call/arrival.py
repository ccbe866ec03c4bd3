"""The time of an incoming call before its answer: announcement, alerting, early media, acceptance."""

import msgspec

from softswitch.call.outbox import Outbox
from softswitch.call.parties import PARTY
from softswitch.call.playbacks import Playbacks
from softswitch.call.vocabulary import commands, effects, events
from softswitch.call.vocabulary.commands import CallOption, Interrupt, Play, RecorderOption

RINGTONE = "ringtone"
"""Layer of the sound that a caller hears before the answer."""


class Arrival:
    """State of an incoming call before its answer; idle in a call that a client makes."""

    def __init__(self, outbox: Outbox, playbacks: Playbacks) -> None:

        self._outbox = outbox
        self._playbacks = playbacks
        self.waits = False
        """Whether there is a caller that was neither answered nor refused."""
        self.early = False
        """Whether the caller hears early media."""
        self._recorder: RecorderOption | None = None
        self._recording = False

    @property
    def hears(self) -> bool:
        """Whether a caller waits and hears early media."""
        return self.waits and self.early

    def announce(self, option: CallOption) -> None:
        """Emit ``incoming`` and prepare the endpoint for an answer or a refusal."""
        self.waits = True
        self._outbox.emit(
            events.Incoming(
                timestamp=self._outbox.clock(),
                subject=self._outbox.party,
                caller=option.caller,
                callee=option.callee,
                sdp=option.offer,
                headers=option.headers or None,
            )
        )
        self._outbox.do(effects.PrepareLeg(PARTY, option))

    def ring(self, command: commands.Ring) -> None:
        """Alert the caller, with early media where the command asks for it."""
        self.early = self.early or command.early_media or bool(command.ringtone)
        self._outbox.do(effects.RingLeg(PARTY, self.early))
        self._recorder = command.recorder or self._recorder
        if command.ringtone:
            ringtone = Play(url=command.ringtone, play_id=RINGTONE, layer=RINGTONE, loop=True)
            self._playbacks.play(ringtone)

    def rings(self, early_media: bool) -> None:
        """Start the recording of early media, if there is any."""
        if early_media:
            self._record()

    def accepted(self, option: CallOption, pending: CallOption) -> CallOption:
        """Return the option of the accepted call.

        Args:
            option: Option of the application's command.
            pending: Option of the incoming call, which knows caller, callee, offer and headers.
        """
        return msgspec.structs.replace(
            option,
            caller=pending.caller,
            callee=pending.callee,
            offer=option.offer or pending.offer,
            headers=option.headers or pending.headers,
        )

    def answered(self, option: CallOption) -> CallOption:
        """End the ringtone; return the option without a recorder that runs already."""
        self.waits = False
        if self.early:
            self._playbacks.interrupt(Interrupt(play_id=RINGTONE))
        self._record()
        return msgspec.structs.replace(option, recorder=None) if self._recording else option

    def _record(self) -> None:
        if self._recorder is not None and not self._recording:
            self._recording = True
            self._outbox.do(effects.Record(PARTY, self._recorder))
