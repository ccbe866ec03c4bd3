"""How calls end: BYE, and what is left behind (RFC 3261 section 15)."""

from collections.abc import Mapping

from softswitch.sip.calls import Calls
from softswitch.sip.dialog import Dialog, dialog_of_response
from softswitch.sip.exchange import Exchange
from softswitch.sip.flow import Flow
from softswitch.sip.happenings import Cancelled, Ended, EndReason, Rejected
from softswitch.sip.message import Request, Response
from softswitch.sip.proof import Proof
from softswitch.sip.session import Acks, Phase, Session, with_sdp
from softswitch.sip.transaction import Transaction

MOST_ACKS = 16
"""ACKs kept for repetition per call."""


def finish(core: Calls, session: Session, happening: Ended | Rejected | Cancelled) -> None:
    """End a session and tell so; only once."""
    if session.phase is Phase.ENDED:
        return
    session.phase = Phase.ENDED
    for alarm in session.alarms.values():
        alarm.stop()
    session.alarms.clear()
    session.offer = session.wanted = session.pending_answer = None
    session.exchange = session.updating = None
    session.referred = False
    session.provisional = session.unacknowledged = None
    session.provisionals.clear()
    for refer in session.refers.values():
        if not refer.accepted:
            core.reply(refer.transaction, 481)
    session.refers.clear()
    core.close(session)
    core.tell(happening)


def end(core: Calls, session: Session, reason: EndReason, headers: Mapping[str, str] | None = None) -> None:
    """End a session without a word to the far end, requests of theirs under way excepted."""
    if session.incoming is not None:
        core.reply(session.incoming, 487)
        session.incoming = None
    if (
        session.offer is not None
        and session.offer.carrier == "UPDATE"
        and session.offer.transaction is not None
    ):
        core.reply(session.offer.transaction, 487)
    finish(core, session, Ended(session.id, reason, headers or {}))


def say_bye(
    core: Calls, session: Session, reason: EndReason, headers: Mapping[str, str] | None = None
) -> None:
    """Send BYE and end the session; a 200 whose offer nobody answered is acknowledged first."""
    offer = session.offer
    if (
        offer is not None
        and offer.carrier == "2xx"
        and offer.dialog is not None
        and offer.exchange is not None
    ):
        acknowledge(core, session, offer.dialog, offer.exchange)
    if session.dialog is not None:
        send_bye(core, session.dialog, session.proof, headers or {})
    end(core, session, reason)


def send_bye(core: Calls, dialog: Dialog, proof: Proof, headers: Mapping[str, str]) -> None:
    """Send a BYE within a dialog; what comes of it changes nothing any more."""

    def draft(_: object) -> tuple[Request, Flow]:
        request, flow = dialog.request("BYE")
        core.write(request, headers)
        return request, flow

    def hear(_exchange: Exchange, response: Response, _made_up: bool) -> None:
        if response.code >= 300:
            core.count("bye_refused")

    Exchange(core, draft, hear, proof).start()


def acknowledge(
    core: Calls, session: Session, dialog: Dialog, exchange: Exchange, sdp: str | None = None
) -> None:
    """Send the ACK of the 2xx that an INVITE was decided by; what is left of it may outlive the call."""
    acks, proof = session.acks, session.proof
    _acknowledge(core, acks, dialog, exchange.request, sdp)
    exchange.settle(lambda transaction, response, _: unwanted(core, acks, proof, transaction, response))


def unwanted(core: Calls, acks: Acks, proof: Proof, transaction: Transaction, response: Response) -> None:
    """Give up what rings or answered though another branch was first, or the call is over: ACK, then BYE."""
    if response.code < 200:
        core.cancel(transaction)
        return
    key = response.to_address.parameters.get("tag") or "", response.cseq.sequence
    if key in acks:
        core.count("answer_again")
        core.transactions.send(acks[key])
        return
    core.count("fork_ended")
    request = transaction.request
    contact = request.headers.get("Contact") or ""
    dialog = dialog_of_response(request, response, transaction.flow, contact)
    _acknowledge(core, acks, dialog, request)
    send_bye(core, dialog, proof, {})
    core.bury(dialog.id)


def _acknowledge(core: Calls, acks: Acks, dialog: Dialog, invite: Request, sdp: str | None = None) -> None:
    """Send an ACK with the credentials of the INVITE (section 13.2.2.4)."""
    sequence = invite.cseq.sequence
    ack, flow = dialog.request("ACK", sequence)
    for name in ("Authorization", "Proxy-Authorization"):
        if name in invite.headers:
            ack.headers.setlist(name, invite.headers.getlist(name))
    with_sdp(ack, sdp)
    while len(acks) >= MOST_ACKS:
        del acks[next(iter(acks))]
    acks[dialog.remote_tag, sequence] = core.send(ack, flow)
