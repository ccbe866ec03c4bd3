"""The one object a shell drives: messages and the time go in, messages and happenings come out."""

from collections.abc import Callable, Mapping

from sipmessage import Request, Response

from softswitch.sip.digest import Credentials
from softswitch.sip.flow import Flow, Outgoing
from softswitch.sip.happenings import Happening
from softswitch.sip.invitation import Invitation
from softswitch.sip.limits import AgentLimits
from softswitch.sip.timers import Timers

__all__ = ["AgentLimits", "Flow", "Invitation", "Outgoing", "Timers", "UserAgent"]

NO_HEADERS: Mapping[str, str] = {}


class UserAgent:
    """A SIP user agent without I/O: transactions, dialogs and sessions of RFC 3261 and its extensions.

    After every call to a method that takes `now`: send `take_outgoing`, treat `take_happenings`, and have `elapse`
    called at `deadline`. Nothing raises on what a far end sends. The verbs on a session answer False, and
    do nothing, where the session is gone or past that: a far end may hang up in the same instant.
    """

    def __init__(
        self,
        *,
        entropy: Callable[[int], bytes],
        user_agent: str = "softswitch",
        timers: Timers = Timers(),
        limits: AgentLimits = AgentLimits(),
    ) -> None:
        """Make an agent.

        Args:
            entropy: Gives that many random bytes: tags, branches, Call-IDs and cnonces are made of them.
            user_agent: Value of User-Agent and Server, "" leaves them out.
            timers: T1, T2, T4.
            limits: Bounds.
        """
        ...

    # ------------------------------------------------------------------ in and out
    def receive(self, message: Request | Response, flow: Flow, now: float) -> None:
        """Take a message that `softswitch.sip.message.parse` let through."""
        ...

    def knows(self, message: Request | Response) -> bool:
        """Return whether a message belongs to a transaction or dialog that lives.

        Such a message needs no proof of who sent it: it is a copy, a response, an ACK, a CANCEL or a request
        within a call. Every ACK is known: nothing may answer one. Everything else is up to the shell's policy first.
        """
        ...

    def refused(self, what: str | Flow, now: float) -> None:
        """Take it that a transaction's message could not be sent (by `Outgoing.transaction`), or that a flow broke."""
        ...

    def elapse(self, now: float) -> None:
        """Do what is due."""
        ...

    def deadline(self) -> float | None:
        """Return when `elapse` is next needed, None: not before something else happens."""
        ...

    def take_outgoing(self) -> list[Outgoing]:
        """Return what is to be sent, in order."""
        ...

    def take_happenings(self) -> list[Happening]:
        """Return what happened, in order."""
        ...

    @property
    def counters(self) -> Mapping[str, int]:
        """What was dropped, absorbed, refused, by kind."""
        ...

    @property
    def sessions(self) -> tuple[str, ...]:
        """The sessions that live."""
        ...

    @property
    def busy(self) -> bool:
        """Whether requests of ours still wait for their answer: a shell that stops lets them finish."""
        ...

    # ------------------------------------------------------------------ outside a dialog
    def invite(self, invitation: Invitation, now: float) -> str:
        """Call somebody and return the session's id; how it fares comes as happenings.

        Raises:
            ValueError: a URI or name-addr of the invitation is malformed; the message names the field.
        """
        ...

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
        call_id: str = "",
        cseq: int = 0,
    ) -> str:
        """Send a request outside a dialog (REGISTER, OPTIONS, MESSAGE) and return its key.

        Challenges are answered, and the next target is tried after 503, silence or a transport error. The outcome
        comes as `RequestAnswered`.

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
            call_id: Call-ID, "" makes one (a registration keeps its own).
            cseq: CSeq number, 0 begins at 1; every challenge answered and target tried adds one.

        Raises:
            ValueError: a URI or name-addr is malformed; the message names the field.
        """
        ...

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
        ...

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
        ...

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
        ...

    def answer(
        self, session: str, sdp: str | None, now: float, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> bool:
        """Send 200 with our answer, or with our offer where the INVITE had none.

        None repeats what an early answer said already. `Confirmed` follows, or `Ended` with ``no_ack``.
        """
        ...

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
        ...

    def bye(self, session: str, now: float, *, headers: Mapping[str, str] = NO_HEADERS) -> bool:
        """End a session as its state wants: CANCEL, 480, BYE (after the ACK, where that is still missing).

        A cancelled call ends with `Rejected` (487, or what the far end said), any other at once with `Ended`.
        """
        ...

    # ------------------------------------------------------------------ offers within a call
    def reinvite(self, session: str, sdp: str | None, now: float) -> bool:
        """Send a re-INVITE; None asks for an offer. `OfferAnswered`, `OfferRefused` or `Offered` follows.

        491 (both sides at once) is tried again after the pause of RFC 3261 section 14.1.
        """
        ...

    def update(self, session: str, sdp: str | None, now: float) -> bool:
        """Send an UPDATE (RFC 3311), which also works before the answer; False where the far end allows none."""
        ...

    def accept_offer(self, session: str, sdp: str | None, now: float) -> bool:
        """Answer what `Offered` (or `Answered` with ``wants_answer``) brought: 200, PRACK or ACK, as fits."""
        ...

    def refuse_offer(self, session: str, code: int, now: float, *, reason: str = "") -> bool:
        """Refuse it; where nothing can carry a refusal (an offer in 200) the call ends."""
        ...

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
        ...

    def accept_refer(self, session: str, refer: str, now: float) -> bool:
        """Take on a `ReferReceived`: 202, and a first NOTIFY with 100."""
        ...

    def refer_progress(self, session: str, refer: str, code: int, reason: str, now: float) -> bool:
        """Tell the far end how its REFER fares; 200 and above is final."""
        ...

    def refuse_refer(self, session: str, refer: str, code: int, now: float) -> bool:
        """Refuse a `ReferReceived` (400 to 699)."""
        ...

    # ------------------------------------------------------------------ messages within a call
    def info(self, session: str, body: str, content_type: str, now: float) -> bool:
        """Send an INFO (RFC 6086), for digits: ``application/dtmf-relay``."""
        ...

    def message(self, session: str, body: str, content_type: str, now: float) -> bool:
        """Send a MESSAGE (RFC 3428) within the call."""
        ...

    # ------------------------------------------------------------------ what a session is
    def dialog(self, session: str) -> tuple[str, str, str] | None:
        """Return Call-ID, local and remote tag of a session, None where it has none yet."""
        ...

    def allows(self, session: str, method: str) -> bool:
        """Return whether the far end said that it takes `method` (Allow); True while it said nothing."""
        ...
