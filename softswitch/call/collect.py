"""Gathering digits: minimum, maximum, terminators and a time-out (the command ``collect``)."""

from dataclasses import dataclass

from softswitch.call import events
from softswitch.call.commands import Collect, CommandRejected
from softswitch.call.outbox import Outbox

KEYS = "0123456789*#ABCD"


@dataclass(slots=True)
class _Gathering:
    command: Collect
    since: float
    digits: str = ""


class DigitCollector:
    """At most one gathering at a time; a new one interrupts the old."""

    def __init__(self, outbox: Outbox) -> None:
        """Start idle."""
        self._outbox = outbox
        self._gathering: _Gathering | None = None

    def start(self, command: Collect) -> None:
        """Begin to gather; raises CommandRejected where the bounds make no sense."""
        if not 1 <= command.max_digits <= 64 or not 0 <= command.min_digits <= command.max_digits:
            raise CommandRejected("minDigits and maxDigits must hold 0 <= minDigits <= maxDigits <= 64")
        if not 100 <= command.timeout_ms <= 600_000:
            raise CommandRejected("timeoutMs must be between 100 and 600000")
        if unknown := set(command.terminators) - set(KEYS):
            raise CommandRejected(f"terminators: {''.join(sorted(unknown))!r} are no keys of a telephone")
        self.stop("interrupted")
        self._gathering = _Gathering(command, self._outbox.now)

    def press(self, digit: str) -> bool:
        """Take a digit; return whether it shall interrupt what plays."""
        gathering = self._gathering
        if gathering is None:
            return False
        gathering.since = self._outbox.now
        barge_in = gathering.command.barge_in and not gathering.digits
        if digit in gathering.command.terminators:
            self.stop("terminator")
        else:
            gathering.digits += digit
            if len(gathering.digits) >= gathering.command.max_digits:
                self.stop("complete")
        return barge_in

    def prompt_ended(self) -> None:
        """Start the time-out anew: the party has only now heard what is asked of it."""
        if self._gathering is not None and not self._gathering.digits:
            self._gathering.since = self._outbox.now

    def deadline(self) -> float | None:
        """When the gathering times out."""
        if self._gathering is None:
            return None
        return self._gathering.since + self._gathering.command.timeout_ms / 1000

    def elapse(self, prompting: bool) -> None:
        """Time out, unless the prompt still plays and no key was pressed."""
        deadline = self.deadline()
        gathering = self._gathering
        if gathering is None or deadline is None or self._outbox.now < deadline:
            return
        if prompting and not gathering.digits:
            gathering.since = self._outbox.now
            return
        enough = len(gathering.digits) >= max(gathering.command.min_digits, 1)
        self.stop("complete" if enough else "timeout")

    def stop(self, reason: str) -> None:
        """End the gathering, if there is one, and tell its digits."""
        if self._gathering is None:
            return
        digits, self._gathering = self._gathering.digits, None
        self._outbox.emit(
            events.Collected(
                timestamp=self._outbox.epoch_ms(), track_id=self._outbox.session, digits=digits, reason=reason
            )
        )
