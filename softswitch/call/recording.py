"""The recording of one call: whether it runs, and what a client may do with it now."""

from typing import Literal, assert_never

from softswitch.call.outbox import Outbox
from softswitch.call.vocabulary import commands, effects, events, reports
from softswitch.call.vocabulary.effects import Effect
from softswitch.call.vocabulary.rejection import CommandRejected, Reason

State = Literal["off", "on", "paused", "stopping"]


class Recording:
    """State of the recording, which an option of the call or a command starts."""

    def __init__(self, outbox: Outbox) -> None:
        """Begin without a recording."""
        self._outbox = outbox
        self._state: State = "off"

    @property
    def state(self) -> State:
        """Whether it runs, is paused, or is being ended."""
        return self._state

    def noted(self, effect: Effect) -> None:
        """Note an effect of the call: it may start the recording."""
        if isinstance(effect, effects.Record) and self._state == "off":
            self._state = "on"
            self._tell("started")

    def command(self, command: commands.Record, leg: str) -> None:
        """Execute a command.

        Args:
            command: The command.
            leg: Leg that a new recording is of.

        Raises:
            CommandRejected: The recording is not in a state for it.
        """
        state = self._state
        match command.action:
            case "start":
                if state != "off":
                    raise CommandRejected(Reason.RECORDED_ALREADY, 409)
                self._outbox.do(effects.Record(leg, command.option or commands.RecorderOption()))
            case "pause":
                if state == "paused":
                    raise CommandRejected(Reason.PAUSED_ALREADY, 409)
                self._change("on", "pause", "paused")
            case "resume":
                if state == "on":
                    raise CommandRejected(Reason.NOT_PAUSED, 409)
                self._change("paused", "resume", "on")
            case "stop":
                if state not in ("on", "paused"):
                    raise CommandRejected(Reason.NOT_RECORDED, 409)
                self._state = "stopping"
                self._outbox.do(effects.ChangeRecording("stop"))
            case _:
                assert_never(command.action)

    def report(self, report: reports.RecordingClosed | reports.Refused) -> None:
        """Note that the recording is complete, or could not begin."""
        if self._state == "off" or (isinstance(report, reports.Refused) and report.sender != "recorder"):
            return
        self._state = "off"
        if isinstance(report, reports.RecordingClosed):
            self._tell("stopped", report)

    def _change(self, needed: State, action: Literal["pause", "resume"], then: State) -> None:
        if self._state != needed:
            raise CommandRejected(Reason.NOT_RECORDED, 409)
        self._state = then
        self._outbox.do(effects.ChangeRecording(action))
        self._tell("paused" if action == "pause" else "resumed")

    def _tell(self, state: str, closed: reports.RecordingClosed | None = None) -> None:
        self._outbox.emit(
            events.Recording(
                timestamp=self._outbox.clock(),
                subject=self._outbox.party,
                state=state,
                file=closed.name if closed is not None else None,
                duration=closed.duration_ms if closed is not None else None,
            )
        )
