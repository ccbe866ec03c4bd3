"""End of a call: BYE, and what is released (RFC 3261 section 15)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from softswitch.sip.events import Cancelled, Ended, EndReason, Rejected
from softswitch.sip.session.acknowledgements import Acknowledgements
from softswitch.sip.session.state import Phase, SessionState


@dataclass(frozen=True, slots=True)
class Ending:
    """End of one call."""

    state: SessionState
    acknowledgements: Acknowledgements
    on_ended: Callable[[SessionState], None]
    """Takes the session out of the agent's table."""

    def finish(self, event: Ended | Rejected | Cancelled) -> None:
        """End the session and emit its last event; a second call does nothing."""
        state = self.state
        if state.phase is Phase.ENDED:
            return
        state.phase = Phase.ENDED
        for alarm in state.alarms.values():
            alarm.stop()
        # Alarms, exchanges and callbacks refer to parts that refer to the state: without them the session is
        # freed by its reference count, and needs no garbage collection.
        state.alarms.clear()
        state.offer = state.queued_offer = state.pending_answer = None
        state.exchange = state.updating = None
        state.referring = False
        state.provisional = state.unacknowledged = None
        state.provisionals.clear()
        for refer in state.refers.values():
            if not refer.accepted:
                state.context.reply(refer.transaction, 481)
        state.refers.clear()
        self.on_ended(state)
        state.context.emit(event)

    def end(self, reason: EndReason, headers: Mapping[str, str] | None = None) -> None:
        """End the session without a BYE; requests of the peer that are under way are answered with 487."""
        state = self.state
        if state.incoming is not None:
            state.context.reply(state.incoming, 487)
            state.incoming = None
        if (
            state.offer is not None
            and state.offer.carrier == "UPDATE"
            and state.offer.transaction is not None
        ):
            state.context.reply(state.offer.transaction, 487)
        self.finish(Ended(state.id, reason, headers or {}))

    def hang_up(self, reason: EndReason, headers: Mapping[str, str] | None = None) -> None:
        """Send BYE and end the session; a 2xx whose offer has no answer yet is acknowledged first."""
        state, offer = self.state, self.state.offer
        if (
            offer is not None
            and offer.carrier == "2xx"
            and offer.dialog is not None
            and offer.exchange is not None
        ):
            self.acknowledgements.acknowledge(offer.dialog, offer.exchange)
        if state.dialog is not None:
            self.acknowledgements.send_bye(state.dialog, headers or {})
        self.end(reason)
