"""Outgoing calls until they are answered: INVITE, forks, CANCEL, redirections (RFC 3261 section 13.2)."""

from collections.abc import Mapping

from sipmessage import Address

from softswitch.sip.bodies import sdp_of
from softswitch.sip.calls import Calls
from softswitch.sip.core import EXTENSIONS, check_party, headers_of
from softswitch.sip.dialog import Dialog, dialog_of_response
from softswitch.sip.exchange import Exchange, Target
from softswitch.sip.flow import Flow
from softswitch.sip.grammar import MalformedError
from softswitch.sip.happenings import Answered, Offered, Progressed, Rejected
from softswitch.sip.invitation import Invitation
from softswitch.sip.message import Request, Response
from softswitch.sip.proof import Proof
from softswitch.sip.routing import contact_uri, flow_for
from softswitch.sip.session import Phase, Session, TheirOffer, with_sdp
from softswitch.sip.session_accept import describe
from softswitch.sip.session_ending import acknowledge, finish, unwanted
from softswitch.sip.session_offers import refresh, resume
from softswitch.sip.session_reliable import is_next, prack, reliable_sequence
from softswitch.sip.session_timer import ask_interval, granted, whole
from softswitch.sip.uri import parse_uri


def call(core: Calls, invitation: Invitation) -> Session:
    """Send an INVITE.

    Raises:
        MalformedError: a URI or name-addr of the invitation is none.
    """
    uri = parse_uri(invitation.request_uri, "request_uri")
    check_party(invitation.from_, "from_")
    check_party(invitation.to, "to")
    if not invitation.targets:
        raise MalformedError(400, "an invitation needs a target", field="targets")
    session = Session(
        id=core.token(),
        ours=True,
        phase=Phase.CALLING,
        call_id=invitation.call_id or core.token(16),
        local_tag=core.token(),
        flow=invitation.targets[0],
        proof=Proof(invitation.credentials, core.entropy),
        invitation=invitation,
        local_sdp=invitation.sdp,
        offering=invitation.sdp is not None,
        redirects=min(invitation.follow_redirects, core.limits.redirects),
    )
    core.open(session)
    if len(core.sessions) > core.limits.sessions:
        core.count("overload")
        finish(core, session, Rejected(session.id, 503, "Too Many Calls", local=True))
        return session
    session.set_alarm(core, "ringing", core.limits.ring_s, lambda: cancel(core, session, {}))
    session.exchange = exchange = Exchange(
        core,
        lambda target: _draft(core, session, invitation, target),
        lambda exchange, response, made_up: _hear(core, session, exchange, response, made_up=made_up),
        session.proof,
    )
    exchange.stray = lambda transaction, response: unwanted(
        core, session.acks, session.proof, transaction, response
    )
    exchange.start([Target(flow, uri) for flow in invitation.targets])
    return session


def _draft(
    core: Calls, session: Session, invitation: Invitation, target: Target | None
) -> tuple[Request, Flow]:
    if target is None or target.uri is None:
        raise RuntimeError("an INVITE outside a dialog needs a target")
    session.sequence += 1
    session.flow = target.flow
    # What was early at another server, or before a challenge, is nothing here.
    session.branches.clear()
    session.dialog, session.settled = None, False
    session.offering = invitation.sdp is not None
    request = Request("INVITE", target.uri)
    headers = request.headers
    if invitation.route:
        headers.setlist("Route", list(invitation.route))
    headers.set("Max-Forwards", str(invitation.max_forwards))
    headers.set("From", f"{invitation.from_};tag={session.local_tag}")
    headers.set("To", invitation.to)
    headers.set("Call-ID", session.call_id)
    headers.set("CSeq", f"{session.sequence} INVITE")
    describe(request, _contact(session, invitation, target.flow))
    if invitation.reliable == "required":
        headers.set("Require", "100rel")
    elif invitation.reliable == "no":
        headers.set("Supported", ", ".join(sorted(EXTENSIONS - {"100rel"})))
    wanted = invitation.session_expires
    ask_interval(core, session, request, wanted=core.limits.session_expires if wanted is None else wanted)
    core.write(request, invitation.headers)
    with_sdp(request, invitation.sdp)
    return request, target.flow


def _contact(session: Session, invitation: Invitation, flow: Flow) -> str:
    return f"<{invitation.contact or contact_uri(flow, invitation.contact_user)}>"


# ---------------------------------------------------------------------- what comes back
def _hear(core: Calls, session: Session, exchange: Exchange, response: Response, *, made_up: bool) -> None:
    if response.code < 200:
        _progressed(core, session, exchange, response)
    elif response.code < 300:
        _answered(core, session, exchange, response)
    elif session.phase is Phase.CALLING:
        _refused(core, session, exchange, response, made_up=made_up)


def _progressed(core: Calls, session: Session, exchange: Exchange, response: Response) -> None:
    if session.phase is not Phase.CALLING:
        return
    if session.cancelled:
        _send_cancel(core, session, exchange)
        return
    if response.code == 100:
        return
    tag = response.to_address.parameters.get("tag") or ""
    dialog = _branch(core, session, exchange, response, tag)
    sdp = sdp_of(response)
    sequence = reliable_sequence(response)
    if sequence and dialog is not None:
        if not is_next(dialog, sequence):
            core.count("provisional_again")
            return
        if sdp is not None and not session.offering and not session.settled:
            session.offer = TheirOffer("1xx", sdp, exchange=exchange, response=response, dialog=dialog)
            core.tell(Offered(session.id, sdp, "1xx"))
            return
        prack(core, session, dialog, response, sequence)
        if sdp is not None:
            session.offering, session.settled = False, True
    core.tell(Progressed(session.id, response.code, response.phrase, sdp, headers_of(response), tag))


