"""Table of the calls of one user agent; begins calls in both directions."""

from softswitch.sip.context import AgentContext
from softswitch.sip.events import Invited, Rejected
from softswitch.sip.session.called import incoming_state
from softswitch.sip.session.caller import outgoing_state
from softswitch.sip.session.invitation import Invitation
from softswitch.sip.session.session import Session
from softswitch.sip.session.state import SessionState
from softswitch.sip.session.timer import is_too_short
from softswitch.sip.syntax.bodies import sdp_of
from softswitch.sip.syntax.head import is_rfc2543
from softswitch.sip.syntax.message import Request
from softswitch.sip.syntax.replaces import Replaces, read_replaces
from softswitch.sip.transaction.flow import Flow
from softswitch.sip.transaction.machine import Transaction


class Sessions:
    """Calls of one user agent, by id and by dialog."""

    def __init__(self, context: AgentContext) -> None:
        self._context = context
        self.by_id: dict[str, Session] = {}
        self.by_dialog: dict[tuple[str, str], Session] = {}
        """By Call-ID and local tag: the early dialogs of one call share both."""

    @property
    def full(self) -> bool:
        """Whether the agent carries as many calls as its limits allow."""
        return len(self.by_id) >= self._context.limits.sessions

    def find(self, call_id: str, local_tag: str, remote_tag: str) -> Session | None:
        """Return the session of a dialog, None unless Call-ID and both tags match."""
        session = self.by_dialog.get((call_id, local_tag))
        return session if session is not None and session.state.branch(remote_tag) is not None else None

    def call(self, invitation: Invitation) -> Session:
        """Begin an outgoing call; one beyond the limit ends at once with a local 503.

        Raises:
            MalformedError: A URI or name-addr of the invitation is malformed, or it has no target.
        """
        full = self.full
        session = self._add(outgoing_state(self._context, invitation))
        if full:
            self._context.count("overload")
            session.ending.finish(Rejected(session.state.id, 503, "Too Many Calls", local=True))
        else:
            session.calling.call(invitation)
        return session

    def receive_invite(self, request: Request, flow: Flow, transaction: Transaction) -> None:
        """Begin the call of an INVITE outside any dialog: emit `Invited`, or refuse it."""
        context = self._context
        if not request.contact and not is_rfc2543(request):
            context.reply(transaction, 400, "Missing Contact")
            return
        if is_too_short(request, context.limits.min_se):
            context.reply_interval_too_small(transaction)
            return
        replaces, replaced = None, ""
        if "Replaces" in request.headers:
            replaces = read_replaces(request.headers.getlist("Replaces"))
            found = self._replaced(replaces, transaction)
            if found is None:
                return
            replaced = found.state.id
        session = self._add(incoming_state(context, request, flow, transaction))
        session.called.limit_ringing(request)
        context.reply(transaction, 100)
        context.emit(Invited(session.state.id, request, flow, sdp_of(request), replaces, replaced))

    def remove(self, state: SessionState) -> None:
        """Remove an ended session; its dialog is remembered for as long as its requests may be repeated."""
        self.by_id.pop(state.id, None)
        self.by_dialog.pop((state.call_id, state.local_tag), None)
        if state.dialog is not None:
            self._context.remember_ended(state.dialog.id)

    def _add(self, state: SessionState) -> Session:
        session = Session(state, self.remove)
        self.by_id[state.id] = session
        self.by_dialog[state.call_id, state.local_tag] = session
        return session

    def _replaced(self, replaces: Replaces | None, transaction: Transaction) -> Session | None:
        """Return the session that a Replaces header names; refuse the INVITE if it may not be replaced.

        Args:
            replaces: The header, None if it is malformed.
            transaction: The INVITE's.
        """
        context = self._context
        if replaces is None:
            context.reply(transaction, 400)
            return None
        found = self.find(replaces.call_id, replaces.to_tag, replaces.from_tag)
        if found is None:
            context.reply(transaction, 481)
            return None
        established = found.state.established
        if not established and not found.state.outgoing:
            # RFC 3891 section 3: a call that this agent receives and has not answered cannot be replaced.
            context.reply(transaction, 481)
            return None
        if replaces.early_only and established:
            context.reply(transaction, 486)
            return None
        return found
