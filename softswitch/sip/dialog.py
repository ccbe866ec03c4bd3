"""A dialog: what two user agents know of each other's place in a call (RFC 3261 section 12)."""

from dataclasses import dataclass, field

from sipmessage import Address

from softswitch.sip.flow import Flow
from softswitch.sip.message import Request, Response
from softswitch.sip.routing import flow_to, next_hop
from softswitch.sip.uri import URI


@dataclass(slots=True)
class Dialog:
    """One dialog, early or confirmed."""

    call_id: str
    local_tag: str
    remote_tag: str
    """"" for a far end of RFC 2543, which has none."""
    local: str
    """From of our requests, tag included, as text: it goes back as it came."""
    remote: str
    """To of our requests."""
    target: URI
    """The far end's Contact."""
    routes: list[Address]
    flow: Flow
    contact: str
    """Our Contact."""
    local_sequence: int = 0
    remote_sequence: int = -1
    """-1 while the far end sent no request."""
    behind_nat: bool = False
    reliable_sequence: int = -1
    """RSeq of the last reliable provisional response of theirs."""
    allow: frozenset[str] = field(default_factory=frozenset)
    """Methods they said they take; empty while they said nothing."""

    @property
    def id(self) -> tuple[str, str, str]:
        """Return Call-ID, local and remote tag."""
        return self.call_id, self.local_tag, self.remote_tag

    def request(self, method: str, sequence: int | None = None) -> tuple[Request, Flow]:
        """Begin a request within the dialog, all but Via and what its method needs.

        Args:
            method: Its method.
            sequence: CSeq number: the INVITE's, for an ACK; None takes the next one.

        Returns:
            The request, and where it goes to.
        """
        if sequence is None:
            self.local_sequence += 1
            sequence = self.local_sequence
        uri, routes, hop = next_hop(self.routes, self.target)
        request = Request(method, uri)
        if routes:
            request.headers.setlist("Route", [str(route) for route in routes])
        request.headers.set("Max-Forwards", "70")
        request.headers.set("From", self.local)
        request.headers.set("To", self.remote)
        request.headers.set("Call-ID", self.call_id)
        request.headers.set("CSeq", f"{sequence} {method}")
        return request, flow_to(hop, self.flow, behind_nat=self.behind_nat)

    def accepts(self, sequence: int) -> bool:
        """Take the CSeq number of a request of theirs; return False for one that came too late (12.2.2)."""
        if sequence < self.remote_sequence:
            return False
        self.remote_sequence = sequence
        return True

    def refresh(self, message: Request | Response) -> None:
        """Take the new remote target of a target refresh request or its 2xx, and the methods they take."""
        contacts = message.contact
        if contacts and isinstance(contacts[0].uri, URI):
            self.target = contacts[0].uri
        self.learn(message)

    def learn(self, message: Request | Response) -> None:
        """Take the methods that a message allows."""
        if "Allow" in message.headers:
            text = ",".join(message.headers.getlist("Allow"))
            self.allow = frozenset(word.strip().upper() for word in text.split(",") if word.strip())

    def moved(self, flow: Flow) -> None:
        """Take the flow that the far end's last request came by: a phone connects anew, a NAT forgets."""
        if flow.reliable or flow.host == self.flow.host or self.behind_nat:
            self.flow = flow


def dialog_of_request(request: Request, flow: Flow, tag: str, contact: str) -> Dialog:
    """Make the dialog that an incoming INVITE begins, on our side (section 12.1.1)."""
    contacts = request.contact
    target = contacts[0].uri if contacts else request.from_address.uri
    to = request.headers.get("To") or ""
    via = request.via[0]
    dialog = Dialog(
        call_id=request.call_id,
        local_tag=tag,
        remote_tag=request.from_address.parameters.get("tag") or "",
        local=f"{to};tag={tag}",
        remote=request.headers.get("From") or "",
        target=target if isinstance(target, URI) else URI.parse(str(target)),
        routes=request.record_route,
        flow=flow,
        contact=contact,
        remote_sequence=request.cseq.sequence,
        behind_nat=via.host.strip("[]").lower() != flow.host.lower()
        or ("rport" in via.parameters and not flow.reliable and (via.port or 5060) != flow.port),
    )
    # With a proxy between, the topmost Via tells of the proxy alone.
    if dialog.routes:
        dialog.behind_nat = False
    dialog.learn(request)
    return dialog


def dialog_of_response(request: Request, response: Response, flow: Flow, contact: str) -> Dialog:
    """Make the dialog that a response to our INVITE begins (section 12.1.2)."""
    contacts = response.contact
    target = contacts[0].uri if contacts else request.uri
    dialog = Dialog(
        call_id=request.call_id,
        local_tag=request.from_address.parameters.get("tag") or "",
        remote_tag=response.to_address.parameters.get("tag") or "",
        local=request.headers.get("From") or "",
        remote=response.headers.get("To") or "",
        target=target if isinstance(target, URI) else URI.parse(str(target)),
        routes=response.record_route[::-1],
        flow=flow,
        contact=contact,
        local_sequence=request.cseq.sequence,
    )
    dialog.learn(response)
    return dialog
