"""Gathering keys in several attempts, each with its prompt."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from softswitch.call.commands import Collect, Command, CommandRejected
from softswitch.call.events import Collected, Event
from softswitch.switch.conversation import Conversation


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of it."""

    digits: str
    reason: str
    """complete, terminator, timeout, interrupted."""
    attempts: int


class Gathering:
    """Gathers the keys of one call (a subscriber); tells once what came of it."""

    def __init__(
        self,
        conversation: Conversation,
        collect: Collect,
        prompt: Callable[[int], Command | None],
        attempts: int,
        told: Callable[[Gathered], None],
    ) -> None:
        """Prepare; :meth:`start` begins.

        Args:
            conversation: The call.
            collect: How keys are gathered.
            prompt: Returns what is said before an attempt, counted from 1.
            attempts: How often at most.
            told: Gets what came of it.
        """
        self._conversation = conversation
        self._collect, self._prompt, self._attempts, self._told = collect, prompt, attempts, told
        self._attempt = 0
        self._over = False

    def start(self) -> None:
        """Begin; raises CommandRejected where the call cannot."""
        self._try()
        self._conversation.subscribe(self)

    def event(self, event: Event, seq: int) -> None:
        """Try again where too few keys came, unless that was the last attempt."""
        if not isinstance(event, Collected) or self._over:
            return
        enough = len(event.digits) >= self._collect.min_digits
        if event.reason in ("timeout", "terminator") and not enough and self._attempt < self._attempts:
            # The call is in the middle of telling this event.
            asyncio.get_running_loop().call_soon(self._again)
        else:
            self._finish(event.digits, event.reason)

    def audio(self, side: int, pcm: bytes) -> None:
        """Leave audio out."""

    def close(self, code: int, reason: str) -> None:
        """Tell that the call ended before."""
        self._finish("", "interrupted")

    def _again(self) -> None:
        try:
            self._try()
        except CommandRejected:
            self._finish("", "interrupted")

    def _try(self) -> None:
        self._attempt += 1
        prompt = self._prompt(self._attempt)
        if prompt is not None:
            self._conversation.command(prompt)
        self._conversation.command(self._collect)

    def _finish(self, digits: str, reason: str) -> None:
        if not self._over:
            self._over = True
            self._conversation.unsubscribe(self)
            self._told(Gathered(digits, reason, self._attempt))
