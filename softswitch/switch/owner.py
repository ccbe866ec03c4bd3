"""What the parts that carry out a call's effects need of the conversation they belong to."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from softswitch.call.call import Call
from softswitch.call.commands import Command
from softswitch.call.reports import Report
from softswitch.switch.resources import Resources


class Bridging(Protocol):
    """What joins calls with each other, seen from below."""

    def join(self, conversation: Any, other_id: str) -> str | None:
        """Join with another call; return what is wrong, or None."""

    def part(self, conversation: Any, other_id: str) -> None:
        """Part from another call."""

    def join_dialog(self, conversation: Any, leg: str, dialog: tuple[str, str, str]) -> None:
        """Join with the call of a dialog, but for its leg and one of ours."""

    def pass_digits(self, other_id: str, digits: str) -> None:
        """Give keys to the other side of a bridge."""


class Owner(Protocol):
    """A conversation, seen from below."""

    resources: Resources
    call: Call
    bridges: Bridging
    tag: str

    @property
    def id(self) -> str:
        """Return the session id."""

    @property
    def direction(self) -> str:
        """Return inbound, where somebody called us, or outbound."""

    def command(self, command: Command) -> None:
        """Carry out a command; raises CommandRejected."""

    def report(self, report: Report) -> None:
        """Take a report; never raises."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something as part of the call."""

    def share_audio(self, side: int, pcm: bytes) -> None:
        """Give subscribers the audio of one side."""
