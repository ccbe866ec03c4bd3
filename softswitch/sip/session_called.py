"""Incoming calls until they are answered: ringing, 200, refusal, CANCEL (RFC 3261 section 13.3)."""

from collections.abc import Mapping

from softswitch.sip.bodies import sdp_of
from softswitch.sip.calls import Calls
from softswitch.sip.core import headers_of
from softswitch.sip.dialog import dialog_of_request
from softswitch.sip.flow import Flow
from softswitch.sip.happenings import Cancelled, Ended, Invited
from softswitch.sip.message import Request, Response
from softswitch.sip.proof import Proof
from softswitch.sip.replaces import read_replaces
from softswitch.sip.routing import contact_uri
from softswitch.sip.session import Phase, Provisional, Session, with_sdp
from softswitch.sip.session_accept import accept, describe
from softswitch.sip.session_ending import finish
from softswitch.sip.session_offers import refresh
from softswitch.sip.session_reliable import ring_reliably
from softswitch.sip.session_timer import grant, too_short
from softswitch.sip.transaction import Transaction

REPEAT_S = 60.0
"""A proxy forgets a call that rings longer than three minutes without a word (section 13.3.1.1)."""


def invited(core: Calls, request: Request, flow: Flow, transaction: Transaction) -> None:
    """Take the INVITE that begins a call."""
    if not request.contact:
        core.reply(transaction, 400, "Missing Contact")
        return
    if too_short(core, request):
        core.reply_least(transaction)
        return
    replaces, replaced = None, ""
    if "Replaces" in request.headers:
        replaces = read_replaces(request.headers.getlist("Replaces"))
        found = None if replaces is None else core.find(replaces.call_id, replaces.to_tag, replaces.from_tag)
        if replaces is None or found is None:
            core.reply(transaction, 400 if replaces is None else 481)
            return
        if not found.stands and not found.ours:
            # Section 3: who is being called is not somebody else's to take over.
            core.reply(transaction, 481)
            return
        if replaces.early_only and found.stands:
            core.reply(transaction, 486)
            return
        replaced = found.id
    session = _session(core, request, flow, transaction)
    core.reply(transaction, 100)
    core.tell(Invited(session.id, request, flow, sdp_of(request), replaces, replaced))


def _session(core: Calls, request: Request, flow: Flow, transaction: Transaction) -> Session:
    contact = f"<{contact_uri(flow, request.uri.user or '')}>"
    supported = [tag.lower() for tag in request.supported]
    session = Session(
        id=core.token(),
        ours=False,
        phase=Phase.INVITED,
        call_id=request.call_id,
        local_tag=transaction.tag,
        flow=flow,
        proof=Proof(None, core.entropy),
        dialog=dialog_of_request(request, flow, transaction.tag, contact),
        incoming=transaction,
        reliably="100rel" in supported,
        must_reliably="100rel" in [tag.lower() for tag in request.require],
        timer_supported="timer" in supported,
    )
    transaction.owner = session.id
    core.open(session)

    def overdue() -> None:
        reject(core, session, 480, "", {})

    session.set_alarm(core, "ringing", core.limits.ring_s, overdue)
    if request.expires:
        session.set_alarm(core, "expires", request.expires, lambda: _expired(core, session))
    return session


def _expired(core: Calls, session: Session) -> None:
    """Give an invitation up that was not accepted in the time it gave (RFC 3261 section 13.3.1)."""
    if session.phase is Phase.INVITED and session.incoming is not None:
        core.count("invite_expired")
        core.reply(session.incoming, 487)
        session.incoming = None
        finish(core, session, Cancelled(session.id, {}))


def _response(
    core: Calls,
    session: Session,
    transaction: Transaction,
    code: int,
    reason: str,
    headers: Mapping[str, str],
) -> Response:
    response = core.response(transaction, code, reason, headers)
    describe(response, session.dialog.contact if session.dialog else "")
    return response


def ring(
    core: Calls, session: Session, code: int, reason: str, sdp: str | None, headers: Mapping[str, str]
) -> bool:
    """Send a provisional response."""
    transaction = session.incoming
    if session.phase is not Phase.INVITED or transaction is None or session.pending_answer is not None:
        return False
    delayed = sdp_of(transaction.request) is None
    reliable = session.must_reliably or (session.reliably and sdp is not None)
    if (delayed and not reliable) or session.settled or session.offering or _described(session):
        # An offer of ours cannot go out unreliably, and what is agreed is not said again.
        sdp = None
    response = _response(core, session, transaction, code, reason, headers)
    with_sdp(response, sdp)
    session.local_sdp = sdp or session.local_sdp
    if reliable:
        return ring_reliably(
            core,
            session,
            Provisional(
                0,
                response,
                transaction.request.cseq.sequence,
                offered=delayed and sdp is not None,
                described=sdp is not None,
            ),
        )
    transaction.respond(response)
    _repeat(core, session, response)
    return True


def _repeat(core: Calls, session: Session, response: Response) -> None:
    def again() -> None:
        if session.incoming is not None:
            session.incoming.respond(response)
            _repeat(core, session, response)

    session.set_alarm(core, "repeat", REPEAT_S, again)


def answer(core: Calls, session: Session, sdp: str | None, headers: Mapping[str, str]) -> bool:
    """Send 200, once the PRACK of what described the call before came."""
    transaction = session.incoming
    if session.phase is not Phase.INVITED or transaction is None or session.pending_answer is not None:
        return False
    if _described(session):
        session.pending_answer = lambda: _answer(core, session, transaction, sdp, headers)
        return True
    _answer(core, session, transaction, sdp, headers)
    return True


def _described(session: Session) -> bool:
    """Return whether a reliable response that describes our media still waits for its PRACK."""
    waits = [session.provisional, *session.provisionals]
    return any(one is not None and one.described for one in waits)


def _answer(
    core: Calls, session: Session, transaction: Transaction, sdp: str | None, headers: Mapping[str, str]
) -> None:
    response = _response(core, session, transaction, 200, "", headers)
    delayed = sdp_of(transaction.request) is None
    if not session.settled:
        session.local_sdp = sdp or session.local_sdp
        with_sdp(response, session.local_sdp)
    for name in ("ringing", "expires", "repeat", "prack_again", "no_prack"):
        session.stop_alarm(name)
    session.provisionals.clear()
    session.phase = Phase.ANSWERED
    grant(core, session, transaction.request, response, refresh)
    offered = delayed and not session.settled and session.local_sdp is not None
    session.settled = True
    accept(core, session, transaction, response, first=True, offered=offered)


def reject(core: Calls, session: Session, code: int, reason: str, headers: Mapping[str, str]) -> bool:
    """Refuse the call."""
    transaction = session.incoming
    if session.phase is not Phase.INVITED or transaction is None or not 300 <= code <= 699:
        return False
    transaction.respond(core.response(transaction, code, reason, headers))
    session.incoming = None
    finish(core, session, Ended(session.id, "rejected"))
    return True


def cancelled(core: Calls, session: Session, request: Request) -> None:
    """Take the CANCEL, or a BYE before the answer: 487."""
    if session.phase is not Phase.INVITED or session.incoming is None:
        return
    core.reply(session.incoming, 487)
    session.incoming = None
    finish(core, session, Cancelled(session.id, headers_of(request)))
