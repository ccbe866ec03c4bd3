"""Requests that come in: which transaction, dialog or room each belongs to, and what is refused at the door.

The order of the checks is that of RFC 3261 section 8.2: method, Request-URI, merged requests, Require,
content.
"""

from dataclasses import dataclass, field

from softswitch.sip.alarms import Alarm
from softswitch.sip.bodies import unsupported
from softswitch.sip.calls import Calls
from softswitch.sip.core import ALLOW, EXTENSIONS, SUPPORTED
from softswitch.sip.flow import Flow, Outgoing
from softswitch.sip.happenings import RequestReceived
from softswitch.sip.head import Head, read_head
from softswitch.sip.message import Request, accepts, copy_for_reply, stamp_source, stateless_tag
from softswitch.sip.phrases import phrase
from softswitch.sip.session_called import cancelled, invited
from softswitch.sip.session_inside import DESCRIPTIONS, confirm
from softswitch.sip.session_inside import receive as receive_inside
from softswitch.sip.session_offers import withdrawn
from softswitch.sip.transaction import Transaction, reply_flow
from softswitch.sip.transaction_tables import State

METHODS = frozenset(ALLOW.split(", "))
HANDED_UP = frozenset({"REGISTER", "MESSAGE", "SUBSCRIBE"})
SCHEMES = frozenset({"sip", "sips", "tel"})


