"""Calls that are joined: whose legs hear each other although they belong to different conversations."""

from collections.abc import Mapping

from softswitch.call import reports as r
from softswitch.call.state import State
from softswitch.media import messages as m
from softswitch.switch.conversation import Conversation
from softswitch.switch.resources import Resources

Dialog = tuple[str, str, str]
"""Call-ID, local tag and remote tag."""


class Bridges:
    """Joins and parts the calls of one table."""

    def __init__(self, resources: Resources, calls: Mapping[str, Conversation]) -> None:
        """Look at a table of live calls by id."""
        self._resources = resources
        self._calls = calls

    def join(self, conversation: Conversation, other_id: str) -> str | None:
        """Join a call with the one of that id; return what is wrong, or None."""
        other = self._calls.get(other_id)
        if other is None or other.call.state is not State.UP or other.owner != conversation.owner:
            return f"targetSessionId: no answered call {other_id!r}"
        if other.bridged_with is not None:
            return f"targetSessionId: {other_id!r} is bridged already"
        self._mix(conversation, other, alone=False)
        return None

    def part(self, conversation: Conversation, other_id: str) -> None:
        """Let each call be on its own again."""
        other = self._calls.get(other_id)
        for one in filter(None, (conversation, other)):
            one.bridged_with = None
            self._move(one, one.carrier.mix)
        conversation.report(r.Unbridged(other_id))
        if other is not None:
            other.report(r.Unbridged(conversation.id))

    def pass_digits(self, other_id: str, digits: str) -> None:
        """Give keys to the other side of a bridge."""
        if other := self._calls.get(other_id):
            other.report(r.DigitsPassed(digits))

    def _with_dialog(self, dialog: Dialog) -> tuple[Conversation, str] | None:
        """Return the call and the leg that a dialog belongs to."""
        for conversation in self._calls.values():
            if leg := conversation.carrier.legs.with_dialog(dialog):
                return conversation, leg
        return None

    def join_dialog(self, conversation: Conversation, leg: str, dialog: Dialog) -> None:
        """Join a call, but for one of its legs, with the call of a dialog, but for the dialog's leg."""
        found = self._with_dialog(dialog)
        if found is None or found[0].id == conversation.id or not _replaceable(found[0]):
            conversation.report(r.DialogForeign(leg))
            return
        other, replaced = found
        conversation.report(r.DialogJoined(leg))
        other.report(r.LegReplaced(replaced))
        self._mix(conversation, other, alone=True)

    def _mix(self, conversation: Conversation, other: Conversation, *, alone: bool) -> None:
        conversation.bridged_with, other.bridged_with = other.id, conversation.id
        self._move(other, conversation.carrier.mix)
        conversation.report(r.Bridged(other.id, alone))
        other.report(r.Bridged(conversation.id, alone))

    def _move(self, conversation: Conversation, mix: int) -> None:
        legs = conversation.carrier.legs
        legs.mix = mix
        for port in legs.ports():
            self._resources.engine.post(m.JoinMix(port, mix))


def _replaceable(conversation: Conversation) -> bool:
    """Whether somebody may take the place of a leg: where no application would miss it."""
    call = conversation.call
    return call.connected and call.state is State.UP and conversation.bridged_with is None
