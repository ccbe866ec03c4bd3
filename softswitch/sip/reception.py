"""Incoming requests: which transaction, dialog or session each belongs to, and which are refused here.

The order of the checks is that of RFC 3261 section 8.2: method, Request-URI, merged requests, Require,
content.
"""

from softswitch.sip.context import ALLOW, EXTENSIONS, SUPPORTED, AgentContext
from softswitch.sip.events import RequestReceived
from softswitch.sip.session.sessions import Sessions
from softswitch.sip.subscriptions import Subscriptions
from softswitch.sip.syntax.bodies import DESCRIPTIONS, unsupported
from softswitch.sip.syntax.head import Head, read_head
from softswitch.sip.syntax.message import Request, accepts, copy_for_reply, stamp_source, stateless_tag
from softswitch.sip.syntax.phrases import phrase
from softswitch.sip.transaction.alarms import Alarm
from softswitch.sip.transaction.flow import Flow, Outgoing
from softswitch.sip.transaction.machine import Transaction, reply_flow
from softswitch.sip.transaction.tables import State

METHODS = frozenset(ALLOW.split(", "))
HANDED_UP = frozenset({"REGISTER", "MESSAGE", "SUBSCRIBE"})
"""Methods of requests outside a dialog that the application answers."""
REGISTRAR_EXTENSIONS = frozenset({"path"})
"""Extensions that a REGISTER may require, besides those of every request (RFC 3327)."""
SCHEMES = frozenset({"sip", "sips", "tel"})


