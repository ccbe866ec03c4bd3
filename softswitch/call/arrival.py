"""A caller who waits: announced, alerted, perhaps hearing something already, accepted or refused."""

import msgspec

from softswitch.call import commands, effects, events
from softswitch.call.commands import CallOption, CommandRejected, Interrupt, Play, RecorderOption
from softswitch.call.outbox import Outbox
from softswitch.call.parties import PARTY
from softswitch.call.playbacks import Playbacks

RINGTONE = "ringtone"
"""Layer of what a caller hears before the answer."""


class Arrival:
    """What is known of a caller before the answer; empty in a call that a client makes."""

    def __init__(self, outbox: Outbox, playbacks: Playbacks) -> None:
        """Start without a caller."""
        self._outbox = outbox
        self._playbacks = playbacks
        self.waits = False
        """Whether there is a caller who was neither answered nor refused."""
        self.early = False
        """Whether the caller hears us before the answer."""
        self._recorder: RecorderOption | None = None
        self._recording = False

    def announce(self, option: CallOption) -> None:
        """Tell that somebody calls, and have the endpoint ready for what is decided."""
        self.waits = True
        self._outbox.emit(
            events.Incoming(
                timestamp=self._outbox.epoch_ms(),
                track_id=self._outbox.session,
                caller=option.caller,
                callee=option.callee,
                sdp=option.offer,
                headers=option.headers or None,
            )
        )
        self._outbox.do(effects.PrepareLeg(PARTY, option))

    def ring(self, command: commands.Ring) -> None:
        """Alert the caller, with sound of ours where that is wanted."""
        self.early = self.early or command.early_media or bool(command.ringtone)
        self._outbox.do(effects.RingLeg(PARTY, self.early))
        self._recorder = command.recorder or self._recorder
        if command.ringtone:
            ringtone = Play(url=command.ringtone, play_id=RINGTONE, layer=RINGTONE, loop=True)
            self._playbacks.play(ringtone)

    def rings(self, early_media: bool) -> None:
        """Note that the caller is alerted: from now on there may be something to record."""
        if early_media:
            self._record()

    def accepted(self, option: CallOption, pending: CallOption) -> CallOption:
        """Return the option of the call: what the application wishes of the caller it was told of."""
        return msgspec.structs.replace(
            option,
            caller=pending.caller,
            callee=pending.callee,
            offer=option.offer or pending.offer,
            headers=option.headers or pending.headers,
        )

    def answered(self, option: CallOption) -> CallOption:
        """End what was only for the time before; return the option without what goes on already."""
        self.waits = False
        if self.early:
            self._playbacks.interrupt(Interrupt(play_id=RINGTONE))
        self._record()
        return msgspec.structs.replace(option, recorder=None) if self._recording else option

    def check(self, name: str) -> None:
        """Refuse a command that is only for a caller who waits; raises CommandRejected."""
        if not self.waits:
            raise CommandRejected(f"{name}: no pending call", 486)

    def _record(self) -> None:
        if self._recorder is not None and not self._recording:
            self._recording = True
            self._outbox.do(effects.Record(PARTY, self._recorder))
