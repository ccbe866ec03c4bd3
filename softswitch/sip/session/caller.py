"""Outgoing calls until they are answered: INVITE, forks, CANCEL (RFC 3261 section 13.2)."""

from collections.abc import Mapping
from dataclasses import dataclass

from sipmessage import Address

from softswitch.sip.context import EXTENSIONS, AgentContext, check_party, headers_of
from softswitch.sip.dialog.dialog import Dialog, dialog_of_response
from softswitch.sip.dialog.exchange import Exchange, Target
from softswitch.sip.dialog.routing import contact_uri
from softswitch.sip.events import Answered, Offered, Progressed, Rejected
from softswitch.sip.security.proof import Proof
from softswitch.sip.session.acknowledgements import Acknowledgements
from softswitch.sip.session.ending import Ending
from softswitch.sip.session.invitation import Invitation
from softswitch.sip.session.offers import Offers
from softswitch.sip.session.reliable import ReliableProvisionals, is_next, reliable_sequence
from softswitch.sip.session.state import PendingOffer, Phase, SessionState, with_sdp
from softswitch.sip.session.success import describe_agent
from softswitch.sip.session.timer import read_seconds
from softswitch.sip.syntax.bodies import sdp_of
from softswitch.sip.syntax.grammar import MalformedError
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.syntax.uri import URI, parse_uri
from softswitch.sip.transaction.flow import Flow


def outgoing_state(context: AgentContext, invitation: Invitation) -> SessionState:
    """Return the state of a call that an invitation begins.

    Raises:
        MalformedError: A URI or name-addr of the invitation is malformed, or it has no target.
    """
    parse_uri(invitation.request_uri, "request_uri")
    check_party(invitation.from_, "from_")
    check_party(invitation.to, "to")
    if not invitation.targets:
        raise MalformedError(400, "targets must name at least one server", field="targets")
    return SessionState(
        context=context,
        id=context.token(),
        outgoing=True,
        phase=Phase.CALLING,
        call_id=invitation.call_id or context.token(16),
        local_tag=context.token(),
        flow=invitation.targets[0],
        proof=Proof(invitation.credentials, context.entropy),
        local_sdp=invitation.sdp,
        offering=invitation.sdp is not None,
    )


