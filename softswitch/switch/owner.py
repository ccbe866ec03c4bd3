"""What the parts that carry out a call's effects need of the conversation they belong to."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from softswitch.call.call import Call
from softswitch.call.reports import Report
from softswitch.switch.resources import Resources


class Owner(Protocol):
    """A conversation, seen from below."""

    resources: Resources
    call: Call

    @property
    def id(self) -> str:
        """Return the session id."""

    def report(self, report: Report) -> None:
        """Take a report; never raises."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something as part of the call."""

    def share_audio(self, side: int, pcm: bytes) -> None:
        """Give subscribers the audio of one side."""

    def join_call(self, other: str) -> str | None:
        """Join with another call; return what is wrong, or None."""

    def part_call(self, other: str) -> None:
        """Part from another call."""
