"""Requests of the far end, judged before pyVoIP sees them: it answers four methods, for any tags or none."""

from softswitch.endpoints.pyvoip.account import Address, Pressed
from softswitch.endpoints.pyvoip.dialog import tag_of
from softswitch.endpoints.pyvoip.patches.roles import CallRole, ClientRole
from softswitch.endpoints.pyvoip.patches.wire import branch_of, key_of
from softswitch.endpoints.sip.dtmf_info import TYPES, read_digit
from softswitch.sip.message import Request, copy_for_reply, stateless_tag

KNOWN = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO")


def take_request(client: ClientRole, request: Request, source: Address) -> None:
    """Answer a request, or hand it to its call."""
    if request.method == "ACK":
        client.exchanges.end(("wait", request.call_id, str(request.cseq.sequence)))
        return
    if request.method == "CANCEL":
        _cancel(client, request, source)
        return
    if client.exchanges.repeat(key_of(request)):
        return
    if request.method not in KNOWN:
        respond(client, request, source, 405, "Method Not Allowed")
    elif request.require:
        # Of extensions, pyVoIP has none.
        respond(client, request, source, 420, "Bad Extension", {"Unsupported": ", ".join(request.require)})
    elif tag_of(request.to_address):
        _within_dialog(client, request, source)
    elif request.method == "INVITE":
        _invite(client, request, source)
    elif request.method == "OPTIONS":
        respond(client, request, source, 200, "OK", {"Accept": "application/sdp"})
    else:
        respond(client, request, source, 481, "Call/Transaction Does Not Exist")


def respond(
    client: ClientRole,
    request: Request,
    source: Address,
    code: int,
    reason: str,
    headers: dict[str, str] | None = None,
) -> None:
    """Answer a request without a call of its own."""
    response = copy_for_reply(request, code, reason, stateless_tag(request.headers))
    for name, value in (headers or {}).items():
        response.headers.set(name, value)
    if request.method == "INVITE" and code >= 300:
        client.reply_surely(response, request, source, lambda: None)
    else:
        client.reply(response, request, source)


def _invite(client: ClientRole, request: Request, source: Address) -> None:
    if request.call_id in client.desk.by_id:
        # The same call over another way (RFC 3261 §8.2.2.2), or one of ours that came back.
        respond(client, request, source, 482, "Loop Detected")
        return
    client.reply(copy_for_reply(request, 100, "Trying"), request, source)
    client.desk.invited(request, source)


def _cancel(client: ClientRole, request: Request, source: Address) -> None:
    call = client.desk.by_id.get(request.call_id)
    invite = call.invite if call is not None else None
    if call is None or invite is None or branch_of(invite) != branch_of(request):
        client.send_reply(copy_for_reply(request, 481, "Call/Transaction Does Not Exist"), request, source)
        return
    client.send_reply(copy_for_reply(request, 200, "OK", call.tag), request, source)
    call.cancelled()


def _within_dialog(client: ClientRole, request: Request, source: Address) -> None:
    call = client.desk.by_id.get(request.call_id)
    dialog = call.dialog if call is not None else None
    if call is None or dialog is None or not dialog.matches(request):
        # pyVoIP ends a call by whatever BYE has its Call-ID.
        respond(client, request, source, 481, "Call/Transaction Does Not Exist")
        return
    if request.cseq.sequence <= dialog.remote_sequence:
        respond(client, request, source, 500, "Server Internal Error", {"Retry-After": "1"})
        return
    dialog.remote_sequence = request.cseq.sequence
    match request.method:
        case "BYE":
            respond(client, request, source, 200, "OK")
            call.ended(request)
        case "INVITE":
            call.offered(request, source)
        case "INFO":
            _info(client, call, request, source)
        case _:
            respond(client, request, source, 200, "OK", {"Accept": "application/sdp"})


def _info(client: ClientRole, call: CallRole, request: Request, source: Address) -> None:
    """Take a key that comes in an INFO."""
    kind = request.content_type
    press = read_digit(request.body.decode("latin-1"), f"{kind.mime_type}" if kind else "")
    if press is None:
        respond(client, request, source, 415, "Unsupported Media Type", {"Accept": ", ".join(TYPES)})
        return
    respond(client, request, source, 200, "OK")
    call.line.tell(Pressed(*press, "info"))