class Reception:
    """Handler of the requests that reach one user agent."""

    def __init__(self, context: AgentContext, sessions: Sessions, subscriptions: Subscriptions) -> None:
        self._context = context
        self._sessions = sessions
        self._subscriptions = subscriptions
        self._pending: dict[str, tuple[Transaction, Alarm]] = {}
        """Requests handed to the application that wait for its response, by key."""

    def knows(self, request: Request) -> bool:
        """Return whether a request belongs to a known transaction or dialog, or needs no response (ACK)."""
        head = read_head(request)
        transactions = self._context.transactions
        if request.method == "ACK" or transactions.server(head, request) is not None:
            return True
        if request.method == "CANCEL":
            return transactions.invite_of(head, request) is not None
        return bool(head.to_tag) and self._sessions.find(head.call_id, head.to_tag, head.from_tag) is not None

    def receive(self, request: Request, flow: Flow) -> None:
        """Handle a request.

        Args:
            request: The request, parsed and valid.
            flow: Where it came from.
        """
        context = self._context
        stamp_source(request, flow.host, flow.port)
        head = read_head(request)
        if request.method == "ACK":
            self._receive_ack(head, request)
            return
        known = context.transactions.server(head, request)
        if known is not None:
            context.count("retransmission")
            known.fire("request")
            return
        if context.transactions.full and not (self.knows(request) and context.transactions.has_reserve):
            context.count("overload")
            self.refuse_stateless(request, flow, 503, (("Retry-After", str(context.limits.retry_after)),))
            return
        merged = context.transactions.is_merged(head)
        transaction = context.transactions.start_server(head, request, flow, context.token())
        if request.method == "CANCEL":
            self._receive_cancel(head, request, transaction)
        elif merged:
            context.count("merged")
            context.reply(transaction, 482)
        elif not self._refused(head, request, transaction):
            self._dispatch(head, request, flow, transaction)

    def refuse_stateless(
        self, request: Request, flow: Flow, code: int, headers: tuple[tuple[str, str], ...], reason: str = ""
    ) -> None:
        """Answer a request without a transaction; copies of it get the same answer, an ACK gets none.

        Args:
            request: The request.
            flow: Where it came from.
            code: 300 to 699.
            headers: Names and values to add.
            reason: Reason phrase; "" takes the standard one.
        """
        if request.method == "ACK":
            return
        context = self._context
        response = copy_for_reply(request, code, reason or phrase(code), stateless_tag(request.headers))
        stamp_source(response, flow.host, flow.port)
        context.add_headers(response, headers)
        if context.product:
            response.headers.set("Server", context.product)
        to = reply_flow(request.top_via, flow)
        context.transactions.send(Outgoing(bytes(response), to, ""))

    def take_pending(self, key: str) -> Transaction | None:
        """Return the transaction of a request handed to the application, None if it was answered already."""
        found = self._pending.pop(key, None)
        if found is None:
            return None
        found[1].stop()
        return found[0]

    def _receive_ack(self, head: Head, request: Request) -> None:
        context = self._context
        transaction = context.transactions.invite_of(head, request)
        if transaction is not None and transaction.state in (State.COMPLETED, State.CONFIRMED):
            transaction.fire("ack")
            return
        session = self._sessions.by_dialog.get((head.call_id, head.to_tag))
        if session is None:
            context.count("stray_ack")
        else:
            session.requests.receive_ack(head, request)

    def _receive_cancel(self, head: Head, request: Request, transaction: Transaction) -> None:
        context = self._context
        invite = context.transactions.invite_of(head, request)
        if invite is None:
            context.reply(transaction, 481)
            return
        transaction.tag = invite.tag
        context.reply(transaction, 200)
        session = self._sessions.by_id.get(invite.owner)
        if session is None or session.state.incoming is not invite:
            context.count("late_cancel")
        elif session.state.established:
            session.offers.receive_cancel()
        else:
            session.called.receive_cancel(request)

    def _refused(self, head: Head, request: Request, transaction: Transaction) -> bool:
        """Refuse a request that breaks a rule of section 8.2; return whether it was refused."""
        context = self._context
        if not head.to_tag and "tag" in request.to_address.parameters:
            context.reply(transaction, 400, "Empty Tag in To")
        elif request.method not in METHODS:
            context.reply(transaction, 405, headers={"Allow": ALLOW})
        elif request.uri.scheme not in SCHEMES:
            context.reply(transaction, 416)
        elif missing := [tag for tag in request.require if tag.lower() not in _extensions(request.method)]:
            context.reply(transaction, 420, headers={"Unsupported": ", ".join(missing)})
        elif head.to_tag:
            return False
        elif request.max_forwards == 0 and request.method in ("INVITE", "MESSAGE"):
            # The switch passes calls and messages on, as a proxy does; other requests end here.
            context.reply(transaction, 483)
        elif request.method == "INVITE" and (headers := unsupported(request, DESCRIPTIONS)) is not None:
            context.reply(transaction, 415, headers=headers)
        elif request.method == "INVITE" and not accepts(request, "application/sdp"):
            # The caller would not read the answer (RFC 4475 section 3.3.15).
            context.reply(transaction, 406)
        elif request.method == "INVITE" and self._sessions.full:
            context.count("overload")
            context.reply(transaction, 503, headers={"Retry-After": str(context.limits.retry_after)})
        else:
            return False
        context.count("refused")
        return True

    def _dispatch(self, head: Head, request: Request, flow: Flow, transaction: Transaction) -> None:
        if head.to_tag:
            self._dispatch_in_dialog(head, request, flow, transaction)
            return
        match request.method:
            case "INVITE":
                self._sessions.receive_invite(request, flow, transaction)
            case "OPTIONS":
                self._answer_options(transaction)
            case method if method in HANDED_UP:
                self._hand_up(request, flow, transaction)
            case "REFER":
                self._context.reply(transaction, 403)
            case _:
                self._context.reply(transaction, 481)

    def _dispatch_in_dialog(self, head: Head, request: Request, flow: Flow, transaction: Transaction) -> None:
        context = self._context
        session = self._sessions.by_dialog.get((head.call_id, head.to_tag))
        if session is not None:
            if request.method == "OPTIONS" and session.state.branch(head.from_tag) is not None:
                self._answer_options(transaction)
            else:
                session.requests.receive(head, request, flow, transaction)
        elif request.method == "SUBSCRIBE" and self._subscriptions.receive(
            head.call_id, head.to_tag, request, transaction
        ):
            pass
        elif request.method in ("BYE", "NOTIFY") and context.recently_ended(
            (head.call_id, head.to_tag, head.from_tag)
        ):
            context.reply(transaction, 200)
        else:
            context.count("forged")
            context.reply(transaction, 481)

    def _answer_options(self, transaction: Transaction) -> None:
        response = self._context.response(transaction, 200)
        response.headers.set("Allow", ALLOW)
        response.headers.set("Supported", SUPPORTED)
        response.headers.set("Accept", "application/sdp")
        response.headers.set("Accept-Encoding", "identity")
        response.headers.set("Accept-Language", "en")
        transaction.respond(response)

    def _hand_up(self, request: Request, flow: Flow, transaction: Transaction) -> None:
        """Emit `RequestReceived`; answer 500 if the application does not respond in time."""
        context, key = self._context, transaction.key

        def overdue() -> None:
            context.count("request_unanswered")
            del self._pending[key]
            context.reply(transaction, 500)

        self._pending[key] = transaction, context.call_later(context.limits.request_s, overdue)
        context.emit(RequestReceived(key, request, flow))


def _extensions(method: str) -> frozenset[str]:
    """Return the extensions that a request of a method may require."""
    return EXTENSIONS | REGISTRAR_EXTENSIONS if method == "REGISTER" else EXTENSIONS
