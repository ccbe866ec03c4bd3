"""The supervision of another live call by the first party of this one: its mode, and what is possible now."""

from typing import Final

import msgspec

from softswitch.call.outbox import Outbox
from softswitch.call.outcome import Outcome, Over
from softswitch.call.vocabulary import effects, events, reports
from softswitch.call.vocabulary.commands import Supervise
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from softswitch.call.vocabulary.values import SuperviseMode

SENDER: Final = "supervise"
"""Sender of the errors of a supervision."""
_KEYS: Final[dict[str, SuperviseMode]] = {"1": "listen", "2": "whisper", "3": "join", "4": "take_over"}
"""Modes by the keys of a supervisor's telephone."""


class Supervision:
    """State of the supervision; the switch decides which party hears it, and whether it is allowed."""

    def __init__(self, outbox: Outbox) -> None:
        """Begin without a supervised call."""
        self._outbox = outbox
        self._asked: Supervise | None = None
        """The command that names the call, from its execution on."""
        self._other = ""
        """Id of the supervised call, once it is supervised."""
        self._mode: SuperviseMode = "listen"
        self._requests: list[str] = []
        """Request ids of the commands that await their outcome, the oldest first."""

    @property
    def active(self) -> bool:
        """Whether a call is supervised, or is about to be."""
        return self._asked is not None

    def command(self, command: Supervise, *, alone: bool) -> None:
        """Execute a command.

        Args:
            command: The command.
            alone: Whether the first party of this call talks to no other.

        Raises:
            CommandRejected: The call supervises another one already, or none, or its party talks.
        """
        if command.mode == "stop":
            if self._asked is None:
                raise CommandRejected(Reason.NOT_SUPERVISING, 409, SENDER)
            self._outbox.do(effects.SuperviseCall("", request_id=command.request_id))
            self._note(command)
            return
        asked = self._asked
        if asked is None and not command.other:
            raise CommandRejected(Reason.NOT_SUPERVISING, 409, SENDER)
        if asked is not None and command.other not in ("", asked.other, self._other):
            raise CommandRejected(Reason.SUPERVISES_ALREADY, 409, SENDER, value=self._other or asked.other)
        if asked is None and not alone:
            raise CommandRejected(Reason.SUPERVISOR_TALKS, 409, SENDER)
        if asked is None:
            asked = self._asked = command
        self._note(command)
        self._outbox.do(
            effects.SuperviseCall(
                self._other or asked.other,
                command.mode,
                command.side,
                command.transcript,
                alone=asked.auto_hangup,
                request_id=command.request_id,
            )
        )

    def refuse(self, command: str) -> None:
        """Reject a command that a supervisor's call cannot carry out; raises CommandRejected."""
        if self.active:
            raise CommandRejected(Reason.SUPERVISES, 409, value=command)

    def pressed(self, digit: str) -> None:
        """Change the mode by a key, where this call was made for the supervision."""
        asked, mode = self._asked, _KEYS.get(digit)
        if asked is not None and asked.auto_hangup and self._other and mode is not None:
            change = msgspec.structs.replace(asked, mode=mode, other="", side=None, transcript=None)
            self.command(msgspec.structs.replace(change, request_id=None), alone=True)

    def report(self, report: reports.Supervises | reports.SupervisionOver) -> Outcome:
        """Apply a report; return what it means for the call."""
        asked = self._asked
        self._acknowledge()
        if asked is None:
            return None
        if isinstance(report, reports.Supervises):
            state = "changed" if self._other else "started"
            self._other, self._mode = report.other, report.mode
            self._tell(state)
            if report.mode == "take_over":
                # From now on it is a bridge as any other.
                self._asked, self._other = None, ""
            return None
        self._tell("ended")
        self._asked, self._other = None, ""
        return Over("callee", "callee") if asked.auto_hangup else None

    def refused(self, report: reports.Refused) -> Outcome:
        """Note that the switch has refused a command; return what it means for the call."""
        if report.sender != SENDER or self._asked is None:
            return None
        if report.request_id in self._requests:
            self._requests.remove(report.request_id)
        if self._other:
            return None
        asked, self._asked = self._asked, None
        return Over("rejected", "system", report.code) if asked.auto_hangup else None

    def _note(self, command: Supervise) -> None:
        if command.request_id is not None:
            self._requests.append(command.request_id)

    def _acknowledge(self) -> None:
        for request in self._requests:
            self._outbox.emit(events.Ack(timestamp=self._outbox.clock(), request_id=request))
        self._requests.clear()

    def _tell(self, state: str) -> None:
        self._outbox.emit(
            events.Supervision(
                timestamp=self._outbox.clock(),
                subject=self._outbox.party,
                other=self._other,
                state=state,
                mode=self._mode,
            )
        )
