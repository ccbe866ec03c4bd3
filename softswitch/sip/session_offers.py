"""Offers within a call: re-INVITE and UPDATE both ways, glare, refreshes (RFC 3261 section 14, RFC 3311)."""

from softswitch.sip.bodies import sdp_of
from softswitch.sip.calls import Calls
from softswitch.sip.dialog import Dialog
from softswitch.sip.exchange import Exchange
from softswitch.sip.flow import Flow
from softswitch.sip.happenings import Ended, OfferAnswered, Offered, OfferRefused
from softswitch.sip.message import Request, Response
from softswitch.sip.session import Phase, Session, TheirOffer, with_sdp
from softswitch.sip.session_accept import accept, describe
from softswitch.sip.session_ending import acknowledge, end, finish, say_bye
from softswitch.sip.session_reliable import prack, reliable_sequence
from softswitch.sip.session_timer import ask_interval, grant, granted, too_short, whole
from softswitch.sip.transaction import Transaction

MOST_GLARES = 8
"""Collisions of re-INVITEs in a row after which ours is given up."""


def busy(session: Session) -> bool:
    """Return whether another offer of ours must wait."""
    return _open(session) or "glare" in session.alarms


def _open(session: Session) -> bool:
    """Return whether an offer, or what may carry one, is under way."""
    return (
        session.exchange is not None
        or session.updating is not None
        or session.incoming is not None
        or session.unacknowledged is not None
        or session.offer is not None
        or session.offering
    )


def resume(core: Calls, session: Session) -> None:
    """Send the re-INVITE that waited."""
    if session.wanted is not None and session.stands and not busy(session):
        (sdp,), session.wanted = session.wanted, None
        _reinvite(core, session, sdp, refreshing=False)


# ---------------------------------------------------------------------- ours
def reinvite(core: Calls, session: Session, sdp: str | None) -> bool:
    """Send a re-INVITE, at once or when it may; a newer one takes the place of one that waits."""
    if not session.stands:
        return False
    session.wanted = (sdp,)
    resume(core, session)
    return True


def update(core: Calls, session: Session, sdp: str | None) -> bool:
    """Send an UPDATE, with or without an offer."""
    dialog = session.dialog
    if dialog is None or session.phase is Phase.ENDED or session.updating is not None:
        return False
    if dialog.allow and "UPDATE" not in dialog.allow:
        return False
    if sdp is not None and (session.offering or session.offer is not None or not session.settled):
        return False
    if sdp is not None and session.stands and busy(session):
        return False
    _update(core, session, dialog, sdp, refreshing=False)
    return True


def refresh(core: Calls, session: Session) -> None:
    """Refresh the session, as its timer asks (RFC 4028 section 10)."""
    dialog = session.dialog
    if dialog is None or not session.stands:
        return
    if busy(session):
        session.set_alarm(core, "refresh", 2.0, lambda: refresh(core, session))
    elif "UPDATE" in dialog.allow:
        _update(core, session, dialog, None, refreshing=True)
    else:
        _reinvite(core, session, session.local_sdp, refreshing=True)


def _reinvite(core: Calls, session: Session, sdp: str | None, *, refreshing: bool) -> None:
    dialog = session.dialog
    if dialog is None:
        return

    def draft(_: object) -> tuple[Request, Flow]:
        request, flow = dialog.request("INVITE")
        describe(request, dialog.contact)
        ask_interval(core, session, request, wanted=0)
        with_sdp(request, sdp)
        return request, flow

    def hear(exchange: Exchange, response: Response, _made_up: bool) -> None:
        if response.code >= 300:
            _declined(core, session, exchange, response, sdp, refreshing=refreshing)
        elif response.code >= 200:
            _agreed(core, session, dialog, exchange, response, sdp)

    session.offering = sdp is not None
    session.exchange = Exchange(core, draft, hear, session.proof)
    session.exchange.start()


def _agreed(
    core: Calls, session: Session, dialog: Dialog, exchange: Exchange, response: Response, sdp: str | None
) -> None:
    if session.phase is Phase.ENDED:
        acknowledge(core, session, dialog, exchange)
        return
    if exchange is not session.exchange or session.offer is not None:
        return
    dialog.refresh(response)
    granted(core, session, response, refresh)
    session.glares = 0
    described = sdp_of(response)
    if sdp is None and described is not None:
        session.offer = TheirOffer("2xx", described, exchange=exchange, dialog=dialog)
        core.tell(Offered(session.id, described, "2xx"))
        return
    session.exchange, session.offering = None, False
    session.local_sdp = sdp or session.local_sdp
    acknowledge(core, session, dialog, exchange)
    if described is not None:
        core.tell(OfferAnswered(session.id, described))
    resume(core, session)


