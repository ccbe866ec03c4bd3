"""The one object a shell drives: messages and the time go in, messages and happenings come out."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from softswitch.sip import session_caller
from softswitch.sip.asking import Question, ask
from softswitch.sip.calls import Calls
from softswitch.sip.core import clean
from softswitch.sip.digest import Credentials
from softswitch.sip.flow import Flow, Outgoing
from softswitch.sip.happenings import Happening
from softswitch.sip.head import read_head
from softswitch.sip.invitation import Invitation
from softswitch.sip.limits import AgentLimits
from softswitch.sip.message import Request, Response, with_body
from softswitch.sip.reception import Reception
from softswitch.sip.timers import Timers
from softswitch.sip.verbs import NO_HEADERS, SessionVerbs

__all__ = ["AgentLimits", "Flow", "Invitation", "Outgoing", "Timers", "UserAgent"]

TIMERS = Timers()
LIMITS = AgentLimits()


class UserAgent(SessionVerbs):
    """A SIP user agent without I/O: transactions, dialogs and sessions of RFC 3261 and its extensions.

    After every call to a method that takes `now`: send `take_outgoing`, treat `take_happenings`, and have
    `elapse` called at `deadline`. Nothing raises on what a far end sends. The verbs on a session say False,
    and do nothing, where the session is gone or past that: a far end may hang up in the same instant.
    """

    def __init__(
        self,
        *,
        entropy: Callable[[int], bytes],
        user_agent: str = "softswitch",
        timers: Timers = TIMERS,
        limits: AgentLimits = LIMITS,
    ) -> None:
        """Make an agent.

        Args:
            entropy: Gives that many random bytes: tags, branches, Call-IDs and cnonces are made of them.
            user_agent: Value of User-Agent and Server, "" leaves them out.
            timers: T1, T2, T4.
            limits: Bounds.
        """
        super().__init__(Calls(entropy, user_agent, timers, limits))
        self._reception = Reception(self._core)

    # ------------------------------------------------------------------ in and out
    def receive(self, message: Request | Response, flow: Flow, now: float) -> None:
        """Take a message that `softswitch.sip.message.parse` let through."""
        self._core.transactions.now = now
        if isinstance(message, Request):
            self._reception.receive(message, flow)
        else:
            self._response(message, flow)
        self._core.transactions.run()

    def knows(self, message: Request | Response) -> bool:
        """Return whether a message belongs to a transaction or dialog that lives.

        Such a message needs no proof of who sent it: it is a copy, a response, an ACK, a CANCEL or a request
        within a call. Every ACK is known: nothing may answer one. Everything else is up to the shell's policy
        first.
        """
        if isinstance(message, Request):
            return self._reception.knows(message)
        return self._core.transactions.client(read_head(message)) is not None

    def refused(self, what: str | Flow, now: float) -> None:
        """Take it that a message could not be sent (`Outgoing.transaction`), or that a flow broke."""
        core = self._core
        core.transactions.now = now
        if isinstance(what, Flow):
            core.transactions.broken(what)
            for session in core.sessions.values():
                for dialog in (session.dialog, *session.branches.values()):
                    if dialog is not None and dialog.flow.connection == what.connection:
                        dialog.flow = replace(dialog.flow, connection=0)
        elif not core.transactions.refused(what):
            core.count("not_sent")
        core.transactions.run()

    def elapse(self, now: float) -> None:
        """Do what is due."""
        self._core.transactions.now = now
        while (call := self._core.alarms.due(now)) is not None:
            call()
            self._core.transactions.run()

    def deadline(self) -> float | None:
        """Return when `elapse` is next needed, None: not before something else happens."""
        return self._core.alarms.next()

    def take_outgoing(self) -> list[Outgoing]:
        """Return what is to be sent, in order."""
        taken, self._core.transactions.outgoing = self._core.transactions.outgoing, []
        return taken

    def take_happenings(self) -> list[Happening]:
        """Return what happened, in order."""
        taken, self._core.happenings = self._core.happenings, []
        return taken

    @property
    def counters(self) -> Mapping[str, int]:
        """What was dropped, absorbed, refused, by kind."""
        return self._core.counters

    @property
    def sessions(self) -> tuple[str, ...]:
        """The sessions that live."""
        return tuple(self._core.sessions)

    @property
    def busy(self) -> bool:
        """Whether requests of ours still wait for their answer: a shell that stops lets them finish."""
        return self._core.transactions.waiting

    # ------------------------------------------------------------------ outside a dialog
    def invite(self, invitation: Invitation, now: float) -> str:
        """Call somebody and return the session's id; how it fares comes as happenings.

        Raises:
            MalformedError: a URI or name-addr of the invitation is malformed; the message names the field.
        """
        self._core.transactions.now = now
        session = session_caller.call(self._core, invitation)
        self._core.transactions.run()
        return session.id

    def request(
        self,
        method: str,
        uri: str,
        now: float,
        *,
        from_: str,
        to: str,
        targets: tuple[Flow, ...],
        headers: Mapping[str, str] = NO_HEADERS,
        body: bytes = b"",
        content_type: str = "",
        credentials: Credentials | None = None,
        route: tuple[str, ...] = (),
        contact: str | None = None,
        contact_user: str = "",
        call_id: str = "",
        cseq: int = 0,
    ) -> str:
        """Send a request outside a dialog (REGISTER, OPTIONS, MESSAGE) and return its key.

        Challenges are answered, and the next target is tried after 503, silence or a transport error. The
        outcome comes as `RequestAnswered`.

        Args:
            method: Anything but INVITE, ACK and CANCEL.
            uri: Request-URI.
            now: The time.
            from_: From without tag, as a name-addr.
            to: To without tag, as a name-addr.
            targets: Where to send it, in order of fail-over.
            headers: Further headers.
            body: Body, described by `content_type`.
            content_type: Media type of `body`.
            credentials: Answer to 401 and 407.
            route: Route headers, each a name-addr.
            contact: Whole Contact header; None writes the flow's address, "" none.
            contact_user: User part of the Contact that is written from the flow.
            call_id: Call-ID, "" makes one (a registration keeps its own).
            cseq: CSeq number, 0 begins at 1; every challenge answered and target tried adds one.

        Raises:
            MalformedError: a URI or name-addr is malformed; the message names the field.
        """
        self._core.transactions.now = now
        question = Question(
            method,
            uri,
            from_,
            to,
            targets,
            headers=headers,
            body=body,
            content_type=content_type,
            credentials=credentials,
            route=route,
            contact=contact,
            contact_user=contact_user,
            call_id=call_id,
            cseq=cseq,
        )
        return ask(self._core, question)

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
        """Answer a `RequestReceived`; `contacts` become Contact headers, each."""
        self._core.transactions.now = now
        transaction = self._reception.take(key)
        if transaction is None:
            return False
        response = self._core.response(transaction, code, reason, headers)
        if contacts:
            response.headers.setlist("Contact", [clean(contact) for contact in contacts])
        transaction.respond(with_body(response, body, content_type))
        return True

    def respond_stateless(
        self,
        request: Request,
        flow: Flow,
        code: int,
        *,
        reason: str = "",
        headers: Mapping[str, str] | tuple[tuple[str, str], ...] = NO_HEADERS,
    ) -> None:
        """Answer a request that was not handed to `receive`, without remembering it (challenges, refusals).

        Copies of the request get the same answer, To tag included. An ACK gets none.

        Args:
            request: The request.
            flow: Where it came from.
            code: 300 to 699.
            reason: Phrase, "" takes the standard's.
            headers: Further headers; pairs where a name comes more than once (two WWW-Authenticate).
        """
        pairs = tuple(headers.items()) if isinstance(headers, Mapping) else headers
        self._reception.refuse(request, flow, code, pairs, reason)

    # ------------------------------------------------------------------ within
    def _response(self, response: Response, flow: Flow) -> None:
        core = self._core
        transaction = core.transactions.client(read_head(response))
        if transaction is None or len(response.via) != 1:
            # Section 8.1.3.3: a response with a second Via was not meant for us.
            core.count("stray_response")
            return
        if flow.connection and not transaction.flow.connection:
            # The connection that was opened for the request carries what follows, too.
            transaction.flow = replace(transaction.flow, connection=flow.connection)
        transaction.receive(response)
