"""Transfer: REFER and its NOTIFYs, both ways (RFC 3515, RFC 4488, RFC 3892)."""

import re
from collections.abc import Mapping

from softswitch.sip.calls import Calls
from softswitch.sip.core import clean, headers_of
from softswitch.sip.dialog import Dialog
from softswitch.sip.exchange import Exchange
from softswitch.sip.field_values import parse_address
from softswitch.sip.flow import Flow
from softswitch.sip.grammar import MalformedError
from softswitch.sip.happenings import ReferProgressed, ReferReceived
from softswitch.sip.message import Request, Response
from softswitch.sip.parameters import encode
from softswitch.sip.phrases import phrase
from softswitch.sip.replaces import read_replaces, write_replaces
from softswitch.sip.session import Session, TheirRefer
from softswitch.sip.transaction import Transaction
from softswitch.sip.uri import headers_of as uri_headers

_FRAGMENT = re.compile(r"\s*SIP/2\.0\s+([1-6][0-9]{2})(?:[ \t]+([^\r\n]*))?", re.IGNORECASE)
SUBSCRIPTION_S = 180
"""Lifetime told in the NOTIFYs of a transfer."""


# ---------------------------------------------------------------------- theirs
def referred(core: Calls, session: Session, request: Request, transaction: Transaction) -> None:
    """Take a REFER within the call."""
    lines = request.headers.getlist("Refer-To")
    try:
        if len(lines) != 1:
            raise MalformedError(400, "One Refer-To is needed", field="Refer-To")
        target = parse_address(lines[0], "Refer-To").uri
    except MalformedError as error:
        core.reply(transaction, 400, error.reason)
        return
    if not session.stands:
        core.reply(transaction, 491)
        return
    if len(session.refers) >= core.limits.pending:
        core.reply(transaction, 500, headers={"Retry-After": str(core.limits.retry_after)})
        return
    session.refer_count += 1
    sequence = request.cseq.sequence
    name = str(sequence)
    silent = (request.headers.get("Refer-Sub") or "").strip().lower().startswith("false")
    session.refers[name] = TheirRefer(transaction, name, sequence, session.refer_count == 1, silent)
    carried = uri_headers(target)
    replaces = read_replaces([carried["replaces"]]) if "replaces" in carried else None
    session.set_alarm(core, f"refer {name}", core.limits.request_s, lambda: _overdue(core, session, name))
    core.tell(
        ReferReceived(
            session.id,
            name,
            str(target).partition("?")[0],
            _uri_of(request.headers.get("Referred-By")),
            replaces,
            headers_of(request),
        )
    )


def _overdue(core: Calls, session: Session, name: str) -> None:
    core.count("refer_unanswered")
    refuse_refer(core, session, name, 500)


def accept_refer(core: Calls, session: Session, name: str) -> bool:
    """Answer 202 and tell that it is being tried."""
    refer = session.refers.get(name)
    if refer is None or refer.accepted:
        return False
    refer.accepted = True
    session.stop_alarm(f"refer {name}")
    response = core.response(refer.transaction, 202)
    if session.dialog is not None:
        response.headers.set("Contact", session.dialog.contact)
    if refer.silent:
        response.headers.set("Refer-Sub", "false")
    refer.transaction.respond(response)
    _notify(core, session, refer, 100, "Trying")
    return True


def refer_progress(core: Calls, session: Session, name: str, code: int, reason: str) -> bool:
    """Send a NOTIFY; the last one ends the subscription."""
    refer = session.refers.get(name)
    if refer is None or not refer.accepted:
        return False
    _notify(core, session, refer, code, reason or phrase(code))
    if code >= 200:
        del session.refers[name]
    return True


def refuse_refer(core: Calls, session: Session, name: str, code: int) -> bool:
    """Refuse a REFER."""
    refer = session.refers.get(name)
    if refer is None or refer.accepted:
        return False
    del session.refers[name]
    session.stop_alarm(f"refer {name}")
    core.reply(refer.transaction, code)
    return True


def _notify(core: Calls, session: Session, refer: TheirRefer, code: int, reason: str) -> None:
    dialog = session.dialog
    if refer.silent or dialog is None:
        return
    state = "terminated;reason=noresource" if code >= 200 else f"active;expires={SUBSCRIPTION_S}"

    def draft(_: object) -> tuple[Request, Flow]:
        request, flow = dialog.request("NOTIFY")
        # Section 2.4.6: only the first REFER of a dialog may go without its id.
        request.headers.set("Event", "refer" if refer.first else f"refer;id={refer.sequence}")
        request.headers.set("Subscription-State", state)
        request.headers.set("Contact", dialog.contact)
        request.headers.set("Content-Type", "message/sipfrag;version=2.0")
        request.body = f"SIP/2.0 {code} {clean(reason)}\r\n".encode("utf-8", "replace")
        return request, flow

    def hear(_exchange: Exchange, response: Response, _made_up: bool) -> None:
        if response.code >= 300:
            core.count("notify_refused")
            session.refers.pop(refer.name, None)

    Exchange(core, draft, hear, session.proof).start()


# ---------------------------------------------------------------------- ours
def refer(
    core: Calls,
    session: Session,
    refer_to: str,
    referred_by: str,
    replaces: Dialog | None,
    headers: Mapping[str, str],
) -> bool:
    """Send a REFER; False while another one of ours is under way."""
    dialog = session.dialog
    if dialog is None or not session.stands or session.referred:
        return False
    target = clean(refer_to).strip("<>")
    if replaces is not None:
        value = write_replaces(replaces.call_id, replaces.remote_tag, replaces.local_tag)
        target += ("&" if "?" in target else "?") + "Replaces=" + encode(value, "-_.!~*'()")

    def draft(_: object) -> tuple[Request, Flow]:
        request, flow = dialog.request("REFER")
        request.headers.set("Contact", dialog.contact)
        request.headers.set("Refer-To", f"<{target}>")
        if referred_by:
            request.headers.set("Referred-By", f"<{clean(referred_by).strip('<>')}>")
        core.write(request, headers)
        return request, flow

    def hear(_exchange: Exchange, response: Response, _made_up: bool) -> None:
        if response.code >= 300 and session.referred:
            session.referred = False
            core.tell(ReferProgressed(session.id, response.code, response.phrase, final=True))

    session.referred = True
    Exchange(core, draft, hear, session.proof).start()
    return True


def notified(core: Calls, session: Session, request: Request, transaction: Transaction) -> None:
    """Take a NOTIFY on a REFER of ours."""
    event = (request.headers.get("Event") or "").partition(";")[0].strip().lower()
    if event != "refer":
        core.reply(transaction, 489)
        return
    if not session.referred:
        core.reply(transaction, 481)
        return
    core.reply(transaction, 200)
    ended = (request.headers.get("Subscription-State") or "").strip().lower().startswith("terminated")
    found = _FRAGMENT.match(request.body.decode("utf-8", "replace"))
    code = int(found[1]) if found else 0
    final = ended or code >= 200
    if final:
        session.referred = False
    if found:
        core.tell(ReferProgressed(session.id, code, (found[2] or "").strip(), final))
    elif final:
        # Over without a word of how it went: nobody knows that it went well.
        core.tell(ReferProgressed(session.id, 500, "No Outcome Told", final=True))


def _uri_of(text: str | None) -> str:
    try:
        return str(parse_address(text, "Referred-By").uri) if text else ""
    except MalformedError:
        return ""
