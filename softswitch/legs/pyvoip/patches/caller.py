"""The caller side of a pyVoIP call; pyVoIP itself can only send one INVITE and wait."""

import math
import time
from typing import Protocol

from softswitch.errors import PeerError
from softswitch.legs.pyvoip.account import Address, Answered, CallLink, Dial, Failed, Rejected, Ringing
from softswitch.legs.pyvoip.dialog import Dialog, as_caller
from softswitch.legs.pyvoip.patches.client import Client
from softswitch.legs.pyvoip.patches.messages import Message
from softswitch.legs.pyvoip.patches.wire import TIMEOUT_S, Exchange
from softswitch.legs.pyvoip.registration import MOST_PROOFS
from softswitch.legs.pyvoip.terms import Terms, read_terms
from softswitch.sip.security.digest import Credentials
from softswitch.sip.syntax.message import Request, Response


class PlacedCall(Protocol):
    """Interface of the call that a caller side belongs to."""

    sip: Client
    line: CallLink
    dialog: Dialog | None
    terms: Terms | None

    @property
    def is_over(self) -> bool:
        """Tell whether it has ended."""

    def open(self, request: Message) -> None:
        """Start its audio, or move it."""

    def answered(self, request: Message) -> None:
        """Handle the 200."""

    def farewell(self, headers: dict[str, str]) -> None:
        """Send a BYE, and drop the call."""

    def over(self) -> None:
        """Drop the call."""


class Caller:
    """The INVITE of an outgoing call, and the handling of its responses."""

    def __init__(self, call: PlacedCall) -> None:
        """Prepare without sending anything."""
        self._call = call
        self._client = call.sip
        self._invite: Request | None = None
        self._to: Address = ("", 0)
        self._credentials: Credentials | None = None
        self._branch = ""
        self._ring_s = 180.0
        self._proofs = MOST_PROOFS
        self._told: bool | None = None
        """Whether the last reported ringing had audio; None: none was reported."""
        self._is_given_up = self._is_proceeding = False

    def dial(self, invite: Request, dial: Dial, to: Address) -> None:
        """Send the INVITE."""
        if dial.username:
            self._credentials = Credentials(dial.username, dial.password, dial.realm)
        self._ring_s, self._to = dial.ring_s, to
        self._send(invite)

    def give_up(self) -> None:
        """Send CANCEL as soon as it is allowed (RFC 3261 §9.1); pyVoIP has no CANCEL."""
        if not self._is_given_up:
            self._is_given_up = True
            if self._is_proceeding:
                self._cancel()

    def fork(self, response: Response, source: Address) -> None:
        """End the dialog of a further branch."""
        if self._invite is not None:
            dialog = self._acknowledge(self._invite, response, source)
            self._client.ask(dialog.begin("BYE"), source, lambda response, source: None, lambda: None)

    def _send(self, invite: Request) -> None:
        self._invite, self._is_proceeding = invite, False

        def answered(response: Response, source: Address) -> None:
            self._answered(invite, response, source)

        self._branch = self._client.ask(invite, self._to, answered, self._timed_out)

    def _answered(self, invite: Request, response: Response, source: Address) -> None:
        code = response.code
        if code < 200:
            self._progressed(response, source)
        elif code < 300:
            self._accepted(invite, response, source)
        else:
            self._refused(invite, response, source)

    def _progressed(self, response: Response, source: Address) -> None:
        exchange = self._client.exchanges.get(("sent", self._branch, "INVITE"))
        if exchange is not None:
            exchange.proceed(time.monotonic() + self._ring_s)
        first, self._is_proceeding = not self._is_proceeding, True
        if self._is_given_up:
            if first:
                self._cancel()
            return
        if response.code == 100:
            return
        early = False
        if response.body and self._invite is not None:
            try:
                terms = read_terms(response.body, self._client.account.codecs)
            except PeerError:
                terms = None  # The final answer decides.
            if terms is not None:
                self._call.open(Message(response, source, terms))
                early = True
        early = early or bool(self._told)
        if early != self._told:
            self._told = early
            self._call.line.on_event(Ringing(early))

    def _accepted(self, invite: Request, response: Response, source: Address) -> None:
        call = self._call
        call.dialog = self._acknowledge(invite, response, source)
        if self._is_given_up or call.is_over:
            call.farewell({})
            return
        try:
            # Without a new description, that of early media stays valid.
            terms = call.terms if not response.body else None
            terms = terms or read_terms(response.body, self._client.account.codecs)
        except PeerError as error:
            call.farewell({})
            call.line.on_event(Failed(error.code, f"sdp: {error}"))
            return
        call.answered(Message(response, source, terms))
        call.line.on_event(Answered(terms.codec))

    def _refused(self, invite: Request, response: Response, source: Address) -> None:
        self._client.acknowledge(_refusal_ack(invite, response), invite, response, self._to)
        again = None
        if response.code in (401, 407) and not self._is_given_up and self._proofs:
            self._proofs -= 1
            again = self._client.proofs.proven(invite, response, self._credentials)
        if again is not None:
            self._send(again)
            return
        self._call.over()
        if not self._is_given_up:
            self._call.line.on_event(Rejected(response.code, response.phrase, from_peer=True))

    def _timed_out(self) -> None:
        call = self._call
        if self._is_proceeding and not self._is_given_up:
            self.give_up()
            # The 487 that follows the CANCEL needs an ACK.
            self._client.exchanges.keep(
                ("sent", self._branch, "INVITE"),
                Exchange(b"", self._to, math.inf, time.monotonic() + TIMEOUT_S, call.over, self._late),
            )
        else:
            call.over()
        call.line.on_event(Rejected(408, "Request Timeout", from_peer=True))

    def _late(self, response: Response, source: Address) -> None:
        if self._invite is not None:
            self._answered(self._invite, response, source)

    def _acknowledge(self, invite: Request, response: Response, source: Address) -> Dialog:
        dialog = as_caller(invite, response, source)
        ack = dialog.begin("ACK", sequence=invite.cseq.sequence)
        self._client.acknowledge(ack, invite, response, source)
        return dialog

    def _cancel(self) -> None:
        """Send the CANCEL, which has the branch of its INVITE; the 487 ends the call."""
        invite = self._invite
        if invite is None:
            return
        cancel = _of_invite(invite, "CANCEL", invite.headers["To"])
        self._client.cancel(cancel, self._to)


def _refusal_ack(invite: Request, response: Response) -> Request:
    """Return the ACK of a refusal: with the INVITE's branch and the response's To (§17.1.1.3)."""
    return _of_invite(invite, "ACK", response.headers["To"])


def _of_invite(invite: Request, method: str, to: str) -> Request:
    request = Request(method, invite.uri)
    headers = request.headers
    headers.set("Via", invite.headers["Via"])
    headers.setlist("Route", invite.headers.getlist("Route"))
    headers.set("From", invite.headers["From"])
    headers.set("To", to)
    headers.set("Call-ID", invite.call_id)
    headers.set("CSeq", f"{invite.cseq.sequence} {method}")
    headers.set("Max-Forwards", "70")
    return request