def _branch(core: Calls, session: Session, exchange: Exchange, response: Response, tag: str) -> Dialog | None:
    """Return the early dialog of a provisional response, made if need be."""
    dialog = session.branches.get(tag)
    if dialog is None:
        if not tag:
            return None
        if len(session.branches) >= core.limits.forks:
            core.count("fork_dropped")
            return None
        dialog = dialog_of_response(exchange.request, response, exchange.flow, _contact_of(exchange))
        session.branches[tag] = dialog
    else:
        dialog.refresh(response)
    session.dialog = dialog
    return dialog


def _contact_of(exchange: Exchange) -> str:
    return exchange.request.headers.get("Contact") or ""


def _answered(core: Calls, session: Session, exchange: Exchange, response: Response) -> None:
    tag = response.to_address.parameters.get("tag") or ""
    if session.phase is not Phase.CALLING or session.cancelled:
        if session.chosen != tag and exchange.transaction is not None:
            unwanted(core, session.acks, session.proof, exchange.transaction, response)
        if session.cancelled:
            finish(core, session, Rejected(session.id, 487, "Request Terminated", local=True))
        return
    _choose(session, exchange, response, tag)
    _agree(core, session, exchange, response)


def _choose(session: Session, exchange: Exchange, response: Response, tag: str) -> None:
    """Make the dialog anew from the 2xx, which alone says the route set (section 13.2.2.4)."""
    dialog = dialog_of_response(exchange.request, response, exchange.flow, _contact_of(exchange))
    early = session.branches.get(tag)
    if early is not None:
        dialog.local_sequence = max(dialog.local_sequence, early.local_sequence)
        dialog.remote_sequence = early.remote_sequence
        dialog.allow = dialog.allow or early.allow
    session.dialog, session.chosen = dialog, tag
    session.branches.clear()
    session.phase = Phase.TALKING
    session.stop_alarm("ringing")


def _agree(core: Calls, session: Session, exchange: Exchange, response: Response) -> None:
    dialog = session.dialog
    if dialog is None:
        return
    granted(core, session, response, refresh)
    sdp, headers = sdp_of(response), headers_of(response)
    if session.local_sdp is None and sdp is not None and not session.settled:
        session.offer = TheirOffer("2xx", sdp, exchange=exchange, dialog=dialog)
        core.tell(Answered(session.id, sdp, headers, wants_answer=True))
        return
    session.exchange = None
    session.offering, session.settled = False, True
    acknowledge(core, session, dialog, exchange)
    core.tell(Answered(session.id, sdp, headers))
    resume(core, session)


def _refused(core: Calls, session: Session, exchange: Exchange, response: Response, *, made_up: bool) -> None:
    if not session.cancelled:
        if response.code == 422 and _longer(session, response):
            exchange.again()
            return
        if (
            300 <= response.code < 400
            and session.redirects > 0
            and _redirected(core, session, exchange, response)
        ):
            return
    contacts = tuple(str(one.uri) for one in _by_preference(response)) if response.code < 400 else ()
    finish(
        core,
        session,
        Rejected(session.id, response.code, response.phrase, headers_of(response), contacts, local=made_up),
    )


def _longer(session: Session, response: Response) -> bool:
    """Take the Min-SE of a 422; False where it asks for no more than we offered (RFC 4028 section 7.3)."""
    least = whole(response.headers.get("Min-SE"))
    if least <= session.timer.least:
        return False
    session.timer.least = least
    return True


def _redirected(core: Calls, session: Session, exchange: Exchange, response: Response) -> bool:
    targets = [
        Target(flow_for(one.uri, session.flow), parse_uri(str(one.uri).partition("?")[0]))
        for one in _by_preference(response)[: core.limits.forks]
        if one.uri.scheme in ("sip", "sips") and one.uri.host
    ]
    if not targets:
        return False
    session.redirects -= 1
    core.count("redirect")
    exchange.start(targets)
    return True


def _by_preference(response: Response) -> list[Address]:
    return sorted(response.contact, key=lambda one: -_q(one.parameters.get("q")))


def _q(text: str | None) -> float:
    try:
        return min(max(float(text or "1"), 0.0), 1.0)
    except ValueError:
        return 0.0


# ---------------------------------------------------------------------- giving up
def cancel(core: Calls, session: Session, headers: Mapping[str, str]) -> None:
    """Give an unanswered call up: CANCEL once a provisional response came (section 9.1)."""
    exchange = session.exchange
    if session.cancelled or exchange is None:
        return
    session.cancelled = exchange.closed = True
    session.farewell = headers
    session.set_alarm(core, "cancelled", 64 * core.timers.t1, lambda: _unheard(core, session, exchange))
    if exchange.heard:
        _send_cancel(core, session, exchange)


def _send_cancel(core: Calls, session: Session, exchange: Exchange) -> None:
    session.stop_alarm("ringing")
    if exchange.transaction is not None:
        core.cancel(exchange.transaction, session.farewell)


def _unheard(core: Calls, session: Session, exchange: Exchange) -> None:
    """End a cancelled call whose 487 never came."""
    if exchange.transaction is not None:
        exchange.transaction.end()
    finish(core, session, Rejected(session.id, 487, "Request Terminated", local=True))
