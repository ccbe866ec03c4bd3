"""Messages about calls in the words of Wavix (a `Notifier`): the call at each step, then a record."""

from collections.abc import Callable, Sequence

from softswitch.call.interfaces import IncomingCall
from softswitch.call.vocabulary.events import Event
from softswitch.dialects.wavix.call_status import STEPS, CallStatus, Step, collected, direction_of
from softswitch.dialects.wavix.rates import FREE, Rates
from softswitch.dialects.wavix.responses import CallEvent, body
from softswitch.switch.notify.decision import Decision
from softswitch.switch.notify.notifier import CallFacts, CallNotifier, Gathered, Message


class WavixNotifier:
    """Messages of the Wavix API."""

    in_steps = True

    def __init__(self, rates: Rates = FREE) -> None:
        """Word messages.

        Args:
            rates: What a call costs; nothing by default.
        """
        self._rates = rates

    def announcement(self, call: IncomingCall, call_id: str, created_ms: int) -> bytes:
        """Return `call_setup` of a call that has just come in."""
        status = CallStatus(call_id, "inbound", started_ms=created_ms, caller=call.caller, callee=call.callee)
        return body(status.call(("call_setup", None)))

    def decision(self, body: bytes) -> Decision | None:
        """Return None: this API has no decisions in answers."""
        return None

    def follow(self, facts: CallFacts) -> CallNotifier:
        """Return the messages about one call."""
        return _CallMessages(facts, self._rates)


class _CallMessages:
    """The messages about one call (a `CallNotifier`)."""

    kinds = STEPS

    def __init__(self, facts: CallFacts, rates: Rates) -> None:
        self._rates = rates
        self._status = CallStatus(facts.id, direction_of(facts.direction), started_ms=facts.created_ms)

    def begin(self, facts: CallFacts) -> Sequence[Message]:
        """Return `call_setup`, once."""
        self._refresh(facts)
        return [self._message(step) for step in self._status.begin()]

    def event(self, event: Event, seq: int, facts: Callable[[], CallFacts]) -> Sequence[Message]:
        """Return the steps of the call that an event is."""
        steps = self._status.take(event)
        if not steps:
            return ()
        self._refresh(facts())
        return [self._message(step) for step in steps]

    def gathering(self, facts: CallFacts) -> Sequence[Message]:
        """Return `on_call_event` of the type collect: digits are being gathered."""
        self._refresh(facts)
        event = CallEvent(type="collect", payload={"status": "started", "digits": ""})
        return (self._message(("on_call_event", event)),)

    def gathered(self, gathered: Gathered, facts: CallFacts) -> Message:
        """Return `on_call_event` of the type collect, with the number of attempts."""
        self._refresh(facts)
        payload = collected(gathered.digits, gathered.reason, enough=gathered.enough)
        payload["attempts"] = gathered.attempts
        return self._message(("on_call_event", CallEvent(type="collect", payload=payload)))

    def record(self, facts: CallFacts) -> bytes:
        """Return the record that is posted after the call."""
        self._refresh(facts)
        return body(self._status.record(self._rates))

    def _message(self, step: Step) -> Message:
        return Message(lambda: body(self._status.call(step)), begins=step[0] == "call_setup")

    def _refresh(self, facts: CallFacts) -> None:
        status = self._status
        status.tag = facts.tag
        status.caller = facts.caller or status.caller
        status.callee = facts.callee or status.callee
