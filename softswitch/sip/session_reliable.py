"""Reliable provisional responses and PRACK, both ways (RFC 3262)."""

from softswitch.sip.bodies import sdp_of
from softswitch.sip.calls import Calls
from softswitch.sip.dialog import Dialog
from softswitch.sip.exchange import Exchange
from softswitch.sip.flow import Flow
from softswitch.sip.happenings import Ended, OfferAnswered, Offered
from softswitch.sip.message import Request, Response
from softswitch.sip.session import Provisional, Session, TheirOffer, with_sdp
from softswitch.sip.session_ending import finish
from softswitch.sip.transaction import Transaction


# ---------------------------------------------------------------------- ours: the called side
def ring_reliably(core: Calls, session: Session, provisional: Provisional) -> bool:
    """Send a provisional response until its PRACK comes; one after the other (section 3)."""
    if session.provisional is not None:
        if len(session.provisionals) >= core.limits.pending:
            core.count("provisional_dropped")
            return False
        session.provisionals.append(provisional)
        return True
    _send(core, session, provisional)
    return True


def _send(core: Calls, session: Session, provisional: Provisional) -> None:
    if session.incoming is None:
        return
    if not session.response_sequence:
        # A random number of 1 to 2**31 - 1, says section 3; half of that leaves room to count.
        session.response_sequence = 1 + int(core.chance() * 2**30)
    else:
        session.response_sequence += 1
    provisional.sequence = session.response_sequence
    provisional.response.headers.set("RSeq", str(provisional.sequence))
    provisional.response.headers.set("Require", "100rel")
    session.provisional = provisional
    session.offering = session.offering or provisional.offered
    session.incoming.respond(provisional.response)
    _wait(core, session, core.timers.t1)
    session.set_alarm(core, "no_prack", 64 * core.timers.t1, lambda: _lost(core, session))


def _wait(core: Calls, session: Session, pause: float) -> None:
    session.set_alarm(core, "prack_again", pause, lambda: _again(core, session, pause))


def _again(core: Calls, session: Session, pause: float) -> None:
    if session.provisional is not None and session.incoming is not None:
        session.incoming.respond(session.provisional.response)
        _wait(core, session, 2 * pause)


def _lost(core: Calls, session: Session) -> None:
    core.count("no_prack")
    if session.incoming is not None:
        core.reply(session.incoming, 504)
        session.incoming = None
    finish(core, session, Ended(session.id, "no_ack"))


def pracked(core: Calls, session: Session, request: Request, transaction: Transaction) -> None:
    """Take a PRACK of theirs."""
    provisional = session.provisional
    if provisional is None or not _acknowledges(request, provisional):
        core.reply(transaction, 481)
        return
    session.provisional = None
    if session.incoming is None:
        # It crossed the 200, which made it needless.
        core.reply(transaction, 200)
        return
    session.stop_alarm("prack_again")
    session.stop_alarm("no_prack")
    session.settled = session.settled or provisional.described
    sdp = sdp_of(request)
    if provisional.offered:
        session.offering = False
        core.reply(transaction, 200)
        if sdp is not None:
            core.tell(OfferAnswered(session.id, sdp))
    elif sdp is not None:
        _offered(core, session, sdp, transaction)
    else:
        core.reply(transaction, 200)
    if session.provisionals:
        _send(core, session, session.provisionals.popleft())
    elif session.pending_answer is not None:
        answer, session.pending_answer = session.pending_answer, None
        answer()


def _offered(core: Calls, session: Session, sdp: str, transaction: Transaction) -> None:
    if session.offer is not None or session.offering:
        core.reply(transaction, 491)
        return
    session.offer = TheirOffer("PRACK", sdp, transaction)
    core.tell(Offered(session.id, sdp, "PRACK"))


def _acknowledges(request: Request, provisional: Provisional) -> bool:
    words = (request.headers.get("RAck") or "").split()
    return words == [str(provisional.sequence), str(provisional.invite), "INVITE"]


# ---------------------------------------------------------------------- theirs: the calling side
def reliable_sequence(response: Response) -> int:
    """Return the RSeq of a reliable provisional response, 0 for any other."""
    text = (response.headers.get("RSeq") or "").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 11):
        return 0
    return int(text) if "100rel" in [tag.lower() for tag in response.require] else 0


def is_next(dialog: Dialog, sequence: int) -> bool:
    """Take the RSeq of a reliable response; False for a copy, or where one is missing before (section 4)."""
    if dialog.reliable_sequence >= 0 and sequence != dialog.reliable_sequence + 1:
        return False
    dialog.reliable_sequence = sequence
    return True


def prack(
    core: Calls, session: Session, dialog: Dialog, response: Response, sequence: int, sdp: str | None = None
) -> None:
    """Acknowledge a reliable provisional response."""
    rack = f"{sequence} {response.cseq.sequence} INVITE"

    def draft(_: object) -> tuple[Request, Flow]:
        request, flow = dialog.request("PRACK")
        request.headers.set("RAck", rack)
        with_sdp(request, sdp)
        return request, flow

    def hear(_exchange: Exchange, response: Response, _made_up: bool) -> None:
        if response.code >= 300:
            core.count("prack_refused")

    Exchange(core, draft, hear, session.proof).start()
