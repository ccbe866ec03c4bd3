"""Offers within a call: re-INVITE, UPDATE, glare and refreshes (RFC 3261 section 14, RFC 3311)."""

from dataclasses import dataclass
from typing import assert_never

from softswitch.sip.dialog.dialog import Dialog
from softswitch.sip.dialog.exchange import Exchange
from softswitch.sip.events import Ended, OfferAnswered, Offered, OfferRefused
from softswitch.sip.session.acknowledgements import Acknowledgements
from softswitch.sip.session.ending import Ending
from softswitch.sip.session.reliable import ReliableProvisionals, reliable_sequence
from softswitch.sip.session.state import PendingOffer, Phase, SessionState, with_sdp
from softswitch.sip.session.success import Success, describe_agent
from softswitch.sip.session.timer import SessionTimer, is_too_short, read_seconds
from softswitch.sip.syntax.bodies import sdp_of
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.transaction.flow import Flow
from softswitch.sip.transaction.machine import Transaction

MAX_GLARES = 8
"""Collisions of re-INVITEs in a row after which the agent gives up its own."""
BUSY_REFRESH_S = 2.0
"""Pause before a refresh is tried again that found another offer under way."""


@dataclass(frozen=True, slots=True)
class Offers:
    """Offers and answers of one call after its first INVITE."""

    state: SessionState
    acknowledgements: Acknowledgements
    ending: Ending
    success: Success
    reliable: ReliableProvisionals
    timer: SessionTimer

    # ------------------------------------------------------------------ sent by the agent
    def reinvite(self, sdp: str | None) -> bool:
        """Send a re-INVITE, now or once no other offer is under way; it replaces one that waits.

        Args:
            sdp: Offer; None asks the peer for one.

        Returns:
            False if the call is not established.
        """
        if not self.state.established:
            return False
        self.state.queued_offer = (sdp,)
        self.resume()
        return True

    def resume(self) -> None:
        """Send the re-INVITE that waits, if no other offer is under way."""
        state = self.state
        if state.queued_offer is not None and state.established and not self._busy:
            (sdp,), state.queued_offer = state.queued_offer, None
            self._send_reinvite(sdp, refreshing=False)

    def update(self, sdp: str | None) -> bool:
        """Send an UPDATE; return False if the state of the call or the peer's Allow forbids it.

        Args:
            sdp: Offer; None sends an UPDATE without one.
        """
        state, dialog = self.state, self.state.dialog
        if dialog is None or state.phase is Phase.ENDED or state.updating is not None:
            return False
        if dialog.allow and "UPDATE" not in dialog.allow:
            return False
        if sdp is not None and (state.offering or state.offer is not None or not state.settled):
            return False
        if sdp is not None and state.established and self._busy:
            return False
        self._send_update(dialog, sdp, refreshing=False)
        return True

    def refresh(self) -> None:
        """Refresh the session because its timer asks for it (RFC 4028 section 10).

        UPDATE is preferred, since it needs no session description.
        """
        state, dialog = self.state, self.state.dialog
        if dialog is None or not state.established:
            return
        if self._busy:
            state.set_alarm("refresh", BUSY_REFRESH_S, self.refresh)
        elif "UPDATE" in dialog.allow:
            self._send_update(dialog, None, refreshing=True)
        else:
            self._send_reinvite(state.local_sdp, refreshing=True)

    # ------------------------------------------------------------------ sent by the peer
    def receive_reinvite(self, request: Request, transaction: Transaction) -> None:
        """Handle a re-INVITE: emit `Offered`, or refuse it with 500, 491 or 422 (section 14.2)."""
        state, context = self.state, self.state.context
        if state.incoming is not None or not state.established:
            context.reply(transaction, 500, headers={"Retry-After": str(int(10 * context.random()))})
        elif self._open:
            context.count("glare")
            context.reply(transaction, 491)
        elif is_too_short(request, context.limits.min_se):
            context.reply_interval_too_small(transaction)
        else:
            context.reply(transaction, 100)
            transaction.owner = state.id
            state.incoming = transaction
            state.offer = PendingOffer("INVITE", sdp_of(request), transaction)
            self._limit_wait()
            context.emit(Offered(state.id, sdp_of(request), "INVITE"))

    def receive_update(self, dialog: Dialog, request: Request, transaction: Transaction) -> None:
        """Handle an UPDATE; one without an offer is answered here (RFC 3311 section 5.2)."""
        state, context = self.state, self.state.context
        sdp = sdp_of(request)
        if is_too_short(request, context.limits.min_se):
            context.reply_interval_too_small(transaction)
        elif sdp is None:
            dialog.refresh(request)
            response = context.response(transaction, 200)
            describe_agent(response, dialog.contact)
            if state.established:
                self.timer.grant(request, response, self.refresh)
            transaction.respond(response)
        elif state.offer is not None or (state.phase is Phase.INVITED and not state.settled):
            context.reply(transaction, 500, headers={"Retry-After": str(int(10 * context.random()))})
        elif state.offering or (state.exchange is not None and state.established):
            context.count("glare")
            context.reply(transaction, 491)
        else:
            state.offer = PendingOffer("UPDATE", sdp, transaction, dialog=dialog)
            self._limit_wait()
            context.emit(Offered(state.id, sdp, "UPDATE"))

    def receive_cancel(self) -> None:
        """Handle the CANCEL of a re-INVITE: answer 487; the call goes on as before."""
        state = self.state
        if state.incoming is not None and state.established:
            state.context.reply(state.incoming, 487)
            state.incoming = state.offer = None
            state.stop_alarm("offer")
            self.resume()

    def accept(self, sdp: str | None) -> bool:
        """Answer the offer of the peer that waits; return False if there is no such offer.

        Args:
            sdp: Answer, or the offer that the peer asked for.
        """
        state = self.state
        offer, state.offer = state.offer, None
        if offer is None or state.phase is Phase.ENDED:
            return False
        state.stop_alarm("offer")
        state.local_sdp = sdp or state.local_sdp
        state.settled = True
        match offer.carrier:
            case "INVITE" | "UPDATE" | "PRACK":
                self._accept_request(offer, sdp)
            case "1xx":
                if offer.dialog is not None and offer.response is not None:
                    self.reliable.prack(offer.dialog, offer.response, reliable_sequence(offer.response), sdp)
            case "2xx":
                state.exchange = None
                if offer.dialog is not None and offer.exchange is not None:
                    self.acknowledgements.acknowledge(offer.dialog, offer.exchange, sdp)
            case _:
                assert_never(offer.carrier)
        self.resume()
        return True

    def refuse(self, code: int, reason: str) -> bool:
        """Refuse the offer of the peer that waits; return False if there is no such offer.

        An offer in a response cannot be refused: the call ends.

        Args:
            code: 400 to 699.
            reason: Reason phrase; "" takes the standard one.
        """
        state = self.state
        offer, state.offer = state.offer, None
        if offer is None or state.phase is Phase.ENDED:
            return False
        state.stop_alarm("offer")
        match offer.carrier:
            case "INVITE" | "UPDATE" | "PRACK":
                if offer.transaction is not None:
                    state.context.reply(offer.transaction, code, reason)
                if offer.carrier == "INVITE":
                    state.incoming = None
            case "2xx":
                # The ACK of a 2xx with an offer must carry an answer. There is no answer, so the call ends.
                state.exchange = None
                if offer.dialog is not None and offer.exchange is not None:
                    self.acknowledgements.acknowledge(offer.dialog, offer.exchange)
                self.ending.hang_up("media_refused")
            case "1xx":
                if offer.exchange is not None and offer.exchange.transaction is not None:
                    offer.exchange.closed = True
                    state.context.cancel(offer.exchange.transaction)
                self.ending.finish(Ended(state.id, "media_refused"))
            case _:
                assert_never(offer.carrier)
        self.resume()
        return True

    # ------------------------------------------------------------------ session timer of the first INVITE
    def grant_timer(self, request: Request, response: Response) -> None:
        """Write the agreed session interval into a 2xx, and start the session timer."""
        self.timer.grant(request, response, self.refresh)

    def start_timer(self, response: Response) -> None:
        """Start the session timer with the interval that a 2xx of the peer grants."""
        self.timer.granted(response, self.refresh)

    # ------------------------------------------------------------------ internals
    @property
    def _busy(self) -> bool:
        """Whether another offer of the agent has to wait."""
        return self._open or "glare" in self.state.alarms

    @property
    def _open(self) -> bool:
        """Whether an offer, or a request that can carry one, is under way."""
        state = self.state
        return (
            state.exchange is not None
            or state.updating is not None
            or state.incoming is not None
            or state.unacknowledged is not None
            or state.offer is not None
            or state.offering
        )

    def _send_reinvite(self, sdp: str | None, *, refreshing: bool) -> None:
        state, dialog = self.state, self.state.dialog
        if dialog is None:
            return

        def on_response(exchange: Exchange, response: Response, _synthetic: bool) -> None:
            if response.code >= 300:
                self._reinvite_refused(exchange, response, sdp, refreshing=refreshing)
            elif response.code >= 200:
                self._reinvite_accepted(dialog, exchange, response, sdp)

        state.offering = sdp is not None
        state.exchange = Exchange(
            state.context, lambda _: self._build("INVITE", dialog, sdp), on_response, state.proof
        )
        state.exchange.start()

    def _build(self, method: str, dialog: Dialog, sdp: str | None) -> tuple[Request, Flow]:
        """Return a re-INVITE or UPDATE, and where it goes."""
        request, flow = dialog.request(method)
        describe_agent(request, dialog.contact)
        self.timer.ask(request)
        with_sdp(request, sdp)
        return request, flow

    def _reinvite_accepted(
        self, dialog: Dialog, exchange: Exchange, response: Response, sdp: str | None
    ) -> None:
        state = self.state
        if state.phase is Phase.ENDED:
            self.acknowledgements.acknowledge(dialog, exchange)
            return
        if exchange is not state.exchange or state.offer is not None:
            return
        dialog.refresh(response)
        self.start_timer(response)
        state.glares = 0
        described = sdp_of(response)
        if sdp is None and described is not None:
            # The re-INVITE carried no offer, so the 2xx carries one and the ACK waits for the answer.
            state.offer = PendingOffer("2xx", described, exchange=exchange, dialog=dialog)
            state.context.emit(Offered(state.id, described, "2xx"))
            return
        state.exchange, state.offering = None, False
        state.local_sdp = sdp or state.local_sdp
        self.acknowledgements.acknowledge(dialog, exchange)
        if described is not None:
            state.context.emit(OfferAnswered(state.id, described))
        self.resume()

    def _reinvite_refused(
        self, exchange: Exchange, response: Response, sdp: str | None, *, refreshing: bool
    ) -> None:
        state, context = self.state, self.state.context
        if exchange is not state.exchange or state.phase is Phase.ENDED:
            return
        state.exchange, state.offering = None, False
        code = response.code
        min_se = read_seconds(response.headers.get("Min-SE"))
        if code in (408, 481):
            self._dialog_gone(code)
        elif code == 491 and state.glares < MAX_GLARES:
            state.glares += 1
            context.count("glare")
            # Section 14.1: the owner of the Call-ID (the caller) waits 2.1 to 4 s, the other party up to 2
            # s, so that the two do not collide again.
            pause = 2.1 + 1.9 * context.random() if state.outgoing else 2.0 * context.random()
            state.set_alarm("glare", pause, lambda: self._after_glare(sdp, refreshing=refreshing))
        elif code == 422 and min_se > state.timer.min_se:
            state.timer.min_se = min_se
            self._send_reinvite(sdp, refreshing=refreshing)
        elif refreshing:
            self._refresh_later()
        else:
            context.emit(OfferRefused(state.id, code, response.phrase))
            self.resume()

    def _after_glare(self, sdp: str | None, *, refreshing: bool) -> None:
        state = self.state
        state.stop_alarm("glare")
        if refreshing:
            self.refresh()
            return
        state.queued_offer = state.queued_offer or (sdp,)
        self.resume()

    def _send_update(self, dialog: Dialog, sdp: str | None, *, refreshing: bool) -> None:
        state = self.state

        def on_response(_exchange: Exchange, response: Response, _synthetic: bool) -> None:
            if response.code >= 200 and state.phase is not Phase.ENDED:
                self._update_answered(dialog, response, sdp, refreshing=refreshing)

        if sdp is not None:
            state.offering = True
        state.updating = Exchange(
            state.context, lambda _: self._build("UPDATE", dialog, sdp), on_response, state.proof
        )
        state.updating.start()

    def _update_answered(
        self, dialog: Dialog, response: Response, sdp: str | None, *, refreshing: bool
    ) -> None:
        state, context = self.state, self.state.context
        state.updating = None
        if sdp is not None:
            state.offering = False
        if response.code < 300:
            dialog.refresh(response)
            self.start_timer(response)
            described = sdp_of(response)
            state.local_sdp = sdp or state.local_sdp
            if sdp is not None and described is not None:
                context.emit(OfferAnswered(state.id, described))
        elif response.code in (408, 481):
            self._dialog_gone(response.code)
            return
        elif sdp is not None:
            context.emit(OfferRefused(state.id, response.code, response.phrase))
        elif refreshing:
            if response.code in (405, 501):
                dialog.allow = dialog.allow - {"UPDATE"}
            self._refresh_later()
        self.resume()

    def _refresh_later(self) -> None:
        """Try a refused refresh again after an eighth of the interval.

        The refresh was due at half of the interval, so that an interval of half an hour leaves three more
        tries before the session expires.
        """
        state = self.state
        state.context.count("refresh_refused")
        state.set_alarm("refresh", max(state.timer.interval / 8, 2.0), self.refresh)

    def _dialog_gone(self, code: int) -> None:
        """End the call after 481 (unknown dialog) or 408 (no response), as section 12.2.1.2 requires."""
        if code == 408:
            self.ending.hang_up("gone")
        else:
            self.ending.end("gone")

    def _limit_wait(self) -> None:
        """Refuse the offer of the peer with 500 if the application does not answer it in time."""

        def overdue() -> None:
            self.state.context.count("offer_unanswered")
            self.refuse(500, "")

        self.state.set_alarm("offer", self.state.context.limits.request_s, overdue)

    def _accept_request(self, offer: PendingOffer, sdp: str | None) -> None:
        state, context = self.state, self.state.context
        transaction, dialog = offer.transaction, offer.dialog or state.dialog
        if transaction is None or dialog is None:
            return
        response = context.response(transaction, 200)
        describe_agent(response, dialog.contact)
        with_sdp(response, sdp)
        if offer.carrier == "PRACK":
            transaction.respond(response)
            return
        dialog.refresh(transaction.request)
        if state.established:
            self.grant_timer(transaction.request, response)
        if offer.carrier == "INVITE":
            self.success.send(transaction, response, first=False, offered=offer.sdp is None)
        else:
            transaction.respond(response)
