"""Requests within a call: which room each goes to, and those that need none (RFC 3261 section 12.2)."""

from collections.abc import Mapping

from softswitch.sip.bodies import SDP, content_type, text_of, unsupported
from softswitch.sip.calls import Calls
from softswitch.sip.core import ALLOW, headers_of
from softswitch.sip.dialog import Dialog
from softswitch.sip.exchange import Exchange
from softswitch.sip.flow import Flow
from softswitch.sip.happenings import InfoReceived, TextReceived
from softswitch.sip.head import Head
from softswitch.sip.message import Request, Response
from softswitch.sip.session import Phase, Session
from softswitch.sip.session_accept import acknowledged
from softswitch.sip.session_called import cancelled
from softswitch.sip.session_ending import end
from softswitch.sip.session_offers import offered, resume, updated
from softswitch.sip.session_refer import notified, referred
from softswitch.sip.session_reliable import pracked
from softswitch.sip.transaction import Transaction

DESCRIPTIONS = (SDP, "multipart/mixed")


def receive(
    core: Calls, session: Session, head: Head, request: Request, flow: Flow, transaction: Transaction
) -> None:
    """Take a request that names the call's Call-ID and our tag."""
    dialog = session.branch(head.from_tag)
    if dialog is None:
        core.count("forged")
        core.reply(transaction, 481)
        return
    if not dialog.accepts(head.sequence):
        core.count("out_of_order")
        core.reply(transaction, 500, "CSeq Out of Order")
        return
    dialog.moved(flow)
    dialog.learn(request)
    types = DESCRIPTIONS if request.method in ("INVITE", "UPDATE", "PRACK") else core.limits.info_types
    if request.method in ("INVITE", "UPDATE", "PRACK", "INFO"):
        refused = unsupported(request, types)
        if refused is not None:
            core.reply(transaction, 415, headers=refused)
            return
    _dispatch(core, session, dialog, request, transaction)


def _dispatch(
    core: Calls, session: Session, dialog: Dialog, request: Request, transaction: Transaction
) -> None:
    match request.method:
        case "INVITE":
            offered(core, session, request, transaction)
        case "UPDATE":
            updated(core, session, dialog, request, transaction)
        case "PRACK":
            pracked(core, session, request, transaction)
        case "BYE":
            _bye(core, session, request, transaction)
        case "INFO":
            core.reply(transaction, 200)
            if request.body:
                core.tell(InfoReceived(session.id, text_of(request), content_type(request)))
        case "MESSAGE":
            core.reply(transaction, 200)
            core.tell(TextReceived(session.id, text_of(request), content_type(request), request))
        case "REFER":
            referred(core, session, request, transaction)
        case "NOTIFY":
            notified(core, session, request, transaction)
        case _:
            core.reply(transaction, 405, headers={"Allow": ALLOW})


def _bye(core: Calls, session: Session, request: Request, transaction: Transaction) -> None:
    core.reply(transaction, 200)
    if session.phase is Phase.INVITED:
        cancelled(core, session, request)
    elif session.stands:
        end(core, session, "bye", headers_of(request))
    else:
        # A called party that has not answered may not say BYE (section 15); its refusal will follow, or not.
        core.count("early_bye")


def confirm(core: Calls, session: Session, head: Head, ack: Request) -> None:
    """Take the ACK of a 2xx."""
    if session.branch(head.from_tag) is None:
        core.count("forged")
    elif acknowledged(core, session, head.sequence, ack):
        resume(core, session)


def say(
    core: Calls, session: Session, method: str, body: str, kind: str, headers: Mapping[str, str] | None = None
) -> bool:
    """Send an INFO or a MESSAGE within the call."""
    dialog = session.dialog
    if dialog is None or session.phase is Phase.ENDED or (dialog.allow and method not in dialog.allow):
        return False

    def draft(_: object) -> tuple[Request, Flow]:
        request, flow = dialog.request(method)
        core.write(request, headers or {})
        if body:
            request.headers.set("Content-Type", kind)
        request.body = body.encode("utf-8", "replace")
        return request, flow

    def hear(_exchange: Exchange, response: Response, _made_up: bool) -> None:
        if response.code == 481 and session.stands:
            end(core, session, "gone")
        elif response.code >= 300:
            core.count(f"{method.lower()}_refused")

    Exchange(core, draft, hear, session.proof).start()
    return True
