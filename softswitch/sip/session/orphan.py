"""Calls of an agent that is gone: another agent ends them from a few saved values (docs/adr/0033)."""

from dataclasses import replace

import msgspec
from sipmessage import Address

from softswitch.sip.context import AgentContext
from softswitch.sip.dialog.dialog import Dialog
from softswitch.sip.security.digest import Credentials
from softswitch.sip.security.proof import Proof
from softswitch.sip.session.acknowledgements import Acknowledgements
from softswitch.sip.session.state import Phase, SessionState
from softswitch.sip.syntax.head import read_head
from softswitch.sip.syntax.message import Request, parse
from softswitch.sip.syntax.uri import URI
from softswitch.sip.transaction.flow import Flow
from softswitch.sip.transaction.machine import Transaction
from softswitch.sip.transaction.tables import Kind, State

SKIP = 1000
"""Added to the last CSeq number that was saved: the agent may have sent more requests since."""
MOST_INVITE = 16_384
"""Octets of the largest INVITE that is saved; a larger one is not answered."""


class Orphan(msgspec.Struct, frozen=True, array_like=True):
    """What it takes to end a call."""

    phase: str
    """Value of `Phase`."""
    call_id: str
    local_tag: str
    flow: Flow
    trunk: str = ""
    """Trunk whose credentials answer a challenge."""
    remote_tag: str = ""
    local: str = ""
    remote: str = ""
    target: str = ""
    routes: tuple[str, ...] = ()
    contact: str = ""
    sequence: int = 0
    behind_nat: bool = False
    invite: bytes = b""
    """Head of an INVITE that has no final response."""


def orphan_of(state: SessionState, trunk: str = "") -> Orphan | None:
    """Return what ends a call; None where nothing has to be sent."""
    if state.phase is Phase.ENDED:
        return None
    dialog = state.dialog
    if state.phase in (Phase.CALLING, Phase.INVITED):
        transaction = state.incoming if state.phase is Phase.INVITED else None
        if state.exchange is not None and state.exchange.transaction is not None:
            transaction = state.exchange.transaction
        if transaction is None or transaction.answered:
            return None
        head, _, _ = bytes(_without_body(transaction.request)).partition(b"\r\n\r\n")
        if len(head) > MOST_INVITE:
            return None
        return Orphan(
            state.phase.value,
            state.call_id,
            state.local_tag,
            transaction.flow,
            trunk,
            invite=head + b"\r\n\r\n",
        )
    if dialog is None:
        return None
    return Orphan(
        state.phase.value,
        state.call_id,
        state.local_tag,
        dialog.flow,
        trunk,
        remote_tag=dialog.remote_tag,
        local=dialog.local,
        remote=dialog.remote,
        target=str(dialog.target),
        routes=tuple(str(route) for route in dialog.routes),
        contact=dialog.contact,
        sequence=dialog.local_sequence,
        behind_nat=dialog.behind_nat,
    )


def end_orphan(context: AgentContext, orphan: Orphan, credentials: Credentials | None) -> None:
    """End a call: BYE in a dialog, CANCEL of an INVITE that was sent, 500 to one that came.

    Raises:
        MalformedError: The saved INVITE cannot be read.
    """
    acknowledgements = Acknowledgements(context, Proof(credentials, context.entropy))
    if orphan.phase == Phase.INVITED.value:
        _refuse(context, _invite(orphan), orphan)
    elif orphan.phase == Phase.CALLING.value:
        _cancel(context, _invite(orphan), orphan, acknowledgements)
    else:
        dialog = Dialog(
            call_id=orphan.call_id,
            local_tag=orphan.local_tag,
            remote_tag=orphan.remote_tag,
            local=orphan.local,
            remote=orphan.remote,
            target=URI.parse(orphan.target),
            routes=[Address.parse(route) for route in orphan.routes],
            flow=orphan.flow,
            contact=orphan.contact,
            local_sequence=orphan.sequence + SKIP,
            behind_nat=orphan.behind_nat,
        )
        acknowledgements.send_bye(dialog, {})
        context.remember_ended(dialog.id)
    context.count("orphans_ended")


def _invite(orphan: Orphan) -> Request:
    request = parse(orphan.invite)
    if not isinstance(request, Request):
        raise TypeError("the saved message is no INVITE")
    return request


def _without_body(request: Request) -> Request:
    bare = Request(request.method, request.uri)
    for name in request.headers.keys():  # noqa: SIM118  (they are no mapping)
        if name.lower() not in ("content-length", "content-type"):
            bare.headers.setlist(name, request.headers.getlist(name))
    return bare


def _refuse(context: AgentContext, invite: Request, orphan: Orphan) -> None:
    transaction = context.transactions.start_server(read_head(invite), invite, orphan.flow, orphan.local_tag)
    context.reply(transaction, 500)


def _cancel(
    context: AgentContext, invite: Request, orphan: Orphan, acknowledgements: Acknowledgements
) -> None:
    """Cancel an INVITE on its own branch; a 2xx that comes nevertheless gets ACK and BYE."""
    head = read_head(invite)
    transaction = Transaction(
        context.transactions,
        Kind.INVITE_CLIENT,
        f"{head.branch} INVITE",
        invite,
        replace(orphan.flow),
        on_response=lambda owner, response, synthetic: (
            acknowledgements.release(owner, response) if 200 <= response.code < 300 else None
        ),
    )
    context.transactions.take_client(transaction, State.PROCEEDING)
    context.cancel(transaction)
