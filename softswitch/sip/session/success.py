"""The 2xx to an INVITE of the peer: sent again until its ACK comes, then BYE (RFC 3261 section 13.3.1.4)."""

from dataclasses import dataclass

from softswitch.sip.context import ALLOW, SUPPORTED
from softswitch.sip.events import Confirmed, OfferAnswered
from softswitch.sip.session.ending import Ending
from softswitch.sip.session.state import Phase, SessionState, UnacknowledgedAnswer
from softswitch.sip.syntax.bodies import sdp_of
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.transaction.machine import Transaction


def describe_agent(message: Request | Response, contact: str) -> None:
    """Set Contact, Allow and Supported, which every message that begins or changes a call carries."""
    message.headers.set("Contact", contact)
    message.headers.set("Allow", ALLOW)
    message.headers.set("Supported", SUPPORTED)


@dataclass(frozen=True, slots=True)
class Success:
    """Delivery of the 2xx responses of one call."""

    state: SessionState
    ending: Ending

    def send(self, transaction: Transaction, response: Response, *, first: bool, offered: bool) -> None:
        """Send a 2xx and wait for its ACK.

        Args:
            transaction: The INVITE's.
            response: The complete 2xx.
            first: Whether it answers the INVITE that began the call.
            offered: Whether it carries an offer.
        """
        state, t1 = self.state, self.state.context.timers.t1
        sequence = transaction.request.cseq.sequence
        transaction.respond(response)
        state.incoming = None
        state.unacknowledged = UnacknowledgedAnswer(transaction, response, sequence, first, offered)
        state.offering = offered
        self._schedule(t1)
        state.set_alarm("no_ack", 64 * t1, self._give_up)

    def acknowledged(self, sequence: int, ack: Request) -> bool:
        """Handle an ACK; return whether the call may go on with what waited for it.

        Args:
            sequence: CSeq number of the ACK.
            ack: The ACK.
        """
        state = self.state
        waiting = state.unacknowledged
        if waiting is None or waiting.sequence != sequence:
            state.context.count("ack_again")
            return False
        state.unacknowledged = None
        state.offering = False
        state.stop_alarm("again")
        state.stop_alarm("no_ack")
        sdp = sdp_of(ack) if waiting.offered else None
        if state.farewell is not None:
            self.ending.hang_up("local", state.farewell)
            return False
        if waiting.first:
            state.phase = Phase.CONFIRMED
            state.context.emit(Confirmed(state.id, sdp))
        elif sdp is not None:
            state.context.emit(OfferAnswered(state.id, sdp))
        return True

    def _schedule(self, pause: float) -> None:
        self.state.set_alarm("again", pause, lambda: self._send_again(pause))

    def _send_again(self, pause: float) -> None:
        waiting = self.state.unacknowledged
        if waiting is not None:
            # Copies go over reliable transports too: the hop that lost the 2xx may be behind a proxy.
            waiting.transaction.respond(waiting.response)
            # The pause doubles from T1 (0.5 s) up to T2 (4 s).
            self._schedule(min(2 * pause, self.state.context.timers.t2))

    def _give_up(self) -> None:
        self.state.context.count("no_ack")
        self.ending.hang_up("no_ack")
