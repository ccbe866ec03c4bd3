"""Collection of digits by number, terminator and timeout (the command ``collect``)."""

from dataclasses import dataclass

from softswitch.call.outbox import Outbox
from softswitch.call.vocabulary import events
from softswitch.call.vocabulary.commands import Collect
from softswitch.call.vocabulary.rejection import CommandRejected, Reason

KEYS = "0123456789*#ABCD"


@dataclass(slots=True)
class _Gathering:
    command: Collect
    since: float
    digits: str = ""


class DigitCollector:
    """Collector of the party's digits: one collection at a time, and a new one interrupts the old."""

    def __init__(self, outbox: Outbox) -> None:

        self._outbox = outbox
        self.gathering: _Gathering | None = None

    def start(self, command: Collect) -> None:
        """Start a collection; raises CommandRejected where a bound is out of range."""
        if not 1 <= command.max_digits <= 64 or not 0 <= command.min_digits <= command.max_digits:
            raise CommandRejected(Reason.OUT_OF_RANGE, field="Collect.digits")
        if not 100 <= command.timeout_ms <= 600_000:
            raise CommandRejected(Reason.OUT_OF_RANGE, field="Collect.timeout_ms")
        if unknown := set(command.terminators) - set(KEYS):
            raise CommandRejected(Reason.UNKNOWN_KEYS, field="terminators", value="".join(sorted(unknown)))
        self.stop("interrupted")
        self.gathering = _Gathering(command, self._outbox.now)

    def press(self, digit: str) -> bool:
        """Add a digit; return whether it interrupts the prompt."""
        gathering = self.gathering
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
        """Restart the timeout: the party has heard the whole prompt only now."""
        if self.gathering is not None and not self.gathering.digits:
            self.gathering.since = self._outbox.now

    def deadline(self) -> float | None:
        """Return when the collection times out, monotonic seconds."""
        if self.gathering is None:
            return None
        return self.gathering.since + self.gathering.command.timeout_ms / 1000

    def elapse(self, prompting: bool) -> None:
        """End a collection whose time is up, unless the prompt still plays and no key was pressed."""
        deadline = self.deadline()
        gathering = self.gathering
        if gathering is None or deadline is None or self._outbox.now < deadline:
            return
        if prompting and not gathering.digits:
            gathering.since = self._outbox.now
            return
        enough = len(gathering.digits) >= max(gathering.command.min_digits, 1)
        self.stop("complete" if enough else "timeout")

    def stop(self, reason: str) -> None:
        """End the collection, if there is one, and emit its digits."""
        if self.gathering is None:
            return
        digits, self.gathering = self.gathering.digits, None
        self._outbox.emit(
            events.Collected(
                timestamp=self._outbox.clock(), subject=self._outbox.party, digits=digits, reason=reason
            )
        )