@dataclass(slots=True)
class Reception:
    """The door of one user agent."""

    core: Calls
    pending: dict[str, tuple[Transaction, Alarm]] = field(default_factory=dict)
    """Requests handed up, by key, that wait for their answer."""

    def knows(self, request: Request) -> bool:
        """Return whether a request belongs to a transaction or dialog that lives, or needs no answer."""
        head = read_head(request)
        transactions = self.core.transactions
        if request.method == "ACK" or transactions.server(head, request) is not None:
            return True
        if request.method == "CANCEL":
            return transactions.invited(head, request) is not None
        return bool(head.to_tag) and self.core.find(head.call_id, head.to_tag, head.from_tag) is not None

    def receive(self, request: Request, flow: Flow) -> None:
        """Take a request."""
        core = self.core
        stamp_source(request, flow.host, flow.port)
        head = read_head(request)
        if request.method == "ACK":
            self._acknowledged(head, request)
            return
        known = core.transactions.server(head, request)
        if known is not None:
            core.count("retransmission")
            known.fire("request")
            return
        if core.transactions.full and not (self.knows(request) and core.transactions.room):
            core.count("overload")
            self.refuse(request, flow, 503, (("Retry-After", str(core.limits.retry_after)),))
            return
        merged = core.transactions.merged(head)
        transaction = core.transactions.listen(head, request, flow, core.token())
        if request.method == "CANCEL":
            self._cancelled(head, request, transaction)
        elif merged:
            core.count("merged")
            core.reply(transaction, 482)
        elif not self._refused(head, request, transaction):
            self._dispatch(head, request, flow, transaction)

    def refuse(
        self, request: Request, flow: Flow, code: int, headers: tuple[tuple[str, str], ...], reason: str = ""
    ) -> None:
        """Answer without remembering it; copies of the request get the same answer."""
        if request.method == "ACK":
            return
        response = copy_for_reply(request, code, reason or phrase(code), stateless_tag(request.headers))
        stamp_source(response, flow.host, flow.port)
        self.core.write(response, headers)
        if self.core.product:
            response.headers.set("Server", self.core.product)
        to = reply_flow(request.via[0], flow)
        self.core.transactions.send(Outgoing(bytes(response), to, ""))

    def _acknowledged(self, head: Head, request: Request) -> None:
        core = self.core
        transaction = core.transactions.invited(head, request)
        if transaction is not None and transaction.state in (State.COMPLETED, State.CONFIRMED):
            transaction.fire("ack")
            return
        session = core.dialogs.get((head.call_id, head.to_tag))
        if session is None:
            core.count("stray_ack")
        else:
            confirm(core, session, head, request)

    def _cancelled(self, head: Head, request: Request, transaction: Transaction) -> None:
        core = self.core
        invite = core.transactions.invited(head, request)
        if invite is None:
            core.reply(transaction, 481)
            return
        transaction.tag = invite.tag
        core.reply(transaction, 200)
        session = core.sessions.get(invite.owner)
        if session is None or session.incoming is not invite:
            core.count("late_cancel")
        elif session.stands:
            withdrawn(core, session)
        else:
            cancelled(core, session, request)

    def _refused(self, head: Head, request: Request, transaction: Transaction) -> bool:
        """Refuse what no room would take; return whether it was."""
        core = self.core
        if not head.to_tag and "tag" in request.to_address.parameters:
            core.reply(transaction, 400, "Empty Tag in To")
        elif request.method not in METHODS:
            core.reply(transaction, 405, headers={"Allow": ALLOW})
        elif request.uri.scheme not in SCHEMES:
            core.reply(transaction, 416)
        elif missing := [tag for tag in request.require if tag.lower() not in EXTENSIONS]:
            core.reply(transaction, 420, headers={"Unsupported": ", ".join(missing)})
        elif head.to_tag:
            return False
        elif request.max_forwards == 0 and request.method in ("INVITE", "MESSAGE"):
            # Calls and messages pass through us to others, as through a proxy; the rest ends here.
            core.reply(transaction, 483)
        elif request.method == "INVITE" and (headers := unsupported(request, DESCRIPTIONS)) is not None:
            core.reply(transaction, 415, headers=headers)
        elif request.method == "INVITE" and not accepts(request, "application/sdp"):
            # It would not read our answer (RFC 4475 section 3.3.15).
            core.reply(transaction, 406)
        elif request.method == "INVITE" and len(core.sessions) >= core.limits.sessions:
            core.count("overload")
            core.reply(transaction, 503, headers={"Retry-After": str(core.limits.retry_after)})
        else:
            return False
        core.count("refused")
        return True

    def _dispatch(self, head: Head, request: Request, flow: Flow, transaction: Transaction) -> None:
        core = self.core
        if head.to_tag:
            session = core.dialogs.get((head.call_id, head.to_tag))
            if session is not None:
                if request.method == "OPTIONS" and session.branch(head.from_tag) is not None:
                    self._options(transaction)
                else:
                    receive_inside(core, session, head, request, flow, transaction)
            elif core.buried((head.call_id, head.to_tag, head.from_tag)) and request.method in (
                "BYE",
                "NOTIFY",
            ):
                core.reply(transaction, 200)
            else:
                core.count("forged")
                core.reply(transaction, 481)
            return
        match request.method:
            case "INVITE":
                invited(core, request, flow, transaction)
            case "OPTIONS":
                self._options(transaction)
            case method if method in HANDED_UP:
                self._hand_up(request, flow, transaction)
            case "REFER":
                core.reply(transaction, 403)
            case _:
                core.reply(transaction, 481)

    def _options(self, transaction: Transaction) -> None:
        response = self.core.response(transaction, 200)
        response.headers.set("Allow", ALLOW)
        response.headers.set("Supported", SUPPORTED)
        response.headers.set("Accept", "application/sdp")
        response.headers.set("Accept-Encoding", "identity")
        response.headers.set("Accept-Language", "en")
        transaction.respond(response)

    def _hand_up(self, request: Request, flow: Flow, transaction: Transaction) -> None:
        core, key = self.core, transaction.key

        def overdue() -> None:
            core.count("request_unanswered")
            del self.pending[key]
            core.reply(transaction, 500)

        self.pending[key] = transaction, core.later(core.limits.request_s, overdue)
        core.tell(RequestReceived(key, request, flow))

    def take(self, key: str) -> Transaction | None:
        """Return the transaction of a request handed up, for its answer."""
        found = self.pending.pop(key, None)
        if found is None:
            return None
        found[1].stop()
        return found[0]
