"""Gathering of digits in several attempts, each with its prompt."""

from collections.abc import Callable

from softswitch.call.authority import Principal
from softswitch.call.vocabulary.commands import Collect, Command
from softswitch.call.vocabulary.events import Collected, Event
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.log.tasks import spawn
from softswitch.switch.directory import CallHandle, Subscription
from softswitch.switch.notify.notifier import Gathered


class Gathering:
    """One collection of digits from the party of a call (a subscriber); it reports its result once."""

    def __init__(
        self,
        call: CallHandle,
        by: Principal,
        collect: Collect,
        prompt: Callable[[int], Command | None],
        attempts: int,
        on_gathered: Callable[[Gathered], None],
    ) -> None:
        """Prepare; :meth:`start` begins.

        Args:
            call: The call.
            by: The client that wants the digits.
            collect: How each attempt collects.
            prompt: Returns the command that plays the prompt of an attempt, counted from 1; None: no prompt.
            attempts: Most attempts.
            on_gathered: Called with the result.
        """
        self._call, self._by = call, by
        self._collect, self._prompt, self._attempts = collect, prompt, attempts
        self._on_gathered = on_gathered
        self._attempt = 0
        self._ended = False
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Begin the first attempt; raises CommandRejected where the call cannot."""
        await self._try()
        self._subscription = await self._call.subscribe(self)

    def event(self, event: Event, seq: int) -> None:
        """Try again where too few digits came, unless that was the last attempt."""
        if not isinstance(event, Collected) or self._ended:
            return
        enough = len(event.digits) >= self._collect.min_digits
        if event.reason in ("timeout", "terminator") and not enough and self._attempt < self._attempts:
            # Not at once: the call is in the middle of publishing this event.
            spawn(self._again(), package="switch", name="gather digits", call=self._call.id)
        else:
            self._finish(event.digits, event.reason)

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """Report that the call ended before."""
        self._finish("", "interrupted")

    async def _again(self) -> None:
        try:
            await self._try()
        except CommandRejected:
            self._finish("", "interrupted")

    async def _try(self) -> None:
        self._attempt += 1
        prompt = self._prompt(self._attempt)
        if prompt is not None:
            await self._call.command(prompt, self._by)
        await self._call.command(self._collect, self._by)

    def _finish(self, digits: str, reason: str) -> None:
        if self._ended:
            return
        self._ended = True
        if self._subscription is not None:
            self._subscription.close()
        enough = reason != "interrupted" and len(digits) >= self._collect.min_digits and bool(digits)
        self._on_gathered(Gathered(digits, reason, self._attempt, enough))
