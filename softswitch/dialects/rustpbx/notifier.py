"""The messages about calls in the words of the /call API (a `Notifier`): the announcement, then events."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from softswitch.call.interfaces import IncomingCall
from softswitch.call.vocabulary import events
from softswitch.call.vocabulary.events import Event
from softswitch.dialects.rustpbx.decision import parse_decision
from softswitch.dialects.rustpbx.render import render
from softswitch.dialects.rustpbx.webhook import render_announcement
from softswitch.switch.notify.decision import Decision
from softswitch.switch.notify.notifier import CallFacts, CallNotifier, Gathered, Message

_STATUS: AbstractSet[type[Event]] = frozenset({events.Ringing, events.Answer, events.Rejected, events.HungUp})
"""Events that the status callback of a rule gets."""


class RustpbxNotifier:
    """Messages of the /call API."""

    in_steps = False

    def announcement(self, call: IncomingCall, call_id: str, created_ms: int) -> bytes:
        """Return the body that announces an incoming call."""
        return render_announcement(call, call_id, created_ms)

    def decision(self, body: bytes) -> Decision | None:
        """Return what the answer to the announcement decides about the call."""
        return parse_decision(body)

    def follow(self, facts: CallFacts) -> CallNotifier:
        """Return the messages about one call."""
        return _CallMessages()


class _CallMessages:
    """The events of one call, each with the id of the call as `dialogId` (a `CallNotifier`)."""

    kinds = _STATUS

    def begin(self, facts: CallFacts) -> Sequence[Message]:
        """Return nothing: the announcement has said that the call is there."""
        return ()

    def event(self, event: Event, seq: int, facts: Callable[[], CallFacts]) -> Sequence[Message]:
        """Return an event that tells how far the call has come."""
        return (_message(event, seq, facts()),) if type(event) in _STATUS else ()

    def gathering(self, facts: CallFacts) -> Sequence[Message]:
        """Return nothing."""
        return ()

    def gathered(self, gathered: Gathered, facts: CallFacts) -> Message:
        """Return the digits as the fields of the event `collect`."""
        fields = {"event": "collect", "digits": gathered.digits, "reason": gathered.reason}
        return Message(lambda: msgspec.json.encode({"dialogId": facts.id, **fields}))

    def record(self, facts: CallFacts) -> bytes:
        """Return nothing: the event `hangup` is the last message."""
        return b""


def _message(event: Event, seq: int, facts: CallFacts) -> Message:
    def make() -> bytes:
        return msgspec.json.encode({"dialogId": facts.id, **msgspec.json.decode(render(event, seq))})

    return Message(make)
