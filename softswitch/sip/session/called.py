"""Incoming calls until they are answered: ringing, 200, refusal, CANCEL (RFC 3261 section 13.3)."""

from collections.abc import Mapping
from dataclasses import dataclass

from softswitch.sip.context import AgentContext, headers_of
from softswitch.sip.dialog.dialog import dialog_of_request
from softswitch.sip.dialog.routing import contact_uri
from softswitch.sip.events import Cancelled, Ended
from softswitch.sip.security.proof import Proof
from softswitch.sip.session.ending import Ending
from softswitch.sip.session.offers import Offers
from softswitch.sip.session.reliable import ReliableProvisionals
from softswitch.sip.session.state import Phase, ReliableProvisional, SessionState, with_sdp
from softswitch.sip.session.success import Success, describe_agent
from softswitch.sip.syntax.bodies import sdp_of
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.transaction.flow import Flow
from softswitch.sip.transaction.machine import Transaction

REPEAT_S = 60.0
"""Pause between copies of an unreliable provisional response.

A proxy drops a call after three minutes without a response; section 13.3.1.1 wants a copy every minute.
"""


def incoming_state(
    context: AgentContext, request: Request, flow: Flow, transaction: Transaction
) -> SessionState:
    """Return the state of a call that an INVITE of a peer begins."""
    contact = f"<{contact_uri(flow, request.uri.user or '')}>"
    state = SessionState(
        context=context,
        id=context.token(),
        outgoing=False,
        phase=Phase.INVITED,
        call_id=request.call_id,
        local_tag=transaction.tag,
        flow=flow,
        proof=Proof(None, context.entropy),
        dialog=dialog_of_request(request, flow, transaction.tag, contact),
        incoming=transaction,
        supports_100rel="100rel" in [tag.lower() for tag in request.supported],
        requires_100rel="100rel" in [tag.lower() for tag in request.require],
    )
    transaction.owner = state.id
    return state


@dataclass(frozen=True, slots=True)
class CalledParty:
    """The agent's role in a call that it receives, until the call is answered."""

    state: SessionState
    ending: Ending
    success: Success
    reliable: ReliableProvisionals
    offers: Offers

    def limit_ringing(self, request: Request) -> None:
        """Limit the time until the answer to the agent's `ring_s` and to the INVITE's Expires."""
        self.state.set_alarm("ringing", self.state.context.limits.ring_s, self._stop_ringing)
        if request.expires:
            self.state.set_alarm("expires", request.expires, self._expire)

    def ring(self, code: int, reason: str, sdp: str | None, headers: Mapping[str, str]) -> bool:
        """Send a provisional response; return False if the call is not ringing.

        Args:
            code: 101 to 199.
            reason: Reason phrase; "" takes the standard one.
            sdp: Early answer, or early offer where the INVITE had none; left out where it cannot be sent.
            headers: Headers to add.
        """
        state = self.state
        transaction = state.incoming
        if state.phase is not Phase.INVITED or transaction is None or state.pending_answer is not None:
            return False
        delayed = sdp_of(transaction.request) is None
        reliable = state.requires_100rel or (state.supports_100rel and sdp is not None)
        if (delayed and not reliable) or state.settled or state.offering or self._description_pending:
            # An offer needs a reliable response, and a description that was agreed on is not sent again.
            sdp = None
        response = self._response(transaction, code, reason, headers)
        with_sdp(response, sdp)
        state.local_sdp = sdp or state.local_sdp
        if reliable:
            return self.reliable.send(
                ReliableProvisional(
                    0,
                    response,
                    transaction.request.cseq.sequence,
                    offered=delayed and sdp is not None,
                    described=sdp is not None,
                )
            )
        transaction.respond(response)
        self._repeat(response)
        return True

    def answer(self, sdp: str | None, headers: Mapping[str, str]) -> bool:
        """Send 200, now or once the PRACK of the last description came; return False if already answered.

        Args:
            sdp: Answer, or offer where the INVITE had none; None repeats an early answer.
            headers: Headers to add.
        """
        state = self.state
        transaction = state.incoming
        if state.phase is not Phase.INVITED or transaction is None or state.pending_answer is not None:
            return False
        if self._description_pending:
            state.pending_answer = lambda: self._send_answer(transaction, sdp, headers)
            return True
        self._send_answer(transaction, sdp, headers)
        return True

    def reject(self, code: int, reason: str, headers: Mapping[str, str]) -> bool:
        """Refuse the call; return False if it is not ringing or `code` is not from 300 to 699."""
        state = self.state
        transaction = state.incoming
        if state.phase is not Phase.INVITED or transaction is None or not 300 <= code <= 699:
            return False
        transaction.respond(state.context.response(transaction, code, reason, headers))
        state.incoming = None
        self.ending.finish(Ended(state.id, "rejected"))
        return True

    def receive_cancel(self, request: Request) -> None:
        """Handle the CANCEL, or a BYE that comes before the answer: answer the INVITE with 487."""
        state = self.state
        if state.phase is not Phase.INVITED or state.incoming is None:
            return
        state.context.reply(state.incoming, 487)
        state.incoming = None
        self.ending.finish(Cancelled(state.id, headers_of(request)))

    # ------------------------------------------------------------------ internals
    @property
    def _description_pending(self) -> bool:
        """Whether a reliable response with a session description waits for its PRACK."""
        waiting = [self.state.provisional, *self.state.provisionals]
        return any(one is not None and one.described for one in waiting)

    def _stop_ringing(self) -> None:
        self.reject(480, "", {})

    def _expire(self) -> None:
        """Refuse an INVITE that was not answered within its Expires (RFC 3261 section 13.3.1)."""
        state = self.state
        if state.phase is Phase.INVITED and state.incoming is not None:
            state.context.count("invite_expired")
            state.context.reply(state.incoming, 487)
            state.incoming = None
            self.ending.finish(Cancelled(state.id, {}))

    def _response(
        self, transaction: Transaction, code: int, reason: str, headers: Mapping[str, str]
    ) -> Response:
        state = self.state
        response = state.context.response(transaction, code, reason, headers)
        describe_agent(response, state.dialog.contact if state.dialog else "")
        return response

    def _repeat(self, response: Response) -> None:
        def again() -> None:
            if self.state.incoming is not None:
                self.state.incoming.respond(response)
                self._repeat(response)

        self.state.set_alarm("repeat", REPEAT_S, again)

    def _send_answer(self, transaction: Transaction, sdp: str | None, headers: Mapping[str, str]) -> None:
        state = self.state
        response = self._response(transaction, 200, "", headers)
        delayed = sdp_of(transaction.request) is None
        if not state.settled:
            state.local_sdp = sdp or state.local_sdp
            with_sdp(response, state.local_sdp)
        for name in ("ringing", "expires", "repeat", "prack_again", "no_prack"):
            state.stop_alarm(name)
        state.provisionals.clear()
        state.phase = Phase.ANSWERED
        self.offers.grant_timer(transaction.request, response)
        offered = delayed and not state.settled and state.local_sdp is not None
        state.settled = True
        self.success.send(transaction, response, first=True, offered=offered)
