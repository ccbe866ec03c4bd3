"""Requests within a call: which part of the session handles each (RFC 3261 section 12.2)."""

from dataclasses import dataclass

from softswitch.sip.context import ALLOW, headers_of
from softswitch.sip.dialog.dialog import Dialog
from softswitch.sip.dialog.exchange import Exchange
from softswitch.sip.events import InfoReceived, TextReceived
from softswitch.sip.session.called import CalledParty
from softswitch.sip.session.ending import Ending
from softswitch.sip.session.offers import Offers
from softswitch.sip.session.refer import Transfers
from softswitch.sip.session.state import Phase, SessionState
from softswitch.sip.syntax.bodies import DESCRIPTIONS, content_type, text_of, unsupported
from softswitch.sip.syntax.head import Head
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.transaction.flow import Flow
from softswitch.sip.transaction.machine import Transaction


@dataclass(frozen=True, slots=True)
class DialogRequests:
    """Requests within one call, received and sent."""

    state: SessionState
    ending: Ending
    offers: Offers
    transfers: Transfers
    called: CalledParty

    def receive(self, head: Head, request: Request, flow: Flow, transaction: Transaction) -> None:
        """Handle a request that names the call's Call-ID and the agent's tag.

        Args:
            head: Identifiers of the request.
            request: The request.
            flow: Where it came from.
            transaction: Its server transaction.
        """
        state, context = self.state, self.state.context
        dialog = state.branch(head.from_tag)
        if dialog is None:
            context.count("forged")
            context.reply(transaction, 481)
            return
        if not dialog.accepts(head.sequence):
            context.count("out_of_order")
            context.reply(transaction, 500, "CSeq Out of Order")
            return
        dialog.follow(flow)
        dialog.learn_methods(request)
        types = DESCRIPTIONS if request.method in ("INVITE", "UPDATE", "PRACK") else context.limits.info_types
        if request.method in ("INVITE", "UPDATE", "PRACK", "INFO"):
            refused = unsupported(request, types)
            if refused is not None:
                context.reply(transaction, 415, headers=refused)
                return
        self._dispatch(dialog, request, transaction)

    def receive_ack(self, head: Head, ack: Request) -> None:
        """Handle the ACK of a 2xx."""
        if self.state.branch(head.from_tag) is None:
            self.state.context.count("forged")
        elif self.offers.success.acknowledged(head.sequence, ack):
            self.offers.resume()

    def send(self, method: str, body: str, content_type: str) -> bool:
        """Send an INFO or a MESSAGE; return False if the call has no dialog or the peer does not allow it.

        Args:
            method: INFO or MESSAGE.
            body: Text; "" sends no body.
            content_type: Media type of the body.
        """
        state, dialog = self.state, self.state.dialog
        if dialog is None or state.phase is Phase.ENDED or (dialog.allow and method not in dialog.allow):
            return False

        def build(_: object) -> tuple[Request, Flow]:
            request, flow = dialog.request(method)
            if body:
                request.headers.set("Content-Type", content_type)
            request.body = body.encode("utf-8", "replace")
            return request, flow

        def on_response(_exchange: Exchange, response: Response, _synthetic: bool) -> None:
            if response.code == 481 and state.established:
                self.ending.end("gone")
            elif response.code >= 300:
                state.context.count(f"{method.lower()}_refused")

        Exchange(state.context, build, on_response, state.proof).start()
        return True

    def _dispatch(self, dialog: Dialog, request: Request, transaction: Transaction) -> None:
        state, context = self.state, self.state.context
        match request.method:
            case "INVITE":
                self.offers.receive_reinvite(request, transaction)
            case "UPDATE":
                self.offers.receive_update(dialog, request, transaction)
            case "PRACK":
                self.offers.reliable.acknowledged(request, transaction)
            case "BYE":
                self._receive_bye(request, transaction)
            case "INFO":
                context.reply(transaction, 200)
                if request.body:
                    context.emit(InfoReceived(state.id, text_of(request), content_type(request)))
            case "MESSAGE":
                context.reply(transaction, 200)
                context.emit(TextReceived(state.id, text_of(request), content_type(request), request))
            case "REFER":
                self.transfers.receive_refer(request, transaction)
            case "NOTIFY":
                self.transfers.receive_notify(request, transaction)
            case _:
                context.reply(transaction, 405, headers={"Allow": ALLOW})

    def _receive_bye(self, request: Request, transaction: Transaction) -> None:
        context = self.state.context
        context.reply(transaction, 200)
        if self.state.phase is Phase.INVITED:
            self.called.receive_cancel(request)
        elif self.state.established:
            self.ending.end("bye", headers_of(request))
        else:
            # Section 15: a called party that has not answered must not send BYE. Its response to the INVITE,
            # or the ring limit, ends the call.
            context.count("early_bye")