def _declined(
    core: Calls,
    session: Session,
    exchange: Exchange,
    response: Response,
    sdp: str | None,
    *,
    refreshing: bool,
) -> None:
    if exchange is not session.exchange or session.phase is Phase.ENDED:
        return
    session.exchange, session.offering = None, False
    code = response.code
    if code in (408, 481):
        _gone(core, session, code)
    elif code == 491 and session.glares < MOST_GLARES:
        session.glares += 1
        core.count("glare")
        # Section 14.1: the one who made the Call-ID waits 2.1 to 4 s, the other up to 2 s.
        pause = 2.1 + 1.9 * core.chance() if session.ours else 2.0 * core.chance()
        session.set_alarm(
            core, "glare", pause, lambda: _after_glare(core, session, sdp, refreshing=refreshing)
        )
    elif code == 422 and whole(response.headers.get("Min-SE")) > session.timer.least:
        session.timer.least = whole(response.headers.get("Min-SE"))
        _reinvite(core, session, sdp, refreshing=refreshing)
    elif refreshing:
        _refresh_later(core, session)
    else:
        core.tell(OfferRefused(session.id, code, response.phrase))
        resume(core, session)


def _after_glare(core: Calls, session: Session, sdp: str | None, *, refreshing: bool) -> None:
    session.stop_alarm("glare")
    if refreshing:
        refresh(core, session)
        return
    session.wanted = session.wanted or (sdp,)
    resume(core, session)


def _update(core: Calls, session: Session, dialog: Dialog, sdp: str | None, *, refreshing: bool) -> None:
    def draft(_: object) -> tuple[Request, Flow]:
        request, flow = dialog.request("UPDATE")
        describe(request, dialog.contact)
        ask_interval(core, session, request, wanted=0)
        with_sdp(request, sdp)
        return request, flow

    def hear(_exchange: Exchange, response: Response, _made_up: bool) -> None:
        if response.code < 200 or session.phase is Phase.ENDED:
            return
        session.updating = None
        if sdp is not None:
            session.offering = False
        if response.code < 300:
            dialog.refresh(response)
            granted(core, session, response, refresh)
            described = sdp_of(response)
            session.local_sdp = sdp or session.local_sdp
            if sdp is not None and described is not None:
                core.tell(OfferAnswered(session.id, described))
        elif response.code in (408, 481):
            _gone(core, session, response.code)
            return
        elif sdp is not None:
            core.tell(OfferRefused(session.id, response.code, response.phrase))
        elif refreshing:
            if response.code in (405, 501):
                dialog.allow = dialog.allow - {"UPDATE"}
            _refresh_later(core, session)
        resume(core, session)

    if sdp is not None:
        session.offering = True
    session.updating = Exchange(core, draft, hear, session.proof)
    session.updating.start()


def _refresh_later(core: Calls, session: Session) -> None:
    core.count("refresh_refused")
    session.set_alarm(core, "refresh", max(session.timer.interval / 8, 2.0), lambda: refresh(core, session))


def _gone(core: Calls, session: Session, code: int) -> None:
    """End a call whose far end knows no such dialog, or does not answer within it (section 12.2.1.2)."""
    if code == 408:
        say_bye(core, session, "gone")
    else:
        end(core, session, "gone")


# ---------------------------------------------------------------------- theirs
def offered(core: Calls, session: Session, request: Request, transaction: Transaction) -> None:
    """Take a re-INVITE."""
    if session.incoming is not None or not session.stands:
        core.reply(transaction, 500, headers={"Retry-After": str(int(10 * core.chance()))})
    elif _open(session):
        core.count("glare")
        core.reply(transaction, 491)
    elif too_short(core, request):
        core.reply_least(transaction)
    else:
        core.reply(transaction, 100)
        transaction.owner = session.id
        session.incoming = transaction
        session.offer = TheirOffer("INVITE", sdp_of(request), transaction)
        _bound(core, session)
        core.tell(Offered(session.id, sdp_of(request), "INVITE"))


