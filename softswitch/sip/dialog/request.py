"""Requests that the agent sends outside any dialog: REGISTER, OPTIONS, MESSAGE."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from softswitch.sip.context import AgentContext, check_party, clean
from softswitch.sip.dialog.exchange import Exchange, Target
from softswitch.sip.dialog.routing import contact_uri
from softswitch.sip.events import RequestAnswered
from softswitch.sip.security.digest import Credentials
from softswitch.sip.security.proof import Proof
from softswitch.sip.syntax.grammar import MalformedError
from softswitch.sip.syntax.message import Request, Response, with_body
from softswitch.sip.syntax.uri import URI, parse_uri
from softswitch.sip.transaction.flow import Flow


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A request outside a dialog, for `UserAgent.request`."""

    method: str
    """Any method but INVITE, ACK and CANCEL."""
    uri: str
    """Request-URI."""
    from_: str
    """From without tag, as a name-addr."""
    to: str
    """To without tag, as a name-addr."""
    targets: tuple[Flow, ...]
    """Servers to send it to, in order of fail-over; at least one."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers to add; those that the stack writes itself are left out."""
    body: bytes = b""
    content_type: str = ""
    """Media type of `body`."""
    credentials: Credentials | None = None
    """Account that answers challenges (401, 407)."""
    route: tuple[str, ...] = ()
    """Route headers, each a name-addr."""
    contact: str | None = None
    """Value of Contact; None makes one from the flow, "" writes none."""
    contact_user: str = ""
    """User part of the Contact that is made from the flow."""
    call_id: str = ""
    """Call-ID; "" generates one. A registration keeps its own."""
    cseq: int = 0
    """First CSeq number; 0 begins at 1. Each challenge answered and each server tried adds one."""


def send_outside_dialog(context: AgentContext, outgoing: OutgoingRequest) -> str:
    """Send a request and return its key; `RequestAnswered` follows.

    Raises:
        MalformedError: A URI or name-addr is malformed, or there is no target; the error names the field.
    """
    uri = parse_uri(outgoing.uri, "uri")
    check_party(outgoing.from_, "from_")
    check_party(outgoing.to, "to")
    if not outgoing.targets:
        raise MalformedError(400, "targets must name at least one server", field="targets")
    key, call_id, tag = context.token(), outgoing.call_id or context.token(16), context.token()
    sequence = max(outgoing.cseq, 1) - 1

    def build(target: Target | None) -> tuple[Request, Flow]:
        nonlocal sequence
        sequence += 1
        flow = target.flow if target is not None else outgoing.targets[0]
        request = _build(context, outgoing, uri, flow)
        request.headers.set("From", f"{outgoing.from_};tag={tag}")
        request.headers.set("Call-ID", call_id)
        request.headers.set("CSeq", f"{sequence} {outgoing.method}")
        return request, flow

    def on_response(exchange: Exchange, response: Response, synthetic: bool) -> None:
        if response.code >= 200:
            context.emit(RequestAnswered(key, response, exchange.flow, synthetic))

    proof = Proof(outgoing.credentials, context.entropy)
    Exchange(context, build, on_response, proof, [Target(flow) for flow in outgoing.targets]).start()
    return key


def _build(context: AgentContext, outgoing: OutgoingRequest, uri: URI, flow: Flow) -> Request:
    """Return the request without the headers that change from attempt to attempt."""
    request = Request(outgoing.method, uri)
    headers = request.headers
    if outgoing.route:
        headers.setlist("Route", list(outgoing.route))
    headers.set("Max-Forwards", "70")
    headers.set("To", outgoing.to)
    contact = (
        f"<{contact_uri(flow, outgoing.contact_user)}>"
        if outgoing.contact is None
        else clean(outgoing.contact)
    )
    if contact:
        headers.set("Contact", contact)
    context.add_headers(request, outgoing.headers)
    return with_body(request, outgoing.body, outgoing.content_type)
