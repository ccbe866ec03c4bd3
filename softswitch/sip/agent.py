"""The one object a shell drives: messages and the time go in, messages and happenings come out."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from softswitch.sip import (
    session_called,
    session_caller,
    session_ending,
    session_inside,
    session_offers,
    session_refer,
)
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
from softswitch.sip.session import Phase, Session
from softswitch.sip.timers import Timers

__all__ = ["AgentLimits", "Flow", "Invitation", "Outgoing", "Timers", "UserAgent"]

NO_HEADERS: Mapping[str, str] = {}
TIMERS = Timers()
LIMITS = AgentLimits()


class UserAgent:
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
        self._core = Calls(entropy, user_agent, timers, limits)
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
        """Send a provisional response, with early media's answer when `sdp` is given (183)."""
        found = self._at(session, now)
        return found is not None and session_called.ring(self._core, found, code, reason, sdp, headers)

    def answer(
        self, session: str, sdp: str | None, now: float, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> bool:
        """Send 200 with our answer, or with our offer where the INVITE had none.

        None repeats what an early answer said already. `Confirmed` follows, or `Ended` with ``no_ack``.
        """
        found = self._at(session, now)
        return found is not None and session_called.answer(self._core, found, sdp, headers)

    def reject(
        self,
        session: str,
        code: int,
        now: float,
        *,
        reason: str = "",
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> bool:
        """Refuse an incoming call (300 to 699); `Ended` with ``rejected`` follows."""
        found = self._at(session, now)
        return found is not None and session_called.reject(self._core, found, code, reason, headers)

    def bye(self, session: str, now: float, *, headers: Mapping[str, str] = NO_HEADERS) -> bool:
        """End a session as its state wants: CANCEL, 480, BYE (after the ACK, where that is still missing).

        A cancelled call ends with `Rejected` (487, or what the far end said), any other at once with `Ended`.
        """
        found = self._at(session, now)
        if found is None or found.farewell is not None:
            return False
        match found.phase:
            case Phase.CALLING:
                session_caller.cancel(self._core, found, headers)
            case Phase.INVITED:
                return session_called.reject(self._core, found, 480, "", headers)
            case Phase.ANSWERED:
                found.farewell = headers
            case _:
                session_ending.say_bye(self._core, found, "local", headers)
        return True

    # ------------------------------------------------------------------ offers within a call
    def reinvite(self, session: str, sdp: str | None, now: float) -> bool:
        """Send a re-INVITE; None asks for an offer. `OfferAnswered`, `OfferRefused` or `Offered` follows.

        491 (both sides at once) is tried again after the pause of RFC 3261 section 14.1.
        """
        found = self._at(session, now)
        return found is not None and session_offers.reinvite(self._core, found, sdp)

    def update(self, session: str, sdp: str | None, now: float) -> bool:
        """Send an UPDATE (RFC 3311), before the answer too; False where the far end allows none."""
        found = self._at(session, now)
        return found is not None and session_offers.update(self._core, found, sdp)

    def accept_offer(self, session: str, sdp: str | None, now: float) -> bool:
        """Answer what `Offered` (or `Answered` with ``wants_answer``) brought: 200, PRACK or ACK, as fits."""
        found = self._at(session, now)
        return found is not None and session_offers.accept_offer(self._core, found, sdp)

    def refuse_offer(self, session: str, code: int, now: float, *, reason: str = "") -> bool:
        """Refuse it; where nothing can carry a refusal (an offer in 200) the call ends."""
        found = self._at(session, now)
        return found is not None and session_offers.refuse_offer(self._core, found, code, reason)

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
        """Ask the far end to call `refer_to` (RFC 3515); `ReferProgressed` follows.

        Args:
            session: The call.
            refer_to: URI.
            now: The time.
            referred_by: URI for Referred-By (RFC 3892), "" writes none.
            replaces: Another session of ours with the party at `refer_to`, which the new call shall
                replace: attended transfer.
            headers: Further headers.
        """
        found = self._at(session, now)
        other = self._core.sessions.get(replaces) if replaces else None
        if found is None or (replaces and (other is None or other.dialog is None)):
            return False
        dialog = other.dialog if other is not None else None
        return session_refer.refer(self._core, found, refer_to, referred_by, dialog, headers)

    def accept_refer(self, session: str, refer: str, now: float) -> bool:
        """Take on a `ReferReceived`: 202, and a first NOTIFY with 100."""
        found = self._at(session, now)
        return found is not None and session_refer.accept_refer(self._core, found, refer)

    def refer_progress(self, session: str, refer: str, code: int, reason: str, now: float) -> bool:
        """Tell the far end how its REFER fares; 200 and above is final."""
        found = self._at(session, now)
        return found is not None and session_refer.refer_progress(self._core, found, refer, code, reason)

    def refuse_refer(self, session: str, refer: str, code: int, now: float) -> bool:
        """Refuse a `ReferReceived` (400 to 699)."""
        found = self._at(session, now)
        return found is not None and session_refer.refuse_refer(self._core, found, refer, code)

    # ------------------------------------------------------------------ messages within a call
    def info(self, session: str, body: str, content_type: str, now: float) -> bool:
        """Send an INFO (RFC 6086), for digits: ``application/dtmf-relay``."""
        found = self._at(session, now)
        return found is not None and session_inside.say(self._core, found, "INFO", body, content_type)

    def message(self, session: str, body: str, content_type: str, now: float) -> bool:
        """Send a MESSAGE (RFC 3428) within the call."""
        found = self._at(session, now)
        return found is not None and session_inside.say(self._core, found, "MESSAGE", body, content_type)

    # ------------------------------------------------------------------ what a session is
    def dialog(self, session: str) -> tuple[str, str, str] | None:
        """Return Call-ID, local and remote tag of a session, None where it has none yet."""
        found = self._core.sessions.get(session)
        return None if found is None or found.dialog is None else found.dialog.id

    def allows(self, session: str, method: str) -> bool:
        """Return whether the far end said that it takes `method` (Allow); True while it said nothing."""
        found = self._core.sessions.get(session)
        if found is None or found.dialog is None:
            return False
        return not found.dialog.allow or method in found.dialog.allow

    # ------------------------------------------------------------------ within
    def _at(self, session: str, now: float) -> Session | None:
        self._core.transactions.now = now
        return self._core.sessions.get(session)

    def _response(self, response: Response, flow: Flow) -> None:
        core = self._core
        transaction = core.transactions.client(read_head(response))
        if transaction is None:
            core.count("stray_response")
            return
        if flow.connection and not transaction.flow.connection:
            # The connection that was opened for the request carries what follows, too.
            transaction.flow = replace(transaction.flow, connection=flow.connection)
        transaction.receive(response)
