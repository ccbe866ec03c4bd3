"""Dialogs: the state that the requests within a call are built from (RFC 3261 section 12)."""

from dataclasses import dataclass, field, replace

from sipmessage import Address

from softswitch.sip.dialog.routing import flow_to, next_hop
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.syntax.uri import URI
from softswitch.sip.transaction.flow import Flow, Nat


@dataclass(slots=True)
class Dialog:
    """A dialog, early or confirmed."""

    call_id: str
    local_tag: str
    remote_tag: str
    """"" for an RFC 2543 peer, which has no tag."""
    local: str
    """From of the agent's requests with its tag, unchanged from the first message."""
    remote: str
    """To of the agent's requests."""
    target: URI
    """Remote target: the peer's Contact."""
    routes: list[Address]
    """Route set, the next hop first."""
    flow: Flow
    contact: str
    """Contact of the agent."""
    local_sequence: int = 0
    remote_sequence: int = -1
    """CSeq number of the peer's last request, -1 before the first."""
    behind_nat: bool = False
    """Whether the peer is reached on `flow` alone, with no proxy between: the source of its INVITE differs
    from its Via, or it is a device that was called on the flow of its REGISTER."""
    reliable_sequence: int = -1
    """RSeq of the peer's last reliable provisional response, -1 before the first."""
    allow: frozenset[str] = field(default_factory=frozenset)
    """Methods that the peer's Allow names; empty before the first Allow."""

    @property
    def id(self) -> tuple[str, str, str]:
        """Call-ID, local tag and remote tag."""
        return self.call_id, self.local_tag, self.remote_tag

    def request(self, method: str, sequence: int | None = None) -> tuple[Request, Flow]:
        """Build a request within the dialog, without Via and the headers of its method.

        Args:
            method: Method of the request.
            sequence: CSeq number (for an ACK, that of the INVITE); None takes the next one.

        Returns:
            The request, and where to send it.
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
        """Record the CSeq number of a peer's request; return False if it is out of order (12.2.2)."""
        if sequence < self.remote_sequence:
            return False
        self.remote_sequence = sequence
        return True

    def refresh(self, message: Request | Response) -> None:
        """Update the remote target and the allowed methods from a target refresh request or its 2xx."""
        contacts = message.contact
        if contacts and isinstance(contacts[0].uri, URI):
            self.target = contacts[0].uri
        self.learn_methods(message)

    def learn_methods(self, message: Request | Response) -> None:
        """Update the allowed methods from the Allow of a message, if it has one."""
        if "Allow" in message.headers:
            text = ",".join(message.headers.getlist("Allow"))
            self.allow = frozenset(word.strip().upper() for word in text.split(",") if word.strip())

    def set_nat(self, nat: Nat) -> None:
        """Decide by the setting of the peer's user whether its Contact is followed, or its flow.

        Args:
            nat: yes: the flow. no: the Contact. auto: the flow where the Contact has another host than the
                source, besides the evidence of the Via.
        """
        if nat != "auto":
            self.behind_nat = nat == "yes"
        elif not self.routes and self.target.host.strip("[]").lower() != self.flow.host:
            self.behind_nat = True

    def move(self, local_host: str) -> None:
        """Show another local address in Contact and Via from now on."""
        before = self.flow.local_host
        if before:
            self.contact = self.contact.replace(_bracketed(before), _bracketed(local_host))
        self.flow = replace(self.flow, local_host=local_host)

    def follow(self, flow: Flow) -> None:
        """Use the flow of the peer's last request: phones reconnect, and NATs assign new ports."""
        if flow.reliable or flow.host == self.flow.host or self.behind_nat:
            self.flow = flow


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def dialog_of_request(request: Request, flow: Flow, tag: str, contact: str) -> Dialog:
    """Return the dialog that an incoming INVITE begins (section 12.1.1).

    Args:
        request: The INVITE.
        flow: Where it came from.
        tag: Local tag.
        contact: Contact of the agent.
    """
    contacts = request.contact
    target = contacts[0].uri if contacts else request.from_address.uri
    to = request.headers.get("To") or ""
    via = request.top_via
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
    # The topmost Via is the proxy's if there is one, and says nothing about the caller.
    if dialog.routes:
        dialog.behind_nat = False
    dialog.learn_methods(request)
    return dialog


def dialog_of_response(request: Request, response: Response, flow: Flow, contact: str) -> Dialog:
    """Return the dialog that a response to the agent's INVITE begins (section 12.1.2).

    Args:
        request: The INVITE.
        response: Its response.
        flow: Where the INVITE was sent.
        contact: Contact of the agent.
    """
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
        behind_nat=flow.pinned,
    )
    # A proxy between recorded its route, which is followed.
    if dialog.routes:
        dialog.behind_nat = False
    dialog.learn_methods(response)
    return dialog
