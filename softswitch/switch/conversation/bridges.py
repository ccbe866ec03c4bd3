"""Bridges between calls: the legs of two conversations in one mix."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from softswitch.call.authority import Principal, Target
from softswitch.call.state import State
from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.effects import SuperviseCall
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from softswitch.media import messages as m
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.conversation.owner import no_call
from softswitch.switch.resources import Resources

Dialog = tuple[str, str, str]
"""Call-ID, local tag and remote tag."""


class Far(Protocol):
    """Bridges with calls of other nodes."""

    def join(self, conversation: Any, other: str, by: Principal, request_id: str | None) -> None:
        """Bridge a call with one of another node, if there is one; its outcome is reported."""

    def join_dialog(self, conversation: Any, leg: str, dialog: Dialog) -> None:
        """Bridge a call with the call of a dialog of another node; its outcome is reported."""

    def part(self, conversation: Any) -> bool:
        """End the bridge of a call; False where it has none with another node."""

    def pass_digits(self, conversation: Any, digits: str) -> bool:
        """Send digits to the other call; False where there is no such bridge."""


class Bridges:
    """Bridges between the calls of one table."""

    def __init__(self, resources: Resources, calls: Mapping[str, Conversation]) -> None:
        """Make bridges for a table of live calls, which is read and never changed.

        Args:
            resources: The engine.
            calls: Live calls by id.
        """
        self._resources = resources
        self._calls = calls
        self.far: Far | None = None
        """Bridges with calls of other nodes; None where this process is alone."""
        self.supervise: Callable[[Conversation, SuperviseCall], None] = _nobody
        """Begins, changes or ends the supervision of a call."""

    @property
    def reaches_far(self) -> bool:
        """Whether a call that is not here may be at another node."""
        return self.far is not None

    def target(self, other_id: str) -> Target | None:
        """Return the target of authority of a live call, or None if there is no such call."""
        other = self._calls.get(other_id)
        return None if other is None else other.target

    def join(self, conversation: Conversation, other_id: str, request_id: str | None = None) -> None:
        """Bridge a call with another one.

        Args:
            conversation: The call that asks.
            other_id: Id of the other call.
            request_id: That of the command.

        Raises:
            CommandRejected: 404: the other call is not answered, of another account, or bridged already.
        """
        other = self._calls.get(other_id)
        if other is None and self.far is not None and conversation.bridging_by is not None:
            self.far.join(conversation, other_id, conversation.bridging_by, request_id)
            return
        if other is None or other.call.state is not State.UP or other.owner != conversation.owner:
            raise no_call(other_id, request_id)
        if other.bridged_with is not None or other.call.supervises:
            raise CommandRejected(
                Reason.OTHER_BRIDGED, 404, request_id=request_id, field="other", value=other_id
            )
        self._mix(conversation, other, alone=False)

    def part(self, conversation: Conversation, other_id: str) -> None:
        """End a bridge: each call returns to its own mix."""
        if self.far is not None and self.far.part(conversation):
            return
        other = self._calls.get(other_id)
        for one in filter(None, (conversation, other)):
            one.bridged_with = None
            self._move(one, one.executor.mix)
        conversation.report(r.Unbridged(other_id))
        if other is not None:
            other.report(r.Unbridged(conversation.id))

    def pass_digits(self, conversation: Conversation, other_id: str, digits: str) -> None:
        """Send digits to the other call of a bridge."""
        if self.far is not None and self.far.pass_digits(conversation, digits):
            return
        if other := self._calls.get(other_id):
            other.report(r.DigitsPassed(digits))

    def tell_hold(self, other_id: str, held: bool) -> None:
        """Tell the other call of a bridge that the parties of this one hold it, or no longer."""
        if other := self._calls.get(other_id):
            other.report(r.PeerHeld(held))

    def replaceable(self, dialog: Dialog) -> tuple[Conversation, str] | None:
        """Return the call of a dialog and the name of its leg, where that leg may be replaced."""
        found = self._with_dialog(dialog)
        return found if found is not None and _replaceable(found[0]) else None

    def _with_dialog(self, dialog: Dialog) -> tuple[Conversation, str] | None:
        """Return the call and the name of the leg that a dialog belongs to."""
        for conversation in self._calls.values():
            if leg := conversation.executor.legs.with_dialog(dialog):
                return conversation, leg
        return None

    def join_dialog(self, conversation: Conversation, leg: str, dialog: Dialog) -> None:
        """Bridge the remaining legs of two calls for an attended transfer (RFC 3891).

        Args:
            conversation: The call whose peer asked.
            leg: The leg of that peer, which leaves the call.
            dialog: Dialog of the other call; its leg leaves, too.
        """
        found = self._with_dialog(dialog)
        if found is None and self.far is not None:
            self.far.join_dialog(conversation, leg, dialog)
            return
        if found is None or found[0].id == conversation.id or not _replaceable(found[0]):
            conversation.report(r.DialogForeign(leg))
            return
        other, replaced = found
        conversation.report(r.DialogJoined(leg))
        other.report(r.LegReplaced(replaced))
        self._mix(conversation, other, alone=True)

    def take_place(
        self,
        conversation: Conversation,
        other: Conversation,
        leg: str | None,
        *,
        alone: bool,
        other_alone: bool = False,
    ) -> None:
        """Put the party of a call in the place of a leg of another one, or beside its first party.

        Args:
            conversation: The call whose party comes.
            other: The call whose party stays; it ends with the bridge where a rule connected it.
            leg: The leg of `other` that leaves; None: none does.
            alone: Whether `conversation` ends with the bridge.
            other_alone: Whether `other` does so in any case.
        """
        if leg is not None:
            other.report(r.LegReplaced(leg))
        if other.over:
            raise no_call(other.id)
        self._move(conversation, conversation.executor.mix)
        self._mix(conversation, other, alone=alone, other_alone=other_alone or other.call.connected)

    def leave(self, conversation: Conversation) -> None:
        """End the bridge of a call, which goes on alone; the other call is told as of any end of a bridge."""
        other = self._calls.get(conversation.bridged_with or "")
        conversation.report(r.Unbridged(conversation.bridged_with or "", goes_on=True))
        for one in filter(None, (conversation, other)):
            one.bridged_with = None
            self._move(one, one.executor.mix)
        if other is not None:
            other.report(r.Unbridged(conversation.id))

    def _mix(
        self,
        conversation: Conversation,
        other: Conversation,
        *,
        alone: bool,
        other_alone: bool | None = None,
    ) -> None:
        conversation.bridged_with, other.bridged_with = other.id, conversation.id
        self._move(other, conversation.executor.mix)
        conversation.report(r.Bridged(other.id, alone))
        other.report(r.Bridged(conversation.id, alone if other_alone is None else other_alone))

    def _move(self, conversation: Conversation, mix: int) -> None:
        legs = conversation.executor.legs
        legs.mix = mix
        for port in legs.ports():
            self._resources.engine.post(m.JoinMix(port, mix))


def _replaceable(conversation: Conversation) -> bool:
    """Whether a leg of a call may be replaced: only where no application follows the call."""
    call = conversation.call
    return call.connected and call.state is State.UP and conversation.bridged_with is None


def _nobody(conversation: Conversation, effect: SuperviseCall) -> None:
    """Refuse a supervision: this process has no table of them."""
    raise no_call(effect.other, effect.request_id)
