"""Requests of ours outside any dialog: REGISTER, OPTIONS, MESSAGE."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from softswitch.sip.core import Core, check_party, clean
from softswitch.sip.digest import Credentials
from softswitch.sip.exchange import Exchange, Target
from softswitch.sip.flow import Flow
from softswitch.sip.grammar import MalformedError
from softswitch.sip.happenings import RequestAnswered
from softswitch.sip.message import Request, Response, with_body
from softswitch.sip.proof import Proof
from softswitch.sip.routing import contact_uri
from softswitch.sip.uri import URI, parse_uri


@dataclass(frozen=True, slots=True)
class Question:
    """A request outside a dialog."""

    method: str
    uri: str
    from_: str
    to: str
    targets: tuple[Flow, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = ""
    credentials: Credentials | None = None
    route: tuple[str, ...] = ()
    contact: str | None = None
    contact_user: str = ""
    call_id: str = ""
    cseq: int = 0


def ask(core: Core, question: Question) -> str:
    """Send a request and return its key; `RequestAnswered` follows.

    Raises:
        MalformedError: a URI or name-addr is none.
    """
    uri = parse_uri(question.uri, "uri")
    check_party(question.from_, "from_")
    check_party(question.to, "to")
    if not question.targets:
        raise MalformedError(400, "a request needs a target", field="targets")
    key, call_id, tag = core.token(), question.call_id or core.token(16), core.token()
    sequence = max(question.cseq, 1) - 1

    def draft(target: Target | None) -> tuple[Request, Flow]:
        nonlocal sequence
        sequence += 1
        flow = target.flow if target is not None else question.targets[0]
        request = _request(core, question, uri, flow)
        request.headers.set("From", f"{question.from_};tag={tag}")
        request.headers.set("Call-ID", call_id)
        request.headers.set("CSeq", f"{sequence} {question.method}")
        return request, flow

    def hear(exchange: Exchange, response: Response, made_up: bool) -> None:
        if response.code >= 200:
            core.tell(RequestAnswered(key, response, exchange.flow, made_up))

    proof = Proof(question.credentials, core.entropy)
    Exchange(core, draft, hear, proof, [Target(flow) for flow in question.targets]).start()
    return key


def _request(core: Core, question: Question, uri: URI, flow: Flow) -> Request:
    request = Request(question.method, uri)
    headers = request.headers
    if question.route:
        headers.setlist("Route", list(question.route))
    headers.set("Max-Forwards", "70")
    headers.set("To", question.to)
    contact = (
        f"<{contact_uri(flow, question.contact_user)}>"
        if question.contact is None
        else clean(question.contact)
    )
    if contact:
        headers.set("Contact", contact)
    core.write(request, question.headers)
    return with_body(request, question.body, question.content_type)
