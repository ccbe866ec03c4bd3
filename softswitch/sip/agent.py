"""The SIP user agent that the transports drive: messages and the time go in, messages and events come out."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from softswitch.sip.context import AgentContext, clean
from softswitch.sip.dialog.request import OutgoingRequest, send_outside_dialog
from softswitch.sip.events import CallEvent
from softswitch.sip.limits import AgentLimits
from softswitch.sip.reception import Reception
from softswitch.sip.security.digest import Credentials
from softswitch.sip.session.invitation import Invitation
from softswitch.sip.session.orphan import Orphan, end_orphan, orphan_of
from softswitch.sip.session.session import Session
from softswitch.sip.session.sessions import Sessions
from softswitch.sip.subscriptions import Subscriptions
from softswitch.sip.syntax.head import read_head
from softswitch.sip.syntax.message import Request, Response, with_body
from softswitch.sip.transaction.flow import Flow, Nat, Outgoing
from softswitch.sip.transaction.timers import Timers

__all__ = ["AgentLimits", "Flow", "Invitation", "Outgoing", "OutgoingRequest", "Timers", "UserAgent"]

TIMERS = Timers()
LIMITS = AgentLimits()
NO_HEADERS: Mapping[str, str] = {}


class UserAgent:
    """A SIP user agent without I/O: transactions, dialogs and sessions of RFC 3261 and its extensions.

    After each call to a method that takes `now` (monotonic seconds), the driver sends `take_outgoing`,
    handles `take_events`, and calls `elapse` at `deadline`. No method raises because of what a peer sends.

    Methods on a session take its id. They return False and do nothing if the session has ended or its state
    does not permit the action: a peer may hang up at the same instant.
    """

    def __init__(
        self,
        *,
        entropy: Callable[[int], bytes],
        user_agent: str = "softswitch",
        timers: Timers = TIMERS,
        limits: AgentLimits = LIMITS,
        mark: str = "",
    ) -> None:
        """Create an agent.

        Args:
            entropy: Returns that many random bytes, for tags, branches, Call-IDs and cnonces.
            user_agent: Value of User-Agent and Server; "" leaves them out.
            timers: T1, T2, T4.
            limits: Bounds.
            mark: Token that begins every branch and tag of the agent, where a supervisor tells agents apart
                by it.
        """
        self._context = AgentContext(entropy, user_agent, timers, limits, mark)
        self._sessions = Sessions(self._context)
        self._subscriptions = Subscriptions(self._context)
        self._reception = Reception(self._context, self._sessions, self._subscriptions)

    # ------------------------------------------------------------------ in and out
    def receive(self, message: Request | Response, flow: Flow, now: float) -> None:
        """Handle a message that `softswitch.sip.syntax.message.parse` returned."""
        self._context.transactions.now = now
        if isinstance(message, Request):
            self._reception.receive(message, flow)
        else:
            self._receive_response(message, flow)
        self._context.transactions.run_callbacks()

    def knows(self, message: Request | Response) -> bool:
        """Return whether a message belongs to a known transaction or dialog.

        Such a message needs no authentication: it is a copy, a response, an ACK, a CANCEL or a request within
        a call. Every ACK is known, since an ACK must not be answered. All other messages are subject to the
        driver's policy before `receive`.
        """
        if isinstance(message, Request):
            return self._reception.knows(message)
        return self._context.transactions.client(read_head(message)) is not None

    def holds(self, key: str) -> bool:
        """Return whether there is a server transaction with this key (`syntax.head.server_key`)."""
        return self._context.transactions.holds(key)

    def send_failed(self, what: str | Flow, now: float) -> None:
        """Report that a message could not be sent, or that a flow broke.

        Args:
            what: `Outgoing.transaction` of the message, or the flow.
            now: The time.
        """
        context = self._context
        context.transactions.now = now
        if isinstance(what, Flow):
            context.transactions.flow_failed(what)
            # A flow without a connection (UDP) leaves nothing to reset. ICMP errors report those by the
            # thousand.
            for session in self._sessions.by_id.values() if what.connection else ():
                for dialog in (session.state.dialog, *session.state.branches.values()):
                    if dialog is not None and dialog.flow.connection == what.connection:
                        dialog.flow = replace(dialog.flow, connection=0)
        elif not context.transactions.send_failed(what):
            context.count("not_sent")
        context.transactions.run_callbacks()

    def elapse(self, now: float) -> None:
        """Run the alarms that are due at `now`."""
        self._context.transactions.now = now
        while (callback := self._context.alarms.take_due(now)) is not None:
            callback()
            self._context.transactions.run_callbacks()

    def deadline(self) -> float | None:
        """Return when `elapse` is needed next, None if no alarm is set."""
        return self._context.alarms.next()

    def take_outgoing(self) -> list[Outgoing]:
        """Return and clear the messages to send, in order."""
        taken, self._context.transactions.outgoing = self._context.transactions.outgoing, []
        return taken

    def take_events(self) -> list[CallEvent]:
        """Return and clear the events, in order."""
        taken, self._context.events = self._context.events, []
        return taken

    @property
    def counters(self) -> Mapping[str, int]:
        """Counts of what was dropped, absorbed or refused, by kind."""
        return self._context.counters

    @property
    def sessions(self) -> tuple[str, ...]:
        """Ids of the sessions that have not ended."""
        return tuple(self._sessions.by_id)

    @property
    def busy(self) -> bool:
        """Whether requests of the agent wait for their final response; a driver lets them finish."""
        return self._context.transactions.waiting

    # ------------------------------------------------------------------ outside a dialog
    def invite(self, invitation: Invitation, now: float) -> str:
        """Begin an outgoing call and return its session's id; events report its progress.

        Raises:
            MalformedError: A URI or name-addr of the invitation is malformed; the error names the field.
        """
        self._context.transactions.now = now
        session = self._sessions.call(invitation)
        self._context.transactions.run_callbacks()
        return session.state.id

    def request(self, outgoing: OutgoingRequest, now: float) -> str:
        """Send a request outside a dialog (REGISTER, OPTIONS, MESSAGE) and return its key.

        Challenges are answered, and the next target is tried after 503, silence or a transport error.
        `RequestAnswered` reports the outcome.

        Raises:
            MalformedError: A URI or name-addr is malformed; the error names the field.
        """
        self._context.transactions.now = now
        return send_outside_dialog(self._context, outgoing)

    def respond(
        self,
        key: str,
        code: int,
        now: float,
        *,
        reason: str = "",
        headers: Mapping[str, str] = NO_HEADERS,
        contacts: tuple[str, ...] = (),
        body: bytes = b"",
        content_type: str = "",
    ) -> bool:
        """Answer a `RequestReceived`; return False if it was answered already.

        Args:
            key: Key of the request.
            code: 200 to 699.
            now: The time.
            reason: Reason phrase; "" takes the standard one.
            headers: Headers to add.
            contacts: Values of Contact headers, one each.
            body: Body.
            content_type: Media type of `body`.
        """
        self._context.transactions.now = now
        transaction = self._reception.take_pending(key)
        if transaction is None:
            return False
        response = self._context.response(transaction, code, reason, headers)
        if contacts:
            response.headers.setlist("Contact", [clean(contact) for contact in contacts])
        transaction.respond(with_body(response, body, content_type))
        return True

    def accept_subscription(self, key: str, mailbox: str, body: bytes, now: float) -> bool:
        """Accept a SUBSCRIBE to a mailbox and send its state; return False if it was answered already.

        Args:
            key: Key of its `RequestReceived`.
            mailbox: Name of the mailbox.
            body: State, by `subscriptions.summary_of`.
            now: The time.
        """
        self._context.transactions.now = now
        transaction = self._reception.take_pending(key)
        if transaction is None:
            return False
        self._subscriptions.accept(transaction, transaction.flow, mailbox, body)
        self._context.transactions.run_callbacks()
        return True

    def tell_mailbox(self, mailbox: str, body: bytes, now: float) -> None:
        """Send the state of a mailbox to its subscribers, where it has changed."""
        self._context.transactions.now = now
        self._subscriptions.tell(mailbox, body)
        self._context.transactions.run_callbacks()

    def respond_stateless(
        self,
        request: Request,
        flow: Flow,
        code: int,
        *,
        reason: str = "",
        headers: Mapping[str, str] | tuple[tuple[str, str], ...] = NO_HEADERS,
    ) -> None:
        """Answer a request that was not given to `receive`, without a transaction (challenges, refusals).

        Copies of the request get the same answer, To tag included. An ACK gets none.

        Args:
            request: The request.
            flow: Where it came from.
            code: 300 to 699.
            reason: Reason phrase; "" takes the standard one.
            headers: Headers to add; pairs where a name occurs more than once (two WWW-Authenticate).
        """
        pairs = tuple(headers.items()) if isinstance(headers, Mapping) else headers
        self._reception.refuse_stateless(request, flow, code, pairs, reason)

    # ------------------------------------------------------------------ an incoming call
    def ring(
        self,
        session: str,
        now: float,
        *,
        code: int = 180,
        reason: str = "",
        sdp: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> bool:
        """Send a provisional response.

        Args:
            session: The call.
            now: The time.
            code: 101 to 199.
            reason: Reason phrase; "" takes the standard one.
            sdp: Answer for early media (with 183).
            headers: Headers to add.
        """
        found = self._find(session, now)
        return found is not None and found.called.ring(code, reason, sdp, headers)

    def answer(
        self, session: str, sdp: str | None, now: float, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> bool:
        """Send 200; `Confirmed` follows, or `Ended` with ``no_ack``.

        Args:
            session: The call.
            sdp: Answer, or offer where the INVITE had none; None repeats an early answer.
            now: The time.
            headers: Headers to add.
        """
        found = self._find(session, now)
        return found is not None and found.called.answer(sdp, headers)

    def reject(
        self,
        session: str,
        code: int,
        now: float,
        *,
        reason: str = "",
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> bool:
        """Refuse an incoming call with 300 to 699; `Ended` with ``rejected`` follows."""
        found = self._find(session, now)
        return found is not None and found.called.reject(code, reason, headers)

    def bye(self, session: str, now: float, *, headers: Mapping[str, str] = NO_HEADERS) -> bool:
        """End a session as its phase requires: CANCEL, 480 or BYE (after the ACK, if that has not come).

        A cancelled call ends with `Rejected` (487, or the peer's code), any other at once with `Ended`.
        """
        found = self._find(session, now)
        return found is not None and found.hang_up(headers)

    def set_credentials(self, session: str, credentials: Credentials) -> bool:
        """Set the account that answers challenges within an incoming call: some trunks challenge a BYE."""
        found = self._sessions.by_id.get(session)
        if found is not None:
            found.state.proof.set_credentials(credentials)
        return found is not None

    def peer_of(self, session: str) -> Flow | None:
        """Return the flow on which the peer of a call is reached; None before there is a dialog."""
        found = self._sessions.by_id.get(session)
        return found.state.dialog.flow if found is not None and found.state.dialog is not None else None

    def move(self, session: str, local_host: str) -> None:
        """Show another local address to the peer of a call from now on: the machine's has changed."""
        found = self._sessions.by_id.get(session)
        if found is not None and found.state.dialog is not None:
            found.state.dialog.move(local_host)

    def set_nat(self, session: str, nat: Nat) -> bool:
        """Decide whether requests within an incoming call follow the flow or the Contact of its caller."""
        found = self._sessions.by_id.get(session)
        if found is None or found.state.dialog is None:
            return False
        found.state.dialog.set_nat(nat)
        return True

    # ------------------------------------------------------------------ offers within a call
    def reinvite(self, session: str, sdp: str | None, now: float) -> bool:
        """Send a re-INVITE; `OfferAnswered`, `OfferRefused` or `Offered` follows.

        After a collision (491) it is sent again, after the pause of RFC 3261 section 14.1.

        Args:
            session: The call.
            sdp: Offer; None asks the peer for one.
            now: The time.
        """
        found = self._find(session, now)
        return found is not None and found.offers.reinvite(sdp)

    def update(self, session: str, sdp: str | None, now: float) -> bool:
        """Send an UPDATE (RFC 3311), also before the answer; return False if the peer does not allow it."""
        found = self._find(session, now)
        return found is not None and found.offers.update(sdp)

    def accept_offer(self, session: str, sdp: str | None, now: float) -> bool:
        """Answer the offer of `Offered`, or of `Answered` with ``wants_answer``, in 200, PRACK or ACK."""
        found = self._find(session, now)
        return found is not None and found.offers.accept(sdp)

    def refuse_offer(self, session: str, code: int, now: float, *, reason: str = "") -> bool:
        """Refuse the offer that waits; an offer in a response cannot be refused, so the call ends."""
        found = self._find(session, now)
        return found is not None and found.offers.refuse(code, reason)

    # ------------------------------------------------------------------ transfer
    def refer(
        self,
        session: str,
        refer_to: str,
        now: float,
        *,
        referred_by: str = "",
        replaces: str = "",
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> bool:
        """Ask the peer to call `refer_to` (RFC 3515); `ReferProgressed` follows.

        Args:
            session: The call.
            refer_to: URI.
            now: The time.
            referred_by: URI for Referred-By (RFC 3892), "" writes none.
            replaces: Another session of this agent, with the party at `refer_to`, that the new call shall
                replace (attended transfer).
            headers: Headers to add.
        """
        found = self._find(session, now)
        other = self._sessions.by_id.get(replaces) if replaces else None
        dialog = other.state.dialog if other is not None else None
        if found is None or (replaces and dialog is None):
            return False
        return found.transfers.send(refer_to, referred_by, dialog, headers)

    def accept_refer(self, session: str, refer: str, now: float) -> bool:
        """Accept a `ReferReceived`: 202, and a first NOTIFY with 100."""
        found = self._find(session, now)
        return found is not None and found.transfers.accept(refer)

    def refer_progress(self, session: str, refer: str, code: int, reason: str, now: float) -> bool:
        """Report the progress of an accepted REFER to the peer; a code from 200 on is final."""
        found = self._find(session, now)
        return found is not None and found.transfers.report_progress(refer, code, reason)

    def refuse_refer(self, session: str, refer: str, code: int, now: float) -> bool:
        """Refuse a `ReferReceived` with 400 to 699."""
        found = self._find(session, now)
        return found is not None and found.transfers.refuse(refer, code)

    # ------------------------------------------------------------------ messages within a call
    def info(self, session: str, body: str, content_type: str, now: float) -> bool:
        """Send an INFO (RFC 6086), for DTMF with ``application/dtmf-relay``."""
        found = self._find(session, now)
        return found is not None and found.requests.send("INFO", body, content_type)

    def message(self, session: str, body: str, content_type: str, now: float) -> bool:
        """Send a MESSAGE (RFC 3428) within the call."""
        found = self._find(session, now)
        return found is not None and found.requests.send("MESSAGE", body, content_type)

    # ------------------------------------------------------------------ queries
    def dialog(self, session: str) -> tuple[str, str, str] | None:
        """Return Call-ID, local and remote tag of a session, None before it has a dialog."""
        found = self._sessions.by_id.get(session)
        return None if found is None or found.state.dialog is None else found.state.dialog.id

    def call_id(self, session: str) -> str:
        """Return the Call-ID of a session, from its beginning on; empty if it has ended."""
        found = self._sessions.by_id.get(session)
        return "" if found is None else found.state.call_id

    def allows(self, session: str, method: str) -> bool:
        """Return whether the peer's Allow names `method`; True for a peer that sent no Allow."""
        found = self._sessions.by_id.get(session)
        if found is None or found.state.dialog is None:
            return False
        return not found.state.dialog.allow or method in found.state.dialog.allow

    # ------------------------------------------------------------------ internals
    def orphan(self, session: str, trunk: str = "") -> Orphan | None:
        """Return what another agent needs to end a call if this one is gone; None: nothing.

        Args:
            session: Id of the call.
            trunk: Trunk whose credentials answer a challenge.
        """
        found = self._sessions.by_id.get(session)
        return None if found is None else orphan_of(found.state, trunk)

    def progress(self, session: str) -> tuple[str, str, int] | None:
        """Return phase, remote tag and number of routes of a call: its orphan changes with them."""
        found = self._sessions.by_id.get(session)
        if found is None:
            return None
        dialog = found.state.dialog
        if dialog is None:
            return found.state.phase.value, "", 0
        return found.state.phase.value, dialog.remote_tag, len(dialog.routes)

    def end_orphan(self, orphan: Orphan, credentials: Credentials | None, now: float) -> None:
        """End a call of an agent that is gone; raises MalformedError."""
        self._context.transactions.now = now
        end_orphan(self._context, orphan, credentials)

    def _find(self, session: str, now: float) -> Session | None:
        self._context.transactions.now = now
        return self._sessions.by_id.get(session)

    def _receive_response(self, response: Response, flow: Flow) -> None:
        context = self._context
        transaction = context.transactions.client(read_head(response))
        if transaction is None or len(response.via) != 1:
            # RFC 3261 section 8.1.3.3: a response with a second Via is not meant for this agent.
            context.count("stray_response")
            return
        if flow.connection and not transaction.flow.connection:
            # The connection that was opened for the request carries what follows it, too.
            transaction.flow = replace(transaction.flow, connection=flow.connection)
        transaction.receive(response)
