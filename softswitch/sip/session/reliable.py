"""Reliable provisional responses and PRACK, sent and received (RFC 3262)."""

from dataclasses import dataclass

from softswitch.sip.dialog.dialog import Dialog
from softswitch.sip.dialog.exchange import Exchange
from softswitch.sip.events import Ended, OfferAnswered, Offered
from softswitch.sip.session.ending import Ending
from softswitch.sip.session.state import PendingOffer, ReliableProvisional, SessionState, with_sdp
from softswitch.sip.syntax.bodies import sdp_of
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.transaction.flow import Flow
from softswitch.sip.transaction.machine import Transaction


@dataclass(frozen=True, slots=True)
class ReliableProvisionals:
    """Reliable provisional responses of one call."""

    state: SessionState
    ending: Ending

    # ------------------------------------------------------------------ sent by the called party
    def send(self, provisional: ReliableProvisional) -> bool:
        """Send a provisional response until its PRACK comes, or queue it behind one that waits for its PRACK.

        Only one may be unacknowledged at a time (section 3).

        Returns:
            False if the queue is full; the response is dropped and counted.
        """
        state = self.state
        if state.provisional is not None:
            if len(state.provisionals) >= state.context.limits.pending:
                state.context.count("provisional_dropped")
                return False
            state.provisionals.append(provisional)
            return True
        self._send(provisional)
        return True

    def acknowledged(self, request: Request, transaction: Transaction) -> None:
        """Handle a PRACK of the peer."""
        state, context = self.state, self.state.context
        provisional = state.provisional
        if provisional is None or not _acknowledges(request, provisional):
            context.reply(transaction, 481)
            return
        state.provisional = None
        if state.incoming is None:
            # The PRACK crossed the 200, which made it unnecessary.
            context.reply(transaction, 200)
            return
        state.stop_alarm("prack_again")
        state.stop_alarm("no_prack")
        state.settled = state.settled or provisional.described
        sdp = sdp_of(request)
        if provisional.offered:
            state.offering = False
            context.reply(transaction, 200)
            if sdp is not None:
                context.emit(OfferAnswered(state.id, sdp))
        elif sdp is not None:
            self._offered(sdp, transaction)
        else:
            context.reply(transaction, 200)
        if state.provisionals:
            self._send(state.provisionals.popleft())
        elif state.pending_answer is not None:
            answer, state.pending_answer = state.pending_answer, None
            answer()

    # ------------------------------------------------------------------ received by the calling party
    def prack(self, dialog: Dialog, response: Response, sequence: int, sdp: str | None = None) -> None:
        """Send a PRACK for a reliable provisional response.

        Args:
            dialog: Early dialog of the response.
            response: The response.
            sequence: Its RSeq number.
            sdp: Answer, if the response carried an offer.
        """
        context = self.state.context
        rack = f"{sequence} {response.cseq.sequence} INVITE"

        def build(_: object) -> tuple[Request, Flow]:
            request, flow = dialog.request("PRACK")
            request.headers.set("RAck", rack)
            with_sdp(request, sdp)
            return request, flow

        def on_response(_exchange: Exchange, response: Response, _synthetic: bool) -> None:
            if response.code >= 300:
                context.count("prack_refused")

        Exchange(context, build, on_response, self.state.proof).start()

    # ------------------------------------------------------------------ internals
    def _send(self, provisional: ReliableProvisional) -> None:
        state, context = self.state, self.state.context
        if state.incoming is None:
            return
        if not state.response_sequence:
            # Section 3: the first RSeq is a random number from 1 to 2**31 - 1. From 1 to 2**30, it leaves as
            # many numbers again to count up without overflow.
            state.response_sequence = 1 + int(context.random() * 2**30)
        else:
            state.response_sequence += 1
        provisional.sequence = state.response_sequence
        provisional.response.headers.set("RSeq", str(provisional.sequence))
        provisional.response.headers.set("Require", "100rel")
        state.provisional = provisional
        state.offering = state.offering or provisional.offered
        state.incoming.respond(provisional.response)
        self._schedule(context.timers.t1)
        state.set_alarm("no_prack", 64 * context.timers.t1, self._give_up)

    def _schedule(self, pause: float) -> None:
        self.state.set_alarm("prack_again", pause, lambda: self._send_again(pause))

    def _send_again(self, pause: float) -> None:
        state = self.state
        if state.provisional is not None and state.incoming is not None:
            state.incoming.respond(state.provisional.response)
            # Section 3: the pause doubles without an upper bound; `_give_up` ends it after 64 * T1.
            self._schedule(2 * pause)

    def _give_up(self) -> None:
        state = self.state
        state.context.count("no_prack")
        if state.incoming is not None:
            state.context.reply(state.incoming, 504)
            state.incoming = None
        self.ending.finish(Ended(state.id, "no_ack"))

    def _offered(self, sdp: str, transaction: Transaction) -> None:
        state = self.state
        if state.offer is not None or state.offering:
            state.context.reply(transaction, 491)
            return
        state.offer = PendingOffer("PRACK", sdp, transaction)
        state.context.emit(Offered(state.id, sdp, "PRACK"))


def reliable_sequence(response: Response) -> int:
    """Return the RSeq number of a reliable provisional response, 0 for any other response."""
    text = (response.headers.get("RSeq") or "").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 11):
        return 0
    return int(text) if "100rel" in [tag.lower() for tag in response.require] else 0


def is_next(dialog: Dialog, sequence: int) -> bool:
    """Return whether `sequence` is the next RSeq number of a dialog, and if so record it.

    A copy has the number of the last one. A gap means that a response was lost, which the peer sends again:
    what comes after a gap must not be acknowledged (section 4).
    """
    if dialog.reliable_sequence >= 0 and sequence != dialog.reliable_sequence + 1:
        return False
    dialog.reliable_sequence = sequence
    return True


def _acknowledges(request: Request, provisional: ReliableProvisional) -> bool:
    words = (request.headers.get("RAck") or "").split()
    return words == [str(provisional.sequence), str(provisional.invite), "INVITE"]