@dataclass(frozen=True, slots=True)
class CallingParty:
    """The agent's role in a call that it makes, until the call is answered."""

    state: SessionState
    acknowledgements: Acknowledgements
    ending: Ending
    reliable: ReliableProvisionals
    offers: Offers

    def call(self, invitation: Invitation) -> None:
        """Send the INVITE, to each target in turn until one responds."""
        state, context = self.state, self.state.context
        uri = parse_uri(invitation.request_uri, "request_uri")
        state.set_alarm("ringing", context.limits.ring_s, lambda: self.cancel({}))
        state.exchange = exchange = Exchange(
            context, lambda target: self._build(invitation, target), self._on_response, state.proof
        )
        exchange.on_stray = self.acknowledgements.release
        exchange.start([Target(flow, uri) for flow in invitation.targets])

    def cancel(self, headers: Mapping[str, str]) -> None:
        """Give up the call: send CANCEL, now or once a provisional response comes (section 9.1)."""
        state = self.state
        exchange = state.exchange
        if state.cancelled or exchange is None:
            return
        state.cancelled = exchange.closed = True
        state.farewell = headers
        # Section 9.1: an INVITE whose 487 does not come within 64 * T1 counts as cancelled.
        state.set_alarm("cancelled", 64 * state.context.timers.t1, lambda: self._end_cancelled(exchange))
        if exchange.heard:
            self._send_cancel(exchange)

    # ------------------------------------------------------------------ INVITE
    def _build(self, invitation: Invitation, target: Target | None) -> tuple[Request, Flow]:
        """Return the INVITE for a target, and where it goes."""
        if target is None or target.uri is None:
            raise RuntimeError("an INVITE outside a dialog needs a target")
        state = self.state
        state.sequence += 1
        state.flow = target.flow
        # Early dialogs of another server, or from before a challenge, do not belong to the new INVITE.
        state.branches.clear()
        state.dialog, state.settled = None, False
        state.offering = invitation.sdp is not None
        request = Request("INVITE", target.uri)
        headers = request.headers
        if invitation.route:
            headers.setlist("Route", list(invitation.route))
        headers.set("Max-Forwards", str(invitation.max_forwards))
        headers.set("From", f"{invitation.from_};tag={state.local_tag}")
        headers.set("To", invitation.to)
        headers.set("Call-ID", state.call_id)
        headers.set("CSeq", f"{state.sequence} INVITE")
        contact: str | URI = invitation.contact or contact_uri(target.flow, invitation.contact_user)
        describe_agent(request, f"<{contact}>")
        if invitation.reliable == "required":
            headers.set("Require", "100rel")
        elif invitation.reliable == "no":
            headers.set("Supported", ", ".join(sorted(EXTENSIONS - {"100rel"})))
        interval = invitation.session_expires
        self.offers.timer.ask(request, state.context.limits.session_expires if interval is None else interval)
        state.context.add_headers(request, invitation.headers)
        with_sdp(request, invitation.sdp)
        return request, target.flow

    def _on_response(self, exchange: Exchange, response: Response, synthetic: bool) -> None:
        if response.code < 200:
            self._progressed(exchange, response)
        elif response.code < 300:
            self._answered(exchange, response)
        elif self.state.phase is Phase.CALLING:
            self._refused(exchange, response, synthetic=synthetic)

    # ------------------------------------------------------------------ provisional responses
    def _progressed(self, exchange: Exchange, response: Response) -> None:
        state, context = self.state, self.state.context
        if state.phase is not Phase.CALLING:
            return
        if state.cancelled:
            self._send_cancel(exchange)
            return
        if response.code == 100:
            return
        tag = response.to_address.parameters.get("tag") or ""
        dialog = self._branch(exchange, response, tag)
        sdp = sdp_of(response)
        sequence = reliable_sequence(response)
        if sequence and dialog is not None:
            if not is_next(dialog, sequence):
                context.count("provisional_again")
                return
            if sdp is not None and not state.offering and not state.settled:
                # The INVITE carried no offer: the response carries one, and the PRACK waits for the answer.
                state.offer = PendingOffer("1xx", sdp, exchange=exchange, response=response, dialog=dialog)
                context.emit(Offered(state.id, sdp, "1xx"))
                return
            self.reliable.prack(dialog, response, sequence)
            if sdp is not None:
                state.offering, state.settled = False, True
        context.emit(Progressed(state.id, response.code, response.phrase, sdp, headers_of(response), tag))

    def _branch(self, exchange: Exchange, response: Response, tag: str) -> Dialog | None:
        """Return the early dialog of a provisional response; create it if necessary.

        Returns:
            None for a response without a To tag, and when the call has too many branches.
        """
        state = self.state
        dialog = state.branches.get(tag)
        if dialog is None:
            if not tag:
                return None
            if len(state.branches) >= state.context.limits.forks:
                state.context.count("fork_dropped")
                return None
            dialog = dialog_of_response(exchange.request, response, exchange.flow, _contact_of(exchange))
            state.branches[tag] = dialog
        else:
            dialog.refresh(response)
        state.dialog = dialog
        return dialog

    # ------------------------------------------------------------------ 2xx
    def _answered(self, exchange: Exchange, response: Response) -> None:
        state = self.state
        tag = response.to_address.parameters.get("tag") or ""
        if state.phase is not Phase.CALLING or state.cancelled:
            if state.chosen != tag and exchange.transaction is not None:
                self.acknowledgements.release(exchange.transaction, response)
            if state.cancelled:
                self.ending.finish(Rejected(state.id, 487, "Request Terminated", local=True))
            return
        self._confirm(exchange, response, tag)
        self._agree(exchange, response)

    def _confirm(self, exchange: Exchange, response: Response, tag: str) -> None:
        """Create the dialog anew from the 2xx, whose route set counts alone (section 13.2.2.4)."""
        state = self.state
        dialog = dialog_of_response(exchange.request, response, exchange.flow, _contact_of(exchange))
        early = state.branches.get(tag)
        if early is not None:
            dialog.local_sequence = max(dialog.local_sequence, early.local_sequence)
            dialog.remote_sequence = early.remote_sequence
            dialog.allow = dialog.allow or early.allow
        state.dialog, state.chosen = dialog, tag
        state.branches.clear()
        state.phase = Phase.CONFIRMED
        state.stop_alarm("ringing")

    def _agree(self, exchange: Exchange, response: Response) -> None:
        state, dialog = self.state, self.state.dialog
        if dialog is None:
            return
        self.offers.start_timer(response)
        sdp, headers = sdp_of(response), headers_of(response)
        if state.local_sdp is None and sdp is not None and not state.settled:
            state.offer = PendingOffer("2xx", sdp, exchange=exchange, dialog=dialog)
            state.context.emit(Answered(state.id, sdp, headers, wants_answer=True))
            return
        state.exchange = None
        state.offering, state.settled = False, True
        self.acknowledgements.acknowledge(dialog, exchange)
        state.context.emit(Answered(state.id, sdp, headers))
        self.offers.resume()

    # ------------------------------------------------------------------ 3xx to 6xx
    def _refused(self, exchange: Exchange, response: Response, *, synthetic: bool) -> None:
        state = self.state
        if not state.cancelled and response.code == 422 and self._raise_min_se(response):
            exchange.send_again()
            return
        contacts = tuple(str(one.uri) for one in _by_preference(response)) if response.code < 400 else ()
        self.ending.finish(
            Rejected(
                state.id,
                response.code,
                response.phrase,
                headers_of(response),
                contacts,
                local=synthetic,
            )
        )

    def _raise_min_se(self, response: Response) -> bool:
        """Record the Min-SE of a 422; return False if it is not above the last one (RFC 4028 7.3)."""
        min_se = read_seconds(response.headers.get("Min-SE"))
        if min_se <= self.state.timer.min_se:
            return False
        self.state.timer.min_se = min_se
        return True

    # ------------------------------------------------------------------ CANCEL
    def _send_cancel(self, exchange: Exchange) -> None:
        self.state.stop_alarm("ringing")
        if exchange.transaction is not None:
            self.state.context.cancel(exchange.transaction, self.state.farewell)

    def _end_cancelled(self, exchange: Exchange) -> None:
        if exchange.transaction is not None:
            exchange.transaction.end()
        self.ending.finish(Rejected(self.state.id, 487, "Request Terminated", local=True))


def _contact_of(exchange: Exchange) -> str:
    return exchange.request.headers.get("Contact") or ""


def _by_preference(response: Response) -> list[Address]:
    """Return the contacts of a 3xx, the one with the highest q first."""
    return sorted(response.contact, key=lambda one: -_q(one.parameters.get("q")))


def _q(text: str | None) -> float:
    try:
        return min(max(float(text or "1"), 0.0), 1.0)
    except ValueError:
        return 0.0
