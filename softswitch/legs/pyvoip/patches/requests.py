"""Dispatch of the peer's requests before pyVoIP, which answers four methods only, with any tags or none."""

from softswitch.legs.pyvoip.account import Address, Pressed
from softswitch.legs.pyvoip.dialog import tag_of
from softswitch.legs.pyvoip.patches.roles import CallRole, ClientRole
from softswitch.legs.pyvoip.patches.wire import branch_of, key_of
from softswitch.legs.sip.leg.dtmf_info import TYPES, read_digit
from softswitch.sip.syntax.message import Request, copy_for_reply, stateless_tag
from softswitch.sip.syntax.phrases import phrase

KNOWN = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO")


def take_request(client: ClientRole, request: Request, source: Address) -> None:
    """Respond to a request, or hand it to its call."""
    if request.method == "ACK":
        client.exchanges.end(("wait", request.call_id, str(request.cseq.sequence)))
        return
    if request.method == "CANCEL":
        _cancel(client, request, source)
        return
    if client.exchanges.repeat(key_of(request)):
        return
    if request.method not in KNOWN:
        respond(client, request, source, code=405)
    elif request.require:
        # pyVoIP supports no extension.
        respond(client, request, source, code=420, headers={"Unsupported": ", ".join(request.require)})
    elif tag_of(request.to_address):
        _within_dialog(client, request, source)
    elif request.method == "INVITE":
        _invite(client, request, source)
    elif request.method == "OPTIONS":
        respond(client, request, source, code=200, headers={"Accept": "application/sdp"})
    else:
        respond(client, request, source, code=481)


def respond(
    client: ClientRole,
    request: Request,
    source: Address,
    *,
    code: int,
    headers: dict[str, str] | None = None,
) -> None:
    """Respond to a request outside any call."""
    response = copy_for_reply(request, code, phrase(code), stateless_tag(request.headers))
    for name, value in (headers or {}).items():
        response.headers.set(name, value)
    if request.method == "INVITE" and code >= 300:
        client.reply_surely(response, request, source, lambda: None)
    else:
        client.reply(response, request, source)


def _invite(client: ClientRole, request: Request, source: Address) -> None:
    if request.call_id in client.telephone.by_id:
        # The same call by another path (RFC 3261 §8.2.2.2), or an outgoing one that came back.
        respond(client, request, source, code=482)
        return
    client.reply(copy_for_reply(request, 100, "Trying"), request, source)
    client.telephone.invited(request, source)


def _cancel(client: ClientRole, request: Request, source: Address) -> None:
    call = client.telephone.by_id.get(request.call_id)
    invite = call.invite if call is not None else None
    if call is None or invite is None or branch_of(invite) != branch_of(request):
        client.send_reply(copy_for_reply(request, 481, "Call/Transaction Does Not Exist"), request, source)
        return
    client.send_reply(copy_for_reply(request, 200, "OK", call.tag), request, source)
    call.cancelled()


def _within_dialog(client: ClientRole, request: Request, source: Address) -> None:
    call = client.telephone.by_id.get(request.call_id)
    dialog = call.dialog if call is not None else None
    if call is None or dialog is None or not dialog.matches(request):
        # pyVoIP would end a call by any BYE with its Call-ID.
        respond(client, request, source, code=481)
        return
    if request.cseq.sequence <= dialog.remote_sequence:
        respond(client, request, source, code=500, headers={"Retry-After": "1"})
        return
    dialog.remote_sequence = request.cseq.sequence
    match request.method:
        case "BYE":
            respond(client, request, source, code=200)
            call.ended(request)
        case "INVITE":
            call.offered(request, source)
        case "INFO":
            _info(client, call, request, source)
        case _:
            respond(client, request, source, code=200, headers={"Accept": "application/sdp"})


def _info(client: ClientRole, call: CallRole, request: Request, source: Address) -> None:
    """Handle a digit in an INFO."""
    kind = request.content_type
    press = read_digit(request.body.decode("latin-1"), f"{kind.mime_type}" if kind else "")
    if press is None:
        respond(client, request, source, code=415, headers={"Accept": ", ".join(TYPES)})
        return
    respond(client, request, source, code=200)
    call.line.on_event(Pressed(*press, "info"))
