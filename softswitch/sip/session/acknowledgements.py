"""ACKs of 2xx responses, and 2xx responses that no call wants (RFC 3261 section 13.2.2.4)."""

from collections.abc import Mapping

from softswitch.sip.context import AgentContext
from softswitch.sip.dialog.dialog import Dialog, dialog_of_response
from softswitch.sip.dialog.exchange import Exchange
from softswitch.sip.security.proof import Proof
from softswitch.sip.session.state import with_sdp
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.transaction.flow import Flow, Outgoing
from softswitch.sip.transaction.machine import Transaction

MAX_ACKS = 16
"""ACKs kept per call, to be sent again for retransmitted 2xx responses."""


class Acknowledgements:
    """ACKs that one call sent.

    Retransmitted 2xx responses can arrive for 64 * T1 (32 s) after the call has ended, so this object does
    not refer to the state of the call: the transaction keeps it and nothing else.
    """

    __slots__ = ("_context", "_proof", "_sent")

    def __init__(self, context: AgentContext, proof: Proof) -> None:
        self._context = context
        self._proof = proof
        self._sent: dict[tuple[str, int], Outgoing] = {}
        """By the remote tag and the CSeq number of the response they acknowledge."""

    def acknowledge(self, dialog: Dialog, exchange: Exchange, sdp: str | None = None) -> None:
        """Send the ACK of the 2xx that decided an INVITE, and answer the 2xx responses that follow it.

        Args:
            dialog: Dialog of the 2xx.
            exchange: The INVITE.
            sdp: Answer, if the 2xx carried an offer.
        """
        self._send(dialog, exchange.request, sdp)
        exchange.hand_over(self._on_late_response)

    def release(self, transaction: Transaction, response: Response) -> None:
        """Give up a branch that rings or answered although another branch was first or the call has ended.

        A branch that rings gets CANCEL. A branch that answered gets ACK and BYE, a retransmitted 2xx its ACK.
        """
        if response.code < 200:
            self._context.cancel(transaction)
            return
        key = response.to_address.parameters.get("tag") or "", response.cseq.sequence
        if key in self._sent:
            self._context.count("answer_again")
            self._context.transactions.send(self._sent[key])
            return
        self._context.count("fork_ended")
        request = transaction.request
        contact = request.headers.get("Contact") or ""
        dialog = dialog_of_response(request, response, transaction.flow, contact)
        self._send(dialog, request)
        self.send_bye(dialog, {})
        self._context.remember_ended(dialog.id)

    def send_bye(self, dialog: Dialog, headers: Mapping[str, str]) -> None:
        """Send a BYE within a dialog; its outcome changes nothing."""
        context = self._context

        def build(_: object) -> tuple[Request, Flow]:
            request, flow = dialog.request("BYE")
            context.add_headers(request, headers)
            return request, flow

        def on_response(_exchange: Exchange, response: Response, _synthetic: bool) -> None:
            if response.code >= 300:
                context.count("bye_refused")

        Exchange(context, build, on_response, self._proof).start()

    def _on_late_response(self, transaction: Transaction, response: Response, _synthetic: bool) -> None:
        self.release(transaction, response)

    def _send(self, dialog: Dialog, invite: Request, sdp: str | None = None) -> None:
        """Send an ACK with the credentials of the INVITE (section 13.2.2.4)."""
        sequence = invite.cseq.sequence
        ack, flow = dialog.request("ACK", sequence)
        for name in ("Authorization", "Proxy-Authorization"):
            if name in invite.headers:
                ack.headers.setlist(name, invite.headers.getlist(name))
        with_sdp(ack, sdp)
        while len(self._sent) >= MAX_ACKS:
            del self._sent[next(iter(self._sent))]
        self._sent[dialog.remote_tag, sequence] = self._context.send_ack(ack, flow)