def updated(
    core: Calls, session: Session, dialog: Dialog, request: Request, transaction: Transaction
) -> None:
    """Take an UPDATE (RFC 3311 section 5.2)."""
    sdp = sdp_of(request)
    if too_short(core, request):
        core.reply_least(transaction)
    elif sdp is None:
        dialog.refresh(request)
        response = core.response(transaction, 200)
        describe(response, dialog.contact)
        if session.stands:
            grant(core, session, request, response, refresh)
        transaction.respond(response)
    elif session.offer is not None or (session.phase is Phase.INVITED and not session.settled):
        core.reply(transaction, 500, headers={"Retry-After": str(int(10 * core.chance()))})
    elif session.offering or (session.exchange is not None and session.stands):
        core.count("glare")
        core.reply(transaction, 491)
    else:
        session.offer = TheirOffer("UPDATE", sdp, transaction, dialog=dialog)
        _bound(core, session)
        core.tell(Offered(session.id, sdp, "UPDATE"))


def withdrawn(core: Calls, session: Session) -> None:
    """Take the CANCEL of a re-INVITE: 487, and all is as before."""
    if session.incoming is not None and session.stands:
        core.reply(session.incoming, 487)
        session.incoming = session.offer = None
        session.stop_alarm("offer")
        resume(core, session)


def _bound(core: Calls, session: Session) -> None:
    def overdue() -> None:
        core.count("offer_unanswered")
        refuse_offer(core, session, 500, "")

    session.set_alarm(core, "offer", core.limits.request_s, overdue)


def accept_offer(core: Calls, session: Session, sdp: str | None) -> bool:
    """Answer the offer that waits."""
    offer, session.offer = session.offer, None
    if offer is None or session.phase is Phase.ENDED:
        return False
    session.stop_alarm("offer")
    session.local_sdp = sdp or session.local_sdp
    session.settled = True
    match offer.carrier:
        case "INVITE" | "UPDATE" | "PRACK":
            _accept_request(core, session, offer, sdp)
        case "1xx":
            _accept_early(core, session, offer, sdp)
        case "2xx":
            session.exchange = None
            if offer.dialog is not None and offer.exchange is not None:
                acknowledge(core, session, offer.dialog, offer.exchange, sdp)
    resume(core, session)
    return True


def _accept_request(core: Calls, session: Session, offer: TheirOffer, sdp: str | None) -> None:
    transaction, dialog = offer.transaction, offer.dialog or session.dialog
    if transaction is None or dialog is None:
        return
    response = core.response(transaction, 200)
    describe(response, dialog.contact)
    with_sdp(response, sdp)
    if offer.carrier == "PRACK":
        transaction.respond(response)
        return
    dialog.refresh(transaction.request)
    if session.stands:
        grant(core, session, transaction.request, response, refresh)
    if offer.carrier == "INVITE":
        accept(core, session, transaction, response, first=False, offered=offer.sdp is None)
    else:
        transaction.respond(response)


def _accept_early(core: Calls, session: Session, offer: TheirOffer, sdp: str | None) -> None:
    if offer.dialog is not None and offer.response is not None:
        prack(core, session, offer.dialog, offer.response, reliable_sequence(offer.response), sdp)


def refuse_offer(core: Calls, session: Session, code: int, reason: str) -> bool:
    """Refuse the offer that waits."""
    offer, session.offer = session.offer, None
    if offer is None or session.phase is Phase.ENDED:
        return False
    session.stop_alarm("offer")
    match offer.carrier:
        case "INVITE" | "UPDATE" | "PRACK":
            if offer.transaction is not None:
                core.reply(offer.transaction, code, reason)
            if offer.carrier == "INVITE":
                session.incoming = None
        case "2xx":
            # A 2xx can only be acknowledged, and the ACK must carry an answer: the call has none, so it ends.
            session.exchange = None
            if offer.dialog is not None and offer.exchange is not None:
                acknowledge(core, session, offer.dialog, offer.exchange)
            say_bye(core, session, "media_refused")
        case "1xx":
            _refuse_early(core, session, offer)
    resume(core, session)
    return True


def _refuse_early(core: Calls, session: Session, offer: TheirOffer) -> None:
    if offer.exchange is not None and offer.exchange.transaction is not None:
        offer.exchange.closed = True
        core.cancel(offer.exchange.transaction)
    finish(core, session, Ended(session.id, "media_refused"))
