"""Interfaces of a conversation for the parts that execute its effects."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from softswitch.call.authority import Target
from softswitch.call.call import Call
from softswitch.call.vocabulary.commands import Command
from softswitch.call.vocabulary.effects import SuperviseCall
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from softswitch.call.vocabulary.reports import Report
from softswitch.egress import Asker
from softswitch.switch.origin import Source
from softswitch.switch.resources import Resources


class Bridging(Protocol):
    """Interface of the bridges between calls."""

    def join(self, conversation: Any, other_id: str, request_id: str | None = None) -> None:
        """Bridge with another call; raises CommandRejected where that is not possible."""

    def target(self, other_id: str) -> Target | None:
        """Return the target of authority of a live call, or None if there is no such call."""

    def part(self, conversation: Any, other_id: str) -> None:
        """End the bridge with another call."""

    def join_dialog(self, conversation: Any, leg: str, dialog: tuple[str, str, str]) -> None:
        """Bridge with the call of a dialog, without the dialog's leg and without ``leg``."""

    def pass_digits(self, conversation: Any, other_id: str, digits: str) -> None:
        """Send digits to the other call of a bridge."""

    def tell_hold(self, other_id: str, held: bool) -> None:
        """Tell the other call of a bridge of a hold, or of its end."""

    def supervise(self, conversation: Any, effect: SuperviseCall) -> None:
        """Begin, change or end the supervision of another call; raises CommandRejected."""

    @property
    def reaches_far(self) -> bool:
        """Whether a call that is not here may be at another node."""


def no_call(other_id: str, request_id: str | None = None) -> CommandRejected:
    """Return the rejection of a bridge to a call that does not exist or is foreign to the client."""
    return CommandRejected(Reason.UNKNOWN_CALL, 404, request_id=request_id, field="other", value=other_id)


class LegSpans(Protocol):
    """The part of a call's trace that legs use."""

    def leg_opened(self, leg: str, at: float) -> None:
        """Begin the span of a leg at a time, epoch seconds."""

    def leg_closed(self, leg: str, at: float, trunk: str) -> None:
        """End the span of a leg."""


class Owner(Protocol):
    """Interface of a conversation."""

    resources: Resources
    is_internal: bool
    """Whether the call came from another node of this switch."""
    call: Call
    bridges: Bridging
    tag: str
    source: Source
    trace: LegSpans | None
    owner: str
    """Account that the call belongs to."""
    room: str
    """Id of the room, if this is the call inside a room."""

    @property
    def id(self) -> str:
        """Return the session id."""

    @property
    def asker(self) -> Asker:
        """Account and id, to which look-ups of names are attributed."""

    @property
    def direction(self) -> str:
        """inbound, if the party called, or outbound."""

    def command(self, command: Command) -> None:
        """Execute a command of the switch itself; raises CommandRejected."""

    def report(self, report: Report) -> None:
        """Apply a report; never raises."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task of the call."""

    def share_audio(self, side: int, pcm: bytes) -> None:
        """Send subscribers the audio of one side."""
